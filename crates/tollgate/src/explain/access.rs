//! Where a request arrives: the listener and its filter chain.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tollgate_config::Explanations;
use tollgate_model::{
    Snapshot,
    listener::{BindAddress, FilterChain, Listener},
};
use tollgate_proxy::{ConnectionFacts, choose_filter_chain};

use super::Question;
use crate::address::Address;

/// What a client of HTTPS offers.
const PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// What serves the connection.
pub(super) struct Access<'a> {
    pub(super) listener: &'a Listener,
    /// `None` = the default one.
    pub(super) index: Option<usize>,
    pub(super) chain: &'a FilterChain,
    pub(super) facts: ConnectionFacts<'a>,
}

/// Chooses listener and filter chain, and reports them. `ports` are tried in their order.
///
/// # Errors
/// Why there is none.
pub(super) fn access<'a>(
    answer: &mut Value,
    snapshot: &'a Snapshot,
    explanations: &Explanations,
    question: &'a Question,
    ports: &[u16],
) -> Result<Access<'a>, String> {
    let Some((listener, address, others)) = ports.iter().find_map(|port| listener(snapshot, question, *port))
    else {
        return Err(nobody_listens(snapshot, question, ports.first().copied().unwrap_or(question.port)));
    };
    answer["port"] = json!(address.port());
    answer["listener"] = json!({ "name": listener.name, "addresses": addresses(listener) });
    if let Some(place) = explanations.listener(&listener.name) {
        answer["listener"]["place"] = json!(place.to_string());
    }
    if !others.is_empty() {
        answer["listener"]["others_at_this_port"] = json!(others);
    }
    let facts = ConnectionFacts {
        local_address: Some(address),
        remote_address: None,
        // No client sends an address as SNI.
        server_name: (question.tls && question.address.is_none()).then_some(question.host.as_str()),
        tls: question.tls,
        application_protocols: if question.tls { &PROTOCOLS } else { &[] },
    };
    let chosen = choose_filter_chain(listener, &facts);
    let chain = match chosen {
        Some(Some(index)) => listener.filter_chains.get(index),
        Some(None) => listener.default_filter_chain.as_ref(),
        None => None,
    };
    let (Some(index), Some(chain)) = (chosen, chain) else {
        return Err(no_filter_chain(listener, question));
    };
    answer["filter_chain"] = json!({
        "name": chain.name,
        "default": index.is_none(),
        "tls": chain.tls.is_some(),
        "server_names": chain.filter_chain_match.server_names,
    });
    match (question.tls, chain.tls.is_some()) {
        (true, false) => {
            Err("there is no TLS at this address: the handshake fails; ask for http://".to_owned())
        }
        (false, true) => {
            Err("there is only TLS at this address: the connection is closed; ask for https://".to_owned())
        }
        _ => Ok(Access { listener, index, chain, facts }),
    }
}

/// The listener that the kernel gives the connection to, the address it is made to, and names of other listeners at this port
/// for other addresses.
fn listener<'a>(
    snapshot: &'a Snapshot,
    question: &Question,
    port: u16,
) -> Option<(&'a Listener, SocketAddr, Vec<String>)> {
    let bound = snapshot.listeners.iter().flat_map(|listener| {
        let sockets = listener.addresses.iter().filter_map(|address| match address {
            BindAddress::Socket(socket) if socket.port() == port => Some(socket.ip()),
            _ => None,
        });
        sockets.map(move |ip| (&**listener, ip))
    });
    let mut bound: Vec<(&Listener, IpAddr)> = bound.collect();
    // Sockets for one address come before those for all.
    bound.sort_by_key(|(_, ip)| ip.is_unspecified());
    let serves = |bound: IpAddr| match question.address {
        Some(asked) => bound == asked || bound.is_unspecified() && bound.is_ipv4() == asked.is_ipv4(),
        None => true,
    };
    let (listener, ip) = *bound.iter().find(|(_, ip)| serves(*ip))?;
    let to = match (question.address, ip.is_unspecified()) {
        (Some(asked), _) => asked,
        (None, true) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        (None, false) => ip,
    };
    // The name may be that of another address.
    let mut others: Vec<String> = Vec::new();
    for (other, _) in
        bound.iter().filter(|(other, _)| question.address.is_none() && other.name != listener.name)
    {
        let told = format!("{} at {}", other.name, addresses(other).join(", "));
        if !others.contains(&told) {
            others.push(told);
        }
    }
    Some((listener, SocketAddr::new(to, port), others))
}

fn nobody_listens(snapshot: &Snapshot, question: &Question, port: u16) -> String {
    let mut all: Vec<String> = snapshot.listeners.iter().flat_map(|listener| addresses(listener)).collect();
    all.dedup();
    let at = match question.address {
        Some(address) => SocketAddr::new(address, port).to_string(),
        None => format!("port {port}"),
    };
    match all.is_empty() {
        true => format!("nothing listens at {at}, nor anywhere else"),
        false => format!("nothing listens at {at}; there is {}", all.join(", ")),
    }
}

fn no_filter_chain(listener: &Listener, question: &Question) -> String {
    if !question.tls {
        return "no filter chain takes cleartext: the connection is closed; ask for https://".to_owned();
    }
    let mut names: Vec<&str> = Vec::new();
    for name in listener.filter_chains.iter().flat_map(|chain| &chain.filter_chain_match.server_names) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    match names.is_empty() {
        true => "no filter chain takes TLS: the connection is closed; ask for http://".to_owned(),
        false => format!(
            "no filter chain takes TLS for {}: the connection is closed; there is {}",
            question.host,
            names.join(", ")
        ),
    }
}

fn addresses(listener: &Listener) -> Vec<String> {
    listener.addresses.iter().map(|address| Address(address).to_string()).collect()
}
