//! Turns a written scenario into one that can be played: ports bound, names made unique.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use regex::Regex;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    actors::upstream,
    board::Board,
    gateway::Gateway,
    scenario::{
        ProcessorScript, Scenario, Upstreams,
        load::{Written, read},
    },
};

/// A socket of a scripted server.
#[derive(Debug)]
pub(crate) enum Server {
    /// It listens.
    Listening(TcpListener),
    /// The port is taken, so that nothing else listens on it, and connections are refused.
    Refusing {
        /// Keeps the port.
        socket: Socket,
    },
}

impl Server {
    fn new(down: bool) -> Result<(Self, u16), String> {
        let (socket, port) = bind()?;
        if down {
            return Ok((Self::Refusing { socket }, port));
        }
        let listen = || -> std::io::Result<TcpListener> {
            socket.listen(128)?;
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket.into())
        };
        listen().map(|listener| (Self::Listening(listener), port)).map_err(|error| error.to_string())
    }
}

fn bind() -> Result<(Socket, u16), String> {
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    let bind = || -> std::io::Result<(Socket, u16)> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&any.into())?;
        let port = socket.local_addr()?.as_socket_ipv4().map_or(0, |address| address.port());
        Ok((socket, port))
    };
    bind().map_err(|error| format!("cannot bind a port: {error}"))
}

/// A port that was free a moment ago, kept until this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// Keeps the port.
    _socket: Socket,
    /// The port.
    pub port: u16,
}

/// Reserves a port for a gateway to bind after this was dropped.
///
/// # Errors
/// No port is to be had.
pub(crate) fn reserve() -> Result<Reserved, String> {
    let (socket, port) = bind()?;
    Ok(Reserved { _socket: socket, port })
}

/// A scenario with everything it needs around the gateway.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Unique in a run; name of listener and route table, `stat_prefix`, prefix of cluster names.
    pub id: String,
    /// The scenario, with `$names` replaced.
    pub scenario: Scenario,
    /// Where it was written.
    pub file: PathBuf,
    /// Port of the gateway's listener.
    pub port: u16,
    /// Upstream clusters and their ports.
    pub upstream_ports: BTreeMap<String, u16>,
    /// Ports of the processors.
    pub processor_ports: Vec<u16>,
    /// The access log.
    pub log_file: PathBuf,
    /// The same without a filter, if that has one.
    pub unfiltered_log_file: PathBuf,
    /// The log of the listener.
    pub connection_log_file: PathBuf,
    /// Servers of the upstreams.
    pub upstreams: Vec<(String, Upstreams, Server)>,
    /// Servers of the processors.
    pub processors: Vec<(ProcessorScript, Server)>,
    /// What serves before the gateway is ready, and what it has seen.
    pub early: Option<Early>,
    reserved: Option<Reserved>,
}

/// Upstreams that serve before the gateway is ready.
#[derive(Debug)]
pub(crate) struct Early {
    /// What all parties have seen.
    pub board: Arc<Board>,
    /// The servers.
    pub servers: JoinSet<()>,
}

impl Prepared {
    /// Starts the upstreams that serve before the gateway is ready.
    pub(crate) fn serve_early(&mut self) {
        let is_early = |answers: &Upstreams| answers.0.iter().any(|answer| answer.early);
        if !self.upstreams.iter().any(|(_, answers, _)| is_early(answers)) {
            return;
        }
        let board = Arc::new(Board::new(self.processors.len(), self.scenario.deadline.0));
        let mut servers = JoinSet::new();
        let all = std::mem::take(&mut self.upstreams);
        for (name, answers, server) in all {
            match server {
                Server::Listening(listener) if is_early(&answers) => {
                    servers.spawn(upstream::run(Arc::clone(&board), name, answers, listener));
                }
                server => self.upstreams.push((name, answers, server)),
            }
        }
        self.early = Some(Early { board, servers });
    }

    /// Prepares a scenario.
    ///
    /// # Errors
    /// The scenario is wrong, or there is no port.
    pub(crate) fn new(
        written: &Written,
        gateway: Gateway,
        id: String,
        directory: &Path,
    ) -> Result<Self, String> {
        let mut value = written.overlaid(gateway);
        let draft = read(&written.file, &written.name, value.clone())?;
        let reserved = reserve()?;
        let mut names = BTreeMap::new();
        let mut upstream_ports = BTreeMap::new();
        let mut upstreams = Vec::new();
        let all = std::iter::once(("upstream", &draft.upstream));
        for (name, answers) in
            all.chain(draft.upstreams.iter().map(|(name, answers)| (name.as_str(), answers)))
        {
            let (server, port) = Server::new(answers.0.iter().any(|answer| answer.down))?;
            upstream_ports.insert(name.to_owned(), port);
            upstreams.push((name.to_owned(), server));
            names.insert(format!("{name}_port"), port.to_string());
            names.insert(name.to_owned(), format!("{id}-{name}"));
        }
        let mut processor_ports = Vec::new();
        let mut processors = Vec::new();
        for (index, script) in draft.processors().into_iter().enumerate() {
            let (server, port) = Server::new(script.down)?;
            processor_ports.push(port);
            processors.push(server);
            let name = Self::processor_name(index + 1);
            names.insert(format!("{name}_port"), port.to_string());
            names.insert(name.clone(), format!("{id}-{name}"));
        }
        for name in draft.clusters.keys() {
            names.insert(name.clone(), format!("{id}-{name}"));
        }
        names.insert("listener".to_owned(), id.clone());
        names.insert("listener_port".to_owned(), reserved.port.to_string());
        let pattern = Regex::new(r"\$([a-z][a-z0-9_]*)").map_err(|error| error.to_string())?;
        replace(&mut value, &pattern, &names);
        let scenario = read(&written.file, &written.name, value)?;
        let scripts = scenario.processors();
        let upstreams = upstreams.into_iter().map(|(name, server)| {
            let answers =
                if name == "upstream" { Some(&scenario.upstream) } else { scenario.upstreams.get(&name) };
            (name, answers.cloned().unwrap_or_default(), server)
        });
        Ok(Self {
            upstreams: upstreams.collect(),
            processors: scripts.into_iter().zip(processors).collect(),
            scenario,
            file: written.file.clone(),
            port: reserved.port,
            upstream_ports,
            processor_ports,
            log_file: directory.join(format!("{id}.access.log")),
            unfiltered_log_file: directory.join(format!("{id}.unfiltered.log")),
            connection_log_file: directory.join(format!("{id}.connections.log")),
            early: None,
            reserved: Some(reserved),
            id,
        })
    }

    /// Frees the listener's port for the gateway.
    pub(crate) fn release(&mut self) {
        self.reserved = None;
    }

    /// Name of a cluster in the bootstrap.
    pub(crate) fn cluster(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// `processor`, `processor2`, ...
    pub(crate) fn processor_name(number: usize) -> String {
        if number == 1 { "processor".to_owned() } else { format!("processor{number}") }
    }

    /// Cluster of the n-th processor.
    pub(crate) fn processor_cluster(&self, number: usize) -> String {
        self.cluster(&Self::processor_name(number))
    }

    /// Whether the scenario looks at the access log.
    pub(crate) fn wants_log(&self) -> bool {
        !self.scenario.expect.log.is_empty()
            || !self.scenario.log_format.is_empty()
            || self.scenario.log_filter.is_some()
    }
}

fn replaced(text: &str, pattern: &Regex, names: &BTreeMap<String, String>) -> String {
    let new =
        |found: &regex::Captures<'_>| names.get(&found[1]).cloned().unwrap_or_else(|| found[0].to_owned());
    pattern.replace_all(text, new).into_owned()
}

/// Replaces `$name` in all strings and keys; unknown names stay as they are.
fn replace(value: &mut Value, pattern: &Regex, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            *text = replaced(text, pattern, names);
        }
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, pattern, names)),
        Value::Object(map) => {
            for name in map.keys().filter(|name| name.contains('$')).cloned().collect::<Vec<_>>() {
                let new = replaced(&name, pattern, names);
                if let Some(value) = map.remove(&name) {
                    map.insert(new, value);
                }
            }
            // Port numbers stand alone in a string where the configuration wants a number.
            for value in map.values_mut() {
                let whole = value
                    .as_str()
                    .and_then(|text| text.strip_prefix('$'))
                    .filter(|name| name.ends_with("_port"));
                let number = whole.and_then(|name| names.get(name)).and_then(|port| port.parse::<u16>().ok());
                match number {
                    Some(port) => *value = Value::from(port),
                    None => replace(value, pattern, names),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_replaced_whole() {
        let names = BTreeMap::from([
            ("upstream".to_owned(), "s1-upstream".to_owned()),
            ("upstream_port".to_owned(), "99".to_owned()),
        ]);
        let pattern = Regex::new(r"\$([a-z][a-z0-9_]*)").expect("pattern");
        let mut value = json!({"a$upstream.b": "$upstream", "b": ["x$upstream.y", "$other"], "p": "$upstream_port", "u": ":$upstream_port"});
        replace(&mut value, &pattern, &names);
        assert_eq!(
            value,
            json!({"as1-upstream.b": "s1-upstream", "b": ["xs1-upstream.y", "$other"], "p": 99, "u": ":99"})
        );
    }
}
