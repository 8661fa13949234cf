//! Arguments of `try`.

use std::{fs, time::Duration};

use clap::{Args, ValueEnum};
use extproc_server::ListenAddress;
use http::{HeaderName, HeaderValue, Method};

/// Arguments of `try`.
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// Where the processor listens: an IP address and a port, or unix:PATH.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: ListenAddress,
    /// Path and query of the request.
    #[arg(value_name = "PATH", default_value = "/")]
    pub(crate) path: String,
    /// Method of the request [default: GET, or POST with a body].
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    /// A field of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = field)]
    pub(crate) headers: Vec<Field>,
    /// Body of the request, or @FILE.
    #[arg(short, long, value_name = "TEXT", value_parser = body)]
    pub(crate) data: Option<Bytes>,
    /// A trailer of the request; may be repeated.
    #[arg(long = "trailer", value_name = "NAME: VALUE", value_parser = field)]
    pub(crate) trailers: Vec<Field>,
    /// Status of the upstream's response.
    #[arg(long, value_name = "STATUS", default_value = "200", value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) upstream_status: u16,
    /// A field of the upstream's response; may be repeated.
    #[arg(long = "upstream-header", value_name = "NAME: VALUE", value_parser = field)]
    pub(crate) upstream_headers: Vec<Field>,
    /// Body of the upstream's response, or @FILE.
    #[arg(long, value_name = "TEXT", value_parser = body)]
    pub(crate) upstream_body: Option<Bytes>,
    /// A trailer of the upstream's response; may be repeated.
    #[arg(long = "upstream-trailer", value_name = "NAME: VALUE", value_parser = field)]
    pub(crate) upstream_trailers: Vec<Field>,
    /// How bodies are sent; may be repeated. `all` plays every mode, with empty bodies, trailers, bodies cut at every
    /// place, a client that leaves, and 50 exchanges at a time.
    #[arg(long = "mode", value_enum, value_name = "MODE", default_values = ["headers"])]
    pub(crate) modes: Vec<TryMode>,
    /// Seconds without an answer after which an exchange hangs.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: TryOutput,
}

/// A field of a head.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The bytes of a body.
#[derive(Debug, Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

/// How bodies are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TryMode {
    /// Not at all.
    Headers,
    /// BUFFERED.
    Buffered,
    /// BUFFERED_PARTIAL.
    Partial,
    /// STREAMED.
    Streamed,
    /// FULL_DUPLEX_STREAMED.
    Duplex,
    /// Copies, in STREAMED (`observability_mode`).
    Observe,
    /// All of them.
    All,
}

/// Output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TryOutput {
    /// For people: the exchange of each mode, and every exchange with a problem.
    #[default]
    Text,
    /// For machines.
    Json,
    /// A report: a table, and every exchange with a problem.
    Markdown,
}

fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text.split_once(':').ok_or("NAME: VALUE is expected")?;
    let (name, value) = (name.trim(), value.trim());
    HeaderName::try_from(name).map_err(|error| error.to_string())?;
    HeaderValue::try_from(value).map_err(|error| error.to_string())?;
    Ok(Field { name: name.to_owned(), value: value.to_owned() })
}

fn body(text: &str) -> Result<Bytes, String> {
    match text.strip_prefix('@') {
        None => Ok(Bytes(text.as_bytes().to_owned())),
        Some(path) => fs::read(path).map(Bytes).map_err(|error| format!("{path}: {error}")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds".to_owned())
}
