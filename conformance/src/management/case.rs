//! A case as it is written.

use serde::Deserialize;
use serde_json::Value;
use tollgate_xds::Kind;

/// A case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// The forms of the protocol that it is played in.
    #[serde(default = "both")]
    pub(super) forms: Vec<Form>,
    /// Of clusters and listeners.
    #[serde(default = "forever")]
    pub(super) initial_fetch_timeout: String,
    /// Whether the server answers wishes at once. Otherwise it sends what steps push.
    #[serde(default = "yes")]
    pub(super) answers: bool,
    /// What the server has at first.
    #[serde(default)]
    pub(super) resources: Vec<Resource>,
    /// What a second server has, which resources name as the cluster `own`. It has one stream.
    #[serde(default)]
    pub(super) own_resources: Vec<Resource>,
    /// Files that are there at first.
    #[serde(default)]
    pub(super) files: Vec<Written>,
    /// Laid over the bootstrap.
    #[serde(default)]
    pub(super) bootstrap: Value,
    pub(super) steps: Vec<Step>,
}

fn both() -> Vec<Form> {
    vec![Form::Delta, Form::Sotw]
}

fn forever() -> String {
    "0s".to_owned()
}

fn yes() -> bool {
    true
}

/// A form of the protocol.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    Delta,
    Sotw,
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Sotw => "sotw",
        }
    }
}

/// A kind of resource.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindName {
    Cluster,
    Endpoints,
    Listener,
    Routes,
    Secret,
}

impl KindName {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Cluster => Kind::Cluster,
            Self::Endpoints => Kind::Endpoints,
            Self::Listener => Kind::Listener,
            Self::Routes => Kind::Routes,
            Self::Secret => Kind::Secret,
        }
    }
}

/// A resource, with its message in the JSON form of protobuf. `"$listener_port"`, `"$other_port"`, `"$one_port"` and
/// `"$two_port"` are ports, `$directory` is where the files of a case are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resource {
    pub(super) kind: KindName,
    pub(super) resource: Value,
}

/// The name of a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) kind: KindName,
    pub(super) name: String,
}

/// A file that resources name, as `$directory/NAME`. It takes the place of the one before in one step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) text: String,
}

/// What a gateway says to what was pushed last.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// A part of the reason; without it the response has to be accepted.
    #[serde(default)]
    pub(super) refused: Option<String>,
}

/// What a client has to get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default = "root")]
    pub(super) path: String,
    /// The status; 0 is no connection.
    status: u16,
    #[serde(default)]
    body: Option<String>,
}

fn root() -> String {
    "/".to_owned()
}

impl Wanted {
    pub(super) fn is(&self, (status, body): &(u16, String)) -> bool {
        self.status == *status && self.body.as_ref().is_none_or(|wanted| wanted == body)
    }
}

/// What happens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// The server has another resource. Nobody is told yet.
    Put(Resource),
    /// The server has a resource no longer. Nobody is told yet.
    Remove(Named),
    /// The server sends the changes of these kinds, in this order.
    Push(Vec<KindName>),
    /// A file in the directory of the case has another content from now on.
    File(Written),
    /// The second server has another resource, and sends it.
    PushOwn(Resource),
    /// The gateway has sent this in its header `authorization`.
    Authorization(String),
    /// The gateway answers what was pushed last.
    Answer(Answer),
    /// The gateway asks for a resource.
    Wants(Named),
    /// The gateway asks for resources of a kind.
    Asks(KindName),
    /// There have been so many streams.
    Streams(usize),
    /// Whether the server answers wishes at once.
    Answers(bool),
    /// The server ends the stream.
    Cut,
    /// The server ends, and another one with the same resources takes its place.
    Restart,
    /// The server ends.
    Stop,
    /// Whether the gateway is ready.
    Ready(bool),
    /// A client gets this, sooner or later.
    Get(Wanted),
    /// A client gets this, and nothing else for a while.
    Stays(Wanted),
    /// A client begins to ask for a path, one request after the other.
    Load(String),
    /// It stops, and has got nothing but these statuses.
    Loaded(Vec<u16>),
}
