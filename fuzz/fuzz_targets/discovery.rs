//! Whatever a management server sends: every response is answered once, streams that make no sense are closed, and nothing is
//! waited for without an end.

#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use tollgate_xds::{
    Action, Channel, ChannelId, Discovery, Kind, Need, Read, Reader, Settings, Variant,
    proto::{Any, DeltaDiscoveryResponse, DiscoveryResponse, Resource},
};

#[derive(Debug, Arbitrary)]
struct Input {
    delta: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Raw(Vec<u8>),
    Sotw { kind: u8, version: u8, names: Vec<u8> },
    Delta { kind: u8, names: Vec<u8>, removed: Vec<u8> },
    Lose,
    Wait(u16),
}

/// Names say what a resource needs, and whether it is bad.
struct Names;

impl Reader for Names {
    type Value = ();

    fn read(&mut self, kind: Kind, _: &str, body: &Bytes) -> Result<Read<()>, String> {
        let byte = body.last().copied().unwrap_or_default();
        if byte % 5 == 0 {
            return Err("bad".to_owned());
        }
        let need = match kind {
            Kind::Cluster => Kind::Endpoints,
            Kind::Listener => Kind::Routes,
            _ => return Ok(Read::new(())),
        };
        let names = (0..byte % 3).map(|index| Need { kind: need, name: name(byte.wrapping_add(index)) });
        Ok(Read { needs: names.collect(), ..Read::new(()) })
    }
}

fn name(byte: u8) -> String {
    char::from(b'a' + byte % 8).to_string()
}

fn kind(byte: u8) -> Kind {
    Kind::ALL[usize::from(byte) % Kind::ALL.len()]
}

/// A message with a name in its first field.
fn any(kind: Kind, byte: u8) -> Any {
    let value = [b"\x0a\x01", name(byte).as_bytes(), b"\xf8\x3f", &[byte % 128]].concat();
    Any { type_url: kind.type_url(), value: value.into() }
}

fn message(step: &Step) -> Option<Vec<u8>> {
    Some(match step {
        Step::Raw(bytes) => bytes.clone(),
        Step::Sotw { kind: which, version, names } => {
            let kind = kind(*which);
            let resources = names.iter().map(|byte| any(kind, *byte)).collect();
            let version_info = version.to_string();
            DiscoveryResponse { version_info, resources, type_url: kind.type_url(), nonce: "n".to_owned() }
                .encode_to_vec()
        }
        Step::Delta { kind: which, names, removed } => {
            let kind = kind(*which);
            let resource = |byte: &u8| Resource {
                version: byte.to_string(),
                resource: Some(any(kind, *byte)),
                name: name(*byte),
            };
            DeltaDiscoveryResponse {
                resources: names.iter().map(resource).collect(),
                removed_resources: removed.iter().map(|byte| name(*byte)).collect(),
                type_url: kind.type_url(),
                nonce: "n".to_owned(),
                ..Default::default()
            }
            .encode_to_vec()
        }
        Step::Lose | Step::Wait(_) => return None,
    })
}

/// Does what is wanted; returns how many messages were sent.
fn act(discovery: &mut Discovery<Names>) -> usize {
    let mut sent = 0;
    while let Some((id, action)) = discovery.poll_action() {
        match action {
            Action::Open => discovery.handle_opened(id),
            Action::Send { .. } => sent += 1,
            Action::Close(reason) => assert!(!reason.is_empty()),
        }
        assert!(sent < 1_000, "requests without an end");
    }
    sent
}

fuzz_target!(|input: Input| {
    let mut now = Instant::now();
    let variant = if input.delta { Variant::Delta } else { Variant::StateOfTheWorld };
    let channel = Channel::new(Settings::aggregated(variant, Bytes::from_static(b"node")));
    let mut discovery = Discovery::new(Names, vec![channel], now);
    let id = ChannelId(0);
    for step in input.steps.iter().take(64) {
        act(&mut discovery);
        match step {
            Step::Lose => discovery.handle_closed(id, now),
            Step::Wait(milliseconds) => {
                now += Duration::from_millis(u64::from(*milliseconds));
                discovery.handle_time(now);
            }
            step => {
                if let Some(message) = message(step) {
                    discovery.handle_message(id, now, message.into());
                }
            }
        }
    }
    // Without a server everything that is waited for has its time.
    for _ in 0..200 {
        act(&mut discovery);
        let Some(until) = discovery.next_deadline() else { break };
        now = now.max(until);
        discovery.handle_time(now);
    }
    assert!(discovery.is_ready());
    assert_eq!(discovery.next_deadline(), None);
});
