//! What is known of connections: lines of a listener's log, facts of certificates, numbers of endpoints.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, string::Ia5String,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;

use crate::{
    peers,
    support::{http::get, process::Running, scratch, tollgate},
};

/// A certificate authority, the gateway's certificate and a client's.
struct Identities {
    authority: CertificateDer<'static>,
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
    /// PEM files: authority, certificate and key of the gateway.
    files: [PathBuf; 3],
}

fn identities(directory: &std::path::Path) -> Identities {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.serial_number = Some(vec![0x0a, 0xbc].into());
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let sign = |name: &str, more: Vec<SanType>| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.serial_number = Some(vec![0xf1, 0xe2].into());
        params.subject_alt_names.extend(more);
        (params.signed_by(&key, &authority).expect("a certificate"), key)
    };
    let text = |text: &str| Ia5String::try_from(text).expect("ASCII");
    let (own, own_key) = sign("gw.test", Vec::new());
    let (client, client_key) = sign(
        "client.test",
        vec![
            SanType::IpAddress([10, 1, 2, 3].into()),
            SanType::URI(text("spiffe://td/a")),
            SanType::Rfc822Name(text("a@x.test")),
        ],
    );
    let files = [("ca.pem", authority.pem()), ("gw.pem", own.pem()), ("gw.key", own_key.serialize_pem())];
    let files = files.map(|(name, text)| {
        let path = directory.join(name);
        fs::write(&path, text).expect("written");
        path
    });
    let key = PrivateKeyDer::try_from(client_key.serialize_der()).expect("a key");
    Identities { authority: authority.der().clone(), client: (client.der().clone(), key), files }
}

/// The line of a log once it is there.
fn lines(file: &std::path::Path, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.lines().count() >= count {
            return text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        }
        assert!(Instant::now() < deadline, "{count} lines expected: {text}");
        std::thread::yield_now();
    }
}

struct Gateway {
    process: Running,
    address: String,
    admin: String,
    connections: PathBuf,
    requests: PathBuf,
    identities: Identities,
}

/// A gateway that wants certificates of its clients.
fn gateway(test: &str) -> Gateway {
    let directory = scratch(test);
    let identities = identities(&directory);
    let (connections, requests) = (directory.join("connections.log"), directory.join("requests.log"));
    let log = |file: &PathBuf, format: &[(&str, &str)]| {
        let format: serde_json::Map<String, Value> =
            format.iter().map(|(name, operator)| ((*name).to_owned(), (*operator).into())).collect();
        serde_json::json!([{"name": "file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": file, "log_format": {"json_format": format},
        }}])
    };
    let facts = [
        ("issuer", "%DOWNSTREAM_PEER_ISSUER%"),
        ("serial", "%DOWNSTREAM_PEER_SERIAL%"),
        ("serials", "%DOWNSTREAM_PEER_CHAIN_SERIALS%"),
        ("issuer_serial", "%DOWNSTREAM_PEER_ISSUER_SERIAL%"),
        ("ip", "%DOWNSTREAM_PEER_IP_SAN%"),
        ("uri", "%DOWNSTREAM_PEER_URI_SAN%"),
        ("email", "%DOWNSTREAM_PEER_EMAIL_SAN%"),
        ("dns", "%DOWNSTREAM_PEER_DNS_SAN%"),
        ("fingerprint", "%DOWNSTREAM_PEER_FINGERPRINT_1%"),
        ("pem", "%DOWNSTREAM_PEER_CERT%"),
        ("from", "%DOWNSTREAM_PEER_CERT_V_START(%Y)%"),
        ("own", "%DOWNSTREAM_LOCAL_DNS_SAN%"),
        ("group", "%DOWNSTREAM_TLS_GROUP%"),
        ("name", "%REQUESTED_SERVER_NAME%"),
        ("handshake", "%DOWNSTREAM_HANDSHAKE_DURATION%"),
        ("protocol", "%PROTOCOL%"),
        ("received", "%BYTES_RECEIVED%"),
        ("failure", "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"),
        ("ja3", "%TLS_JA3_FINGERPRINT%"),
        ("ja4", "%TLS_JA4_FINGERPRINT%"),
        ("session", "%DOWNSTREAM_TLS_SESSION_ID%"),
        ("subject", "%CEL(connection.subject_peer_certificate)%"),
        ("mutual", "%TYPED_CEL(connection.mtls && connection.tls_version.startsWith('TLSv1.'))%"),
    ];
    let [authority, certificate, key] = &identities.files;
    let tls = serde_json::json!({"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}],
            "validation_context": {"trusted_ca": {"filename": authority}},
        },
    }});
    let upstream = peers::upstream();
    let manager = serde_json::json!({"name": "http", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "access_log": log(&requests, &facts),
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "app"}},
        ]}]},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        }}],
    }});
    let at = |address: std::net::SocketAddr| serde_json::json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let configuration = serde_json::json!({"static_resources": {
        "listeners": [{
            "name": "tls",
            "address": at("127.0.0.1:0".parse().expect("an address")),
            "access_log": log(&connections, &facts),
            "listener_filters": [{"name": "tls_inspector", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
                "enable_ja3_fingerprinting": true,
                "enable_ja4_fingerprinting": true,
            }}],
            "filter_chains": [{"filters": [manager], "transport_socket": tls}],
        }],
        "clusters": [{"name": "app", "connect_timeout": "2s", "load_assignment": {
            "cluster_name": "app",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}],
        }}],
    }});
    let file = directory.join("gateway.json");
    fs::write(&file, configuration.to_string()).expect("written");
    let mut process = Running::spawn(tollgate().args(["run", "--admin-address", "127.0.0.1:0"]).arg(&file));
    let address = process.wait_for("listener tls at ");
    let admin = process.wait_for("admin server at ");
    process.wait_for("serving");
    Gateway { process, address, admin, connections, requests, identities }
}

fn client(identities: &Identities, with_certificate: bool) -> rustls::ClientConnection {
    client_of(identities, with_certificate, rustls::ALL_VERSIONS)
}

fn client_of(
    identities: &Identities,
    with_certificate: bool,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(identities.authority.clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let config = if with_certificate {
        let (certificate, key) = &identities.client;
        builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).expect("a certificate")
    } else {
        builder.with_no_client_auth()
    };
    let name = ServerName::try_from("gw.test").expect("a name");
    rustls::ClientConnection::new(Arc::new(config), name).expect("a session")
}

#[test]
fn a_request_and_its_connection_show_the_certificates() {
    let gateway = gateway("connections_tls");
    let mut session = client(&gateway.identities, true);
    let mut socket = TcpStream::connect(&gateway.address).expect("connected");
    let request = "GET / HTTP/1.1\r\nhost: gw.test\r\nconnection: close\r\n\r\n";
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    // The end may come without a close_notify.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(socket);
    let of_request = lines(&gateway.requests, 1).remove(0);
    let of_connection = lines(&gateway.connections, 1).remove(0);
    for line in [&of_request, &of_connection] {
        for (name, expected) in [
            ("serial", "f1e2"),
            ("serials", "f1e2"),
            ("issuer_serial", "0abc"),
            ("ip", "10.1.2.3"),
            ("uri", "spiffe://td/a"),
            ("email", "a@x.test"),
            ("dns", "client.test"),
            ("own", "gw.test"),
            ("name", "gw.test"),
            ("protocol", "HTTP/1.1"),
        ] {
            assert_eq!(line[name], expected, "{name}: {line}");
        }
        assert!(line["issuer"].as_str().is_some_and(|issuer| issuer.contains("CN=authority")), "{line}");
        assert_eq!(line["fingerprint"].as_str().map(str::len), Some(40), "{line}");
        assert_eq!(line["from"].as_str().map(str::len), Some(4), "{line}");
        let pem = line["pem"].as_str().unwrap_or_default();
        assert!(
            pem.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII")
                && pem.ends_with("-----END%20CERTIFICATE-----%0A")
        );
        assert!(line["group"].as_str().is_some_and(|group| !group.is_empty()), "{line}");
        assert!(line["handshake"].is_u64() && line["failure"].is_null(), "{line}");
        assert_eq!(line["ja3"].as_str().map(str::len), Some(32), "{line}");
        assert!(line["ja4"].as_str().is_some_and(|ja4| ja4.starts_with("t13d") && ja4.len() == 36), "{line}");
        assert!(line["session"].is_null(), "{line}");
        assert!(line["subject"].as_str().is_some_and(|subject| subject.contains("CN=")), "{line}");
        assert_eq!(line["mutual"], true, "{line}");
    }
    assert_eq!((&of_request["received"], &of_connection["received"]), (&0.into(), &request.len().into()));
    let clusters = get(&gateway.admin, "/clusters", &[]).body;
    for number in ["cx_total::1", "rq_total::1", "rq_success::1", "rq_error::0", "cx_connect_fail::0"] {
        let found =
            clusters.lines().any(|line| line.starts_with("app::127.0.0.1:") && line.ends_with(number));
        assert!(found, "{number}: {clusters}");
    }
    gateway.process.signal("TERM");
    assert!(gateway.process.wait().0.success());
}

/// TLS 1.2 has sessions with ids.
#[test]
fn a_session_of_an_older_version_shows_its_id() {
    let gateway = gateway("connections_session");
    let mut session = client_of(&gateway.identities, true, &[&rustls::version::TLS12]);
    let mut socket = TcpStream::connect(&gateway.address).expect("connected");
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: gw.test\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    // The end may come without a close_notify.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(socket);
    for file in [&gateway.requests, &gateway.connections] {
        let line = lines(file, 1).remove(0);
        let id = line["session"].as_str().unwrap_or_default();
        assert!(id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{line}");
        assert!(line["ja4"].as_str().is_some_and(|ja4| ja4.starts_with("t12d")), "{line}");
    }
    gateway.process.signal("TERM");
    assert!(gateway.process.wait().0.success());
}

#[test]
fn a_failed_handshake_is_a_line_with_its_reason() {
    let gateway = gateway("connections_refused");
    let mut session = client(&gateway.identities, false);
    let mut socket = TcpStream::connect(&gateway.address).expect("connected");
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
    let line = lines(&gateway.connections, 1).remove(0);
    let failure = line["failure"].as_str().unwrap_or_default();
    assert!(failure.starts_with("TLS_error:|") && failure.contains("certificate"), "{line}");
    assert!(line["protocol"].is_null() && line["received"] == 0, "{line}");
    assert_eq!(fs::read_to_string(&gateway.requests).unwrap_or_default(), "");
    gateway.process.signal("TERM");
    assert!(gateway.process.wait().0.success());
}
