//! TLS contexts.

use super::*;

const CERTIFICATE: &str =
    "tls_certificates: [{certificate_chain: {filename: certificate.pem}, private_key: {filename: key.pem}}]";

fn downstream(fields: &str) -> Gateway {
    let chain = format!(
        "transport_socket: {{name: tls, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, {fields}}}}},"
    );
    Gateway { chain, ..Gateway::default() }
}

fn upstream(fields: &str) -> Gateway {
    let socket = format!(
        "transport_socket: {{name: tls, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, {fields}}}}}"
    );
    let clusters = format!("{}, {}", Gateway::default().clusters, cluster("secure", &socket));
    Gateway { clusters, ..Gateway::default() }
}

fn refused(gateway: &Gateway) -> String {
    let said: Vec<String> = gateway.said().into_iter().filter(|one| one.starts_with("error")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].clone()
}

#[test]
fn a_listener_speaks_tls() {
    let snapshot =
        downstream(&format!("common_tls_context: {{{CERTIFICATE}, alpn_protocols: [h2, http/1.1]}}"))
            .snapshot();
    let tls = snapshot.listeners[0].filter_chains[0].tls.as_ref().unwrap();
    assert_eq!(tls.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    // As in Envoy there is no ALPN unless the context names protocols.
    let snapshot = downstream(&format!("common_tls_context: {{{CERTIFICATE}}}")).snapshot();
    assert!(snapshot.listeners[0].filter_chains[0].tls.as_ref().unwrap().config.alpn_protocols.is_empty());
}

#[test]
fn raw_buffer_is_cleartext() {
    let chain = "transport_socket: {name: raw, typed_config: {\"@type\": \
                 type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}},";
    let snapshot = Gateway { chain: chain.into(), ..Gateway::default() }.snapshot();
    assert!(snapshot.listeners[0].filter_chains[0].tls.is_none());
}

#[test]
fn an_upstream_is_not_verified_without_a_trusted_ca_and_that_is_said() {
    let warning = "warning: the server's certificate is not verified [add common_tls_context.validation_context \
                   with a trusted_ca; Envoy does not verify it either]";
    assert_eq!(upstream("sni: a.example.com").said(), [warning]);
    assert_eq!(upstream("common_tls_context: {validation_context: {}}").said(), [warning]);
    let verified = upstream("common_tls_context: {validation_context: {trusted_ca: {filename: ca.pem}}}");
    assert_eq!(verified.said(), Vec::<String>::new());
}

#[test]
fn an_upstream_is_offered_the_protocol_of_its_cluster() {
    let alpn = |fields: &str| {
        let gateway = upstream(fields);
        gateway.snapshot().clusters["secure"].tls.as_ref().unwrap().config.alpn_protocols.clone()
    };
    assert_eq!(alpn("sni: a"), [b"http/1.1".to_vec()]);
    assert_eq!(alpn("common_tls_context: {alpn_protocols: [h2]}"), [b"h2".to_vec()]);
}

#[test]
fn material_that_does_not_fit_is_refused_where_it_is_named() {
    let certificate = |chain: &str, key: &str| {
        refused(&downstream(&format!(
            "common_tls_context: {{tls_certificates: [{{certificate_chain: {{{chain}}}, private_key: {{{key}}}}}]}}"
        )))
    };
    let (chain, key) = ("filename: certificate.pem", "filename: key.pem");
    assert_eq!(
        certificate(chain, "filename: other-key.pem"),
        "error: the private key does not belong to the certificate"
    );
    assert_eq!(certificate(chain, "filename: empty.pem"), "error: no private key found");
    assert_eq!(certificate("filename: empty.pem", key), "error: no certificate found");
    assert_eq!(
        certificate("filename: nowhere.pem", key),
        "error: the file \"nowhere.pem\" cannot be read: entity not found"
    );
    assert_eq!(
        certificate(chain, "environment_variable: NOT_SET"),
        "error: the environment variable \"NOT_SET\" is not set"
    );
    assert_eq!(certificate(chain, "inline_bytes: '!'"), "error: expected base64");
    assert_eq!(
        certificate(chain, "inline_string: a, filename: key.pem"),
        "error: \"filename\" and \"inline_string\" cannot be given together"
    );
}

#[test]
fn contexts_that_cannot_work_are_refused() {
    assert_eq!(refused(&downstream("require_sni: true")), "error: \"common_tls_context\" is missing");
    assert_eq!(
        refused(&downstream("common_tls_context: {tls_certificates: []}")),
        "error: \"tls_certificates\" is missing: a listener needs a certificate"
    );
    let also =
        |fields: &str| refused(&downstream(&format!("common_tls_context: {{{CERTIFICATE}, {fields}}}")));
    assert_eq!(
        also("validation_context: {match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]}"),
        "error: names can only be checked together with a trusted_ca"
    );
    assert_eq!(
        also("tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_2}"),
        "error: the minimum TLS version is above the maximum"
    );
    assert_eq!(
        also("tls_params: {tls_minimum_protocol_version: TLSv1_1}"),
        "error: \"TLSv1_1\" is not supported [supported: TLS_AUTO, TLSv1_2, TLSv1_3]"
    );
    assert_eq!(
        also("tls_certificate_sds_secret_configs: [{name: a}]"),
        "error: there is no secret \"a\" with a \"tls_certificate\" [write it into static_resources.secrets, or name \
         its file in sds_config]"
    );
    assert_eq!(
        refused(&upstream("auto_sni_san_validation: true")),
        "error: \"auto_sni_san_validation\" needs a trusted_ca"
    );
}

#[test]
fn clients_without_verification_are_warned_about() {
    let gateway =
        downstream(&format!("require_client_certificate: true, common_tls_context: {{{CERTIFICATE}}}"));
    assert_eq!(
        gateway.said(),
        ["warning: every client certificate is accepted: there is no trusted_ca to verify it with \
          [add validation_context.trusted_ca]"]
    );
}
