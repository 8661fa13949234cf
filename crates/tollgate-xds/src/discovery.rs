//! The resources of all channels, and which of them work.

#[cfg(test)]
mod tests;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use self::world::{Entry, Numbers, Refused, Resource};
use self::world::{Wish, World};
use crate::{Action, Channel, Handled, Kind, Refusal, Update, Variant};

/// Reads resources.
pub trait Reader {
    /// What a resource becomes.
    type Value: std::fmt::Debug;

    /// Reads a resource, by itself.
    ///
    /// # Errors
    /// Why it is refused; the server is told.
    fn read(&mut self, kind: Kind, name: &str, body: &Bytes) -> Result<Read<Self::Value>, String>;

    /// Further channels that resources want, since this was asked last: they come after those that are there, in this order.
    fn take_channels(&mut self) -> Vec<Channel> {
        Vec::new()
    }
}

/// A resource that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<V> {
    /// What it is.
    pub value: V,
    /// What it needs to work.
    pub needs: BTreeSet<Need>,
    /// Where that comes from, if not from the channel of its kind, with the usual time to wait.
    pub ways: BTreeMap<Need, Way>,
}

impl<V> Read<V> {
    /// A resource that needs nothing.
    pub fn new(value: V) -> Self {
        Self { value, needs: BTreeSet::new(), ways: BTreeMap::new() }
    }
}

/// How a resource that another one needs is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The channel; `None` = that of its kind.
    pub channel: Option<ChannelId>,
    /// How long it is waited for; `None` = as long as it takes.
    pub initial_fetch_timeout: Option<Duration>,
}

/// A resource that another one needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Need {
    /// Its kind: endpoints, routes or a secret.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// Which of the channels of a [`Discovery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelId(pub usize);

/// How far the start is: listeners are asked for when clusters work, as in Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Clusters { until: Option<Instant> },
    Listeners { until: Option<Instant> },
    Running,
}

/// The resources of all channels, and which of them work.
#[derive(Debug)]
pub struct Discovery<R: Reader> {
    channels: Vec<Channel>,
    /// How many there were at first; those that come later are for resources that name them.
    of_kinds: usize,
    world: World<R>,
    listeners_timeout: Option<Duration>,
    stage: Stage,
}

/// How long the first answers are waited for (`initial_fetch_timeout`); `None` is as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the clusters.
    pub clusters: Option<Duration>,
    /// For the listeners.
    pub listeners: Option<Duration>,
    /// For what a resource needs.
    pub needs: Option<Duration>,
}

impl Default for Timeouts {
    /// Envoy's.
    fn default() -> Self {
        let usual = Some(Duration::from_secs(15));
        Self { clusters: usual, listeners: usual, needs: usual }
    }
}

impl<R: Reader> Discovery<R> {
    /// Nothing yet. Channels have different kinds; what is missing for a resource is waited for during 15 s, as in Envoy.
    pub fn new(reader: R, channels: Vec<Channel>, now: Instant) -> Self {
        Self::with_timeouts(reader, channels, now, Timeouts::default())
    }

    /// The same with other times.
    pub fn with_timeouts(reader: R, channels: Vec<Channel>, now: Instant, timeouts: Timeouts) -> Self {
        let until = timeouts.clusters.map(|timeout| now + timeout);
        let world = World::new(reader, timeouts.needs);
        let mut this = Self {
            of_kinds: channels.len(),
            channels,
            world,
            listeners_timeout: timeouts.listeners,
            stage: Stage::Clusters { until },
        };
        if let Some(channel) = this.channel_of(Kind::Cluster) {
            channel.want_all(Kind::Cluster);
        }
        this.settle(now);
        this
    }

    /// The resources of a kind by name: what works, what is waited for, and what was refused.
    pub fn entries(&self, kind: Kind) -> impl Iterator<Item = (&str, &Entry<R::Value>)> {
        self.world.entries(kind)
    }

    /// What is needed beside what resources need: a configuration of one's own refers to it. It takes the place of what was
    /// required before.
    pub fn require(&mut self, now: Instant, needs: &BTreeSet<Need>, ways: &BTreeMap<Need, Way>) {
        self.world.require(needs, ways);
        self.settle(now);
    }

    /// All about the resource of a name.
    #[must_use]
    pub fn entry(&self, kind: Kind, name: &str) -> Option<&Entry<R::Value>> {
        self.world.entry(kind, name)
    }

    /// How many resources of a kind there are. They are counted when they change, not here.
    #[must_use]
    pub fn numbers(&self, kind: Kind) -> Numbers {
        self.world.numbers(kind)
    }

    /// The resource of that name that works.
    #[must_use]
    pub fn active(&self, kind: Kind, name: &str) -> Option<&Arc<Resource<R::Value>>> {
        self.world.entry(kind, name)?.active.as_ref()
    }

    /// Whether everything that belongs to the start is there, or was waited for long enough.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Running
    }

    /// The resources that work otherwise than before, or no longer, since this was asked last.
    pub fn take_changes(&mut self) -> BTreeSet<(Kind, String)> {
        self.world.take_changes()
    }

    /// The resources that wait for something since this was asked last.
    pub fn take_touched(&mut self) -> BTreeSet<(Kind, String)> {
        self.world.take_touched()
    }

    /// A channel, to look at.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(id.0)
    }

    /// The stream of a channel is open.
    pub fn handle_opened(&mut self, id: ChannelId) {
        let Self { channels, world, .. } = self;
        if let Some(channel) = channels.get_mut(id.0) {
            channel.handle_opened();
            // A server sends again what was refused, unless it has something else by now, or nothing.
            if channel.variant() == Variant::Delta {
                for kind in Kind::ALL.into_iter().filter(|kind| channel.has(*kind)) {
                    world.forget_refused(kind);
                }
            }
        }
    }

    /// The stream of a channel is closed, or could not be opened. What is there stays.
    pub fn handle_closed(&mut self, id: ChannelId, now: Instant) {
        if let Some(channel) = self.channels.get_mut(id.0) {
            channel.handle_closed(now);
        }
    }

    /// A message has come on a channel.
    /// Gives what has become of it, if anybody wanted it.
    pub fn handle_message(&mut self, id: ChannelId, now: Instant, message: Bytes) -> Option<Handled> {
        let Self { channels, world, .. } = self;
        let channel = channels.get_mut(id.0)?;
        let handled = channel.handle_message(now, message, &mut |update| world.take(now, update));
        self.settle(now);
        handled
    }

    /// Resources have come in another way, as by a file. What is refused of them is returned.
    pub fn handle_update(&mut self, now: Instant, update: &Update) -> Vec<Refusal> {
        let refusals = self.world.take(now, update);
        self.settle(now);
        refusals
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Instant) {
        for channel in &mut self.channels {
            channel.handle_time(now);
        }
        self.world.handle_time(now);
        self.settle(now);
    }

    /// When [`handle_time`](Self::handle_time) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let of_channels = self.channels.iter().filter_map(Channel::next_deadline);
        let of_stage = match self.stage {
            Stage::Clusters { until } | Stage::Listeners { until } => until,
            Stage::Running => None,
        };
        of_channels.chain(self.world.next_deadline()).chain(of_stage).min()
    }

    /// What is to be done next, on which channel; to be asked until there is nothing.
    pub fn poll_action(&mut self) -> Option<(ChannelId, Action)> {
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if let Some(action) = channel.poll_action() {
                return Some((ChannelId(index), action));
            }
        }
        // Servers know by now what is not wanted any more, and would send it again: it need not be kept.
        self.world.forget_unneeded();
        None
    }

    fn channel_of(&mut self, kind: Kind) -> Option<&mut Channel> {
        self.channels.iter_mut().take(self.of_kinds).find(|channel| channel.has(kind))
    }

    /// Asks for what is needed now, and goes on with the start.
    fn settle(&mut self, now: Instant) {
        self.channels.extend(self.world.take_channels());
        while let Some(wish) = self.world.next_wish() {
            let (Wish::Want(need, id) | Wish::Forgo(need, id)) = &wish;
            let channel = match id {
                Some(ChannelId(index)) => self.channels.get_mut(*index),
                None => self.channel_of(need.kind),
            };
            let Some(channel) = channel else { continue };
            match &wish {
                Wish::Want(need, _) => channel.want(need.kind, &need.name),
                Wish::Forgo(need, _) => channel.forgo(need.kind, &need.name),
            }
        }
        if let Stage::Clusters { until } = &mut self.stage
            && until.take_if(|until| *until <= now).is_some()
        {
            self.world.give_up(Kind::Cluster);
        }
        if matches!(self.stage, Stage::Clusters { .. }) && self.is_settled(Kind::Cluster) {
            let until = self.listeners_timeout.map(|timeout| now + timeout);
            self.stage = Stage::Listeners { until };
            if let Some(channel) = self.channel_of(Kind::Listener) {
                channel.want_all(Kind::Listener);
            }
        }
        if let Stage::Listeners { until } = &mut self.stage
            && until.take_if(|until| *until <= now).is_some()
        {
            self.world.give_up(Kind::Listener);
        }
        if matches!(self.stage, Stage::Listeners { .. }) && self.is_settled(Kind::Listener) {
            self.stage = Stage::Running;
        }
    }

    /// Whether nothing of a kind is waited for.
    fn is_settled(&self, kind: Kind) -> bool {
        let is_static = !self.channels.iter().any(|channel| channel.has(kind));
        (is_static || self.world.has_come(kind)) && !self.world.is_warming(kind)
    }
}
