//! The examples of kgateway and HTNN, served by the binary before processors in processes of their own.

use tollgate_testing as support;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use support::{
    http::{self, Response},
    http1::echo,
    process::Running,
    root, scratch, tollgate, wait_for,
};

/// A gateway that serves files of an example, before an upstream that answers with the headers it got.
struct Served {
    /// Ends with the test.
    _gateway: Running,
    address: String,
    directory: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

fn upstream() -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("it is there");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("it is there");
    let address = listener.local_addr().expect("it is there");
    runtime.spawn(echo(listener));
    (runtime, address)
}

/// Starts a sample processor; gives where it listens.
fn processor(name: &str) -> (Running, String) {
    let mut processor = Running::spawn(tollgate().args(["processor", name, "--listen", "127.0.0.1:0"]));
    let address = processor.wait_for("listens on ");
    (processor, address)
}

/// A port that nobody has: one of a Gateway is a number from 1.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port()
}

/// Serves a copy of an example whose Gateway listens elsewhere. `resolve` names the addresses of processors.
fn serve(test: &str, example: &str, arguments: &[&str], backend: &str, resolve: &[String]) -> Served {
    let (directory, port) = (scratch(test), free_port());
    for entry in fs::read_dir(root().join("examples").join(example)).expect("it is there") {
        let path = entry.expect("it is there").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let mut text = fs::read_to_string(&path).expect("it is there");
            if path.ends_with("gateway.yaml") {
                for old in ["    port: 8080\n    name", "    port: 10000\n"] {
                    text = text.replace(
                        old,
                        &old.replace("8080", &port.to_string()).replace("10000", &port.to_string()),
                    );
                }
            }
            fs::write(directory.join(path.file_name().expect("it is there")), text).expect("it is there");
        }
    }
    let (runtime, upstream) = upstream();
    let mut command = tollgate();
    command.args(["run", "--workers", "2", "--admin-address", "127.0.0.1:0"]).args(arguments);
    command.arg(format!("--resolve={backend}={upstream}"));
    command.args(resolve.iter().map(|text| format!("--resolve={text}"))).arg(&directory);
    let mut gateway = Running::spawn(&mut command);
    gateway.wait_for("serving");
    Served { _gateway: gateway, address: format!("127.0.0.1:{port}"), directory, _runtime: runtime }
}

impl Served {
    fn get(&self, path: &str, instructions: &str) -> Response {
        let mut stream = http::connect(&self.address);
        let headers = [("connection", "close"), ("instructions", instructions)];
        http::send(&mut stream, "extproc.example", path, &headers);
        http::receive(stream)
    }

    /// Asks until the response is as it should be: changes of files take a moment, and a busy machine may need more than the
    /// 200 ms that an answer may take.
    fn wait_for(&self, path: &str, instructions: &str, right: impl Fn(&Response) -> bool) -> Response {
        wait_for(path, || self.get(path, instructions), right)
    }

    /// Replaces a part of a file that has to be there.
    fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.directory.join(file);
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains(old), "{file} has no {old:?}");
        fs::write(path, text.replace(old, new)).expect("it is there");
    }

    /// The status that an object gets.
    fn status(&self, kind: &str, namespace: &str) -> serde_json::Value {
        status(kind, namespace, &self.directory)
    }
}

fn status(kind: &str, namespace: &str, directory: &Path) -> serde_json::Value {
    let files = fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it is there").path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let sources: Vec<_> =
        yaml.map(|path| tollgate_config::Source::read(&path).expect("it is there")).collect();
    let options = tollgate_config::Options { namespace: namespace.to_owned(), ..Default::default() };
    let objects = tollgate_config::load_with(&sources, &tollgate_config::FileSystem, &options).objects;
    objects.into_iter().find(|object| object.kind == kind).and_then(|object| object.status).expect("a status")
}

const ADD: &str = r#"{"addHeaders":{"x-extproc":"true"}}"#;
const NAMESPACE: &str = "kgateway-system";

fn kgateway(test: &str, processor: &str) -> Served {
    let resolve = [format!("{NAMESPACE}/ext-proc-grpc:4444={processor}")];
    serve(test, "kgateway", &["--namespace", NAMESPACE], "httpbin/httpbin:8000", &resolve)
}

/// Whether the upstream got what the instructions ask for.
fn added(response: &Response) -> bool {
    response.header("x-extproc") == Some("true")
}

#[test]
fn kgateway_asks_the_processor_where_a_filter_says_so() {
    // 4.11
    let (_processor, address) = processor("instructions");
    let served = kgateway("kgateway", &address);
    let response = served.wait_for("/headers", ADD, added);
    assert_eq!((response.status, response.header("instructions")), (200, Some(ADD)));
    let response = served.get("/get", ADD);
    assert_eq!((response.status, response.header("x-extproc")), (200, None));
    // The processor ends its stream with an error, and the extension fails open unless it says otherwise.
    assert_eq!(served.get("/headers", "{").status, 200);
    served.edit(
        "ext-proc.yaml",
        "  extProc:\n    grpcService:",
        "  extProc:\n    failOpen: false\n    grpcService:",
    );
    served.wait_for("/headers", "{", |response| response.status == 500);
    served.wait_for("/headers", ADD, added);
}

#[test]
fn kgateway_goes_on_without_a_processor() {
    let served = kgateway("kgateway_down", "127.0.0.1:1");
    let response = served.get("/headers", ADD);
    assert_eq!((response.status, response.header("x-extproc")), (200, None));
}

#[test]
fn kgateway_needs_the_grant_of_another_namespace() {
    let (_processor, address) = processor("instructions");
    let served = kgateway("kgateway_grant", &address);
    served.wait_for("/headers", ADD, added);
    let text = fs::read_to_string(served.directory.join("httpbin.yaml")).expect("it is there");
    let (kept, _grant) =
        text.split_once("---\napiVersion: gateway.networking.k8s.io/v1beta1").expect("it is there");
    fs::write(served.directory.join("httpbin.yaml"), kept).expect("it is there");
    served.wait_for("/headers", ADD, |response| response.status == 500);
    assert_eq!(served.get("/get", ADD).status, 500);
    let conditions = served.status("HTTPRoute", NAMESPACE)["parents"][0]["conditions"].clone();
    let resolved = conditions
        .as_array()
        .expect("it is there")
        .iter()
        .find(|condition| condition["type"] == "ResolvedRefs")
        .expect("it is there");
    assert_eq!((&resolved["status"], &resolved["reason"]), (&"False".into(), &"RefNotPermitted".into()));
}

/// What the inner processor is to take away.
const TAKE: &str = r#"{"addHeaders":{"x-inner":"true"},"removeHeaders":["x-request-ext-processed","x-response-ext-processed"]}"#;

#[test]
fn htnn_puts_the_outer_processor_first_on_requests_and_last_on_responses() {
    // 3.2, 3.9
    let (_outer, outer) = processor("mark");
    let (_inner, inner) = processor("instructions");
    let resolve = [format!("default/processor:8080={outer}"), format!("default/inner:18080={inner}")];
    let served = serve("htnn", "htnn", &[], "default/backend:8080", &resolve);
    // Without instructions the mark of the outer processor reaches the upstream.
    let marked = |response: &Response| response.header("x-request-ext-processed") == Some("true");
    served.wait_for("/", "{}", marked);
    // The inner one takes it away, so it came first; on the way back the mark is made after the inner one has passed.
    let response = served.wait_for("/", TAKE, |response| response.header("x-inner") == Some("true"));
    assert_eq!(response.header("x-request-ext-processed"), None, "{response:?}");
    assert_eq!(response.header("x-response-ext-processed"), Some("true"));
    let accepted = &served.status("FilterPolicy", "default")["conditions"][0];
    assert_eq!((&accepted["type"], &accepted["status"]), (&"Accepted".into(), &"True".into()));
}

#[test]
fn htnn_fails_closed_without_a_processor() {
    let (_inner, inner) = processor("instructions");
    let resolve = ["default/processor:8080=127.0.0.1:1".to_owned(), format!("default/inner:18080={inner}")];
    let served = serve("htnn_down", "htnn", &[], "default/backend:8080", &resolve);
    let answers = |status| move |response: &Response| response.status == status;
    let (fails, passes) = (answers(500), answers(200));
    assert_eq!(served.get("/", "{}").status, 500);
    served.edit(
        "policy.yaml",
        "        grpcService:",
        "        failureModeAllow: true\n        grpcService:",
    );
    served.wait_for("/", "{}", passes);
    // HT-46: a cluster that nobody knows is no error of the policy, whose failure mode decides about every request.
    served.edit("policy.yaml", "8080||processor.default", "8080||nobody.default");
    served.wait_for("/", "{}", passes);
    served.edit("policy.yaml", "failureModeAllow: true", "failureModeAllow: false");
    served.wait_for("/", "{}", fails);
    let accepted = &served.status("FilterPolicy", "default")["conditions"][0];
    assert_eq!(accepted["status"], "True");
    // So is one that does not speak gRPC.
    served.edit("policy.yaml", "failureModeAllow: false", "failureModeAllow: true");
    served.wait_for("/", "{}", passes);
    served.edit("policy.yaml", "8080||nobody.default", "8080||backend.default");
    served.wait_for("/", "{}", passes);
    served.edit("policy.yaml", "failureModeAllow: true", "failureModeAllow: false");
    served.wait_for("/", "{}", fails);
}
