//! Processors as processes.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    bootstrap::Endpoint,
    cases::Case,
    gateway::blocking,
    support::{DEADLINE, process::Running, scratch, texts, tollgate},
};

/// How gateways reach them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Unix,
}

/// Running processors.
#[derive(Debug)]
pub(crate) struct Processors {
    endpoints: Vec<Endpoint>,
    _processes: Vec<Running>,
}

impl Processors {
    /// The samples of `tollgate processor`.
    pub(crate) async fn start(transport: Transport, cases: &'static [Case]) -> Self {
        blocking(move || Self::samples(transport, cases)).await
    }

    fn samples(transport: Transport, cases: &[Case]) -> Self {
        let directory = scratch(&format!("samples_{transport:?}").to_lowercase());
        let file = |name: &str| directory.join(name).display().to_string();
        fs::write(file("tokens"), "right\n").expect("the file is written");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["processor".to_owned()]).expect("a certificate");
        fs::write(file("certificate"), cert.pem()).expect("the file is written");
        fs::write(file("key"), signing_key.serialize_pem()).expect("the file is written");
        let (mut endpoints, mut processes) = (Vec::new(), Vec::new());
        for case in cases.iter().filter(|case| case.name == case.processor()) {
            let mut command = tollgate();
            command.args(["processor", case.name]);
            command.args(case.arguments.iter().map(|text| text.replace("{tokens}", &file("tokens"))));
            command.arg("--listen").arg(match transport {
                Transport::Unix => format!("unix:{}?mode=0600", file(case.name)),
                Transport::Tcp | Transport::Tls => "127.0.0.1:0".to_owned(),
            });
            if transport == Transport::Tls {
                command.args(["--tls-certificate", &file("certificate"), "--tls-private-key", &file("key")]);
            }
            let mut process = Running::spawn(&mut command);
            let address = process.wait_for("listens on ");
            let certificate = (transport == Transport::Tls).then(|| cert.pem());
            endpoints.push(Endpoint { name: case.name.to_owned(), address, certificate });
            processes.push(process);
        }
        Self { endpoints, _processes: processes }
    }

    /// Commands that take an address as their last argument.
    pub(crate) async fn run(commands: &[(&str, &str)]) -> Self {
        let (mut endpoints, mut processes) = (Vec::new(), Vec::new());
        for (name, command) in commands {
            let address = free().await.to_string();
            let mut words = command.split_whitespace();
            let mut command = Command::new(words.next().expect("a program"));
            processes.push(Running::spawn(command.args(words).arg(&address)));
            timeout(DEADLINE, listening(&address)).await.unwrap_or_else(|_| panic!("{name} does not listen"));
            endpoints.push(Endpoint { name: (*name).to_owned(), address, certificate: None });
        }
        Self { endpoints, _processes: processes }
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

/// An address that nobody listens at: these programs cannot say which port the kernel has chosen.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("bound")
}

async fn listening(address: &str) {
    while TcpStream::connect(address).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// `tollgate try` with these arguments: its status, and what it says.
pub(crate) async fn tried(arguments: Vec<String>) -> (Option<i32>, String) {
    blocking(move || {
        let output = tollgate().arg("try").args(arguments).output().expect("it runs");
        let (out, errors) = texts(&output);
        (output.status.code(), out + &errors)
    })
    .await
}
