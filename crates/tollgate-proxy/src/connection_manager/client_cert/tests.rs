use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;
use crate::connection_manager::testing::http;

fn certificate(name: &str, uri: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "client");
    params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn tls(peer: Option<Vec<u8>>) -> TlsInfo {
    let own = certificate("server.example.com", "spiffe://own");
    TlsInfo { local_certificate: Some(own), peer_certificate: peer, ..TlsInfo::default() }
}

/// What the field is that a client of this connection sent as `old`.
fn after(forward: ForwardClientCert, details: ClientCertDetails, tls: Option<&TlsInfo>) -> Option<String> {
    let http = http(|http| (http.forward_client_cert, http.client_cert_details) = (forward, details));
    let mut fields = HeaderMap::new();
    fields.insert(X_FORWARDED_CLIENT_CERT, HeaderValue::from_static("old"));
    forward_client_cert(&mut fields, &http, tls);
    fields.get(X_FORWARDED_CLIENT_CERT).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn whose_field_stays() {
    use ForwardClientCert::{AlwaysForwardOnly, AppendForward, ForwardOnly, Sanitize, SanitizeSet};
    let nothing = ClientCertDetails::default();
    let anonymous = tls(None);
    let client = tls(Some(certificate("client.example.com", "spiffe://client")));
    for forward in [Sanitize, ForwardOnly, AppendForward, SanitizeSet] {
        for nobody in [None, Some(&anonymous)] {
            assert_eq!(after(forward, nothing, nobody), None, "{forward:?}");
        }
    }
    assert_eq!(after(AlwaysForwardOnly, nothing, None).unwrap(), "old");
    assert_eq!(after(Sanitize, nothing, Some(&client)), None);
    assert_eq!(after(ForwardOnly, nothing, Some(&client)).unwrap(), "old");
    let own = after(SanitizeSet, nothing, Some(&client)).unwrap();
    assert!(own.starts_with("By=spiffe://own;Hash=") && own.len() == 21 + 64, "{own}");
    assert_eq!(after(AppendForward, nothing, Some(&client)).unwrap(), format!("old,{own}"));
}

#[test]
fn what_is_told() {
    let client = tls(Some(certificate("client.example.com", "spiffe://client")));
    let some = ClientCertDetails { subject: true, dns: true, uri: true, ..ClientCertDetails::default() };
    let told = after(ForwardClientCert::SanitizeSet, some, Some(&client)).unwrap();
    let rest = told.split_once(";Subject=").unwrap().1;
    assert_eq!(rest, "\"CN=client\";URI=spiffe://client;DNS=client.example.com");
    let all = ClientCertDetails { cert: true, chain: true, ..some };
    let told = after(ForwardClientCert::SanitizeSet, all, Some(&client)).unwrap();
    let (cert, chain) =
        (told.find(";Cert=\"-----BEGIN%20CERT").unwrap(), told.find(";Chain=\"-----BEGIN%20CERT").unwrap());
    assert!(cert < chain && chain < told.find(";Subject=").unwrap(), "{told}");
}
