//! Whether a request has what it needs.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use extproc::{
    RequestHeaders,
    messages::{ListValue, Struct, Value, value::Kind},
    remove_fields,
};
use http::HeaderValue;
use tollgate_model::{
    filter::{JwtAuthn as Settings, JwtKeys, JwtProvider, JwtRequirement},
    jwt::{Fault, Jwks, Token},
};

use super::{
    tokens::{Found, find},
    unix_time,
};
use crate::base64;

/// Judges one request. What it changes is its own until that is over.
pub(super) struct Judge<'s> {
    settings: &'s Settings,
    /// Keys that were fetched, by provider.
    fetched: &'s BTreeMap<String, Option<Arc<Jwks>>>,
    now: Instant,
    unix_time: u64,
    /// The request as it goes on.
    pub(super) request: RequestHeaders,
    /// What becomes dynamic metadata.
    pub(super) metadata: Struct,
    pub(super) clears_route_cache: bool,
    pub(super) cache_hits: u64,
    pub(super) cache_misses: u64,
}

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// This is wrong.
    Fault(Fault),
    /// It is not known before there are keys of this provider.
    Wanted(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a requirement wants of tokens.
#[derive(Clone, Copy)]
struct Wish<'s> {
    /// The provider and, where the requirement has its own, audiences.
    provider: Option<(&'s str, &'s JwtProvider, &'s [String])>,
    allow_missing: bool,
    allow_failed: bool,
}

impl<'s> Judge<'s> {
    pub(super) fn new(
        settings: &'s Settings,
        fetched: &'s BTreeMap<String, Option<Arc<Jwks>>>,
        request: RequestHeaders,
        now: Instant,
    ) -> Self {
        Self {
            settings,
            fetched,
            now,
            unix_time: unix_time(),
            request,
            metadata: Struct::default(),
            clears_route_cache: false,
            cache_hits: 0,
            cache_misses: 0,
        }
    }

    /// Whether the request has what this asks for.
    pub(super) fn requirement(&mut self, requirement: &'s JwtRequirement) -> Result<(), Stop> {
        match requirement {
            JwtRequirement::Nothing => Ok(()),
            JwtRequirement::Provider { provider, audiences } => {
                // Reading has seen that it is there.
                let known = self.settings.providers.get(provider).ok_or(Fault::UnknownIssuer)?;
                let provider = Some((&**provider, &**known, &**audiences));
                self.tokens(Wish { provider, allow_missing: false, allow_failed: false })
            }
            JwtRequirement::All(list) => list.iter().try_for_each(|one| self.requirement(one)),
            JwtRequirement::Any(list) => self.any(list),
            JwtRequirement::AllowMissing => {
                self.tokens(Wish { provider: None, allow_missing: true, allow_failed: false })
            }
            JwtRequirement::AllowMissingOrFailed => {
                self.tokens(Wish { provider: None, allow_missing: true, allow_failed: true })
            }
            JwtRequirement::Named(name) => match self.settings.requirement_map.get(name) {
                Some(requirement) => self.requirement(requirement),
                None => Err(Fault::UnknownIssuer.into()),
            },
        }
    }

    fn any(&mut self, list: &'s [JwtRequirement]) -> Result<(), Stop> {
        let (mut fault, mut wanted) = (Fault::Missing, None);
        let (mut allow_missing, mut allow_failed) = (false, false);
        for one in list {
            match one {
                JwtRequirement::AllowMissing => allow_missing = true,
                JwtRequirement::AllowMissingOrFailed => allow_failed = true,
                one => match self.requirement(one) {
                    Ok(()) => return Ok(()),
                    Err(Stop::Wanted(provider)) => wanted = wanted.or(Some(provider)),
                    // What is wrong with a token says more than that it was for somebody else.
                    Err(Stop::Fault(Fault::Missing)) => {}
                    Err(Stop::Fault(Fault::UnknownIssuer)) if fault != Fault::Missing => {}
                    Err(Stop::Fault(found)) => fault = found,
                },
            }
        }
        match wanted {
            Some(provider) => Err(Stop::Wanted(provider)),
            None if allow_failed || allow_missing && fault == Fault::Missing => Ok(()),
            None => Err(fault.into()),
        }
    }

    fn tokens(&mut self, wish: Wish<'s>) -> Result<(), Stop> {
        let settings = self.settings;
        let one = wish.provider.map(|(_, provider, _)| provider);
        let all = settings.providers.values().map(|provider| &**provider).filter(|_| one.is_none());
        let wanted = one.into_iter().chain(all);
        for provider in wanted.clone() {
            let claims = provider.claim_to_headers.iter().map(|claim| &claim.header);
            for header in provider.forward_payload_header.iter().chain(claims) {
                remove_fields(&mut self.request.fields, std::slice::from_ref(header));
            }
        }
        let mut found = find(wanted, &self.request);
        let Some(last) = found.pop() else {
            self.note_fault(Fault::Missing, None);
            return if wish.allow_missing { Ok(()) } else { Err(Fault::Missing.into()) };
        };
        // Each of them has to be good, lest somebody behind us takes a bad one for the good one.
        let mut next = Some(last);
        let mut outcome = Ok(());
        while let Some(token) = next {
            outcome = match self.token(&token, wish) {
                Err(Stop::Wanted(provider)) => return Err(Stop::Wanted(provider)),
                Err(Stop::Fault(fault)) if !wish.allow_missing => return Err(fault.into()),
                outcome => outcome,
            };
            next = found.pop();
        }
        // As in Envoy the last one counts where tokens may be missing.
        if wish.allow_failed { Ok(()) } else { outcome }
    }

    /// Judges one token.
    fn token(&mut self, found: &Found<'_>, wish: Wish<'s>) -> Result<(), Stop> {
        let mut provider = wish.provider.map(|(name, provider, _)| (name, provider));
        let verified = self.verified(found, wish, &mut provider);
        match (verified, provider) {
            (Ok(token), Some((_, provider))) => {
                self.good(found, &token, provider);
                Ok(())
            }
            (Ok(_), None) => Err(Fault::UnknownIssuer.into()),
            (Err(stop), provider) => {
                if let Stop::Fault(fault) = stop {
                    self.note_fault(fault, provider.map(|(_, provider)| provider));
                }
                Err(stop)
            }
        }
    }

    /// The token, if it is good; and its provider, as soon as that is known.
    fn verified(
        &mut self,
        found: &Found<'_>,
        wish: Wish<'s>,
        provider: &mut Option<(&'s str, &'s JwtProvider)>,
    ) -> Result<Arc<Token>, Stop> {
        let cache = wish.provider.and_then(|(_, provider, _)| provider.cache.as_ref());
        let cached = cache.and_then(|cache| cache.get(&found.text));
        if wish.provider.is_some() {
            *(if cached.is_some() { &mut self.cache_hits } else { &mut self.cache_misses }) += 1;
        }
        let is_cached = cached.is_some();
        let token = match cached {
            Some(token) => token,
            None => Arc::new(Token::parse(&found.text)?),
        };
        if !found.may_be_of(&token.issuer) {
            return Err(Fault::UnknownIssuer.into());
        }
        if wish.provider.is_none() {
            let mut of = self.settings.providers.iter();
            let known = of.clone().find(|(_, provider)| provider.issuer == token.issuer);
            let known = known.or_else(|| of.find(|(_, provider)| provider.issuer.is_empty()));
            *provider = known.map(|(name, provider)| (&**name, &**provider));
        }
        let (name, provider) = provider.ok_or(Fault::UnknownIssuer)?;
        let audiences = match wish.provider {
            Some((_, _, own)) if !own.is_empty() => own,
            _ => &provider.audiences,
        };
        check_claims(&token, provider, audiences, self.unix_time)?;
        if is_cached {
            return Ok(token);
        }
        let keys = match (&provider.keys, self.fetched.get(name)) {
            (JwtKeys::Local(local), _) => Arc::clone(&local.keys),
            (JwtKeys::Remote(_), Some(Some(fetched))) => Arc::clone(fetched),
            (JwtKeys::Remote(_), Some(None)) => return Err(Fault::Fetch.into()),
            (JwtKeys::Remote(remote), None) => {
                remote.known(self.now).ok_or_else(|| Stop::Wanted(name.to_owned()))?
            }
        };
        keys.verify(&token)?;
        if let Some(cache) = cache {
            cache.insert(&found.text, Arc::clone(&token));
        }
        Ok(token)
    }

    /// Makes use of a good token.
    fn good(&mut self, found: &Found<'_>, token: &Token, provider: &JwtProvider) {
        let fields = &mut self.request.fields;
        if let Some(header) = &provider.forward_payload_header {
            let mut payload = token.encoded_payload.clone();
            while provider.pad_forward_payload_header && !payload.len().is_multiple_of(4) {
                payload.push('=');
            }
            if let Ok(value) = HeaderValue::try_from(payload) {
                _ = fields.try_append(header.clone(), value);
            }
        }
        let mut has_claims = false;
        for claim in &provider.claim_to_headers {
            let text = token.claim(&claim.claim).map(claim_text).filter(|text| !text.is_empty());
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                _ = fields.try_append(claim.header.clone(), value);
                has_claims = true;
            }
        }
        if !provider.forward {
            found.remove(&mut self.request);
        }
        if !provider.header_in_metadata.is_empty() {
            self.set(&provider.header_in_metadata, token.header.clone());
        }
        if !provider.payload_in_metadata.is_empty() {
            self.set(&provider.payload_in_metadata, normalized(token, provider));
        }
        self.clears_route_cache |=
            provider.clear_route_cache && (has_claims || !provider.payload_in_metadata.is_empty());
    }

    fn set(&mut self, key: &str, fields: Struct) {
        self.metadata.fields.insert(key.to_owned(), Value { kind: Some(Kind::StructValue(fields)) });
    }

    /// Tells what is wrong with a token of a provider, or of the only one.
    fn note_fault(&mut self, fault: Fault, provider: Option<&JwtProvider>) {
        let providers = &self.settings.providers;
        let only = (providers.len() == 1).then(|| providers.values().next()).flatten();
        let Some(provider) = provider.or_else(|| only.map(|only| &**only)) else { return };
        if provider.failed_status_in_metadata.is_empty() {
            return;
        }
        let code = Value { kind: Some(Kind::NumberValue(fault.code().into())) };
        let message = Value { kind: Some(Kind::StringValue(fault.to_string())) };
        let fields = [("code".to_owned(), code), ("message".to_owned(), message)];
        self.set(&provider.failed_status_in_metadata, Struct { fields: fields.into_iter().collect() });
    }
}

/// Whether the claims of a token are in order.
fn check_claims(token: &Token, provider: &JwtProvider, audiences: &[String], now: u64) -> Result<(), Fault> {
    let skew = provider.clock_skew.as_secs();
    if now.saturating_add(skew) < token.not_before {
        return Err(Fault::NotYetValid);
    }
    if token.expires > 0 && now > token.expires.saturating_add(skew) {
        return Err(Fault::Expired);
    }
    let wanted = |audience: &String| {
        let audience = plain_audience(audience);
        audiences.iter().any(|known| plain_audience(known) == audience)
    };
    if !audiences.is_empty() && !token.audiences.iter().any(wanted) {
        return Err(Fault::AudienceNotAllowed);
    }
    if provider.subjects.as_ref().is_some_and(|subjects| !subjects.matches(token.subject.as_bytes())) {
        return Err(Fault::Verification);
    }
    let lasts_too_long = match provider.max_lifetime {
        Some(most) => token.expires == 0 || token.expires.saturating_sub(now) >= most.as_secs(),
        None => provider.require_expiration && token.expires == 0,
    };
    if lasts_too_long { Err(Fault::Verification) } else { Ok(()) }
}

/// An audience without its scheme and the slash at its end, which do not count.
fn plain_audience(audience: &str) -> &str {
    let audience =
        audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://")).unwrap_or(audience);
    audience.strip_suffix('/').unwrap_or(audience)
}

/// A claim as a header shows it.
fn claim_text(claim: &Value) -> String {
    match &claim.kind {
        None | Some(Kind::NullValue(_)) => String::new(),
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::BoolValue(value)) => value.to_string(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a whole number in the range"
        )]
        Some(Kind::NumberValue(number)) if (0.0..1.8e19).contains(number) && number.fract() == 0.0 => {
            (*number as u64).to_string()
        }
        Some(Kind::NumberValue(number)) => format!("{number:.6}"),
        Some(Kind::StructValue(_) | Kind::ListValue(_)) => {
            base64::encode(json(claim).to_string().as_bytes(), true)
        }
    }
}

/// A value as JSON has it; whole numbers stay whole.
fn json(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::StringValue(text)) => serde_json::Value::from(&**text),
        Some(Kind::BoolValue(value)) => serde_json::Value::from(*value),
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number in the range")]
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
            serde_json::Value::from(*number as i64)
        }
        Some(Kind::NumberValue(number)) => serde_json::Value::from(*number),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => {
            fields.fields.iter().map(|(name, field)| (name.clone(), json(field))).collect()
        }
    }
}

/// The payload with lists of words where they are wanted.
fn normalized(token: &Token, provider: &JwtProvider) -> Struct {
    let mut payload = token.payload.clone();
    for name in &provider.space_delimited_claims {
        if let Some(claim) = payload.fields.get_mut(name)
            && let Some(Kind::StringValue(text)) = &claim.kind
        {
            let words = text.split(' ').filter(|word| !word.is_empty());
            let words = words.map(|word| Value { kind: Some(Kind::StringValue(word.to_owned())) });
            claim.kind = Some(Kind::ListValue(ListValue { values: words.collect() }));
        }
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_as_headers() {
        let value = |kind| Value { kind: Some(kind) };
        let list =
            ListValue { values: vec![value(Kind::NumberValue(1.0)), value(Kind::StringValue("a".into()))] };
        for (claim, text) in [
            (Kind::NullValue(0), ""),
            (Kind::StringValue("a b".into()), "a b"),
            (Kind::BoolValue(true), "true"),
            (Kind::NumberValue(12.0), "12"),
            (Kind::NumberValue(-1.0), "-1.000000"),
            (Kind::NumberValue(1.5), "1.500000"),
            (Kind::ListValue(list), "WzEsImEiXQ=="),
        ] {
            assert_eq!(claim_text(&value(claim.clone())), text, "{claim:?}");
        }
    }

    #[test]
    fn audiences_are_compared_without_scheme_and_slash() {
        for audience in ["a.test", "a.test/", "http://a.test", "https://a.test/"] {
            assert_eq!(plain_audience(audience), "a.test");
        }
        assert_ne!(plain_audience("ftp://a.test"), "a.test");
    }
}
