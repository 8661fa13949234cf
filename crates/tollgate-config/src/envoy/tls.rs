//! Transport sockets: TLS contexts and cleartext.

mod certificate;
pub(super) mod schema;
mod secrets;
pub(super) mod validation;

use tollgate_ir::{ClientValidation, DownstreamTlsContext, ServerValidation, UpstreamTlsContext};
use tollgate_model::tls::{ServerNameIndication, TlsVersion, TlsVersions};

pub(super) use self::{
    certificate::read_identity,
    schema::SCHEMAS,
    secrets::KnownSecrets,
    validation::{read_trusted_ca, system_roots},
};
use self::{
    certificate::{has_certificates, read_certificates},
    schema::{
        COMMON_TLS_CONTEXT, DOWNSTREAM_TLS_CONTEXT, RAW_BUFFER, TLS_PARAMETERS, TRANSPORT_SOCKET,
        UPSTREAM_TLS_CONTEXT,
    },
    validation::{Validation, read_validation},
};
use crate::schema::{Any, Enumeration, Message, Schema, Value};

pub(in crate::envoy) static TLS_PROTOCOL: Enumeration<Option<TlsVersion>> = Enumeration {
    values: &[
        ("TLS_AUTO", 0, Some(None)),
        ("TLSv1_0", 1, None),
        ("TLSv1_1", 2, None),
        ("TLSv1_2", 3, Some(Some(TlsVersion::Tls12))),
        ("TLSv1_3", 4, Some(Some(TlsVersion::Tls13))),
    ],
};

pub(in crate::envoy) static OCSP_STAPLE_POLICY: Enumeration<()> = Enumeration {
    values: &[("LENIENT_STAPLING", 0, Some(())), ("STRICT_STAPLING", 1, None), ("MUST_STAPLE", 2, None)],
};

/// Opens a transport socket; `None` is cleartext, or a problem that was reported.
fn open<'a>(value: &Value<'a>, tls: &'static Schema) -> Option<(Any<'a>, Message<'a>)> {
    let message = value.message(&TRANSPORT_SOCKET)?;
    message.required_string("name");
    let any = message.required("typed_config")?.any()?;
    if any.type_name == RAW_BUFFER.name {
        any.value.message(&RAW_BUFFER)?;
        return None;
    }
    if any.type_name != tls.name {
        any.unsupported("transport socket", &[tls.name, RAW_BUFFER.name]);
        return None;
    }
    let context = any.value.message(tls)?;
    Some((any, context))
}

/// Reads the transport socket of a filter chain; `None` is cleartext.
pub(super) fn read_downstream_transport_socket(
    value: &Value<'_>,
    secrets: &KnownSecrets,
) -> Option<DownstreamTlsContext> {
    let (any, message) = open(value, &DOWNSTREAM_TLS_CONTEXT)?;
    let common = message.required("common_tls_context")?.message(&COMMON_TLS_CONTEXT)?;
    message.enumeration("ocsp_staple_policy", &OCSP_STAPLE_POLICY, ());
    let require_client_certificate = message.boolean("require_client_certificate", false);
    let validation = read_validation(&common, secrets);
    let has_authorities = validation.as_ref().is_some_and(|validation| validation.has_authorities);
    if require_client_certificate && !has_authorities {
        any.value.warning(
            "every client certificate is accepted: there is no trusted_ca to verify it with",
            "add validation_context.trusted_ca",
        );
    }
    if validation.as_ref().is_some_and(|validation| validation.accepts_untrusted) {
        any.value.warning(
            "certificates of clients are accepted though they cannot be verified",
            "remove trust_chain_verification; filters see whether a certificate was verified",
        );
    }
    let context = validation.map(|validation| validation.context);
    let asks = require_client_certificate || context.is_some();
    let client_validation = asks.then_some(ClientValidation { require_client_certificate, context });
    let certificates = read_certificates(&common, secrets);
    if !has_certificates(&common) {
        any.value.error("\"tls_certificates\" is missing: a listener needs a certificate");
    }
    // Where there is none, the reason is reported where the certificate is.
    (!certificates.is_empty()).then(|| DownstreamTlsContext {
        certificates,
        require_sni: message.boolean("require_sni", false),
        full_scan_certs_on_sni_mismatch: message.boolean("full_scan_certs_on_sni_mismatch", false),
        client_validation,
        alpn_protocols: read_alpn(&common),
        versions: read_versions(&common, TlsVersion::Tls13),
        prefer_client_ciphers: message.boolean("prefer_client_ciphers", false),
        disable_stateless_session_resumption: message.boolean("disable_stateless_session_resumption", false),
        disable_stateful_session_resumption: message.boolean("disable_stateful_session_resumption", false),
    })
}

/// Reads the transport socket of a cluster; `None` is cleartext. `alpn` is what is offered when the context names
/// no protocol: what the cluster speaks.
pub(super) fn read_upstream_transport_socket(
    value: &Value<'_>,
    alpn: &[&str],
    secrets: &KnownSecrets,
) -> Option<UpstreamTlsContext> {
    let (any, message) = open(value, &UPSTREAM_TLS_CONTEXT)?;
    let common = message.get("common_tls_context").and_then(|common| common.message(&COMMON_TLS_CONTEXT));
    let common = common.as_ref();
    let by_sni = message.boolean("auto_sni_san_validation", false);
    let validation = match common.and_then(|common| read_validation(common, secrets)) {
        Some(Validation { context, has_authorities: true, accepts_untrusted: false }) if by_sni => {
            ServerValidation::ChainAndServerName(tollgate_ir::Validation {
                subject_alt_names: Vec::new(),
                ..context
            })
        }
        Some(Validation { context, has_authorities: true, accepts_untrusted: false }) => {
            ServerValidation::Chain(context)
        }
        None | Some(Validation { has_authorities: false, .. }) if by_sni => {
            any.value.error("\"auto_sni_san_validation\" needs a trusted_ca");
            ServerValidation::Nothing
        }
        validation => {
            any.value.warning(
                "the server's certificate is not verified",
                "add common_tls_context.validation_context with a trusted_ca; Envoy does not verify it either",
            );
            validation
                .map_or(ServerValidation::Nothing, |validation| ServerValidation::Chain(validation.context))
        }
    };
    let certificates = common.map(|common| read_certificates(common, secrets)).unwrap_or_default();
    if certificates.len() > 1 {
        any.value.error("towards a server there is one certificate at most");
    }
    let sni = message.string("sni");
    let auto_host_sni = message.boolean("auto_host_sni", false);
    if sni.len() > 255 {
        any.value.error("\"sni\" has more than 255 bytes");
    }
    Some(UpstreamTlsContext {
        sni: if auto_host_sni {
            ServerNameIndication::EndpointHostname { otherwise: sni }
        } else if sni.is_empty() {
            ServerNameIndication::Nothing
        } else {
            ServerNameIndication::Fixed(sni)
        },
        validation,
        certificate: certificates.into_iter().next(),
        alpn_protocols: common
            .map(read_alpn)
            .filter(|protocols| !protocols.is_empty())
            .unwrap_or_else(|| alpn.iter().map(|&protocol| protocol.to_owned()).collect()),
        versions: common.map_or_else(
            || versions(TlsVersion::Tls12, UPSTREAM_MAXIMUM),
            |common| read_versions(common, UPSTREAM_MAXIMUM),
        ),
        max_session_keys: message.u32("max_session_keys").unwrap_or(1) as usize,
    })
}

/// Highest version towards servers when the context says nothing; Envoy's default.
const UPSTREAM_MAXIMUM: TlsVersion = TlsVersion::Tls12;

fn read_alpn(common: &Message<'_>) -> Vec<String> {
    common
        .list("alpn_protocols")
        .iter()
        .filter_map(|value| {
            let protocol = value.non_empty_string()?;
            if protocol.len() > 255 {
                value.error("a protocol name has at most 255 bytes");
            }
            Some(protocol)
        })
        .collect()
}

fn read_versions(common: &Message<'_>, highest: TlsVersion) -> TlsVersions {
    let Some(params) = common.message("tls_params", &TLS_PARAMETERS) else {
        return versions(TlsVersion::Tls12, highest);
    };
    let minimum = params.enumeration("tls_minimum_protocol_version", &TLS_PROTOCOL, None);
    let maximum = params.enumeration("tls_maximum_protocol_version", &TLS_PROTOCOL, None);
    let minimum = minimum.unwrap_or(TlsVersion::Tls12);
    // Asking for a higher minimum raises a maximum that nobody asked for.
    let maximum = maximum.unwrap_or_else(|| highest.max(minimum));
    TlsVersions::new(minimum, maximum).unwrap_or_else(|error| {
        params.value().error(error.to_string());
        TlsVersions::default()
    })
}

fn versions(minimum: TlsVersion, maximum: TlsVersion) -> TlsVersions {
    TlsVersions::new(minimum, maximum).unwrap_or_default()
}
