//! Gateway configuration as plain resources by name.
//!
//! [`Resources`] are what an Envoy would be told: listeners, route tables, clusters, endpoints, secrets and the settings of the
//! process, each under its name. Every configuration becomes these first, whatever it is written in; [`compile`] makes the
//! [`Snapshot`](tollgate_model::Snapshot) of them that the data plane serves.
//!
//! Nothing here is compiled or folded. A filter has its settings, a route says only what is different for it
//! ([`Override`]), a TLS context names its certificates ([`Secrets`]). Regular expressions and format strings know how they are
//! written, certificates where they come from, and each part knows where it was configured ([`Origin`]). What a stage does not
//! change it shares with the next one: a [`Cluster`] here is the cluster of the model with a TLS context in the place of a TLS
//! client.
//!
//! It reads no configuration and writes none (`tollgate-config`), and knows no sockets.
//!
//! ```
//! use tollgate_ir::{Resources, compile};
//!
//! let snapshot = compile(&Resources::default(), None)?;
//! assert!(snapshot.listeners.is_empty());
//! # Ok::<(), tollgate_ir::CompileError>(())
//! ```

mod compile;
mod ext_proc;
mod filter;
mod origin;
mod resources;
mod route;
mod secret;

pub use self::{
    compile::{CompileError, Compiled, Work, compile, compile_source},
    ext_proc::{ExtProcOverrides, MetadataOverrides},
    filter::{FilterConfig, HttpFilter, Override, PerFilter},
    origin::{ObjectName, Origin, Sourced},
    resources::{
        BareCluster, Cluster, ExtProc, FilterChain, GoogleCluster, GrpcService, HttpConnectionManager,
        Listener, Process, Resources,
    },
    route::{Action, ClusterSpecifier, Route, RouteAction, RouteTable, VirtualHost, WeightedCluster},
    secret::{
        ClientValidation, DownstreamTlsContext, Secrets, ServerValidation, TlsCertificate, TlsContextError,
        UpstreamTlsContext, Validation, ValidationContext,
    },
};
