//! Resolution of host names, away from the workers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use tokio::{runtime::Handle, sync::watch};
use tollgate_model::cluster::{Dns, DnsLookupFamily};

use crate::incident::Limit;
use crate::upstream::cluster::address::Address;

/// Most names whose last lookup is remembered.
const MOST_REMEMBERED: usize = 10_000;

/// The addresses of one name as last resolved. Every worker has its own handle.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Addresses {
    /// `None` until the first lookup ended.
    current: watch::Receiver<Option<Arc<[Address]>>>,
}

impl Addresses {
    /// Whether they changed since they were last read by this handle.
    pub(in crate::upstream) fn has_changed(&self) -> bool {
        self.current.has_changed().unwrap_or(false)
    }

    /// Waits for a change; false when there will be none.
    pub(in crate::upstream) async fn changed(&mut self) -> bool {
        self.current.changed().await.is_ok()
    }

    /// The addresses, best first; `None` if the first lookup is still under way.
    pub(in crate::upstream) fn read(&mut self) -> Option<Arc<[Address]>> {
        self.current.borrow_and_update().clone()
    }

    /// The address that is tried first.
    pub(in crate::upstream) fn first(&self) -> Option<Address> {
        self.current.borrow().as_ref()?.first().cloned()
    }

    /// Waits for the end of the first lookup.
    pub(in crate::upstream) async fn first_answer(&mut self) -> Arc<[Address]> {
        match self.current.wait_for(Option::is_some).await {
            Ok(addresses) => addresses.clone().unwrap_or_default(),
            // The resolver is gone together with its configuration.
            Err(_) => Arc::default(),
        }
    }

    /// No addresses, for ever.
    pub(in crate::upstream) fn none() -> Self {
        Self { current: watch::channel(Some(Arc::default())).1 }
    }

    /// Addresses that a test sets.
    #[cfg(test)]
    pub(in crate::upstream) fn set_by(sender: &watch::Sender<Option<Arc<[Address]>>>) -> Self {
        Self { current: sender.subscribe() }
    }
}

/// Resolves names with the system's configuration (`/etc/resolv.conf`, `/etc/hosts`).
#[derive(Debug, Default)]
pub(in crate::upstream) struct Resolver {
    cached: Mutex<Cached>,
    /// What became of the names that are looked up.
    lookups: Mutex<BTreeMap<String, NameLookup>>,
    /// Name servers to use instead of the system's.
    #[cfg(test)]
    name_servers: Option<ResolverConfig>,
}

/// The last lookup of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameLookup {
    /// The name.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Why there are none, or none that are newer.
    pub error: Option<String>,
    /// When it ended.
    pub at: SystemTime,
}

/// The names of the clusters in force, and what they resolve to.
#[derive(Debug, Clone)]
pub struct NameLookups(Arc<Resolver>);

impl NameLookups {
    pub(in crate::upstream) fn of(resolver: &Arc<Resolver>) -> Self {
        Self(resolver.clone())
    }

    /// The last lookup of a name; `None` if the first one is under way, or it is nobody's name.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Option<NameLookup> {
        self.0.lookups().get(host).cloned()
    }
}

/// What becomes of the addresses of a name that has none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum WhenGone {
    /// They are dropped.
    Forget,
    /// They are kept.
    Keep,
}

#[derive(Debug, Default)]
struct Cached {
    resolvers: Vec<(LookupIpStrategy, TokioResolver)>,
    system: SystemFiles,
}

/// When the files that resolution depends on were last changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct SystemFiles {
    hosts: Option<SystemTime>,
    resolv_conf: Option<SystemTime>,
}

impl SystemFiles {
    fn read() -> Self {
        let modified = |path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        Self { hosts: modified("/etc/hosts"), resolv_conf: modified("/etc/resolv.conf") }
    }
}

/// What a lookup gave.
enum Answer {
    /// These addresses, for so long.
    Addresses(Vec<IpAddr>, Duration),
    /// The name has none, as the name server says.
    None(String),
    /// The lookup failed: nothing is known.
    Failed(String),
}

impl Resolver {
    /// Looks a name up now and again, on the given runtime, until no handle is left.
    pub(in crate::upstream) fn watch(
        self: &Arc<Self>,
        host: &str,
        port: u16,
        dns: &Dns,
        when_gone: WhenGone,
        control: &Handle,
    ) -> Addresses {
        if let Ok(address) = host.parse::<IpAddr>() {
            let (_, current) = watch::channel(Some([Address::Socket((address, port).into())].into()));
            return Addresses { current };
        }
        let (sender, current) = watch::channel(None);
        control.spawn(self.clone().refresh(host.to_owned(), port, dns.clone(), when_gone, sender));
        Addresses { current }
    }

    async fn refresh(
        self: Arc<Self>,
        host: String,
        port: u16,
        dns: Dns,
        when_gone: WhenGone,
        sender: watch::Sender<Option<Arc<[Address]>>>,
    ) {
        let limit = Limit::default();
        let mut failures = Failures::default();
        loop {
            let answer = tokio::select! {
                answer = self.look_up(&host, dns.lookup_family) => answer,
                () = sender.closed() => return,
            };
            self.remember(&host, &answer);
            let mut pause = dns.refresh_rate + dns.jitter.mul_f64(fastrand::f64());
            if !matches!(answer, Answer::Failed(_)) {
                failures.end(&host);
            }
            let addresses = match answer {
                Answer::Addresses(addresses, ttl) => {
                    if dns.respect_dns_ttl && !ttl.is_zero() {
                        pause = ttl;
                    }
                    Some(addresses)
                }
                Answer::None(error) => {
                    if let Some(suppressed) = limit.admit_now() {
                        tracing::warn!(host, error, suppressed, "the name of an upstream has no address");
                    }
                    match when_gone {
                        WhenGone::Forget => Some(Vec::new()),
                        WhenGone::Keep => sender.borrow().is_none().then(Vec::new),
                    }
                }
                // What was known before is still the best guess.
                Answer::Failed(error) => {
                    if let Some(suppressed) = limit.admit_now() {
                        tracing::warn!(host, error, suppressed, "name resolution failed");
                    }
                    let is_known = sender.borrow().as_ref().is_some_and(|known| !known.is_empty());
                    pause = failures.next(&dns, is_known);
                    sender.borrow().is_none().then(Vec::new)
                }
            };
            if let Some(addresses) = addresses {
                publish(&sender, addresses, port);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = sender.closed() => return,
            }
        }
    }

    fn lookups(&self) -> MutexGuard<'_, BTreeMap<String, NameLookup>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the outcome for those who ask. Names that are not looked up any more are forgotten when there are many.
    fn remember(&self, host: &str, answer: &Answer) {
        let mut lookups = self.lookups();
        let before = lookups.remove(host);
        let (addresses, error) = match answer {
            Answer::Addresses(addresses, _) => (addresses.clone(), None),
            Answer::None(error) => (Vec::new(), Some(error.clone())),
            Answer::Failed(error) => {
                (before.map(|before| before.addresses).unwrap_or_default(), Some(error.clone()))
            }
        };
        let at = SystemTime::now();
        if lookups.len() >= MOST_REMEMBERED
            && let Some(oldest) =
                lookups.values().min_by_key(|lookup| lookup.at).map(|lookup| lookup.host.clone())
        {
            lookups.remove(&oldest);
        }
        lookups.insert(host.to_owned(), NameLookup { host: host.to_owned(), addresses, error, at });
    }

    async fn look_up(&self, host: &str, family: DnsLookupFamily) -> Answer {
        let resolver = match self.resolver(strategy(family)) {
            Ok(resolver) => resolver,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        match resolver.lookup_ip(host).await {
            Ok(lookup) => {
                let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
                let mut addresses: Vec<_> = lookup.iter().collect();
                addresses.sort_by_key(IpAddr::is_ipv4);
                Answer::Addresses(addresses, ttl)
            }
            Err(error) if error.is_no_records_found() => Answer::None(error.to_string()),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    /// The resolver for a strategy, made anew when the system's files changed.
    fn resolver(&self, strategy: LookupIpStrategy) -> Result<TokioResolver, hickory_resolver::net::NetError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let system = SystemFiles::read();
        if cached.system != system {
            *cached = Cached { resolvers: Vec::new(), system };
        }
        if let Some((_, resolver)) = cached.resolvers.iter().find(|(known, _)| *known == strategy) {
            return Ok(resolver.clone());
        }
        let mut builder = self.builder();
        let options = builder.options_mut();
        options.ip_strategy = strategy;
        // Each refresh asks again, as the refresh rate says.
        options.cache_size = 0;
        let resolver = builder.build()?;
        cached.resolvers.push((strategy, resolver.clone()));
        Ok(resolver)
    }
}

impl Resolver {
    fn builder(&self) -> ResolverBuilder<TokioRuntimeProvider> {
        #[cfg(test)]
        if let Some(config) = &self.name_servers {
            return TokioResolver::builder_with_config(config.clone(), TokioRuntimeProvider::default());
        }
        // Without a usable /etc/resolv.conf there is still /etc/hosts.
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "the system's resolver configuration cannot be read");
            TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
        })
    }

    /// A resolver that asks one server.
    #[cfg(test)]
    pub(in crate::upstream) fn asking(server: SocketAddr) -> Arc<Self> {
        use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let name_servers = Some(ResolverConfig::from_name_servers(vec![server]));
        Arc::new(Self { name_servers, ..Self::default() })
    }
}

/// Lookups of one name that fail one after the other.
#[derive(Debug, Default)]
struct Failures(u32);

/// Longest time between lookups that fail, while addresses are known and while none is.
const LONGEST_PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

impl Failures {
    /// Another one. Gives the time to the next lookup.
    fn next(&mut self, dns: &Dns, is_known: bool) -> Duration {
        self.0 = self.0.saturating_add(1);
        let (base, longest) = match dns.failure_refresh {
            Some(configured) => (configured.base_interval, configured.max_interval),
            None => {
                let longest = if is_known { LONGEST_PAUSE.0 } else { LONGEST_PAUSE.1 };
                (dns.refresh_rate, longest.max(dns.refresh_rate))
            }
        };
        let longest = base.saturating_mul(1 << (self.0 - 1).min(16)).min(longest);
        // Many gateways ask the same server: they must not do it in step.
        longest.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// The name can be resolved, or there is none of this name.
    fn end(&mut self, host: &str) {
        if std::mem::take(&mut self.0) > 0 {
            tracing::info!(host, "name resolution works again");
        }
    }
}

fn publish(sender: &watch::Sender<Option<Arc<[Address]>>>, addresses: Vec<IpAddr>, port: u16) {
    let addresses: Arc<[Address]> =
        addresses.into_iter().map(|ip| Address::Socket(SocketAddr::new(ip, port))).collect();
    sender.send_if_modified(|current| {
        let same = current.as_ref() == Some(&addresses);
        if !same {
            *current = Some(addresses);
        }
        !same
    });
}

fn strategy(family: DnsLookupFamily) -> LookupIpStrategy {
    match family {
        DnsLookupFamily::Auto => LookupIpStrategy::Ipv6thenIpv4,
        DnsLookupFamily::V4Only => LookupIpStrategy::Ipv4Only,
        DnsLookupFamily::V6Only => LookupIpStrategy::Ipv6Only,
        DnsLookupFamily::V4Preferred => LookupIpStrategy::Ipv4thenIpv6,
        DnsLookupFamily::All => LookupIpStrategy::Ipv4AndIpv6,
    }
}

#[cfg(test)]
mod failures {
    use tollgate_model::cluster::DnsFailureRefresh;

    use super::*;

    #[test]
    fn lookups_that_fail_become_rarer() {
        let mut dns = Dns {
            refresh_rate: Duration::from_secs(5),
            respect_dns_ttl: false,
            lookup_family: DnsLookupFamily::Auto,
            failure_refresh: None,
            jitter: Duration::ZERO,
        };
        let within = |failures: &mut Failures, dns: &Dns, known, most: u64| {
            let pause = failures.next(dns, known);
            assert!((most * 500..=most * 1000).contains(&(pause.as_millis() as u64)), "{pause:?} {most}");
        };
        let mut failures = Failures::default();
        for most in [5, 10, 20, 30, 30] {
            within(&mut failures, &dns, true, most);
        }
        within(&mut failures, &dns, false, 10);
        failures.end("host");
        within(&mut failures, &dns, false, 5);
        dns.failure_refresh = Some(DnsFailureRefresh {
            base_interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(3),
        });
        let mut failures = Failures::default();
        for most in [1, 2, 3, 3] {
            within(&mut failures, &dns, true, most);
        }
    }
}
