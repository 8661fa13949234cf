//! A server on a thread of its own, and the CPU time that it takes.

use std::{fs, net::SocketAddr, sync::mpsc as std_mpsc, thread, time::Duration};

use extproc_server::Server;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use super::{
    handler::{bodies, heads},
    handwritten::Handwritten,
};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ours,
    Tonic,
}

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Asks for the CPU time that the thread has taken.
    times: mpsc::Sender<oneshot::Sender<Duration>>,
}

impl Running {
    pub(crate) fn start(kind: Kind, with_bodies: bool) -> Self {
        let (ready, started) = std_mpsc::channel();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (times, asked) = mpsc::channel(1);
                let address = serve(kind, with_bodies).await;
                ready.send((address, times)).expect("somebody waits");
                answer(asked).await;
            });
        });
        let (address, times) = started.recv().expect("a server");
        Self { address, times }
    }

    pub(crate) async fn cpu_time(&self) -> Duration {
        let (ask, answer) = oneshot::channel();
        self.times.send(ask).await.expect("it runs");
        answer.await.expect("it runs")
    }
}

async fn serve(kind: Kind, with_bodies: bool) -> SocketAddr {
    match kind {
        Kind::Ours => {
            let server = if with_bodies { Server::new(bodies) } else { Server::new(heads) };
            let server = server.bind("127.0.0.1:0").await.expect("a port");
            let address = server.local_address().to_string().parse().expect("a TCP address");
            tokio::spawn(server.serve(std::future::pending()));
            address
        }
        Kind::Tonic => {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("bound");
            let accepted = futures_util::stream::unfold(listener, async |listener| {
                let accepted = listener.accept().await.map(|(stream, _)| {
                    stream.set_nodelay(true).expect("a socket option");
                    stream
                });
                Some((accepted, listener))
            });
            let server = tonic::transport::Server::builder().add_service(Handwritten);
            tokio::spawn(server.serve_with_incoming(accepted));
            address
        }
    }
}

async fn answer(mut asked: mpsc::Receiver<oneshot::Sender<Duration>>) {
    while let Some(ask) = asked.recv().await {
        let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
        let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok()).expect("a number");
        // Whoever has asked waits.
        let _ = ask.send(Duration::from_nanos(nanoseconds));
    }
}
