//! `jwt`: tokens that are wanted.

use serde_json::{Value as Json, json};

use crate::{
    envoy_gateway::{
        ext_proc::{BackendRef, read_backends},
        settings::{BackendSettings, duration, read_settings_without_retry},
    },
    kubernetes::Place,
    schema::{Enumeration, Schema, Value, read},
};

/// Tokens that are wanted.
#[derive(Debug)]
pub(in crate::envoy_gateway) struct Jwt {
    pub(in crate::envoy_gateway) providers: Vec<Provider>,
    /// What a request may have instead of a good token, as a requirement of Envoy's.
    pub(in crate::envoy_gateway) otherwise: Option<Json>,
}

/// Who signs tokens.
#[derive(Debug)]
pub(in crate::envoy_gateway) struct Provider {
    pub(in crate::envoy_gateway) name: String,
    /// As Envoy has it, without keys.
    pub(in crate::envoy_gateway) settings: Json,
    pub(in crate::envoy_gateway) keys: Jwks,
}

/// Where keys are.
#[derive(Debug)]
pub(in crate::envoy_gateway) enum Jwks {
    Inline(String),
    /// A ConfigMap of the policy's namespace.
    ConfigMap(String, Place),
    Remote(Box<RemoteJwks>),
}

/// Keys of a server.
#[derive(Debug)]
pub(in crate::envoy_gateway) struct RemoteJwks {
    pub(in crate::envoy_gateway) uri: String,
    pub(in crate::envoy_gateway) https: bool,
    pub(in crate::envoy_gateway) host: String,
    pub(in crate::envoy_gateway) port: u16,
    /// As Envoy has it, without the server.
    pub(in crate::envoy_gateway) settings: Json,
    /// Where the server is; none = where the URI says.
    pub(in crate::envoy_gateway) backends: Vec<BackendRef>,
    pub(in crate::envoy_gateway) reach: BackendSettings,
    pub(in crate::envoy_gateway) place: Place,
}

static JWT: Schema = Schema {
    name: "JWT",
    title: "",
    fields: &[
        read("optional", "false", "Requests without a token pass."),
        read("failOpen", "false", "Requests without a good token pass."),
        read("providers", "", "Who signs tokens, one to four; a token of any of them is good. Required."),
    ],
    unsupported: &[],
};

static PROVIDER: Schema = Schema {
    name: "JWTProvider",
    title: "",
    fields: &[
        read("name", "", "Name; its payload is kept under it. Required."),
        read("issuer", "any", "Who signs."),
        read("audiences", "any", "A token is for one of these."),
        read("remoteJWKS", "", "Keys of a server. This or localJWKS is required."),
        read("localJWKS", "", "Keys."),
        read("claimToHeaders", "[]", "Claims that become headers."),
        read("recomputeRoute", "false", "Match the routes again after that."),
        read("extractFrom", "`authorization`, `access_token`", "Where tokens are."),
    ],
    unsupported: &[],
};

static REMOTE: Schema = Schema {
    name: "RemoteJWKS",
    title: "",
    fields: &[
        read("uri", "", "URI of the keys. Required."),
        read("cacheDuration", "300s", "How long keys are kept."),
        read("failedRefetchDuration", "1s", "When it is tried again after a failure."),
        read("backendRef", "", "Deprecated: one of backendRefs."),
        read("backendRefs", "[]", "Where the server is, instead of where the URI says."),
        read("backendSettings", "{}", "How it is reached."),
    ],
    unsupported: &[],
};

static LOCAL: Schema = Schema {
    name: "LocalJWKS",
    title: "",
    fields: &[
        read("type", "Inline", "Inline or ValueRef."),
        read("inline", "", "The keys."),
        read("valueRef", "", "A ConfigMap with them, under `jwks` or as its only value."),
    ],
    unsupported: &[],
};

static VALUE_REF: Schema = Schema {
    name: "LocalObjectReference",
    title: "",
    fields: &[
        read("group", "", "Empty."),
        read("kind", "", "ConfigMap."),
        read("name", "", "Its name. Required."),
    ],
    unsupported: &[],
};

static CLAIM: Schema = Schema {
    name: "ClaimToHeader",
    title: "",
    fields: &[
        read("header", "", "The header. Required."),
        read("claim", "", "The claim; dots lead into objects. Required."),
    ],
    unsupported: &[],
};

static EXTRACTOR: Schema = Schema {
    name: "JWTExtractor",
    title: "",
    fields: &[
        read("headers", "[]", "Headers."),
        read("cookies", "[]", "Cookies."),
        read("params", "[]", "Query parameters."),
    ],
    unsupported: &[],
};

static HEADER: Schema = Schema {
    name: "JWTHeaderExtractor",
    title: "",
    fields: &[
        read("name", "", "The header. Required."),
        read("valuePrefix", "", "What stands before the token."),
    ],
    unsupported: &[],
};

static LOCAL_TYPE: Enumeration<()> =
    Enumeration { values: &[("Inline", 0, Some(())), ("ValueRef", 1, Some(()))] };

/// Most providers.
const MOST: usize = 4;

pub(super) fn read_jwt(value: &Value<'_>) -> Option<Jwt> {
    let message = value.message(&JWT)?;
    let values = message.required("providers")?.list();
    if values.is_empty() || values.len() > MOST {
        value.error(format!("there have to be one to {MOST} providers"));
    }
    let otherwise = match (message.boolean("failOpen", false), message.boolean("optional", false)) {
        (true, _) => Some(json!({"allow_missing_or_failed": {}})),
        (false, true) => Some(json!({"allow_missing": {}})),
        (false, false) => None,
    };
    Some(Jwt { providers: values.iter().filter_map(read_provider).collect(), otherwise })
}

fn read_provider(value: &Value<'_>) -> Option<Provider> {
    let message = value.message(&PROVIDER)?;
    let name = message.required_string("name");
    let claims = message.list("claimToHeaders");
    let claims = claims.iter().filter_map(|claim| claim.message(&CLAIM)).map(|claim| {
        json!({"header_name": claim.required_string("header"), "claim_name": claim.required_string("claim")})
    });
    let mut settings = json!({
        "issuer": message.string("issuer"),
        "audiences": message.strings("audiences"),
        "forward": true,
        "payload_in_metadata": name,
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "scp"]},
        "claim_to_headers": claims.collect::<Vec<_>>(),
        "clear_route_cache": message.boolean("recomputeRoute", false),
    });
    if let Some(from) = message.message("extractFrom", &EXTRACTOR) {
        let headers = from.list("headers");
        let headers = headers.iter().filter_map(|header| header.message(&HEADER)).map(|header| {
            let prefix = header.string("valuePrefix");
            json!({"name": header.required_string("name"), "value_prefix": prefix})
        });
        settings["from_headers"] = headers.collect();
        settings["from_cookies"] = from.strings("cookies").into();
        settings["from_params"] = from.strings("params").into();
    }
    let keys = match message.required_one_of(&["remoteJWKS", "localJWKS"])? {
        ("remoteJWKS", remote) => Jwks::Remote(Box::new(read_remote(&remote)?)),
        (_, local) => read_local(&local)?,
    };
    Some(Provider { name, settings, keys })
}

fn read_local(value: &Value<'_>) -> Option<Jwks> {
    let message = value.message(&LOCAL)?;
    message.enumeration("type", &LOCAL_TYPE, ());
    match message.required_one_of(&["inline", "valueRef"])? {
        ("inline", text) => Some(Jwks::Inline(text.non_empty_string()?)),
        (_, reference) => {
            let object = reference.message(&VALUE_REF)?;
            if !object.string("group").is_empty() || object.string("kind") != "ConfigMap" {
                reference.error("valueRef refers to a ConfigMap");
            }
            Some(Jwks::ConfigMap(object.required_string("name"), Place::of(&reference)))
        }
    }
}

fn read_remote(value: &Value<'_>) -> Option<RemoteJwks> {
    let message = value.message(&REMOTE)?;
    let uri_value = message.required("uri")?;
    let uri = uri_value.non_empty_string()?;
    let parsed = uri.parse::<http::Uri>().ok().filter(|parsed| parsed.host().is_some());
    let https = match parsed.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => true,
        Some("http") => false,
        _ => {
            uri_value.error(format!("\"{uri}\" is not a URI of http or https"));
            return None;
        }
    };
    let parsed = parsed?;
    let cache = message.get("cacheDuration").and_then(|value| duration(&value));
    let mut settings = json!({
        "cache_duration": format!("{}s", cache.map_or(300.0, |cache| cache.as_secs_f64())),
        "async_fetch": {},
    });
    if let Some(wait) = message.get("failedRefetchDuration").and_then(|value| duration(&value)) {
        settings["async_fetch"] = json!({"failed_refetch_duration": format!("{}s", wait.as_secs_f64())});
    }
    let reach = message.get("backendSettings").and_then(|settings| read_settings_without_retry(&settings));
    Some(RemoteJwks {
        https,
        host: parsed.host()?.to_owned(),
        port: parsed.port_u16().unwrap_or(if https { 443 } else { 80 }),
        uri,
        settings,
        backends: read_backends(&message),
        reach: reach.unwrap_or_default(),
        place: Place::of(value),
    })
}
