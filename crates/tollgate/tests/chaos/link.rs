//! A relay between the gateway and one of its peers that can be made to fail as a peer fails.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
};

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They reach the peer.
    Pass,
    /// Those that are open are reset, new ones are closed at once: the peer was killed.
    Cut,
    /// They stay open, and nothing passes: the peer was stopped.
    Stall,
    /// The gateway gets bytes that mean nothing, then the end.
    Garbage,
}

/// A failure, and when it ended.
#[derive(Debug)]
struct Period {
    began: Instant,
    ended: Option<Instant>,
}

/// The relay.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    periods: Arc<Mutex<Vec<Period>>>,
}

/// What a failure leaves behind, broken connections in pools and pauses before the next attempt, is over after this time.
const AFTERMATH: Duration = Duration::from_millis(700);

impl Link {
    pub(crate) async fn to(name: &'static str, peer: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (mode, modes) = watch::channel(Mode::Pass);
        tokio::spawn(async move {
            loop {
                let (gateway, _) = listener.accept().await.expect("a connection");
                tokio::spawn(relay(gateway, peer, modes.clone()));
            }
        });
        Self { name, address, mode, periods: Arc::default() }
    }

    /// Makes the link fail for a while.
    pub(crate) async fn disturb(&self, mode: Mode, duration: Duration) {
        self.periods().push(Period { began: Instant::now(), ended: None });
        self.mode.send_replace(mode);
        tokio::time::sleep(duration).await;
        self.mode.send_replace(Mode::Pass);
        if let Some(period) = self.periods().last_mut() {
            period.ended = Some(Instant::now());
        }
    }

    /// Did the link fail, or suffer from a failure, while a request that began at `began` was under way?
    pub(crate) fn failed_since(&self, began: Instant) -> bool {
        let now = Instant::now();
        self.periods()
            .iter()
            .any(|period| period.began <= now && period.ended.is_none_or(|ended| ended + AFTERMATH >= began))
    }

    /// How often it failed.
    pub(crate) fn failures(&self) -> usize {
        self.periods().len()
    }

    fn periods(&self) -> std::sync::MutexGuard<'_, Vec<Period>> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn relay(mut gateway: TcpStream, peer: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let _ = gateway.set_nodelay(true);
    let Ok(mut peer) = TcpStream::connect(peer).await else { return };
    let _ = peer.set_nodelay(true);
    let (mut from_gateway, mut from_peer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Pass => {}
            Mode::Cut => {
                let _ = gateway.set_zero_linger();
                return;
            }
            Mode::Stall => {
                if modes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Mode::Garbage => {
                let bytes: Vec<u8> =
                    (0..4096_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
                let _ = gateway.write_all(&bytes).await;
                return;
            }
        }
        let passed = select! {
            changed = modes.changed() => changed.is_ok(),
            read = gateway.read(&mut from_gateway) => pass(read, &from_gateway, &mut peer).await,
            read = peer.read(&mut from_peer) => pass(read, &from_peer, &mut gateway).await,
        };
        if !passed {
            return;
        }
    }
}

async fn pass(read: std::io::Result<usize>, bytes: &[u8], to: &mut TcpStream) -> bool {
    match read {
        Ok(length) if length > 0 => to.write_all(&bytes[..length]).await.is_ok(),
        _ => false,
    }
}
