//! `tollgate try` and `tollgate echo`.

use tollgate_testing as support;

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use extproc_server::{
    Next, Request, Response, Server, Status, Tls,
    raw::{
        Processor, continue_with,
        messages::{
            CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, ProcessingRequest,
            ProcessingResponse,
        },
    },
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use support::{process::Running, scratch, texts, tollgate};
use tokio::sync::Mutex;

/// Serves in the background, and says where.
async fn served(server: Server) -> String {
    let server = server.bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_address().to_string();
    tokio::spawn(server.serve(std::future::pending()));
    address
}

/// Runs `tollgate try` with these arguments: status, standard output, standard error.
async fn tried(arguments: Vec<String>) -> (Option<i32>, String, String) {
    let run = move || tollgate().arg("try").args(arguments).output().expect("it runs");
    let output = tokio::task::spawn_blocking(run).await.expect("it runs");
    let (out, errors) = texts(&output);
    (output.status.code(), out, errors)
}

fn arguments(address: &str, more: &[&str]) -> Vec<String> {
    [address].iter().chain(more).map(ToString::to_string).collect()
}

async fn upper(request: Request, next: Next) -> extproc_server::Result<Response> {
    Ok(next.run(request).await?.map(|body| body.map_text(|text| text.to_uppercase())))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_shown() {
    let address = served(Server::new(upper)).await;
    let more = ["/a", "-H", "x-a: 1", "--upstream-body", "hello", "--mode", "buffered"];
    let (status, out, errors) = tried(arguments(&address, &more)).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    assert!(out.contains("BUFFERED as given: ok"), "{out}");
    assert!(
        out.contains("gateway: request_headers :authority: example.com, :path: /a, :method: GET"),
        "{out}"
    );
    assert!(out.contains("\"HELLO\"") && out.contains("0 problems"), "{out}");
}

/// Says whose request it is, as a filter before it and the route have said.
async fn whose(mut request: Request, next: Next) -> extproc_server::Result<Response> {
    let exchange = next.exchange();
    let user = exchange.metadata("com.example.auth").ok_or("no metadata")?["user"].to_string();
    let route = exchange.attribute("xds.route_name").ok_or("no attribute")?.to_string();
    let whose = format!("{user} {route} {:?}", request.uri().host());
    request.headers_mut().insert("x-whose", whose.parse()?);
    request.headers_mut().remove("x-b");
    next.run(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_attributes_and_hosts_are_sent() {
    let address = served(Server::new(whose)).await;
    let more = [
        "http://shop.example/a?b",
        "-H",
        "x-a: 1",
        "-H",
        "x-b: 2",
        "--metadata",
        r#"com.example.auth={"user":"ann"}"#,
        "--attribute",
        "xds.route_name=main",
    ];
    let (status, out, errors) = tried(arguments(&address, &more)).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    for line in [
        "  GET /a?b\n  host: shop.example\n  x-a: 1\n- x-b: 2\n+ x-whose: \"ann\" \"main\" Some(\"shop.example\")\n",
        "metadata com.example.auth {\"user\":\"ann\"}, attributes {\"xds.route_name\":\"main\"}",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let all = [&more[..], &["--mode", "all"]].concat();
    let (status, out, errors) = tried(arguments(&address, &all)).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    for (option, value, expected) in [
        ("--metadata", "a", "NAMESPACE=JSON is expected"),
        ("--metadata", "a=1", "a: the values of a namespace are a JSON object"),
        ("--attribute", "nothing.known=1", "nothing.known"),
        ("--attribute", "a", "NAME=VALUE is expected"),
    ] {
        let (status, _, errors) = tried(arguments(&address, &[option, value])).await;
        assert_eq!(status, Some(2), "{errors}");
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    let (status, _, errors) = tried(arguments(&address, &["shop.example/a"])).await;
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("a path that begins with /"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let more = ["--tls", "--tls-name", "processor", "--timeout", "0.3"];
    let (status, _, errors) = tried(arguments(&address, &more)).await;
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("no connection within 300ms (--timeout)"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_processor_is_right_in_every_mode() {
    let address = served(Server::new(async |request: Request, next: Next| next.run(request).await)).await;
    let (status, out, errors) = tried(arguments(&address, &["--mode", "all", "-o", "markdown"])).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    for case in ["empty bodies", "bodies cut inside letters", "a slow reader", "50 at a time"] {
        assert!(out.contains(&format!("| FULL_DUPLEX_STREAMED | {case} |")), "{case}: {out}");
    }
    let (status, out, _) = tried(arguments(&address, &["-o", "json"])).await;
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("\"client_status\": 200"), "{out}");
}

/// Sets `host` in `value`, and knows no other body mode than BUFFERED.
struct Wrong;

impl Processor for Wrong {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let header = HeaderValue { key: "host".into(), value: "elsewhere".into(), ..Default::default() };
        let option = HeaderValueOption { header: Some(header), ..Default::default() };
        let header_mutation = Some(HeaderMutation { set_headers: vec![option], ..Default::default() });
        continue_with(&request, CommonResponse { header_mutation, ..Default::default() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let address = served(Server::raw(|_| Wrong)).await;
    let (status, out, _) =
        tried(arguments(&address, &["--mode", "duplex", "-d", "body", "--timeout", "1"])).await;
    assert_eq!(status, Some(1), "{out}");
    for rule in ["refused-header", "value-member", "plain-body"] {
        assert!(out.contains(rule), "{rule}: {out}");
    }
    assert!(out.contains("Put the value into raw_value"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_an_error() {
    let (status, _, errors) = tried(arguments("127.0.0.1:1", &[])).await;
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("127.0.0.1:1"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_shows_what_it_got() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (echo, address) = tokio::task::spawn_blocking(|| {
        let mut echo = Running::spawn(tollgate().args(["echo", "--listen", "127.0.0.1:0"]));
        let address: SocketAddr = echo.wait_for("echo listens on ").parse().expect("an address");
        (echo, address)
    })
    .await
    .expect("it runs");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request =
        b"POST /a?b HTTP/1.1\r\nhost: echo\r\nx-a: 1\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody";
    stream.write_all(request).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("an answer");
    for part in ["\"method\": \"POST\"", "\"path\": \"/a?b\"", "\"body\": \"body\"", "\"x-a\": ["] {
        assert!(response.contains(part), "{response}");
    }
    tokio::task::spawn_blocking(move || {
        echo.signal("TERM");
        assert_eq!(echo.wait().0.code(), Some(0));
    })
    .await
    .expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_measured() {
    let address = served(Server::new(upper)).await;
    let more = [
        "--load",
        "200",
        "--rate",
        "1000",
        "--mode",
        "buffered",
        "-d",
        "b",
        "--upstream-body",
        "r",
        "-o",
        "json",
    ];
    let (status, out, errors) = tried(arguments(&address, &more)).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let steps: Vec<_> = report["steps"].as_array().expect("steps").iter().map(|step| &step["step"]).collect();
    assert_eq!(
        steps,
        ["whole exchange", "request_headers", "request_body", "response_headers", "response_body"]
    );
    assert!(report["steps"].as_array().expect("steps").iter().all(|step| step["answers"] == 200), "{out}");
    let (status, out, _) = tried(arguments(&address, &["--load", "10", "--rate", "1000"])).await;
    assert_eq!(status, Some(0), "{out}");
    assert!(out.starts_with("10 exchanges, 1000 a second to begin, "), "{out}");
}

/// One exchange at a time, and the first one takes half a second: those behind it wait, and their times say so.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_behind_a_slow_exchange_counts() {
    let turn = Arc::new(Mutex::new(Some(Duration::from_millis(500))));
    let handler = move |request: Request, next: Next| {
        let turn = turn.clone();
        async move {
            let mut pause = turn.lock().await;
            if let Some(pause) = pause.take() {
                tokio::time::sleep(pause).await;
            }
            next.run(request).await
        }
    };
    let address = served(Server::new(handler)).await;
    let (status, out, errors) =
        tried(arguments(&address, &["--load", "40", "--rate", "100", "-o", "json"])).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    // The last of them was due after 390 ms, so each of them has waited for 110 ms at least.
    assert!(report["steps"][0]["p50_ms"].as_f64().expect("a number") >= 200.0, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_behind_tls_and_unix_sockets_are_tried() {
    let directory = scratch("try_tls");
    let file = |name: &str| directory.join(name).display().to_string();
    let signed = |name: &str| {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        fs::write(file(&format!("{name}.crt")), cert.pem()).expect("written");
        fs::write(file(&format!("{name}.key")), signing_key.serialize_pem()).expect("written");
    };
    signed("processor");
    signed("client");
    let tls = Tls::from_files(file("processor.crt"), file("processor.key"))
        .and_then(|tls| tls.client_ca(file("client.crt")))
        .expect("certificates");
    let address = served(Server::new(upper).tls(tls)).await;
    let (ca, certificate, key) = (file("processor.crt"), file("client.crt"), file("client.key"));
    let trusting = ["--tls", "--tls-ca", &ca, "--tls-name", "processor"];
    let known = ["--tls-certificate", &certificate, "--tls-private-key", &key];
    let (status, out, errors) = tried(arguments(&address, &[&trusting[..], &known].concat())).await;
    assert_eq!(status, Some(0), "{out}{errors}");
    // A client without a certificate, a processor with an unknown one, and no TLS at all.
    let (status, out, _) = tried(arguments(&address, &trusting)).await;
    assert_ne!(status, Some(0), "{out}");
    let other = ["--tls", "--tls-ca", &certificate, "--tls-name", "processor"];
    let (status, _, errors) = tried(arguments(&address, &other)).await;
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("certificate"), "{errors}");
    let (status, out, _) = tried(arguments(&address, &[])).await;
    assert_ne!(status, Some(0), "{out}");

    let socket = format!("unix:{}", file("socket"));
    let server = Server::new(upper).bind(&socket).await.expect("a socket");
    tokio::spawn(server.serve(std::future::pending()));
    let (status, out, errors) = tried(arguments(&socket, &[])).await;
    assert_eq!(status, Some(0), "{out}{errors}");
}
