//! Management servers that resources name themselves.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use tollgate_ir::{Origin, compile_source};
use tollgate_model::{
    management::{ApiSource, Needed, ResourceSource, Server, Variant},
    processor::GrpcService,
};
use tollgate_xds::{Channel, ChannelId, Kind, Need, Settings, Way};

use super::shelf::need;

/// Most servers that resources can name.
const MOST_SERVERS: usize = 100;

/// The services of all channels, by their numbers.
pub(super) type Services = Rc<RefCell<Vec<GrpcService>>>;

/// What resources need, and where it comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    pub(super) needs: BTreeSet<Need>,
    pub(super) ways: BTreeMap<Need, Way>,
}

/// The servers that were named so far, each with a channel for each kind that is asked of it.
#[derive(Debug)]
pub(super) struct Servers {
    node: Bytes,
    services: Services,
    known: Vec<(Kind, ApiSource, ChannelId)>,
    new: Vec<Channel>,
}

impl Servers {
    pub(super) fn new(node: Bytes, services: Services) -> Self {
        Self { node, services, known: Vec::new(), new: Vec::new() }
    }

    /// Channels that have come since this was asked last.
    pub(super) fn take_channels(&mut self) -> Vec<Channel> {
        std::mem::take(&mut self.new)
    }

    /// Where everything that is needed comes from.
    ///
    /// # Errors
    /// When that cannot be asked.
    pub(super) fn needs<C>(
        &mut self,
        needed: &[Needed<C>],
        mut ready: impl FnMut(&ResourceSource<C>) -> Result<ResourceSource, String>,
    ) -> Result<Needs, String> {
        let mut found = Needs::default();
        for one in needed {
            let Some(need) = need(&one.message, &one.name) else { continue };
            let source = ready(&one.source)?;
            let channel = match source.server {
                Server::Aggregated => None,
                Server::Own(own) => Some(self.channel(need.kind, *own)?),
            };
            let way = Way { channel, initial_fetch_timeout: source.initial_fetch_timeout };
            found.ways.insert(need.clone(), way);
            found.needs.insert(need);
        }
        Ok(found)
    }

    fn channel(&mut self, kind: Kind, source: ApiSource) -> Result<ChannelId, String> {
        let known = self.known.iter().find(|(other, known, _)| *other == kind && *known == source);
        if let Some((.., id)) = known {
            return Ok(*id);
        }
        if self.known.len() >= MOST_SERVERS {
            return Err(format!("{MOST_SERVERS} management servers are named by resources already"));
        }
        let settings = Settings::single(variant(&source), kind, self.node.clone());
        self.new.push(Channel::new(Settings { seed: fastrand::u64(..), ..settings }));
        let mut services = self.services.borrow_mut();
        let id = ChannelId(services.len());
        services.push(source.service.clone());
        self.known.push((kind, source, id));
        Ok(id)
    }
}

/// The form of the protocol.
pub(super) fn variant(source: &ApiSource) -> tollgate_xds::Variant {
    match source.variant {
        Variant::StateOfTheWorld => tollgate_xds::Variant::StateOfTheWorld,
        Variant::Delta => tollgate_xds::Variant::Delta,
    }
}

/// Makes a source of a delivered resource ready for calls.
pub(super) fn ready(
    source: &ResourceSource<tollgate_ir::GoogleCluster>,
    title: &str,
) -> Result<ResourceSource, String> {
    let origin = Arc::new(Origin { file: title.into(), ..Origin::default() });
    compile_source(source.clone(), &origin).map_err(|error| error.problem.to_string())
}
