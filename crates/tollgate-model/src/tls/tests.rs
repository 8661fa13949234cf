use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection, pki_types::ServerName};

use super::*;
use crate::matching::StringMatcher;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_pem(self.0.pem().as_bytes()).unwrap()
    }

    fn identity(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

fn server(certificates: Vec<Identity>) -> DownstreamTlsSettings {
    DownstreamTlsSettings {
        certificates,
        require_sni: false,
        full_scan_certs_on_sni_mismatch: false,
        client_validation: None,
        alpn_protocols: Vec::new(),
        versions: TlsVersions::default(),
        prefer_client_ciphers: false,
        disable_stateless_session_resumption: false,
        disable_stateful_session_resumption: false,
    }
}

fn client(sni: &str, validation: ServerValidation) -> UpstreamTlsSettings {
    UpstreamTlsSettings {
        sni: if sni.is_empty() {
            ServerNameIndication::Nothing
        } else {
            ServerNameIndication::Fixed(sni.into())
        },
        validation,
        certificate: None,
        alpn_protocols: Vec::new(),
        versions: TlsVersions::default(),
        max_session_keys: 1,
    }
}

fn chain(authority: &Authority) -> ServerValidation {
    ServerValidation::Chain { trusted_ca: authority.anchors(), subject_alt_names: Vec::new() }
}

/// Carries a handshake through memory until nobody has anything to say.
fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<(ServerConnection, ClientConnection), Error> {
    let mut server = ServerConnection::new(server)?;
    let mut client = ClientConnection::new(client, name)?;
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let idle = bytes.is_empty();
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
        if idle && !client.wants_write() {
            return Ok((server, client));
        }
    }
}

fn connect(
    server: DownstreamTlsSettings,
    client: UpstreamTlsSettings,
) -> Result<(ServerConnection, ClientConnection), Error> {
    let server = DownstreamTls::new(server).unwrap();
    let client = UpstreamTls::new(client).unwrap();
    handshake(Arc::clone(&server.config), Arc::clone(&client.config), client.server_name(""))
}

/// The DNS names of the certificate that the server showed to a client which asks for `sni`.
fn shown(settings: &DownstreamTlsSettings, sni: &str) -> Vec<String> {
    let (_, client) = connect(settings.clone(), client(sni, ServerValidation::Nothing)).unwrap();
    let certificate = &client.peer_certificates().unwrap()[0];
    webpki::EndEntityCert::try_from(certificate).unwrap().valid_dns_names().map(ToOwned::to_owned).collect()
}

#[test]
fn certificates_are_chosen_by_sni_exact_then_wildcard_then_first() {
    let authority = Authority::new();
    let settings = server(vec![
        authority.identity(&["first.example"]),
        authority.identity(&["*.example.com"]),
        authority.identity(&["api.example.com"]),
    ]);
    assert_eq!(shown(&settings, "api.example.com"), ["api.example.com"]);
    assert_eq!(shown(&settings, "API.example.com"), ["api.example.com"]);
    assert_eq!(shown(&settings, "www.example.com"), ["*.example.com"]);
    assert_eq!(shown(&settings, "a.b.example.com"), ["first.example"]);
    assert_eq!(shown(&settings, "elsewhere"), ["first.example"]);
    assert_eq!(shown(&settings, ""), ["first.example"]);
}

#[test]
fn a_connection_without_sni_is_refused_when_it_is_required() {
    let authority = Authority::new();
    let mut settings = server(vec![authority.identity(&["a.example"])]);
    settings.require_sni = true;
    assert!(connect(settings.clone(), client("", ServerValidation::Nothing)).is_err());
    assert!(connect(settings, client("a.example", ServerValidation::Nothing)).is_ok());
}

#[test]
fn the_first_common_protocol_of_the_server_is_chosen() {
    let authority = Authority::new();
    let mut server = server(vec![authority.identity(&["a.example"])]);
    server.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
    let mut client = client("a.example", chain(&authority));
    client.alpn_protocols = vec!["http/1.1".into(), "h2".into()];
    let (server, client) = connect(server, client).unwrap();
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn a_client_without_a_common_protocol_goes_on_without_alpn() {
    let authority = Authority::new();
    let mut settings = server(vec![authority.identity(&["a.example"])]);
    settings.alpn_protocols = vec!["h2".into()];
    let server = DownstreamTls::new(settings).unwrap();
    let chosen = |offered: &[&str]| {
        let mut settings = client("a.example", chain(&authority));
        settings.alpn_protocols = offered.iter().map(ToString::to_string).collect();
        let client = UpstreamTls::new(settings).unwrap();
        let mut hello = Vec::new();
        let name = client.server_name("");
        ClientConnection::new(Arc::clone(&client.config), name.clone())
            .unwrap()
            .write_tls(&mut hello)
            .unwrap();
        let mut acceptor = rustls::server::Acceptor::default();
        acceptor.read_tls(&mut hello.as_slice()).unwrap();
        let accepted = acceptor.accept().unwrap().unwrap();
        let config = Arc::clone(server.config_for(&accepted.client_hello()));
        let (server, _) = handshake(config, Arc::clone(&client.config), name).unwrap();
        server.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(chosen(&["http/1.1"]), None);
    assert_eq!(chosen(&["http/1.1", "h2"]), Some(b"h2".to_vec()));
    assert_eq!(chosen(&[]), None);
}

#[test]
fn a_chain_is_verified_without_the_name_as_envoy_does() {
    let (authority, other) = (Authority::new(), Authority::new());
    let settings = server(vec![authority.identity(&["a.example"])]);
    assert!(connect(settings.clone(), client("other.example", chain(&authority))).is_ok());
    assert!(connect(settings.clone(), client("", chain(&authority))).is_ok());
    assert!(connect(settings.clone(), client("a.example", chain(&other))).is_err());
    assert!(connect(settings, client("a.example", ServerValidation::Nothing)).is_ok());
}

#[test]
fn the_name_is_verified_when_asked_for() {
    let authority = Authority::new();
    let settings = server(vec![authority.identity(&["a.example"])]);
    let validation = ServerValidation::ChainAndServerName { trusted_ca: authority.anchors() };
    assert!(connect(settings.clone(), client("a.example", validation.clone())).is_ok());
    assert!(connect(settings, client("other.example", validation)).is_err());
}

#[test]
fn one_of_the_subject_alt_names_has_to_match() {
    let authority = Authority::new();
    let settings = server(vec![authority.identity(&["*.example.com", "10.0.0.1"])]);
    let matches = |matcher: SubjectAltNameMatcher| {
        let validation =
            ServerValidation::Chain { trusted_ca: authority.anchors(), subject_alt_names: vec![matcher] };
        connect(settings.clone(), client("", validation)).is_ok()
    };
    assert!(matches(SubjectAltNameMatcher::DnsName("a.example.com".into())));
    assert!(!matches(SubjectAltNameMatcher::DnsName("example.com".into())));
    assert!(matches(SubjectAltNameMatcher::Dns(StringMatcher::Suffix(".example.com".into(), false))));
    assert!(!matches(SubjectAltNameMatcher::Dns(StringMatcher::Exact("a.example.com".into()))));
    assert!(matches(SubjectAltNameMatcher::IpAddress("10.0.0.1".parse().unwrap())));
    assert!(!matches(SubjectAltNameMatcher::IpAddress("10.0.0.2".parse().unwrap())));
}

/// A NUL ends names in other languages: the certificate is for another name than its beginning says.
#[test]
fn a_name_with_a_nul_is_another_name() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names = vec![
        SanType::DnsName("server.example\0.evil.example".try_into().unwrap()),
        SanType::URI("spiffe://a/server\0/evil".try_into().unwrap()),
        SanType::DnsName("other.example".try_into().unwrap()),
    ];
    let certificate = params.signed_by(&key, &authority.0).unwrap();
    let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let settings = server(vec![identity]);
    let matches = |matcher: SubjectAltNameMatcher| {
        let validation =
            ServerValidation::Chain { trusted_ca: authority.anchors(), subject_alt_names: vec![matcher] };
        connect(settings.clone(), client("", validation)).is_ok()
    };
    let exact = |name: &str| StringMatcher::Exact(name.into());
    assert!(matches(SubjectAltNameMatcher::Dns(exact("other.example"))));
    assert!(!matches(SubjectAltNameMatcher::DnsName("server.example".into())));
    assert!(!matches(SubjectAltNameMatcher::Dns(exact("server.example"))));
    assert!(!matches(SubjectAltNameMatcher::Uri(exact("spiffe://a/server"))));
}

#[test]
fn uris_of_a_certificate_are_matched() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names = vec![SanType::URI("spiffe://cluster/ns".try_into().unwrap())];
    let pem = params.self_signed(&key).unwrap().pem();
    let identity = Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let validation = |uri: &str| ServerValidation::Chain {
        trusted_ca: TrustAnchors::from_pem(pem.as_bytes()).unwrap(),
        subject_alt_names: vec![SubjectAltNameMatcher::Uri(StringMatcher::Exact(uri.into()))],
    };
    let settings = server(vec![identity]);
    assert!(connect(settings.clone(), client("", validation("spiffe://cluster/ns"))).is_ok());
    assert!(connect(settings, client("", validation("spiffe://cluster"))).is_err());
}

#[test]
fn a_self_signed_ca_certificate_that_is_trusted_itself_is_accepted() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let identity = Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let trusted_ca = TrustAnchors::from_pem(pem.as_bytes()).unwrap();
    let validation =
        ServerValidation::Chain { trusted_ca: trusted_ca.clone(), subject_alt_names: Vec::new() };
    assert!(connect(server(vec![identity.clone()]), client("a.example", validation)).is_ok());

    let mut settings = server(vec![identity.clone()]);
    settings.client_validation = Some(ClientValidation {
        require_client_certificate: true,
        accept_untrusted: false,
        trusted_ca: Some(trusted_ca),
        subject_alt_names: Vec::new(),
    });
    let mut with_certificate = client("a.example", ServerValidation::Nothing);
    with_certificate.certificate = Some(identity);
    assert!(connect(settings, with_certificate).is_ok());
}

#[test]
fn client_certificates_are_asked_for_and_verified() {
    let (authority, other) = (Authority::new(), Authority::new());
    let attempt = |require: bool, trusted: bool, certificate: Option<Identity>| {
        let mut settings = server(vec![authority.identity(&["a.example"])]);
        settings.client_validation = Some(ClientValidation {
            require_client_certificate: require,
            accept_untrusted: false,
            trusted_ca: trusted.then(|| authority.anchors()),
            subject_alt_names: Vec::new(),
        });
        let mut client = client("a.example", chain(&authority));
        client.certificate = certificate;
        connect(settings, client).map(|(server, _)| server.peer_certificates().is_some())
    };
    let (good, bad) = (authority.identity(&["client"]), other.identity(&["client"]));
    assert_eq!(attempt(true, true, Some(good.clone())), Ok(true));
    assert!(attempt(true, true, Some(bad.clone())).is_err());
    assert!(attempt(true, true, None).is_err());
    assert_eq!(attempt(false, true, None), Ok(false));
    assert_eq!(attempt(false, true, Some(good)), Ok(true));
    assert!(attempt(false, true, Some(bad.clone())).is_err());
    // Without a root every certificate will do, but there has to be one.
    assert_eq!(attempt(true, false, Some(bad)), Ok(true));
    assert!(attempt(true, false, None).is_err());
}

#[test]
fn versions_are_limited() {
    let authority = Authority::new();
    let mut settings = server(vec![authority.identity(&["a.example"])]);
    settings.versions = TlsVersions::new(TlsVersion::Tls12, TlsVersion::Tls12).unwrap();
    let (server, _) = connect(settings.clone(), client("a.example", chain(&authority))).unwrap();
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    let mut only_13 = client("a.example", chain(&authority));
    only_13.versions = TlsVersions::new(TlsVersion::Tls13, TlsVersion::Tls13).unwrap();
    assert!(connect(settings, only_13).is_err());
    assert_eq!(TlsVersions::new(TlsVersion::Tls13, TlsVersion::Tls12), Err(TlsError::NoVersion));
}

#[test]
fn damaged_material_is_refused_with_its_reason() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let pem = CertificateParams::new(["a".to_owned()]).unwrap().signed_by(&key, &authority.0).unwrap().pem();
    let refused = |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    let key_pem = key.serialize_pem();
    assert_eq!(refused("", &key_pem), TlsError::NoCertificate);
    assert_eq!(refused(&pem, ""), TlsError::NoPrivateKey);
    assert_eq!(refused(&pem, &KeyPair::generate().unwrap().serialize_pem()), TlsError::KeyMismatch);
    assert!(matches!(
        refused("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &key_pem),
        TlsError::Pem(_)
    ));
    let encrypted = key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(refused(&pem, &encrypted), TlsError::EncryptedPrivateKey);
    assert_eq!(TrustAnchors::from_pem(b"nothing").unwrap_err(), TlsError::NoCertificate);
    assert!(matches!(DownstreamTls::new(server(Vec::new())), Err(TlsError::NoCertificate)));
}

#[test]
fn names_of_clients_need_a_root() {
    let authority = Authority::new();
    let mut settings = server(vec![authority.identity(&["a"])]);
    settings.client_validation = Some(ClientValidation {
        require_client_certificate: true,
        accept_untrusted: false,
        trusted_ca: None,
        subject_alt_names: vec![SubjectAltNameMatcher::DnsName("client".into())],
    });
    assert_eq!(DownstreamTls::new(settings).unwrap_err(), TlsError::NamesWithoutTrust);
}

#[test]
fn tls_is_the_same_when_its_settings_and_its_certificates_are() {
    let authority = Authority::new();
    let tls = |settings: &DownstreamTlsSettings| DownstreamTls::new(settings.clone()).unwrap();
    let settings = server(vec![authority.identity(&["a.example"])]);
    assert_eq!(tls(&settings), tls(&settings));
    let renewed = server(vec![authority.identity(&["a.example"])]);
    assert_ne!(tls(&settings), tls(&renewed));
    assert!(tls(&settings).is_same_but_for_certificates(&tls(&renewed)));
    let validation = |trusted_ca| ClientValidation {
        require_client_certificate: true,
        accept_untrusted: false,
        trusted_ca: Some(trusted_ca),
        subject_alt_names: Vec::new(),
    };
    let asking = DownstreamTlsSettings {
        client_validation: Some(validation(authority.anchors())),
        ..settings.clone()
    };
    let asking_others = DownstreamTlsSettings {
        client_validation: Some(validation(Authority::new().anchors())),
        ..settings.clone()
    };
    assert!(!tls(&settings).is_same_but_for_certificates(&tls(&asking)));
    assert!(!tls(&asking).is_same_but_for_certificates(&tls(&asking_others)));
    let upstream = |validation| UpstreamTls::new(client("", validation)).unwrap();
    assert_eq!(upstream(chain(&authority)), upstream(chain(&authority)));
    assert_ne!(upstream(chain(&authority)), upstream(chain(&Authority::new())));
}

mod version_1;
