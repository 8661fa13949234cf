//! What a person can type.

mod lifecycle;
mod record;
mod try_processor;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

pub(crate) use self::{
    lifecycle::Lifecycle,
    record::Record,
    try_processor::{Attribute, Metadata, PeerTls, Try, TryMode, TryOutput},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use extproc_server::ListenAddress;
use http::HeaderName;
use tollgate_config::{ResolveError, ServiceAddress, ServicePortKey};

const EXAMPLES: &str = "\
Examples:
  tollgate demo                          see it work: everything in one process, requests to paste
  tollgate check envoy.yaml              would this file run? every problem with its place
  tollgate run envoy.yaml                serve it; save the file to serve something else
  tollgate processor instructions        a processor to try a configuration with
  tollgate try 127.0.0.1:9002 --mode all is this processor right in every mode?

TOLLGATE_LOG chooses what is logged, on standard error: error, warn, info (the default), or for one
part only, such as warn,tollgate_proxy=info.";

const RUN: &str = "\
Examples:
  tollgate run envoy.yaml
  tollgate run --shift-privileged-ports --resolve default/echo:80=127.0.0.1:8080 manifests/";

const CHECK: &str = "\
Examples:
  tollgate check envoy.yaml
  kubectl kustomize . | tollgate check -
  tollgate check --bootstrap envoy.yaml       what do its management servers send, and would it run?
  tollgate check -o yaml manifests/ | less    every object with its status";

const CONVERT: &str = "\
Examples:
  tollgate convert manifests/ > envoy.yaml && envoy -c envoy.yaml
  tollgate convert -o json --resolve default/echo:80=127.0.0.1:8080 manifests/";

const EXPLAIN: &str = "\
Examples:
  tollgate explain envoy.yaml -- http://localhost:10000/headers
  tollgate explain manifests/ -- POST https://www.example.com/upload -H 'content-type: text/plain'";

const TRY: &str = "\
Examples:
  tollgate try 127.0.0.1:9002 /headers -H 'instructions: {\"setBody\": \"hello\"}'
  tollgate try 127.0.0.1:9002 -d @request.json --upstream-body 'a secret' --mode duplex
  tollgate try unix:/run/processor.sock --mode all -o markdown > report.md
  tollgate try 127.0.0.1:9002 --load 10000 --rate 500
  tollgate record exchanges.jsonl && tollgate try 127.0.0.1:9002 --replay exchanges.jsonl";

const INSTRUCTIONS: &str = r#"Example:
  instructions: {"addHeaders": {"name": "value"}, "removeHeaders": ["name"], "setBody": "text"}"#;

/// An HTTP gateway for external processing.
///
/// Every request, and every response on its way back, can stop at processors: gRPC services that speak Envoy's
/// ext_proc protocol. Tollgate reads Envoy's configuration unchanged and treats a processor as Envoy does.
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a configuration, and reload it when its files change.
    ///
    /// An Envoy configuration with an error is refused: every problem goes to standard error, nothing is bound, the exit
    /// status is 1. So are Kubernetes objects with an error because of which requests could pass a processor or a policy, such
    /// as a policy of an unknown kind; what other errors concern answers 500. Files and folders are watched: when they change,
    /// or files that they name, the new configuration is put in force without dropping a request, and one that is refused
    /// leaves the old one in force. SIGTERM or SIGINT stops accepting, lets requests under way end, then exits with 0; a
    /// second signal exits at once. SIGHUP and SIGUSR1 open the files of access logs again.
    #[command(after_help = RUN)]
    Run(Run),
    /// Report every problem in a configuration.
    ///
    /// The exit status is 0 if there is none but warnings, 1 if there are errors, and 2 if files cannot be read at all.
    #[command(after_help = CHECK)]
    Check(Check),
    /// Write a configuration as a bootstrap for Envoy.
    ///
    /// The bootstrap goes to standard output, with certificates and private keys that are not in files. Problems, and whatever
    /// Envoy cannot express or does otherwise, go to standard error with their places. The exit status is 0 if the bootstrap
    /// says everything, 3 if something is missing or different in it, 1 if there are errors in the configuration (nothing is
    /// written if Tollgate would not serve it), and 2 if files cannot be read at all.
    #[command(after_help = CONVERT)]
    Convert(Convert),
    /// Show which route, processors and settings apply to a request.
    ///
    /// Put the request after `--`: `[METHOD] URL [-H 'name: value']...`. It is not sent anywhere. The exit status is 0 if
    /// a route applies, 1 if none does, and 2 if the configuration or the request cannot be read.
    #[command(after_help = EXPLAIN)]
    Explain(Explain),
    /// See it work: gateway, echo upstream and sample processor in one process.
    Demo(Demo),
    /// Run a sample processor alone.
    Processor(Processor),
    /// Play requests through a processor, as a gateway would, and report its mistakes.
    ///
    /// Shows each message of the exchange with its time, what upstream and client see, and what a gateway would refuse,
    /// ignore or wait for in vain, with the rule and a remedy. The processor may be written in any language; no gateway
    /// and no upstream are needed. The exit status is 0 without problems, 1 with some, and 2 if the processor cannot be
    /// reached.
    #[command(after_help = TRY)]
    Try(Box<Try>),
    /// Run an upstream that answers with the request it got.
    Echo(Echo),
    /// Record the exchanges of a running gateway with its processors.
    ///
    /// `tollgate try --replay FILE` plays them to another build of a processor. The gateway records for some seconds, up to a
    /// number of exchanges and bytes, beside the path of requests. Exchanges that begin before the recording or end after it are
    /// left out. The exit status is 0 if the file was written, and 1 if not.
    Record(Record),
    /// Act as Envoy: take its flags, and behave as it does.
    ///
    /// The same as to start this program under the name `envoy`, as a link or a copy. `tollgate envoy --help` lists the flags.
    #[command(disable_help_flag = true)]
    Envoy(Envoy),
    /// Show what management servers have delivered to a running gateway, and what was refused.
    ///
    /// The exit status is 0 if everything is in force, 1 if something is not, and 2 if the gateway cannot be asked.
    Status(Status),
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Where the admin server of the gateway listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15000", value_parser = socket_address)]
    pub(crate) admin_address: SocketAddr,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Form,
}

/// Arguments of `envoy`, which are not read here.
#[derive(Debug, Args)]
pub(crate) struct Envoy {
    /// Envoy's flags.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    _flags: Vec<String>,
}

/// Arguments of `echo`.
#[derive(Debug, Args)]
pub(crate) struct Echo {
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub(crate) listen: SocketAddr,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// Threads that serve requests [default: what an EnvoyProxy says, or one for each core].
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Where the admin server listens, unless the file has an `admin` block.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15000", value_parser = socket_address)]
    pub(crate) admin_address: SocketAddr,
    /// Log format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Serve a configuration although mistakes in it may leave routes without the processors and policies meant for them.
    #[arg(long)]
    pub(crate) permissive: bool,
    #[command(flatten)]
    pub(crate) lifecycle: Lifecycle,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Where a configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Paths {
    /// YAML and JSON files, and folders of them with the folders in them; `-` is standard input (not for `run`).
    #[arg(required_unless_present = "config_path", value_name = "PATH")]
    named: Vec<PathBuf>,
    /// The same as PATH: Envoy's own option.
    #[arg(short, long, hide = true, value_name = "FILE")]
    config_path: Option<PathBuf>,
}

impl Paths {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        self.config_path.iter().chain(&self.named).cloned().collect()
    }
}

fn workers(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "a number from 1")
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:15000")
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
    /// In a form that was chosen elsewhere; problems of configurations are lines like others.
    #[value(skip)]
    Events,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// PATH is an Envoy bootstrap: ask its management servers, too, and say what of their resources would be refused.
    #[arg(long)]
    pub(crate) bootstrap: bool,
    /// How long the management servers are waited for.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = lifecycle::duration)]
    pub(crate) wait: Duration,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Report,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub(crate) struct Convert {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Bootstrap,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// The request: `[METHOD] URL [-H 'name: value']...`.
    #[arg(last = true, required = true, value_name = "REQUEST", allow_hyphen_values = true)]
    pub(crate) request: Vec<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Form,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How a configuration is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reading {
    /// Refuse fields that have no effect here, instead of noting them.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Namespace of Kubernetes objects that name none.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// Endpoints to use for a Service port: addresses, names with a port, or unix:PATH, separated by commas.
    #[arg(long, value_name = "NAMESPACE/SERVICE:PORT=ADDRESS")]
    pub(crate) resolve: Vec<Resolution>,
    /// Domain of the names of services.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Address of listeners of Gateways that name none; :: is every address of the machine.
    #[arg(long, value_name = "ADDRESS", default_value = "::")]
    pub(crate) bind_address: IpAddr,
    /// Serve ports of Gateways below 1024 as that port plus 10000, for runs without privileges.
    #[arg(long)]
    pub(crate) shift_privileged_ports: bool,
    /// Let every processor of kgateway policies on the same target run, instead of the first policy's alone.
    #[arg(long)]
    pub(crate) kgateway_deep_merge: bool,
    /// Access log of Gateways on standard output, where an EnvoyProxy does not say it; Envoy configurations have their own.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) access_log: AccessLog,
}

/// Form of the access log of Gateways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessLog {
    /// A JSON object a line, with the fields of Envoy Gateway's default.
    #[default]
    Json,
    /// Envoy's text format, with response code details and route.
    Text,
    /// None.
    Off,
}

/// Where a port of a service really is.
#[derive(Debug, Clone)]
pub(crate) struct Resolution {
    pub(crate) service: ServicePortKey,
    pub(crate) addresses: Vec<ServiceAddress>,
}

impl FromStr for Resolution {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, ResolveError> {
        let (service, addresses) = text.split_once('=').unwrap_or((text, ""));
        let addresses = addresses.split(',').map(str::parse).collect::<Result<_, _>>();
        Ok(Self { service: service.parse()?, addresses: addresses? })
    }
}

/// Form of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// For people, with the lines concerned.
    #[default]
    Text,
    /// For machines: one document.
    Json,
    /// Kubernetes objects, each with the status that its controller would write; problems go to standard error.
    Yaml,
}

/// Form of a bootstrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bootstrap {
    /// YAML that Envoy reads.
    #[default]
    #[value(alias = "yaml")]
    Envoy,
    /// The same as JSON.
    Json,
    /// The same in protobuf's wire format, for a file whose name ends in `.pb`.
    #[value(alias = "pb")]
    Protobuf,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Text,
    /// For machines: one document.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Port of the gateway; with 0 the kernel chooses one, as it does for everything else.
    #[arg(long, value_name = "PORT", default_value_t = 10000)]
    pub(crate) port: u16,
    /// Configuration language of the demo.
    #[arg(long, value_enum, default_value_t, value_name = "DIALECT")]
    pub(crate) dialect: Dialect,
    /// Print that configuration, and do nothing else.
    #[arg(long)]
    pub(crate) print: bool,
}

/// A language to configure external processing in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    /// Envoy's own.
    #[default]
    Envoy,
    /// Gateway API with the policies of Envoy Gateway.
    EnvoyGateway,
    /// Gateway API with those of kgateway.
    Kgateway,
    /// Gateway API with those of HTNN.
    Htnn,
}

/// Arguments of `processor`.
#[derive(Debug, Args)]
pub(crate) struct Processor {
    #[command(subcommand)]
    pub(crate) sample: Sample,
}

/// The sample processors.
#[derive(Debug, Subcommand)]
pub(crate) enum Sample {
    /// Do what the header `instructions` asks for.
    ///
    /// It is looked for in requests and in responses. Its value is a JSON object; every member is optional.
    #[command(after_long_help = INSTRUCTIONS)]
    Instructions(Serving),
    /// Mark every request and every response, to see that it passed.
    ///
    /// Requests get x-request-ext-processed and x-request-xds-route-name, responses x-response-ext-processed and
    /// x-response-xds-route-name; x-request-client-header is replaced. Dynamic metadata is written in both directions.
    Mark(Serving),
    /// Hide members of JSON bodies of responses.
    ///
    /// Needs `response_body_mode` BUFFERED, FULL_DUPLEX_STREAMED or STREAMED.
    Redact {
        /// Name of a member whose value is hidden; may be repeated.
        #[arg(long = "member", value_name = "NAME", default_values = ["password", "secret", "token"])]
        members: Vec<String>,
        #[command(flatten)]
        serving: Serving,
    },
    /// Answer requests without a known token with 401.
    Token {
        /// File of the tokens, one a line, that are expected in `authorization: Bearer ...`.
        #[arg(long, value_name = "FILE")]
        tokens: PathBuf,
        #[command(flatten)]
        serving: Serving,
    },
    /// Replace a text in server-sent events.
    ///
    /// Needs `response_body_mode` FULL_DUPLEX_STREAMED or STREAMED.
    Events {
        /// The text that is replaced.
        #[arg(long, value_name = "TEXT")]
        replace: String,
        /// What replaces it.
        #[arg(long, value_name = "TEXT", default_value = "***")]
        with: String,
        #[command(flatten)]
        serving: Serving,
    },
    /// Write a member of JSON request bodies into a header, and have the route chosen by it.
    ///
    /// Needs `request_body_mode` BUFFERED or FULL_DUPLEX_STREAMED.
    Route {
        /// Name of the member.
        #[arg(long, value_name = "NAME", default_value = "model")]
        member: String,
        /// Name of the header.
        #[arg(long, value_name = "NAME", default_value = "x-model")]
        header: HeaderName,
        #[command(flatten)]
        serving: Serving,
    },
    /// Log sizes and times of requests and responses.
    ///
    /// Made for `observability_mode`, with bodies in STREAMED if their sizes are to be known.
    Log(Serving),
    /// Apply two layers of tower-http: `via` for requests, `x-content-type-options` for responses.
    Layers(Serving),
    /// Pick the endpoint of each request: the one with the fewest requests in progress.
    Pick {
        /// An endpoint; may be repeated.
        #[arg(long = "endpoint", value_name = "ADDRESS:PORT", required = true)]
        endpoints: Vec<SocketAddr>,
        #[command(flatten)]
        serving: Serving,
    },
}

/// Where a sample processor listens.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    /// Where it listens: an IP address and a port, or unix:PATH[?mode=0660&owner=UID:GID] [default: 127.0.0.1:9002;
    /// `instructions`: 127.0.0.1:18080].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<ListenAddress>,
    /// PEM file of the certificate and those that it is signed through: speak TLS. It is read again when it changes.
    #[arg(long = "tls-certificate", value_name = "FILE", requires = "private_key")]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long = "tls-private-key", value_name = "FILE", requires = "certificate")]
    pub(crate) private_key: Option<PathBuf>,
    /// PEM file of authorities: clients need a certificate of one of them.
    #[arg(long = "tls-client-ca", value_name = "FILE", requires = "certificate")]
    pub(crate) client_ca: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn services_are_where_they_are_said_to_be() {
        let resolution: Resolution =
            "default/echo:80=127.0.0.1:8080,localhost:81,unix:/run/echo".parse().unwrap();
        assert_eq!(resolution.service.port, 80);
        assert_eq!(resolution.addresses.len(), 3);
        for wrong in ["default/echo:80", "default/echo:80=", "echo=127.0.0.1:80", "default/echo:80=127.0.0.1"]
        {
            assert!(wrong.parse::<Resolution>().is_err(), "{wrong}");
        }
    }
}
