//! What is there, what of it works, and what is needed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{ChannelId, Need, Read, Reader, Way};
use crate::{Channel, Incoming, Kind, Refusal, Update};

/// A resource that was accepted.
#[derive(Debug)]
pub struct Resource<V> {
    /// The version that it came with first.
    pub version: String,
    /// What it is.
    pub value: V,
    /// What it needs to work.
    pub needs: BTreeSet<Need>,
    /// As it came: what comes again is not read again.
    body: Bytes,
}

impl<V> Resource<V> {
    /// The message, as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// A resource that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its version.
    pub version: String,
    /// Why.
    pub reason: String,
    body: Bytes,
}

/// All about the resource of a name.
#[derive(Debug)]
pub struct Entry<V> {
    /// What works: the last one that was accepted and had what it needs.
    pub active: Option<Arc<Resource<V>>>,
    /// What was accepted, and waits for something.
    pub warming: Option<Arc<Resource<V>>>,
    /// What the warming one waits for.
    pub waits_for: BTreeSet<Need>,
    /// What was refused last, unless something was accepted after it.
    pub refused: Option<Refused>,
    /// Until when the warming one waits.
    until: Option<Instant>,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { active: None, warming: None, waits_for: BTreeSet::new(), refused: None, until: None }
    }
}

impl<V> Entry<V> {
    /// What was accepted last.
    fn latest(&self) -> Option<&Arc<Resource<V>>> {
        self.warming.as_ref().or(self.active.as_ref())
    }

    /// What both the working and the warming one need.
    fn needs(&self) -> BTreeSet<Need> {
        self.active.iter().chain(&self.warming).flat_map(|resource| resource.needs.iter().cloned()).collect()
    }
}

/// How many resources of a kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Those that work.
    pub active: usize,
    /// Those that wait for what they need.
    pub warming: usize,
}

/// What to ask for, or not any more.
#[derive(Debug)]
pub(super) enum Wish {
    Want(Need, Option<ChannelId>),
    Forgo(Need, Option<ChannelId>),
}

type Key = (Kind, String);

/// Most resources of a kind.
const MOST_RESOURCES: usize = 100_000;

/// What is there, what of it works, and what is needed.
#[derive(Debug)]
pub(super) struct World<R: Reader> {
    reader: R,
    initial_fetch_timeout: Option<Duration>,
    entries: BTreeMap<Kind, BTreeMap<String, Entry<R::Value>>>,
    /// Kinds that a response has come for, or was waited for long enough.
    come: BTreeSet<Kind>,
    /// How many resources need one.
    needed: BTreeMap<Need, usize>,
    /// Where they come from, if not from the channel of their kind, as long as they are needed.
    ways: BTreeMap<Need, ChannelId>,
    /// What is needed in any case.
    required: BTreeSet<Need>,

    /// Who waits for what.
    waiting: BTreeMap<Need, BTreeSet<Key>>,
    /// Until when warming resources wait.
    deadlines: BTreeSet<(Instant, Key)>,
    /// How many resources of a kind there are.
    numbers: BTreeMap<Kind, Numbers>,
    wishes: VecDeque<Wish>,
    changes: BTreeSet<Key>,
    /// What began to wait.
    touched: BTreeSet<Key>,
    /// Whether something is perhaps kept that nobody needs.
    has_unneeded: bool,
}

impl<R: Reader> World<R> {
    pub(super) fn new(reader: R, initial_fetch_timeout: Option<Duration>) -> Self {
        Self {
            reader,
            initial_fetch_timeout,
            entries: BTreeMap::new(),
            come: BTreeSet::new(),
            needed: BTreeMap::new(),
            ways: BTreeMap::new(),
            required: BTreeSet::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            numbers: BTreeMap::new(),
            wishes: VecDeque::new(),
            changes: BTreeSet::new(),
            touched: BTreeSet::new(),
            has_unneeded: false,
        }
    }

    #[cfg(test)]
    pub(super) fn reader(&self) -> &R {
        &self.reader
    }

    /// What is needed in any case.
    pub(super) fn require(&mut self, needs: &BTreeSet<Need>, ways: &BTreeMap<Need, Way>) {
        self.learn(ways);
        let before = std::mem::replace(&mut self.required, needs.clone());
        self.count(&before, needs);
    }

    pub(super) fn take_channels(&mut self) -> Vec<Channel> {
        self.reader.take_channels()
    }

    /// Takes in where resources come from.
    fn learn(&mut self, ways: &BTreeMap<Need, Way>) {
        for (need, way) in ways {
            self.ways.extend(way.channel.map(|channel| (need.clone(), channel)));
        }
    }

    /// Whether something that is needed already comes from elsewhere.
    fn contradicting(&self, needs: &BTreeSet<Need>, ways: &BTreeMap<Need, Way>) -> Option<Need> {
        let known = needs.iter().filter(|need| self.needed.contains_key(need));
        let channel = |need: &Need| ways.get(need).and_then(|way| way.channel);
        known.into_iter().find(|need| self.ways.get(need).copied() != channel(need)).cloned()
    }

    pub(super) fn numbers(&self, kind: Kind) -> Numbers {
        self.numbers.get(&kind).copied().unwrap_or_default()
    }

    pub(super) fn entries(&self, kind: Kind) -> impl Iterator<Item = (&str, &Entry<R::Value>)> {
        self.entries.get(&kind).into_iter().flatten().map(|(name, entry)| (&**name, entry))
    }

    pub(super) fn entry(&self, kind: Kind, name: &str) -> Option<&Entry<R::Value>> {
        self.entries.get(&kind)?.get(name)
    }

    pub(super) fn has_come(&self, kind: Kind) -> bool {
        self.come.contains(&kind)
    }

    /// The first response for a kind was waited for long enough.
    pub(super) fn give_up(&mut self, kind: Kind) {
        self.come.insert(kind);
    }

    pub(super) fn is_warming(&self, kind: Kind) -> bool {
        self.numbers(kind).warming > 0
    }

    pub(super) fn take_changes(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn next_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Takes what has come, each resource by itself, and answers what is refused.
    pub(super) fn take(&mut self, now: Instant, update: &Update) -> Vec<Refusal> {
        let kind = update.kind;
        let mut refusals = Vec::new();
        for incoming in &update.resources {
            if let Err(reason) = self.take_one(now, kind, incoming) {
                refusals.push(Refusal { name: incoming.name.clone(), reason });
            }
        }
        if kind.is_wildcard() {
            for name in self.gone(update) {
                self.remove(kind, &name);
            }
        }
        // Envoy keeps endpoints, routes and secrets that a server takes back, as long as somebody needs them.
        self.come.insert(kind);
        refusals
    }

    fn gone(&self, update: &Update) -> Vec<String> {
        if !update.is_complete {
            return update.removed.clone();
        }
        let there: BTreeSet<&str> = update.resources.iter().map(|resource| &*resource.name).collect();
        let entries = self.entries(update.kind);
        entries.map(|(name, _)| name.to_owned()).filter(|name| !there.contains(&**name)).collect()
    }

    fn take_one(&mut self, now: Instant, kind: Kind, incoming: &Incoming) -> Result<(), String> {
        let Incoming { name, version, body } = incoming;
        let is_known = self.entry(kind, name).is_some();
        if !is_known && self.entries.get(&kind).is_some_and(|entries| entries.len() >= MOST_RESOURCES) {
            return Err(format!("there are {MOST_RESOURCES} resources of this type already"));
        }
        let entry = self.entries.entry(kind).or_default().entry(name.clone()).or_default();
        if entry.latest().is_some_and(|latest| latest.body == *body) {
            entry.refused = None;
            return Ok(());
        }
        if let Some(refused) = &mut entry.refused
            && refused.body == *body
        {
            refused.version.clone_from(version);
            return Err(refused.reason.clone());
        }
        match self.reader.read(kind, name, body) {
            Ok(Read { value, needs, ways }) => {
                if let Some(need) = self.contradicting(&needs, &ways) {
                    let Need { kind: other, name: needed } = need;
                    let reason = format!("{other} {needed} is asked of another server for another resource");
                    return self.refuse((kind, name), version, body, reason);
                }
                self.learn(&ways);
                let resource =
                    Arc::new(Resource { version: version.clone(), value, needs, body: body.clone() });
                self.install(now, &(kind, name.clone()), resource, &ways);
                Ok(())
            }
            Err(reason) => self.refuse((kind, name), version, body, reason),
        }
    }

    fn refuse(
        &mut self,
        (kind, name): (Kind, &str),
        version: &str,
        body: &Bytes,
        reason: String,
    ) -> Result<(), String> {
        let entry = self.entries.entry(kind).or_default().entry(name.to_owned()).or_default();
        let refused = Refused { version: version.to_owned(), reason: reason.clone(), body: body.clone() };
        entry.refused = Some(refused);
        Err(reason)
    }

    /// Puts an accepted resource in its place: it works at once if it has what it needs.
    fn install(
        &mut self,
        now: Instant,
        key: &Key,
        resource: Arc<Resource<R::Value>>,
        ways: &BTreeMap<Need, Way>,
    ) {
        let before = self.entry(key.0, &key.1).map(Entry::needs).unwrap_or_default();
        self.stop_warming(key);
        let missing: BTreeSet<Need> =
            resource.needs.iter().filter(|need| !self.works(need)).cloned().collect();
        let until = self.patience(&missing, ways).map(|timeout| now + timeout);
        let entry = self.entries.entry(key.0).or_default().entry(key.1.clone()).or_default();
        entry.refused = None;
        let numbers = self.numbers.entry(key.0).or_default();
        if missing.is_empty() {
            numbers.active += usize::from(entry.active.replace(resource).is_none());
        } else {
            numbers.warming += 1;
            entry.warming = Some(resource);
            entry.waits_for.clone_from(&missing);
            entry.until = until;
            self.touched.insert(key.clone());
        }
        let after = entry.needs();
        if missing.is_empty() {
            self.changes.insert(key.clone());
            self.deliver(key);
        } else {
            for need in missing {
                self.waiting.entry(need).or_default().insert(key.clone());
            }
            self.deadlines.extend(until.map(|until| (until, key.clone())));
        }
        self.count(&before, &after);
    }

    /// How long all of these are waited for.
    fn patience(&self, missing: &BTreeSet<Need>, ways: &BTreeMap<Need, Way>) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for need in missing {
            let own = ways.get(need).map_or(self.initial_fetch_timeout, |way| way.initial_fetch_timeout);
            longest = longest.max(own?);
        }
        Some(longest)
    }

    /// Whether a resource works that another one needs.
    fn works(&self, need: &Need) -> bool {
        self.entry(need.kind, &need.name).is_some_and(|entry| entry.active.is_some())
    }

    /// A resource works: those that waited for it need not wait for it any more.
    fn deliver(&mut self, key: &Key) {
        let need = Need { kind: key.0, name: key.1.clone() };
        for waiter in self.waiting.remove(&need).unwrap_or_default() {
            let entry = self.entries.get_mut(&waiter.0).and_then(|entries| entries.get_mut(&waiter.1));
            let is_complete = entry.is_some_and(|entry| {
                entry.waits_for.remove(&need);
                entry.waits_for.is_empty()
            });
            if is_complete {
                self.promote(&waiter);
            }
        }
    }

    /// A warming resource has waited long enough, and works from now on.
    fn promote(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(&key.0).and_then(|entries| entries.get_mut(&key.1)) else {
            return;
        };
        let Some(resource) = entry.warming.clone() else { return };
        let before = entry.needs();
        let is_first = entry.active.replace(resource).is_none();
        self.numbers.entry(key.0).or_default().active += usize::from(is_first);
        self.stop_warming(key);
        let after = self.entry(key.0, &key.1).map(Entry::needs).unwrap_or_default();
        self.count(&before, &after);
        self.changes.insert(key.clone());
        self.deliver(key);
    }

    /// Nobody waits for that resource's needs on its behalf any more.
    fn stop_warming(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(&key.0).and_then(|entries| entries.get_mut(&key.1)) else {
            return;
        };
        if entry.warming.take().is_none() {
            return;
        }
        for need in std::mem::take(&mut entry.waits_for) {
            if let Some(waiters) = self.waiting.get_mut(&need) {
                waiters.remove(key);
                if waiters.is_empty() {
                    self.waiting.remove(&need);
                }
            }
        }
        if let Some(until) = entry.until.take() {
            self.deadlines.remove(&(until, key.clone()));
        }
        self.numbers.entry(key.0).or_default().warming -= 1;
    }

    /// A cluster or a listener is gone.
    fn remove(&mut self, kind: Kind, name: &str) {
        let key = (kind, name.to_owned());
        let Some(before) = self.entry(kind, name).map(Entry::needs) else { return };
        self.stop_warming(&key);
        let entry = self.entries.get_mut(&kind).and_then(|entries| entries.remove(name));
        if entry.is_some_and(|entry| entry.active.is_some()) {
            self.numbers.entry(kind).or_default().active -= 1;
            self.changes.insert(key);
        }
        self.count(&before, &BTreeSet::new());
    }

    /// Counts who needs what; what is needed for the first time is asked for.
    fn count(&mut self, before: &BTreeSet<Need>, after: &BTreeSet<Need>) {
        for need in after.difference(before) {
            let count = self.needed.entry(need.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.wishes.push_back(Wish::Want(need.clone(), self.ways.get(need).copied()));
            }
        }
        for need in before.difference(after) {
            let Some(count) = self.needed.get_mut(need) else { continue };
            *count -= 1;
            if *count == 0 {
                self.needed.remove(need);
                self.wishes.push_back(Wish::Forgo(need.clone(), self.ways.remove(need)));
                self.has_unneeded = true;
            }
        }
    }

    /// What waits for too long works without what it waits for.
    pub(super) fn handle_time(&mut self, now: Instant) {
        while let Some((until, key)) = self.deadlines.first().cloned() {
            if until > now {
                break;
            }
            self.promote(&key);
        }
    }

    /// Forgets what was refused of a kind.
    pub(super) fn forget_refused(&mut self, kind: Kind) {
        let Some(entries) = self.entries.get_mut(&kind) else { return };
        entries.retain(|_, entry| {
            entry.refused = None;
            entry.latest().is_some()
        });
    }

    /// Drops what was asked for by name and is not needed any more.
    pub(super) fn forget_unneeded(&mut self) {
        if !std::mem::take(&mut self.has_unneeded) {
            return;
        }
        let Self { entries, needed, changes, numbers, .. } = self;
        for (kind, entries) in entries.iter_mut().filter(|(kind, _)| !kind.is_wildcard()) {
            let numbers = numbers.entry(*kind).or_default();
            entries.retain(|name, entry| {
                let is_needed = needed.contains_key(&Need { kind: *kind, name: name.clone() });
                if !is_needed {
                    numbers.warming -= usize::from(entry.warming.is_some());
                }
                if !is_needed && entry.active.is_some() {
                    numbers.active -= 1;
                    changes.insert((*kind, name.clone()));
                }
                is_needed
            });
        }
    }
}
