//! Problems of a configuration in the log.

use tollgate_config::{Excerpts, Severity};

use crate::{
    cli::LogFormat,
    configuration::Configuration,
    logging,
    problems::{Problem, problems},
};

/// Problems of a severity that are logged; `tollgate check` lists more of them.
const MOST: usize = 100;

/// Reports errors and warnings on standard error, in the form that whoever reads the log expects. Notes are counted only.
pub(crate) fn report(configuration: &Configuration, format: LogFormat) {
    // There may be more problems than the log has room for; they are worth a moment.
    let mut patient = true;
    let excerpts = Excerpts::new(&configuration.input.sources.texts);
    let all = problems(&configuration.diagnostics, &configuration.objects);
    for severity in [Severity::Error, Severity::Warning] {
        let of_it: Vec<&Problem<'_>> =
            all.iter().filter(|problem| problem.cause.severity == severity).collect();
        for problem in of_it.iter().take(MOST) {
            patient = patient && logging::wait_for_room();
            match format {
                LogFormat::Text => logging::write(&format!("{}\n", problem.render(&excerpts))),
                LogFormat::Json | LogFormat::Events => {
                    let diagnostic = problem.cause;
                    let place = &diagnostic.place;
                    let (file, line, column) = (place.file(), place.line(), place.column());
                    let (path, help) = (place.path(), diagnostic.help.as_deref());
                    let (message, note) = (&diagnostic.message, problem.note());
                    match severity {
                        Severity::Error => {
                            tracing::error!(file, line, column, path, help, note, "{message}");
                        }
                        _ => tracing::warn!(file, line, column, path, help, note, "{message}"),
                    }
                }
            }
        }
        let rest: usize = of_it.iter().skip(MOST).map(|problem| problem.cause.count).sum();
        match severity {
            _ if rest == 0 => {}
            Severity::Error => tracing::error!("{rest} more errors; `tollgate check` lists them"),
            _ => tracing::warn!("{rest} more warnings; `tollgate check` lists them"),
        }
    }
    match configuration.count(Severity::Info) {
        0 => {}
        1 => tracing::info!("1 note about the configuration; `tollgate check` shows it"),
        notes => tracing::info!("{notes} notes about the configuration; `tollgate check` shows them"),
    }
}
