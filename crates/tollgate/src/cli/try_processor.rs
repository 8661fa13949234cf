//! Arguments of `try`.

use std::{
    fs,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use extproc_server::ListenAddress;
use http::{HeaderName, HeaderValue, Method, Uri};
use serde_json::Value;

/// Arguments of `try`.
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// Where the processor listens: an IP address and a port, or unix:PATH.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: ListenAddress,
    /// URL of the request, or only its path and query.
    #[arg(value_name = "URL", default_value = "/", value_parser = target)]
    pub(crate) target: String,
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
    /// Dynamic metadata of the request, as other filters of the gateway would have set it: a namespace, and its values as a JSON
    /// object, for example 'envoy.filters.http.ext_authz={"user": "ann"}'; may be repeated.
    #[arg(long = "metadata", value_name = "NAMESPACE=JSON", value_parser = metadata)]
    pub(crate) metadata: Vec<Metadata>,
    /// An attribute that the gateway sends, with a value in JSON; what is none is text: xds.route_name=main; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    pub(crate) attributes: Vec<Attribute>,
    /// How bodies are sent; may be repeated. `all` plays every mode, with empty bodies, trailers, bodies cut at every
    /// place, a client that leaves, a gateway that reads slowly, and 50 exchanges at a time.
    #[arg(long = "mode", value_enum, value_name = "MODE", default_values = ["headers"])]
    pub(crate) modes: Vec<TryMode>,
    /// Seconds without an answer after which an exchange hangs, and after which a connection is given up.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Plays what `tollgate record` has written instead, and shows where the answers differ from those recorded. The exit
    /// status is 1 if they do.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "method", "headers", "data", "trailers", "upstream_status",
        "upstream_headers", "upstream_body", "upstream_trailers", "metadata", "attributes", "modes", "load"])]
    pub(crate) replay: Option<PathBuf>,
    /// Plays so many exchanges in the first mode, and reports how long answers take. An exchange begins when it is due,
    /// whatever has become of those before, and its time counts from then.
    #[arg(long, value_name = "N", value_parser = exchanges, requires = "rate")]
    pub(crate) load: Option<u32>,
    /// Exchanges a second that begin.
    #[arg(long, value_name = "R", requires = "load")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Connections that they are spread over.
    #[arg(long, value_name = "N", default_value = "1", requires = "load")]
    pub(crate) connections: NonZeroUsize,
    #[command(flatten)]
    pub(crate) tls: PeerTls,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: TryOutput,
}

/// TLS with a processor.
#[derive(Debug, Clone, Args)]
pub(crate) struct PeerTls {
    /// Speak TLS. The certificate of the processor is verified.
    #[arg(long)]
    pub(crate) tls: bool,
    /// PEM file of the authorities whose certificates are trusted [default: those of the system].
    #[arg(long = "tls-ca", value_name = "FILE", requires = "tls")]
    pub(crate) ca: Option<PathBuf>,
    /// The name in the processor's certificate [default: the IP address].
    #[arg(long = "tls-name", value_name = "NAME", requires = "tls")]
    pub(crate) name: Option<String>,
    /// PEM file of a certificate to show the processor.
    #[arg(long = "tls-certificate", value_name = "FILE", requires_all = ["tls", "private_key"])]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long = "tls-private-key", value_name = "FILE", requires_all = ["tls", "certificate"])]
    pub(crate) private_key: Option<PathBuf>,
}

/// A field of a head.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Values of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) namespace: String,
    pub(crate) values: Value,
}

/// An attribute and its value.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: Value,
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

fn target(text: &str) -> Result<String, String> {
    let is_path = |target: &Uri| target.scheme().is_some() || text.starts_with('/');
    match text.parse::<Uri>() {
        Ok(target) if is_path(&target) => Ok(text.to_owned()),
        _ => Err("a URL such as http://example.com/a is expected, or a path that begins with /".to_owned()),
    }
}

fn metadata(text: &str) -> Result<Metadata, String> {
    let (namespace, values) = text.split_once('=').ok_or("NAMESPACE=JSON is expected")?;
    let values: Value = serde_json::from_str(values).map_err(|error| format!("{namespace}: {error}"))?;
    if !values.is_object() {
        return Err(format!("{namespace}: the values of a namespace are a JSON object"));
    }
    Ok(Metadata { namespace: namespace.to_owned(), values })
}

fn attribute(text: &str) -> Result<Attribute, String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    extproc::Attributes::parse([name]).map_err(|error| error.to_string())?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok(Attribute { name: name.to_owned(), value })
}

fn body(text: &str) -> Result<Bytes, String> {
    match text.strip_prefix('@') {
        None => Ok(Bytes(text.as_bytes().to_owned())),
        Some(path) => fs::read(path).map(Bytes).map_err(|error| format!("{path}: {error}")),
    }
}

/// Whoever wants more plays them in parts: all times are in memory.
fn exchanges(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "a number from 1 to 1000000".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds".to_owned())
}
