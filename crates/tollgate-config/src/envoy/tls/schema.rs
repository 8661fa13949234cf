//! The messages of TLS contexts.

use crate::schema::{Schema, harmless, read, refused};

const INLINE: &str = "write certificates into tls_certificates and validation_context";
const NOT_CHOSEN: &str = "the TLS library's choice is used";

/// The schemas of TLS contexts, for the documentation.
pub(in crate::envoy) static SCHEMAS: [&Schema; 12] = [
    &COMBINED_VALIDATION_CONTEXT,
    &SDS_SECRET_CONFIG,
    &SECRET,
    &TRANSPORT_SOCKET,
    &RAW_BUFFER,
    &DOWNSTREAM_TLS_CONTEXT,
    &UPSTREAM_TLS_CONTEXT,
    &COMMON_TLS_CONTEXT,
    &TLS_PARAMETERS,
    &TLS_CERTIFICATE,
    &CERTIFICATE_VALIDATION_CONTEXT,
    &SUBJECT_ALT_NAME_MATCHER,
];

pub(in crate::envoy) static TRANSPORT_SOCKET: Schema = Schema {
    name: "envoy.config.core.v3.TransportSocket",
    title: "",
    fields: &[
        read("name", "", "Any name. Required."),
        read(
            "typed_config",
            "",
            "DownstreamTlsContext (listeners), UpstreamTlsContext (clusters) or RawBuffer. Required.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RAW_BUFFER: Schema = Schema {
    name: "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static DOWNSTREAM_TLS_CONTEXT: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    title: "",
    fields: &[
        read("common_tls_context", "", "Certificates and settings. Required."),
        read("require_client_certificate", "false", "Refuse clients without a certificate."),
        read("require_sni", "false", "Refuse clients that send no SNI."),
        read(
            "full_scan_certs_on_sni_mismatch",
            "false",
            "When no certificate covers the SNI, take the first that suits the client, not simply the first.",
        ),
        read("prefer_client_ciphers", "false", "The client's order of cipher suites decides."),
        read("disable_stateless_session_resumption", "false", "No session tickets."),
        read("disable_stateful_session_resumption", "false", "No sessions kept by the gateway."),
        read("ocsp_staple_policy", "LENIENT_STAPLING", "Only LENIENT_STAPLING."),
        refused("session_ticket_keys", "session tickets have keys of their own, renewed every six hours"),
        refused("session_ticket_keys_sds_secret_config", "session tickets have keys of their own"),
        refused("session_timeout", "sessions are forgotten when the TLS library does"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static UPSTREAM_TLS_CONTEXT: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    title: "",
    fields: &[
        read("common_tls_context", "{}", "Certificates and settings."),
        read("sni", "", "Server name to send; empty sends none."),
        read("auto_host_sni", "false", "Send the endpoint's host name if it has one."),
        read(
            "auto_sni_san_validation",
            "false",
            "The certificate has to be for the server name that was sent; replaces match_typed_subject_alt_names.",
        ),
        read("max_session_keys", "1", "Sessions kept for resumption; 0 = none."),
        harmless("enforce_rsa_key_usage", "the TLS library verifies key usages"),
        refused("allow_renegotiation", "the TLS library does not renegotiate"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COMMON_TLS_CONTEXT: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
    title: "",
    fields: &[
        read("tls_params", "{}", "Versions."),
        read(
            "tls_certificates",
            "[]",
            "Certificates; of a listener the one that covers the SNI is used, else the first.",
        ),
        read("validation_context", "", "How the peer's certificate is verified; without it it is not."),
        read(
            "alpn_protocols",
            "none",
            "Protocols for ALPN, best first. Towards upstreams the default is the cluster's protocol.",
        ),
        harmless("key_log", "keys are never logged"),
        read("tls_certificate_sds_secret_configs", "[]", "Secrets with certificates."),
        read("validation_context_sds_secret_config", "", "A secret with a validation context."),
        read("combined_validation_context", "", "A validation context, and a secret with the rest of it."),
        refused("tls_certificate_provider_instance", INLINE),
    ],
    unsupported: &[
        "custom_tls_certificate_selector",
        "tls_certificate_certificate_provider",
        "tls_certificate_certificate_provider_instance",
        "validation_context_certificate_provider",
        "validation_context_certificate_provider_instance",
        "custom_handshaker",
    ],
};

pub(in crate::envoy) static COMBINED_VALIDATION_CONTEXT: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
    title: "",
    fields: &[
        read("default_validation_context", "", "What the secret does not say. Required."),
        read("validation_context_sds_secret_config", "", "The secret. Required."),
    ],
    unsupported: &[
        "validation_context_certificate_provider",
        "validation_context_certificate_provider_instance",
    ],
};

pub(in crate::envoy) static SDS_SECRET_CONFIG: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
    title: "",
    fields: &[
        read("name", "", "Name of the Secret. Required."),
        read("sds_config", "static_resources.secrets", "The file that the secret is in."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static SECRET: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.Secret",
    title: "",
    fields: &[
        read("name", "", "Its name."),
        read("tls_certificate", "", "A certificate and its key."),
        read("validation_context", "", "How a peer's certificate is verified."),
        refused("session_ticket_keys", "keys of session tickets are made here"),
        refused("generic_secret", "nothing takes such a secret"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static TLS_PARAMETERS: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
    title: "",
    fields: &[
        read("tls_minimum_protocol_version", "TLSv1_2", "TLSv1_2 or TLSv1_3."),
        read(
            "tls_maximum_protocol_version",
            "TLSv1_3 for listeners, TLSv1_2 for clusters",
            "TLSv1_2 or TLSv1_3.",
        ),
        refused("cipher_suites", NOT_CHOSEN),
        refused("ecdh_curves", NOT_CHOSEN),
        refused("signature_algorithms", NOT_CHOSEN),
    ],
    unsupported: &["compliance_policies"],
};

pub(in crate::envoy) static TLS_CERTIFICATE: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
    title: "",
    fields: &[
        read("certificate_chain", "", "PEM; the certificate itself comes first. Required."),
        read("private_key", "", "PEM, without a password. Required."),
        harmless("watched_directory", "files are watched wherever they are"),
        refused("password", "only keys without a password are supported"),
        refused("pkcs12", "use certificate_chain and private_key"),
        refused("private_key_provider", "use private_key"),
        refused("ocsp_staple", "OCSP answers are not stapled"),
    ],
    unsupported: &["signed_certificate_timestamp", "tls_params"],
};

pub(in crate::envoy) static CERTIFICATE_VALIDATION_CONTEXT: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
    title: "",
    fields: &[
        read("trusted_ca", "", "PEM of the certificates that are trusted."),
        read("system_root_certs", "", "`{}` trusts what the system trusts, instead of trusted_ca."),
        read(
            "match_typed_subject_alt_names",
            "any",
            "One of the certificate's names has to match; needs trusted_ca.",
        ),
        read(
            "trust_chain_verification",
            "VERIFY_TRUST_CHAIN",
            "ACCEPT_UNTRUSTED: certificates are accepted though they cannot be verified.",
        ),
        harmless("watched_directory", "files are watched wherever they are"),
        read(
            "match_subject_alt_names",
            "any",
            "The same for names of DNS, URIs and addresses; not read beside match_typed_subject_alt_names.",
        ),
        refused("verify_certificate_spki", "use trusted_ca; a certificate can be its own"),
        refused("verify_certificate_hash", "use trusted_ca; a certificate can be its own"),
        refused("crl", "revocation lists are not read"),
        refused("allow_expired_certificate", "expired certificates are refused"),
        refused("max_verify_depth", NOT_CHOSEN),
        refused("only_verify_leaf_cert_crl", "revocation lists are not read"),
    ],
    unsupported: &[
        "ca_certificate_provider_instance",
        "require_signed_certificate_timestamp",
        "custom_validator_config",
        "suppress_client_ca_list",
    ],
};

pub(in crate::envoy) static SUBJECT_ALT_NAME_MATCHER: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
    title: "",
    fields: &[
        read("san_type", "", "DNS, URI or IP_ADDRESS. Required."),
        read("matcher", "", "Condition on the name; IP_ADDRESS takes `exact`. Required."),
    ],
    unsupported: &["oid"],
};
