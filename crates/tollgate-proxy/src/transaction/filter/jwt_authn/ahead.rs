//! Keys that are fetched before a request needs them: by a task of the first worker, for all of them.

use std::{
    future::poll_fn,
    rc::{Rc, Weak},
    sync::{self, Arc},
    time::{Duration, Instant},
};

use tokio::time::timeout_at;
use tollgate_model::filter::{FilterOverride, FilterSettings, JwtProvider};

use super::fetch::{Fetch, remote};
use crate::{
    configuration::ChainConfiguration,
    incident::Incident,
    stats::{ConnectionStats, JwtAuthnMetric as Metric},
    worker::Worker,
};

/// Begins to fetch the keys that the configuration in force wants ahead and nobody fetches yet. It ends with the
/// configuration that wants them.
pub(crate) fn fetch_keys_ahead(worker: &Rc<Worker>) {
    for chain in worker.chain_configurations() {
        visit(&chain, &mut |stat_prefix, provider| {
            let Some(remote) = remote(provider) else { return };
            let Some(ahead) = remote.async_fetch else { return };
            if remote.watch() {
                let watch = Watch {
                    worker: Rc::downgrade(worker),
                    provider: Arc::downgrade(provider),
                    stats: chain.stats.clone(),
                    stat_prefix: stat_prefix.to_owned(),
                    after_failure: ahead.failed_refetch_duration.max(SHORTEST_PAUSE),
                };
                tokio::task::spawn_local(watch.run());
            }
        });
    }
}

/// However often it fails or expires, it is not asked for more often.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Shows the providers of a chain, with the part of the names of counters that their filter has.
fn visit(chain: &ChainConfiguration, found: &mut dyn FnMut(&str, &Arc<JwtProvider>)) {
    let http = chain.http();
    let routes = http.route_config.virtual_hosts.iter().flat_map(|host| &host.routes);
    let of_routes = routes.flat_map(|route| route.filters.iter().map(|(_, does)| does));
    for filter in http.filters().map(|filter| &filter.default).chain(of_routes) {
        filter.visit(&mut |filter| {
            if let FilterOverride::Settings(FilterSettings::JwtAuthn(settings)) = filter {
                settings.providers.values().for_each(|provider| found(&settings.stat_prefix, provider));
            }
        });
    }
}

struct Watch {
    worker: Weak<Worker>,
    provider: sync::Weak<JwtProvider>,
    stats: Rc<ConnectionStats>,
    stat_prefix: String,
    after_failure: Duration,
}

impl Watch {
    async fn run(self) {
        while let Some(pause) = self.fetch().await {
            tokio::time::sleep(pause).await;
        }
    }

    /// Fetches the keys once; how long it is waited until the next time. `None`: nobody wants them any more.
    async fn fetch(&self) -> Option<Duration> {
        let provider = self.provider.upgrade()?;
        let pause = remote(&provider)?.refetch_after().max(SHORTEST_PAUSE);
        let worker = self.worker.upgrade()?;
        let own_address = worker.own_address_value.clone();
        let mut fetch = Fetch::start(provider, &worker.clusters(), own_address, Instant::now());
        drop(worker);
        let keys = loop {
            let deadline = fetch.deadline().into();
            let polled = poll_fn(|task| fetch.poll(task, Instant::now()));
            if let Ok(keys) = timeout_at(deadline, polled).await {
                break keys;
            }
            if fetch.deadline_passed(&self.worker.upgrade()?.clusters(), Instant::now()) {
                break None;
            }
        };
        let metric = if keys.is_some() { Metric::JwksFetchSuccess } else { Metric::JwksFetchFailed };
        self.stats.count_filter(&self.stat_prefix, metric, 1);
        if keys.is_some() {
            return Some(pause);
        }
        if let Some(suppressed) = self.stats.http.admit(Incident::Authorization) {
            tracing::warn!(
                reason = fetch.failure(),
                suppressed,
                "keys of a token provider could not be fetched"
            );
        }
        Some(self.after_failure)
    }
}
