//! TLS contexts.

use std::collections::HashSet;

use serde_json::Value;
use tollgate_ir::{
    DownstreamTlsContext, ServerValidation, UpstreamTlsContext, Validation, ValidationContext,
};
use tollgate_model::{
    matching::StringMatcher,
    tls::{
        Identity, ServerNameIndication, SubjectAltNameMatcher, TextSource, TlsVersion, TlsVersions,
        TrustAnchors, TrustSource,
    },
};

use super::{
    Writer,
    matchers::string_matcher,
    out::{Out, extension},
};
use crate::{
    envoy::{
        data_source::DATA_SOURCE,
        tls::{
            schema::{
                CERTIFICATE_VALIDATION_CONTEXT, COMBINED_VALIDATION_CONTEXT, COMMON_TLS_CONTEXT,
                DOWNSTREAM_TLS_CONTEXT, SDS_SECRET_CONFIG, SECRET, SUBJECT_ALT_NAME_MATCHER, TLS_CERTIFICATE,
                TLS_PARAMETERS, TRANSPORT_SOCKET, UPSTREAM_TLS_CONTEXT,
            },
            validation::{SYSTEM_ROOT_CERTS, TRUST_CHAIN_VERIFICATION},
        },
    },
    schema::base64,
};

/// Where most systems keep the certificates that they trust.
pub(crate) const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// All secrets.
pub(super) fn secrets(writer: &Writer<'_>) -> Vec<Value> {
    let secrets = &writer.resources.secrets;
    let named = |name: &str, kind, content| {
        let mut out = Out::new(&SECRET);
        out.set("name", name);
        out.set(kind, content);
        out.done()
    };
    let certificates = secrets
        .tls_certificates
        .iter()
        .map(|(name, secret)| named(name, "tls_certificate", identity(&secret.identity)));
    let with_names = with_names(writer);
    let contexts = secrets.validation_contexts.iter().map(|(name, secret)| {
        let by_name = with_names.contains(&**name) || !secret.subject_alt_names.is_empty();
        named(name, "validation_context", validation_context(secret, by_name))
    });
    certificates.chain(contexts).collect()
}

/// The secrets with whose authorities TLS contexts check names that they have in place.
fn with_names<'w>(writer: &Writer<'w>) -> HashSet<&'w str> {
    let resources = writer.resources;
    let chains = resources
        .listeners
        .iter()
        .flat_map(|listener| listener.filter_chains.iter().chain(&listener.default_filter_chain));
    let of_clients =
        chains.filter_map(|chain| chain.tls.as_ref()?.client_validation.as_ref()?.context.as_ref());
    let of_servers = resources.clusters.values().flat_map(|cluster| cluster.all_tls()).filter_map(|tls| {
        match &tls.validation {
            ServerValidation::Chain(validation) => Some(validation),
            ServerValidation::Nothing | ServerValidation::ChainAndServerName(_) => None,
        }
    });
    let all = of_clients.chain(of_servers);
    all.filter(|validation| names_in_place(validation)).map(|validation| &*validation.secret).collect()
}

fn names_in_place(validation: &Validation) -> bool {
    !validation.subject_alt_names.is_empty()
}

/// The transport socket of a filter chain.
pub(super) fn downstream(writer: &Writer<'_>, tls: &DownstreamTlsContext) -> Value {
    let mut context = Out::new(&DOWNSTREAM_TLS_CONTEXT);
    let mut common = Out::new(&COMMON_TLS_CONTEXT);
    certificates(&mut common, &tls.certificates);
    common.list("alpn_protocols", tls.alpn_protocols.iter().map(|name| Value::from(&**name)).collect());
    versions(&mut common, tls.versions, TlsVersion::Tls13);
    if let Some(validation) = &tls.client_validation {
        context.unless("require_client_certificate", validation.require_client_certificate, false);
        if let Some(context) = &validation.context {
            verification(writer, &mut common, context);
        }
    }
    context.unless("require_sni", tls.require_sni, false);
    context.unless("full_scan_certs_on_sni_mismatch", tls.full_scan_certs_on_sni_mismatch, false);
    context.unless("prefer_client_ciphers", tls.prefer_client_ciphers, false);
    context.unless("disable_stateless_session_resumption", tls.disable_stateless_session_resumption, false);
    context.unless("disable_stateful_session_resumption", tls.disable_stateful_session_resumption, false);
    context.set("common_tls_context", common.done());
    extension(&TRANSPORT_SOCKET, "envoy.transport_sockets.tls", context.any())
}

/// The transport socket of a cluster that speaks the protocol of this name.
pub(super) fn upstream(writer: &Writer<'_>, tls: &UpstreamTlsContext, protocols: &[&str]) -> Value {
    let mut context = Out::new(&UPSTREAM_TLS_CONTEXT);
    match &tls.sni {
        ServerNameIndication::Nothing => {}
        ServerNameIndication::Fixed(name) => context.set("sni", &**name),
        ServerNameIndication::EndpointHostname { otherwise } => {
            context.text("sni", otherwise);
            context.set("auto_host_sni", true);
        }
    }
    let mut common = Out::new(&COMMON_TLS_CONTEXT);
    match &tls.validation {
        ServerValidation::Nothing => {}
        ServerValidation::Chain(validation) => verification(writer, &mut common, validation),
        ServerValidation::ChainAndServerName(validation) => {
            context.set("auto_sni_san_validation", true);
            verification(writer, &mut common, validation);
        }
    }
    certificates(&mut common, tls.certificate.as_slice());
    if tls.alpn_protocols != protocols {
        common.list("alpn_protocols", tls.alpn_protocols.iter().map(|name| Value::from(&**name)).collect());
    }
    versions(&mut common, tls.versions, TlsVersion::Tls12);
    context.unless("max_session_keys", tls.max_session_keys, 1);
    context.unless_empty("common_tls_context", common);
    extension(&TRANSPORT_SOCKET, "envoy.transport_sockets.tls", context.any())
}

/// Versions, where they are not from 1.2 to the highest one that is usual.
fn versions(common: &mut Out, versions: TlsVersions, usual: TlsVersion) {
    if (versions.minimum(), versions.maximum()) == (TlsVersion::Tls12, usual) {
        return;
    }
    let name = |version| match version {
        TlsVersion::Tls12 => "TLSv1_2",
        TlsVersion::Tls13 => "TLSv1_3",
    };
    let mut params = Out::new(&TLS_PARAMETERS);
    params.set("tls_minimum_protocol_version", name(versions.minimum()));
    params.set("tls_maximum_protocol_version", name(versions.maximum()));
    common.set("tls_params", params.done());
}

fn identity(identity: &Identity) -> Value {
    let mut out = Out::new(&TLS_CERTIFICATE);
    out.set("certificate_chain", data_source(identity.chain_source()));
    out.set("private_key", data_source(identity.key_source()));
    out.done()
}

fn certificates(common: &mut Out, names: &[String]) {
    common.list("tls_certificate_sds_secret_configs", names.iter().map(|name| secret(name)).collect());
}

/// The name of a secret.
fn secret(name: &str) -> Value {
    let mut out = Out::new(&SDS_SECRET_CONFIG);
    out.set("name", name);
    out.done()
}

/// How a certificate is verified: by a secret alone, or by what is in place, too.
fn verification(writer: &Writer<'_>, common: &mut Out, validation: &Validation) {
    let named = secret(&validation.secret);
    let default = validation.default_trusted_ca.as_ref();
    if default.is_none() && !names_in_place(validation) && !validation.accept_untrusted {
        common.set("validation_context_sds_secret_config", named);
        return;
    }
    let default = default.and_then(|name| writer.resources.secrets.validation_contexts.get(name));
    let in_place = ValidationContext {
        trusted_ca: default.and_then(|default| default.trusted_ca.clone()),
        subject_alt_names: validation.subject_alt_names.clone(),
        accept_untrusted: validation.accept_untrusted,
    };
    let mut out = Out::new(&COMBINED_VALIDATION_CONTEXT);
    out.set("default_validation_context", validation_context(&in_place, names_in_place(validation)));
    out.set("validation_context_sds_secret_config", named);
    common.set("combined_validation_context", out.done());
}

/// A validation context; `by_name` = names are checked with its authorities.
fn validation_context(context: &ValidationContext, by_name: bool) -> Value {
    let mut out = Out::new(&CERTIFICATE_VALIDATION_CONTEXT);
    out.name("trust_chain_verification", &TRUST_CHAIN_VERIFICATION, &context.accept_untrusted, &false);
    match &context.trusted_ca {
        None => {}
        Some(trusted) => match trusted.source() {
            TrustSource::System if !by_name => {
                out.set("system_root_certs", Out::new(&SYSTEM_ROOT_CERTS).done());
            }
            // Envoy does not check names together with `system_root_certs`.
            TrustSource::System => {
                out.set("trusted_ca", data_source(&TextSource::File(SYSTEM_BUNDLE.into())));
            }
            _ => out.set("trusted_ca", trusted_ca(trusted)),
        },
    }
    let names = context.subject_alt_names.iter().map(|name| {
        let exact = |text: String| StringMatcher::Exact(text);
        let (kind, matcher) = match name {
            SubjectAltNameMatcher::DnsName(name) => ("DNS", exact(name.clone())),
            SubjectAltNameMatcher::Dns(matcher) => ("DNS", matcher.clone()),
            SubjectAltNameMatcher::Uri(matcher) => ("URI", matcher.clone()),
            SubjectAltNameMatcher::IpAddress(address) => ("IP_ADDRESS", exact(address.to_string())),
        };
        let mut out = Out::new(&SUBJECT_ALT_NAME_MATCHER);
        out.set("san_type", kind);
        out.set("matcher", string_matcher(&matcher));
        out.done()
    });
    out.list("match_typed_subject_alt_names", names.collect());
    out.done()
}

/// Trusted certificates as a `DataSource`.
pub(super) fn trusted_ca(trusted: &TrustAnchors) -> Value {
    match trusted.source() {
        TrustSource::Text(source) => data_source(source),
        TrustSource::System | TrustSource::Several => {
            let all = trusted.certificates().iter().map(|certificate| pem(certificate.as_ref()));
            let mut out = Out::new(&DATA_SOURCE);
            out.set("inline_string", all.collect::<String>());
            out.done()
        }
    }
}

pub(super) fn data_source(source: &TextSource) -> Value {
    let mut out = Out::new(&DATA_SOURCE);
    match source {
        TextSource::File(path) => out.set("filename", path.display().to_string()),
        TextSource::Environment(name) => out.set("environment_variable", &**name),
        TextSource::Inline(text) => match std::str::from_utf8(text) {
            Ok(text) => out.set("inline_string", text),
            Err(_) => out.set("inline_bytes", base64::encode(text)),
        },
    }
    out.done()
}

pub(crate) fn pem(certificate: &[u8]) -> String {
    let digits = base64::encode(certificate);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in digits.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
