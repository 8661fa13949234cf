//! InferencePools with an endpoint picker and three servers, one of which ends in the middle.

use tollgate_testing as support;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
};

use extproc_server::{Body, Handler, ListenAddress, Next, Request, Response, Server};
use http::StatusCode;
use support::{
    http::{self as client, Response as Answer},
    process::Running,
    scratch, tollgate, wait_for,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::{JoinHandle, block_in_place},
};

const CONFIGURATION: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: istio, listeners: [{name: http, protocol: HTTP, port: PORT}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: models}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{path: {value: /closed}}]
    backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: closed}]
  - matches: [{path: {value: /open}}]
    backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: open}]
  - matches: [{path: {value: /sample}}]
    backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: sample}]
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: closed}
spec:
  selector: {matchLabels: {app: model}}
  targetPorts: [{number: FIRST}, {number: SECOND}, {number: THIRD}]
  endpointPickerRef: {name: picker, port: {number: 9002}, failureMode: FailClose}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: open}
spec:
  selector: {matchLabels: {app: model}}
  targetPorts: [{number: FIRST}, {number: SECOND}, {number: THIRD}]
  endpointPickerRef: {name: picker, port: {number: 9002}, failureMode: FailOpen}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: sample}
spec:
  selector: {matchLabels: {app: model}}
  targetPorts: [{number: FIRST}, {number: SECOND}, {number: THIRD}]
  endpointPickerRef: {name: sample, port: {number: 9002}}
---
apiVersion: v1
kind: Pod
metadata: {name: model-0, labels: {app: model}}
status: {podIP: 127.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: picker}
spec: {ports: [{name: grpc, port: 9002}]}
---
apiVersion: v1
kind: Service
metadata: {name: sample}
spec: {ports: [{name: grpc, port: 9002}]}
"#;

const NAMESPACE: &str = "envoy.lb";
const PICKED: &str = "x-gateway-destination-endpoint";
const SERVED: &str = "x-gateway-destination-endpoint-served";

/// Does what requests ask for: refuses with the status in `refuse`, or picks the endpoints in `pick`. Responses say which one served
/// them.
fn picker() -> impl Handler {
    |request: Request, next: Next| async move {
        let (refuse, pick) = (header(&request, "refuse"), header(&request, "pick"));
        if let Some(status) = refuse {
            let mut response = Response::new(Body::from("no room\n"));
            *response.status_mut() = status.parse::<StatusCode>()?;
            return Ok(response);
        }
        let exchange = next.exchange();
        if let Some(list) = pick {
            exchange.set_metadata(NAMESPACE, PICKED, list.as_str());
        }
        let mut response = next.run(request).await?;
        let metadata = exchange.metadata(NAMESPACE);
        let served = metadata.as_ref().and_then(|metadata| metadata.get(SERVED)?.as_str());
        response.headers_mut().insert("x-served", served.unwrap_or("unknown").parse()?);
        Ok(response)
    }
}

fn header(request: &Request, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

/// A server that says in `x-server` where it is, until its task is aborted.
async fn server() -> (SocketAddr, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut head, mut piece) = (Vec::new(), [0; 1024]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(read @ 1..) => head.extend_from_slice(&piece[..read]),
                        _ => return,
                    }
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nx-server: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, task)
}

fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> Answer {
    block_in_place(|| {
        let mut stream = client::connect(&format!("127.0.0.1:{port}"));
        let headers: Vec<_> = headers.iter().copied().chain([("connection", "close")]).collect();
        client::send(&mut stream, "models.example", path, &headers);
        client::receive(stream)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picker_chooses_among_servers_that_may_end() {
    let (first, first_task) = server().await;
    let (second, _second) = server().await;
    let (third, _third) = server().await;
    let any: ListenAddress = "127.0.0.1:0".parse().expect("an address");
    let own = Server::new(picker()).bind(&any).await.expect("a port");
    let picker = own.local_address().to_string();
    let picker_task = tokio::spawn(own.serve(std::future::pending()));
    let mut command = tollgate();
    command.args(["processor", "pick", "--listen", "127.0.0.1:0"]);
    command.args([first, second, third].map(|address| format!("--endpoint={address}")));
    let mut sample = Running::spawn(&mut command);
    let sample_address = block_in_place(|| sample.wait_for("listens on "));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port();
    let mut text = CONFIGURATION.replace("PORT", &port.to_string());
    for (name, address) in [("FIRST", first), ("SECOND", second), ("THIRD", third)] {
        text = text.replace(name, &address.port().to_string());
    }
    let directory = scratch("inference");
    fs::write(directory.join("all.yaml"), text).expect("it is written");
    let mut command = tollgate();
    command.args(["run", "--admin-address", "127.0.0.1:0"]);
    command.arg(format!("--resolve=default/picker:9002={picker}"));
    command.arg(format!("--resolve=default/sample:9002={sample_address}")).arg(&directory);
    let mut gateway = Running::spawn(&mut command);
    block_in_place(|| gateway.wait_for("serving"));
    let [first, second, third] = [first, second, third].map(|address| address.to_string());
    let served = |answer: &Answer| {
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        (answer.status, header("x-server"), header("x-served"))
    };

    // The one that is picked serves, and the picker is told so.
    for address in [&first, &second, &third, &second] {
        let answer = get(port, "/closed", &[("pick", address)]);
        assert_eq!(served(&answer), (200, address.clone(), address.clone()), "{answer:?}");
    }
    // What the picker answers itself reaches the client.
    for status in ["429", "503"] {
        let answer = get(port, "/closed", &[("refuse", status)]);
        assert_eq!((answer.status.to_string().as_str(), answer.body.as_str()), (status, "no room\n"));
    }

    // One of the servers ends: retries walk down the list.
    first_task.abort();
    let _ = first_task.await;
    for list in [format!("{first},{third}"), format!("{first},{second},{third}")] {
        let alive = list.split(',').nth(1).unwrap_or_default().to_owned();
        let answer = get(port, "/closed", &[("pick", &list)]);
        assert_eq!(served(&answer), (200, alive.clone(), alive), "{list}: {answer:?}");
    }
    // The sample knows nothing of it: a try that fails is made again somewhere else.
    for _ in 0..20 {
        let answer = get(port, "/sample", &[]);
        let (status, server, _) = served(&answer);
        assert!(status == 200 && [&second, &third].contains(&&server), "{answer:?}");
    }

    // Without its picker a pool is closed or open, as it says.
    picker_task.abort();
    let _ = picker_task.await;
    block_in_place(|| {
        wait_for(
            "the pool closes",
            || get(port, "/closed", &[("pick", &second)]),
            |answer| answer.status == 500,
        )
    });
    for _ in 0..10 {
        let answer = get(port, "/open", &[("pick", &second)]);
        let (status, server, _) = served(&answer);
        assert!(status == 200 && [&second, &third].contains(&&server), "{answer:?}");
    }
}
