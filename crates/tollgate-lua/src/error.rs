//! What is said about a script that fails.

use mlua::Error;

/// What went wrong, with the place in the script where that is known.
#[must_use]
pub fn message(error: &Error) -> String {
    match error {
        Error::CallbackError { traceback, cause } => match place(traceback) {
            Some(place) => format!("{place} {}", message(cause)),
            None => message(cause),
        },
        Error::RuntimeError(text) | Error::MemoryError(text) => without_traceback(text).to_owned(),
        Error::SyntaxError { message, .. } => without_traceback(message).to_owned(),
        Error::WithContext { cause, .. } => message(cause),
        Error::BadArgument { pos, name, cause, .. } => {
            let name = name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            format!("bad argument #{pos}{name}: {}", message(cause))
        }
        other => without_traceback(&other.to_string()).to_owned(),
    }
}

fn without_traceback(text: &str) -> &str {
    text.split("\nstack traceback:").next().unwrap_or(text)
}

/// The innermost line of the script in a traceback: `[string "..."]:7:`.
fn place(traceback: &str) -> Option<&str> {
    traceback.lines().map(str::trim_start).filter(|line| line.starts_with("[string ")).find_map(|line| {
        let after = line.find("\"]:")? + 3;
        let digits = line[after..].find(':')?;
        line.get(..=after + digits)
    })
}
