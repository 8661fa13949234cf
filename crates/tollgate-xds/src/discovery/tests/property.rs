//! Whatever changes, is refused, is lost or comes late: in the end the client has what the server has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::server::Server;

#[derive(Debug, Clone)]
enum Step {
    Put {
        kind: Kind,
        name: u8,
        data: u32,
        is_bad: bool,
        needs: Vec<u8>,
    },
    Remove {
        kind: Kind,
        name: u8,
    },
    /// The server looks at what it has.
    Push,
    /// So many messages arrive on either side.
    Deliver(u8),
    Lose,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop::sample::select(Kind::ALL.to_vec());
    prop_oneof![
        4 => (kind(), 0_u8..4, any::<u32>(), prop::bool::weighted(0.2), prop::collection::vec(0_u8..8, 0..3))
            .prop_map(|(kind, name, data, is_bad, needs)| Step::Put { kind, name, data, is_bad, needs }),
        2 => (kind(), 0_u8..4).prop_map(|(kind, name)| Step::Remove { kind, name }),
        4 => Just(Step::Push),
        6 => (1_u8..6).prop_map(Step::Deliver),
        1 => Just(Step::Lose),
        1 => (0_u16..20_000).prop_map(Step::Wait),
    ]
}

/// Client, server, and what is on its way between them.
struct Bench {
    discovery: Discovery<Bodies>,
    server: Server,
    now: Instant,
    to_server: VecDeque<Bytes>,
    is_open: bool,
}

impl Bench {
    fn new(variant: Variant) -> Self {
        let now = Instant::now();
        let channel = Channel::new(Settings::aggregated(variant, Bytes::from_static(b"node")));
        Self {
            discovery: Discovery::new(Bodies::default(), vec![channel], now),
            server: Server::new(variant),
            now,
            to_server: VecDeque::new(),
            is_open: false,
        }
    }

    /// Does what the client wants done.
    fn act(&mut self) {
        while let Some((id, action)) = self.discovery.poll_action() {
            match action {
                Action::Open => {
                    self.server.reset();
                    self.is_open = true;
                    self.discovery.handle_opened(id);
                }
                Action::Send { message, .. } => self.to_server.push_back(message),
                Action::Close(reason) => panic!("{reason}"),
            }
        }
    }

    fn lose(&mut self) {
        if self.is_open {
            self.is_open = false;
            self.to_server.clear();
            self.server.reset();
            self.discovery.handle_closed(ChannelId(0), self.now);
        }
    }

    fn deliver(&mut self) -> bool {
        let mut is_something = false;
        if let Some(message) = self.to_server.pop_front() {
            self.server.handle(message).unwrap();
            is_something = true;
        }
        if let Some(message) = self.server.next_message() {
            self.discovery.handle_message(ChannelId(0), self.now, message);
            is_something = true;
        }
        is_something
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.discovery.handle_time(self.now);
    }

    fn step(&mut self, step: &Step) {
        self.act();
        match step {
            Step::Put { kind, name, data, is_bad, needs } => {
                let needs = needs.iter().filter_map(|need| {
                    let kind = match (kind, need / 3) {
                        (Kind::Cluster, 0) => "endpoints",
                        (Kind::Listener, 0) => "routes",
                        (Kind::Cluster | Kind::Listener, 1) => "secret",
                        _ => return None,
                    };
                    Some(format!("{kind} n{}", need % 3))
                });
                let needs = needs.collect();
                let body = Body { name: format!("n{name}"), is_bad: *is_bad, needs, data: *data };
                self.server.put(*kind, &body.name, body.encode_to_vec().into());
            }
            Step::Remove { kind, name } => self.server.remove(*kind, &format!("n{name}")),
            Step::Push => self.server.push(),
            Step::Deliver(count) => {
                for _ in 0..*count {
                    self.deliver();
                }
            }
            Step::Lose => self.lose(),
            Step::Wait(milliseconds) => self.wait(Duration::from_millis(u64::from(*milliseconds))),
        }
    }

    /// Lets everything happen that can, and time pass until nothing is waited for.
    fn finish(&mut self) {
        for _ in 0..100 {
            self.act();
            self.server.push();
            while self.deliver() {
                self.act();
                self.server.push();
            }
            match self.discovery.next_deadline() {
                Some(until) => {
                    self.now = self.now.max(until);
                    self.discovery.handle_time(self.now);
                }
                None if self.to_server.is_empty() && self.server.is_idle() => return,
                None => {}
            }
        }
        panic!("there is no end");
    }

    /// Counting along gives what counting all of them would.
    fn count(&self) {
        for kind in Kind::ALL {
            let count = |test: fn(&Entry<Body>) -> bool| {
                self.discovery.entries(kind).filter(|(_, entry)| test(entry)).count()
            };
            let numbers = Numbers {
                active: count(|entry| entry.active.is_some()),
                warming: count(|entry| entry.warming.is_some()),
            };
            assert_eq!(self.discovery.numbers(kind), numbers, "{kind}");
        }
    }

    fn check(&self) {
        self.count();
        assert!(self.discovery.is_ready());
        let nothing = BTreeMap::new();
        let mut needed = BTreeSet::new();
        for kind in [Kind::Cluster, Kind::Listener] {
            let having = self.server.having().get(&kind).unwrap_or(&nothing);
            let names: Vec<&str> = self.discovery.entries(kind).map(|(name, _)| name).collect();
            assert_eq!(names, having.keys().collect::<Vec<_>>(), "{kind}");
            for (name, entry) in self.discovery.entries(kind) {
                assert!(entry.warming.is_none() && entry.waits_for.is_empty());
                self.check_one(entry, &Body::decode(having[name].1.clone()).unwrap());
                needed.extend(entry.active.iter().flat_map(|resource| resource.needs.iter().cloned()));
            }
        }
        for kind in [Kind::Endpoints, Kind::Secret, Kind::Routes] {
            let having = self.server.having().get(&kind).unwrap_or(&nothing);
            for need in needed.iter().filter(|need| need.kind == kind) {
                let entry = self.discovery.world.entry(kind, &need.name);
                if let Some((_, body)) = having.get(&need.name) {
                    self.check_one(entry.unwrap(), &Body::decode(body.clone()).unwrap());
                }
            }
            for (name, _) in self.discovery.entries(kind) {
                assert!(
                    needed.contains(&Need { kind, name: name.to_owned() }),
                    "{kind} {name} is not needed"
                );
            }
        }
    }

    /// What works is what the server has, unless that is refused.
    fn check_one(&self, entry: &Entry<Body>, body: &Body) {
        if body.is_bad {
            assert!(entry.refused.is_some());
            assert!(entry.active.as_ref().is_none_or(|active| !active.value.is_bad));
        } else {
            assert_eq!(&entry.active.as_ref().unwrap().value, body);
            assert_eq!(entry.refused, None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_client_ends_with_what_the_server_has(
        is_delta in any::<bool>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut bench = Bench::new(if is_delta { Variant::Delta } else { Variant::StateOfTheWorld });
        for step in &steps {
            bench.step(step);
            bench.count();
        }
        bench.finish();
        bench.check();
    }
}
