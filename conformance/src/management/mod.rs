//! Plays the hard cases of xDS: one management server, one gateway process and one client a case, in both forms of the protocol.
//!
//! What counts is what a client sees; what the gateway answers the server is looked at where both gateways have to agree.

mod case;
mod client;
mod upstream;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;
use tollgate_config::encode_message;
use tollgate_xds::{Kind, Variant, server::Management};

use self::{
    case::{Case, Form, KindName, Step},
    client::{Load, get},
    upstream::Upstream,
};
use crate::{
    gateway::{
        Gateway, admin,
        process::{self, NotStarted, Running},
    },
    prepare::reserve,
    scenario::load::{Written, lay_over},
};

/// How long something may take to become so.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) differences: Vec<String>,
}

/// Reads a case, for the check of all files.
///
/// # Errors
/// It cannot be read.
pub(crate) fn check(written: &Written) -> Result<(), String> {
    written.read::<Case>(Gateway::Envoy)?;
    written.read::<Case>(Gateway::Tollgate).map(drop)
}

/// Plays every case, in each of its forms.
///
/// # Errors
/// A case cannot be read, or no port is to be had.
pub(crate) async fn play_all(
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    all: &[Written],
    mut report: impl FnMut(Outcome),
) -> Result<(), String> {
    let upstreams = [Upstream::start("one")?, Upstream::start("two")?];
    for written in all {
        let case: Case = written.read(gateway)?;
        for form in &case.forms {
            let name = format!("{} ({})", case.name, form.name());
            let mut play = Play::start(gateway, binary, directory, &case, *form, &upstreams).await?;
            let mut differences = Vec::new();
            for (index, step) in case.steps.iter().enumerate() {
                if let Err(difference) = play.step(step).await {
                    differences.push(format!("step {}: {difference}", index + 1));
                    break;
                }
            }
            if let Some(load) = play.load.take() {
                load.stop();
            }
            if differences.is_empty() && !play.running.alive() {
                differences.push("the gateway has ended".to_owned());
            }
            if !differences.is_empty() {
                differences.push(play.running.log());
            }
            play.running.stop().await;
            report(Outcome { name, differences });
        }
    }
    Ok(())
}

/// A case under way.
struct Play {
    server: Option<Management>,
    variant: Variant,
    running: Running,
    /// The ports of the names in a case.
    ports: [(&'static str, u16); 4],
    own: Option<Management>,
    directory: PathBuf,
    admin: u16,
    load: Option<Load>,
    nonce: Option<(Kind, String)>,
    /// What the server has, for one that comes after it.
    having: Vec<(Kind, String, Vec<u8>)>,
}

impl Play {
    async fn start(
        gateway: Gateway,
        binary: &Path,
        directory: &Path,
        case: &Case,
        form: Form,
        upstreams: &[Upstream; 2],
    ) -> Result<Self, String> {
        let variant = match form {
            Form::Delta => Variant::Delta,
            Form::Sotw => Variant::StateOfTheWorld,
        };
        let server = Management::start(variant, None).map_err(|error| error.to_string())?;
        let (listener, other, admin) = (reserve()?, reserve()?, reserve()?);
        let ports = [
            ("$listener_port", listener.port),
            ("$other_port", other.port),
            ("$one_port", upstreams[0].port),
            ("$two_port", upstreams[1].port),
        ];
        let file = directory.join("management.json");
        let own = match &*case.own_resources {
            [] => None,
            _ => Some(Management::start(variant, None).map_err(|error| error.to_string())?),
        };
        for written in &case.files {
            write(directory, written)?;
        }
        for resource in &case.own_resources {
            let (kind, name, body) = encode(resource.kind, &resource.resource, &ports, directory)?;
            own.iter().for_each(|own| own.put(kind, &name, body.clone().into()));
        }
        let own_port = own.as_ref().map(|own| own.address().port());
        let mut bootstrap =
            bootstrap((server.address().port(), own_port), form, admin.port, &case.initial_fetch_timeout);
        if case.bootstrap.is_object() {
            lay_over(&mut bootstrap, &case.bootstrap);
        }
        std::fs::write(&file, bootstrap.to_string()).map_err(|error| error.to_string())?;
        let admin_port = admin.port;
        drop((listener, other, admin));
        server.set_answers(case.answers);
        let mut having = Vec::new();
        for resource in &case.resources {
            let (kind, name, body) = encode(resource.kind, &resource.resource, &ports, directory)?;
            server.put(kind, &name, body.clone().into());
            having.push((kind, name, body));
        }
        let running = process::start_unready(gateway, binary, &file, admin_port).await;
        let running = running.map_err(|why| match why {
            NotStarted::Exited(why) | NotStarted::Other(why) => why,
        })?;
        Ok(Self {
            server: Some(server),
            own,
            directory: directory.to_owned(),
            variant,
            running,
            ports,
            admin: admin_port,
            load: None,
            nonce: None,
            having,
        })
    }

    fn server(&self) -> Result<&Management, String> {
        self.server.as_ref().ok_or_else(|| "there is no server".to_owned())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Put(resource) => {
                let (kind, name, body) =
                    encode(resource.kind, &resource.resource, &self.ports, &self.directory)?;
                self.server()?.put(kind, &name, body.clone().into());
                self.having.retain(|(other, known, _)| (*other, known) != (kind, &name));
                self.having.push((kind, name, body));
                Ok(())
            }
            Step::Remove(named) => {
                self.server()?.remove(named.kind.kind(), &named.name);
                self.having.retain(|(kind, name, _)| (*kind, name) != (named.kind.kind(), &named.name));
                Ok(())
            }
            Step::Push(kinds) => {
                for kind in kinds {
                    let nonce = self.server()?.push_kind(kind.kind());
                    self.nonce = nonce.map(|nonce| (kind.kind(), nonce));
                }
                Ok(())
            }
            Step::File(written) => write(&self.directory, written),
            Step::PushOwn(resource) => {
                let own = self.own.as_ref().ok_or("there is no second server")?;
                let (kind, name, body) =
                    encode(resource.kind, &resource.resource, &self.ports, &self.directory)?;
                own.put(kind, &name, body.into());
                own.push_kind(kind);
                Ok(())
            }
            Step::Authorization(wanted) => {
                self.server()?.wait_for(|_| true)?;
                match self.server()?.authorization() {
                    Some(sent) if sent == *wanted => Ok(()),
                    sent => Err(format!("authorization is {sent:?}")),
                }
            }
            Step::Answer(answer) => {
                let (kind, nonce) = self.nonce.clone().ok_or("nothing was pushed")?;
                let refused = self.server()?.answer(kind, &nonce)?;
                match (&refused, &answer.refused) {
                    (None, None) => Ok(()),
                    (Some(reason), Some(part)) if reason.contains(part) => Ok(()),
                    _ => Err(format!("the answer is {refused:?}")),
                }
            }
            Step::Wants(named) => {
                let kind = named.kind.kind();
                let wanted =
                    self.server()?.wait_for(|said| said.kind == kind && said.wants.contains(&named.name));
                wanted.map(drop)
            }
            Step::Asks(kind) => {
                let kind = kind.kind();
                self.server()?.wait_for(|said| said.kind == kind).map(drop)
            }
            Step::Streams(count) => {
                let count = *count;
                self.until(|play| match play.server()?.streams() >= count {
                    true => Ok(()),
                    false => Err(format!("{} streams", play.server()?.streams())),
                })
                .await
            }
            Step::Answers(answers) => {
                self.server()?.set_answers(*answers);
                Ok(())
            }
            Step::Cut => {
                self.server()?.cut();
                Ok(())
            }
            Step::Stop => {
                self.server = None;
                Ok(())
            }
            Step::Restart => {
                let address = self.server()?.address();
                self.server = None;
                let server =
                    Management::start(self.variant, Some(address)).map_err(|error| error.to_string())?;
                for (kind, name, body) in &self.having {
                    server.put(*kind, name, body.clone().into());
                }
                self.server = Some(server);
                Ok(())
            }
            Step::Ready(ready) => {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let status = admin::get(self.admin, "/ready").await.map(|(status, _)| status);
                    if status == Ok(if *ready { 200 } else { 503 }) {
                        return Ok(());
                    }
                    if Instant::now() > deadline {
                        return Err(format!("/ready is {status:?}"));
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Step::Get(wanted) => {
                let port = self.ports[0].1;
                self.until(|_| match get(port, &wanted.path) {
                    Ok(got) if wanted.is(&got) => Ok(()),
                    other => Err(format!("the client gets {other:?}")),
                })
                .await
            }
            Step::Stays(wanted) => {
                for _ in 0..20 {
                    let got = get(self.ports[0].1, &wanted.path);
                    if !got.as_ref().is_ok_and(|got| wanted.is(got)) {
                        return Err(format!("the client gets {got:?}"));
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Ok(())
            }
            Step::Load(path) => {
                self.load = Some(Load::start(self.ports[0].1, path.clone()));
                Ok(())
            }
            Step::Loaded(allowed) => {
                let load = self.load.take().ok_or("there is no load")?;
                let answers = load.stop();
                let odd: Vec<_> = answers.iter().filter(|(answer, _)| !allowed.contains(answer)).collect();
                let count: usize = answers.values().sum();
                match odd.is_empty() && count > 0 {
                    true => Ok(()),
                    false => Err(format!("of {count} requests: {answers:?}")),
                }
            }
        }
    }

    async fn until(&self, is_so: impl Fn(&Self) -> Result<(), String>) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match is_so(self) {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() > deadline => return Err(why),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// Writes a file beside its place, and puts it there.
fn write(directory: &Path, case::Written { name, text }: &case::Written) -> Result<(), String> {
    let beside = directory.join(format!("{name}.new"));
    let written = std::fs::write(&beside, text);
    written.and_then(|()| std::fs::rename(&beside, directory.join(name))).map_err(|error| error.to_string())
}

/// A resource with its name, as bytes.
fn encode(
    kind: KindName,
    resource: &Value,
    ports: &[(&str, u16)],
    directory: &Path,
) -> Result<(Kind, String, Vec<u8>), String> {
    let mut text = resource.to_string().replace("$directory", &directory.display().to_string());
    for (name, port) in ports {
        text = text.replace(&format!("\"{name}\""), &port.to_string());
    }
    let name = resource["name"].as_str().or_else(|| resource["cluster_name"].as_str()).unwrap_or_default();
    let kind = kind.kind();
    let body = encode_message(kind.message(), &text).map_err(|error| format!("{kind} {name}: {error}"))?;
    Ok((kind, name.to_owned(), body))
}

fn bootstrap(
    (server, own): (u16, Option<u16>),
    form: Form,
    admin: u16,
    initial_fetch_timeout: &str,
) -> Value {
    let clusters: Vec<Value> = [("xds", Some(server)), ("own", own)]
        .iter()
        .filter_map(|(name, port)| Some(cluster(name, (*port)?)))
        .collect();
    let address =
        |port: u16| serde_json::json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let source = serde_json::json!({
        "resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": initial_fetch_timeout,
    });
    serde_json::json!({
        "node": {"id": "one", "cluster": "conformance"},
        "admin": {"address": address(admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": match form { Form::Delta => "DELTA_GRPC", Form::Sotw => "GRPC" },
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": source, "lds_config": source,
        },
        "static_resources": {"clusters": clusters},
    })
}

/// A cluster with a management server in it.
fn cluster(name: &str, port: u16) -> Value {
    let address = serde_json::json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    serde_json::json!({
        "name": name,
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
    })
}
