//! The configurations of the examples, as a management server would deliver them: every resource is accepted and works.

use std::{path::Path, time::Instant};

use bytes::Bytes;
use prost::Message;
use tollgate_config::{
    FileSystem, Options, Source, Surroundings, read_delivered, read_with, write_bootstrap,
};
use tollgate_xds::{
    Channel, Discovery, Incoming, Kind, Need, Read, Reader, Refusal, Settings, Update, Variant,
};

/// A bootstrap, as far as its resources go.
#[derive(Clone, PartialEq, Message)]
struct Bootstrap {
    #[prost(message, optional, tag = "2")]
    static_resources: Option<StaticResources>,
}

#[derive(Clone, PartialEq, Message)]
struct StaticResources {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    listeners: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    clusters: Vec<Bytes>,
}

/// Listeners and clusters have their names there.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// Reads resources by the schemas of this crate.
#[derive(Debug)]
struct BySchemas;

impl Reader for BySchemas {
    type Value = ();

    fn read(&mut self, kind: Kind, name: &str, body: &Bytes) -> Result<Read<()>, String> {
        let delivered = read_delivered(
            kind.message(),
            name,
            body,
            &Surroundings::default(),
            &FileSystem,
            &Options::default(),
        );
        if let Some(reason) = delivered.refusal() {
            return Err(reason);
        }
        let needs = delivered.needs.iter().map(|needed| {
            let kind = Kind::of_message(&needed.message).expect("a kind");
            Need { kind, name: needed.name.clone() }
        });
        Ok(Read { needs: needs.collect(), ..Read::new(()) })
    }
}

fn update(kind: Kind, bodies: &[Bytes]) -> Update {
    let incoming = |body: &Bytes| Incoming {
        name: Named::decode(body.clone()).expect("a name").name,
        version: "1".to_owned(),
        body: body.clone(),
    };
    let resources = bodies.iter().map(incoming).collect();
    Update { kind, is_complete: true, resources, removed: Vec::new() }
}

fn discovery(now: Instant) -> Discovery<BySchemas> {
    let channel = Channel::new(Settings::aggregated(Variant::Delta, Bytes::new()));
    Discovery::new(BySchemas, vec![channel], now)
}

#[test]
fn the_examples_are_accepted_when_they_are_delivered() {
    let now = Instant::now();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/demo");
    for name in ["envoy-gateway.yaml", "htnn.yaml", "kgateway.yaml"] {
        let source = Source::read(&folder.join(name)).expect("an example");
        let resources = read_with(&[source], &FileSystem, &Options::default()).resources.expect("resources");
        let bytes = write_bootstrap(&resources).to_protobuf().expect("bytes");
        let bootstrap = Bootstrap::decode(&*bytes).expect("a bootstrap");
        let StaticResources { listeners, clusters } = bootstrap.static_resources.expect("resources");
        assert!(!listeners.is_empty() && !clusters.is_empty(), "{name}");
        let mut discovery = discovery(now);
        assert_eq!(discovery.handle_update(now, &update(Kind::Cluster, &clusters)), [], "{name}");
        assert_eq!(discovery.handle_update(now, &update(Kind::Listener, &listeners)), [], "{name}");
        assert!(discovery.is_ready());
        let active = |kind| discovery.entries(kind).filter(|(_, entry)| entry.active.is_some()).count();
        assert_eq!((active(Kind::Listener), active(Kind::Cluster)), (listeners.len(), clusters.len()));
    }
}

#[test]
fn what_is_wrong_is_refused_by_itself() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    // {name: bad, connect_timeout: 0s}, {name: good}
    let (bad, good) = (Bytes::from_static(b"\x0a\x03bad\x22\x00"), Bytes::from_static(b"\x0a\x04good"));
    let refused = discovery.handle_update(now, &update(Kind::Cluster, &[bad, good]));
    let reason = "connect_timeout: must be more than zero".to_owned();
    assert_eq!(refused, [Refusal { name: "bad".to_owned(), reason }]);
    assert!(discovery.active(Kind::Cluster, "good").is_some());
    assert!(discovery.active(Kind::Cluster, "bad").is_none());
}
