//! Processors of every dialect on one route of one Gateway: requests pass them in the documented order, responses in its reverse
//! (CF-31).

use tollgate_testing as support;

use std::{fs, net::TcpListener};

use support::{
    gateway::processor,
    http::get,
    http1::echo,
    process::Running,
    scratch,
    signature::{Signature, written},
    tollgate,
};
use tokio::task::block_in_place;

const CONFIGURATION: &str =
    include_str!("../../tollgate-config/src/translation/tests/inputs/cf_31_every_dialect.yaml");

/// The services of the processors, in the order of requests.
const ORDER: [&str; 6] =
    ["htnn-outer", "kgateway-early", "envoy-gateway", "kgateway", "htnn-inner", "kgateway-upstream"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processors_of_every_dialect_have_their_order() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut resolve = vec![format!("--resolve=default/backend:8080={}", upstream.local_addr().unwrap())];
    tokio::spawn(echo(upstream));
    for name in ORDER {
        let (address, _) = processor(move |_| Signature(name)).await;
        resolve.push(format!("--resolve=default/{name}:9000={address}"));
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = scratch("mixed");
    let listener =
        format!("  addresses: [{{value: 127.0.0.1}}]\n  listeners:\n  - {{name: http, port: {port}");
    let text = CONFIGURATION.replace("  listeners:\n  - {name: http, port: 10000", &listener);
    fs::write(directory.join("all.yaml"), text).unwrap();
    let mut command = tollgate();
    command.args(["run", "--admin-address", "127.0.0.1:0"]).args(resolve).arg(&directory);
    let mut gateway = Running::spawn(&mut command);
    block_in_place(|| gateway.wait_for("serving"));
    let response = block_in_place(|| get(&format!("127.0.0.1:{port}"), "/", &[]));
    assert_eq!(written(&response, "x-request"), ORDER, "{response:?}");
    let mut reverse = ORDER;
    reverse.reverse();
    assert_eq!(written(&response, "x-response"), reverse, "{response:?}");
}
