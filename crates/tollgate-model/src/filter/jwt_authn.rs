//! The `jwt_authn` filter: requests need tokens that somebody has signed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::{
    jwt::{Jwks, Token},
    matching::StringMatcher,
    route::{RetryBackOff, RouteMatch},
    tls::TextSource,
};

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JwtAuthn {
    /// Who signs tokens, by name.
    pub providers: BTreeMap<String, Arc<JwtProvider>>,
    /// What requests need; the first rule that applies counts. A request without a rule needs nothing.
    pub rules: Vec<JwtRule>,
    /// Requirements that routes may name.
    pub requirement_map: BTreeMap<String, JwtRequirement>,
    /// Let CORS preflight requests pass. Default false.
    pub bypass_cors_preflight: bool,
    /// Refuse without saying why. Default false.
    pub strip_failure_response: bool,
    /// Part of the names of its counters; empty = nothing.
    pub stat_prefix: String,
    /// What a route needs; it counts instead of the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_route: Option<JwtOfRoute>,
}

/// What a route needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum JwtOfRoute {
    /// Nothing.
    Nothing,
    /// What the map has under this name. Without one of that name requests are refused.
    Named(String),
}

/// What some requests need.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JwtRule {
    /// Which requests.
    #[serde(rename = "match")]
    pub route_match: RouteMatch,
    /// What they need; `None` = nothing.
    pub requires: Option<JwtRequirement>,
}

/// What a request needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum JwtRequirement {
    /// Nothing, and no token is looked at.
    Nothing,
    /// A token of this provider.
    Provider {
        /// The name of the provider.
        provider: String,
        /// For one of these audiences, instead of those of the provider; empty = those of the provider.
        audiences: Vec<String>,
    },
    /// One of these.
    Any(Vec<Self>),
    /// All of these.
    All(Vec<Self>),
    /// No token, or good ones.
    AllowMissing,
    /// Anything; good tokens are made use of.
    AllowMissingOrFailed,
    /// What the map has under this name.
    Named(String),
}

/// Somebody who signs tokens.
#[derive(Debug, PartialEq, Serialize)]
pub struct JwtProvider {
    /// `iss` of its tokens; empty = any.
    pub issuer: String,
    /// A token is for one of these; empty = for anybody.
    pub audiences: Vec<String>,
    /// `sub` of its tokens. Default any.
    pub subjects: Option<StringMatcher>,
    /// Tokens have to expire. Default false.
    pub require_expiration: bool,
    /// How long a token may last from now on. Default unlimited.
    pub max_lifetime: Option<Duration>,
    /// How far clocks may be apart. Default 60 s.
    pub clock_skew: Duration,
    /// Its keys.
    pub keys: JwtKeys,
    /// Headers with tokens.
    #[serde(serialize_with = "headers")]
    pub from_headers: Vec<(HeaderName, String)>,
    /// Query parameters with tokens.
    pub from_params: Vec<String>,
    /// Cookies with tokens.
    pub from_cookies: Vec<String>,
    /// Leave the token in the request. Default false.
    pub forward: bool,
    /// A header that gets the payload, in base64url.
    #[serde(serialize_with = "name")]
    pub forward_payload_header: Option<HeaderName>,
    /// Pad that. Default false.
    pub pad_forward_payload_header: bool,
    /// Claims that become headers.
    pub claim_to_headers: Vec<ClaimToHeader>,
    /// Match the routes again when claims became headers, or the payload metadata. Default false.
    pub clear_route_cache: bool,
    /// Key of the payload in dynamic metadata; empty = it does not become metadata.
    pub payload_in_metadata: String,
    /// Claims with words that become lists there.
    pub space_delimited_claims: Vec<String>,
    /// Key of the header in dynamic metadata; empty = it does not become metadata.
    pub header_in_metadata: String,
    /// Key of what is wrong with a token in dynamic metadata; empty = it does not become metadata.
    pub failed_status_in_metadata: String,
    /// Good tokens are kept, so that their signatures need not be verified again.
    pub cache: Option<TokenCache>,
}

/// A claim that becomes a header.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimToHeader {
    /// The header.
    #[serde(serialize_with = "own_name")]
    pub header: HeaderName,
    /// Where the claim is, from outside in.
    pub claim: Vec<String>,
}

/// Where keys come from.
#[derive(Debug, PartialEq, Serialize)]
pub enum JwtKeys {
    /// The configuration.
    Local(LocalJwks),
    /// A server.
    Remote(RemoteJwks),
}

/// Keys of the configuration.
#[derive(Serialize)]
pub struct LocalJwks {
    /// Where they were found.
    #[serde(skip)]
    pub source: TextSource,
    /// The text.
    #[serde(skip)]
    pub text: String,
    /// The keys.
    #[serde(skip)]
    pub keys: Arc<Jwks>,
}

impl std::fmt::Debug for LocalJwks {
    /// Without the text: it may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalJwks").field("source", &self.source).field("keys", &self.keys).finish()
    }
}

impl PartialEq for LocalJwks {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.text) == (&other.source, &other.text)
    }
}

/// Keys of a server.
#[derive(Debug, Serialize)]
pub struct RemoteJwks {
    /// Its cluster, by name. Of one that does not exist there are no keys.
    pub cluster: String,
    /// Where they are: authority and path count.
    pub uri: String,
    /// How long an answer may take, with all tries.
    pub timeout: Duration,
    /// How long keys may be used. Default 10 minutes.
    pub cache_duration: Duration,
    /// Fetch keys before a request needs them.
    pub async_fetch: Option<AsyncFetch>,
    /// Further tries.
    pub retry: Option<FetchRetry>,
    #[serde(skip)]
    state: RemoteState,
}

/// How keys are fetched ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AsyncFetch {
    /// Do not wait for the first answer. Nobody waits for it here, whatever this says.
    pub fast_listener: bool,
    /// How long after a failure it is tried again. Default 1 s.
    pub failed_refetch_duration: Duration,
}

/// Further tries to fetch keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FetchRetry {
    /// Tries after the first.
    pub num_retries: u32,
    /// Time between tries.
    pub back_off: RetryBackOff,
}

/// What is known of the keys of a server.
#[derive(Debug, Default)]
struct RemoteState {
    /// Keys, and until when they may be used.
    known: Mutex<Option<(Arc<Jwks>, Instant)>>,
    /// Somebody fetches ahead.
    is_watched: AtomicBool,
}

impl PartialEq for RemoteJwks {
    /// What was fetched is no setting.
    fn eq(&self, other: &Self) -> bool {
        let settings = |keys: &Self| (keys.timeout, keys.cache_duration, keys.async_fetch, keys.retry);
        (&self.cluster, &self.uri, settings(self)) == (&other.cluster, &other.uri, settings(other))
    }
}

impl RemoteJwks {
    /// Keys that nobody has fetched yet.
    #[must_use]
    pub fn new(
        cluster: String,
        uri: String,
        timeout: Duration,
        cache_duration: Duration,
        async_fetch: Option<AsyncFetch>,
        retry: Option<FetchRetry>,
    ) -> Self {
        Self { cluster, uri, timeout, cache_duration, async_fetch, retry, state: RemoteState::default() }
    }

    /// The keys, if there are some that may still be used.
    #[must_use]
    pub fn known(&self, now: Instant) -> Option<Arc<Jwks>> {
        let known = self.state.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(_, until)| now < *until).map(|(keys, _)| Arc::clone(keys))
    }

    /// Takes over keys that were fetched.
    pub fn set(&self, keys: Arc<Jwks>, now: Instant) {
        // Beyond that nobody sees them expire.
        let until = now + self.cache_duration.min(Duration::from_secs(100 * 365 * 24 * 3600));
        *self.state.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((keys, until));
    }

    /// Whether the caller is the first one that wants to fetch ahead.
    #[must_use]
    pub fn watch(&self) -> bool {
        !self.state.is_watched.swap(true, Ordering::Relaxed)
    }

    /// How long after a success keys are fetched again.
    #[must_use]
    pub fn refetch_after(&self) -> Duration {
        // So requests do not find them expired.
        const AHEAD: Duration = Duration::from_secs(5);
        if self.cache_duration > AHEAD { self.cache_duration - AHEAD } else { self.cache_duration }
    }
}

/// Good tokens, by their text.
#[derive(Debug, Serialize)]
pub struct TokenCache {
    /// Most tokens.
    pub size: usize,
    /// Longest text of a token that is kept.
    pub max_token_size: usize,
    #[serde(skip)]
    known: Mutex<KnownTokens>,
}

/// Tokens, and when each was last wanted.
#[derive(Debug, Default)]
struct KnownTokens {
    tokens: HashMap<Box<[u8]>, (Arc<Token>, u64)>,
    clock: u64,
}

impl PartialEq for TokenCache {
    fn eq(&self, other: &Self) -> bool {
        (self.size, self.max_token_size) == (other.size, other.max_token_size)
    }
}

impl TokenCache {
    /// An empty one.
    #[must_use]
    pub fn new(size: usize, max_token_size: usize) -> Self {
        Self { size, max_token_size, known: Mutex::default() }
    }

    /// The token of a text that was verified before.
    #[must_use]
    pub fn get(&self, text: &[u8]) -> Option<Arc<Token>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clock += 1;
        let clock = known.clock;
        let (token, used) = known.tokens.get_mut(text)?;
        *used = clock;
        Some(Arc::clone(token))
    }

    /// Keeps a token that was verified. The one that nobody wanted for longest makes room for it.
    pub fn insert(&self, text: &[u8], token: Arc<Token>) {
        if text.len() > self.max_token_size || self.size == 0 {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.tokens.len() >= self.size
            && let Some(oldest) = known.tokens.iter().min_by_key(|(_, (_, used))| *used)
        {
            let oldest = oldest.0.clone();
            known.tokens.remove(&oldest);
        }
        known.clock += 1;
        let clock = known.clock;
        known.tokens.insert(text.into(), (token, clock));
    }
}

impl JwtAuthn {
    /// The settings on a route that says this.
    #[must_use]
    pub fn with(&self, route: &JwtOfRoute) -> Self {
        Self { by_route: Some(route.clone()), ..self.clone() }
    }
}

fn own_name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

#[expect(clippy::ref_option, reason = "serde asks for it")]
fn name<S: Serializer>(name: &Option<HeaderName>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_ref().map(HeaderName::as_str).serialize(serializer)
}

fn headers<S: Serializer>(headers: &[(HeaderName, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|(name, prefix)| (name.as_str(), prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Arc<Token> {
        Arc::new(Token::parse(b"eyJhbGciOiJFUzI1NiJ9.e30.AA").unwrap())
    }

    #[test]
    fn keys_of_a_server_may_be_used_for_a_time() {
        let remote = RemoteJwks::new(
            "c".into(),
            "http://a/".into(),
            Duration::ZERO,
            Duration::from_secs(10),
            None,
            None,
        );
        let now = Instant::now();
        assert!(remote.known(now).is_none());
        let keys = Jwks::parse(br#"{"keys": [{"kty": "oct", "k": "YQ"}]}"#).unwrap();
        remote.set(Arc::new(keys), now);
        assert!(remote.known(now + Duration::from_secs(9)).is_some());
        assert!(remote.known(now + Duration::from_secs(10)).is_none());
        assert!(remote.watch() && !remote.watch());
        assert_eq!(remote.refetch_after(), Duration::from_secs(5));
    }

    #[test]
    fn the_cache_keeps_what_was_wanted_last() {
        let cache = TokenCache::new(2, 3);
        cache.insert(b"a", token());
        cache.insert(b"b", token());
        assert!(cache.get(b"a").is_some());
        cache.insert(b"c", token());
        assert!(cache.get(b"a").is_some() && cache.get(b"b").is_none() && cache.get(b"c").is_some());
        cache.insert(b"long", token());
        assert!(cache.get(b"long").is_none());
    }
}
