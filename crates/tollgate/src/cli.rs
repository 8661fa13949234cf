//! What a person can type.

mod lifecycle;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
};

pub(crate) use self::lifecycle::Lifecycle;
use clap::{Args, Parser, Subcommand, ValueEnum};
use extproc_server::ListenAddress;
use tollgate_config::{ResolveError, ServiceAddress, ServicePortKey};

const EXAMPLES: &str = "\
Examples:
  tollgate demo                          see it work: everything in one process, requests to paste
  tollgate check envoy.yaml              would this file run? every problem with its place
  tollgate run envoy.yaml                serve it; save the file to serve something else
  tollgate processor instructions        a processor to try a configuration with

TOLLGATE_LOG chooses what is logged, on standard error: error, warn, info (the default), or for one
part only, such as warn,tollgate_proxy=info.";

const RUN: &str = "\
Examples:
  tollgate run envoy.yaml
  tollgate run --shift-privileged-ports --resolve default/echo:80=127.0.0.1:8080 manifests/";

const CHECK: &str = "\
Examples:
  tollgate check envoy.yaml
  tollgate check -o yaml manifests/ | less    every object with its status";

const EXPLAIN: &str = "\
Examples:
  tollgate explain envoy.yaml -- http://localhost:10000/headers
  tollgate explain manifests/ -- POST https://www.example.com/upload -H 'content-type: text/plain'";

const INSTRUCTIONS: &str = r#"Example:
  instructions: {"addHeaders": {"name": "value"}, "removeHeaders": ["name"],
                 "setBody": "text", "setTrailers": {"name": "value"}}"#;

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
    /// Serve what a configuration describes, and whatever it becomes.
    ///
    /// A configuration with a problem is refused: every problem goes to standard error, nothing is bound, the exit
    /// status is 1. Files and folders are watched: when they change, or files that they name, the new configuration is
    /// put in force without an interruption, and one with a problem leaves the old one in force. SIGTERM or SIGINT stops
    /// accepting, lets requests under way end, then exits with 0; a second signal exits at once. SIGHUP and SIGUSR1 open
    /// the files of access logs again.
    #[command(after_help = RUN)]
    Run(Run),
    /// Tell every problem of a configuration.
    ///
    /// The exit status is 0 if there is none but warnings, 1 if there are errors, and 2 if files cannot be read at all.
    #[command(after_help = CHECK)]
    Check(Check),
    /// Tell what happens to a request: listener, route, processors, and where every setting comes from.
    ///
    /// The request stands behind `--`: `[METHOD] URL [-H 'name: value']...`. It is not sent anywhere. The exit status is 0 if
    /// a route applies, 1 if none does, and 2 if the configuration or the request cannot be read.
    #[command(after_help = EXPLAIN)]
    Explain(Explain),
    /// See it work: gateway, echo upstream and sample processor in one process.
    Demo(Demo),
    /// Run a sample processor alone.
    Processor(Processor),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// YAML and JSON files, and folders of them with the folders in them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Threads that serve requests [default: what an EnvoyProxy says, or one for each core].
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Where the admin server listens, unless the file has an `admin` block.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15000", value_parser = socket_address)]
    pub(crate) admin_address: SocketAddr,
    /// Form of log lines.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    #[command(flatten)]
    pub(crate) lifecycle: Lifecycle,
    #[command(flatten)]
    pub(crate) reading: Reading,
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
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// YAML and JSON files, and folders of them with the folders in them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Form of the report.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Report,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// YAML and JSON files, and folders of them with the folders in them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The request: `[METHOD] URL [-H 'name: value']...`.
    #[arg(last = true, required = true, value_name = "REQUEST", allow_hyphen_values = true)]
    pub(crate) request: Vec<String>,
    /// Form of the answer.
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
    /// Where a port of a service really is: addresses, names with a port, or unix:PATH, separated by commas.
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
    /// Whose configuration language the gateway is told in.
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
    Instructions {
        /// Where it listens: an IP address and a port, or unix:PATH.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18080")]
        listen: ListenAddress,
    },
    /// Mark every request and every response, to see that it passed.
    ///
    /// Requests get x-request-ext-processed and x-request-xds-route-name, responses x-response-ext-processed and
    /// x-response-xds-route-name; x-request-client-header is replaced. Dynamic metadata is written in both directions.
    Mark {
        /// Where it listens: an IP address and a port, or unix:PATH.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9002")]
        listen: ListenAddress,
        #[command(flatten)]
        tls: Tls,
    },
}

/// TLS of a sample processor; none without a certificate.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// PEM file of the certificate and those that it is signed through: speak TLS.
    #[arg(long = "tls-certificate", value_name = "FILE", requires = "private_key")]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long = "tls-private-key", value_name = "FILE", requires = "certificate")]
    pub(crate) private_key: Option<PathBuf>,
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
