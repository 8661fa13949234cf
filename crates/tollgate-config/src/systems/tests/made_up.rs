//! A made-up system: PacePolicies say how long things may take, and Hosts are backends.
//!
//! It is everything that a system needs: kinds, a controller with defaults, names and words, and a dialect.

mod dialect;
mod objects;

use std::time::Duration;

use self::{
    dialect::MadeUp,
    objects::{GROUP, KINDS},
};
use crate::translation::{
    ClusterSite, Controller, Defaults, Message, Names, PolicyKind, System, Words, parameters_without_effect,
};

pub(super) static MADE_UP: System = System {
    name: "Made-up",
    kinds: KINDS,
    policies: &[PolicyKind::new(GROUP, "PacePolicy")],
    controller: Some(&CONTROLLER),
    dialect: Some(|translator, gateways| Box::new(MadeUp::new(translator, gateways))),
    ..System::PLAIN
};

static CONTROLLER: Controller = Controller {
    name: "pace.example/gateways",
    classes: &["made-up"],
    claims: None,
    parameters: parameters_without_effect,
    defaults: Defaults {
        buffer_limit: 4096,
        request_timeout: |_| Some(Duration::from_secs(3)),
        connection_manager: |http| "made-up".clone_into(&mut http.server_name),
        cluster: |cluster| cluster.connect_timeout = Duration::from_secs(1),
        ..Defaults::PLAIN
    },
    names: Names {
        cluster: |cluster| {
            let ClusterSite { backend, port, .. } = cluster;
            format!("made-up:{}.{}:{port}", backend.name, backend.namespace)
        },
        ..Names::PLAIN
    },
    words: Words {
        message: |message| (*message == Message::GatewayAccepted).then(|| "Come in".to_owned()),
        ..Words::PLAIN
    },
};
