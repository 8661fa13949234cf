//! Clients that mean harm, at a pace that leaves a core to the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How long one connection goes on.
const TURN: Duration = Duration::from_secs(2);

/// A kind of harm: what a connection begins with, and what it repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flood {
    Ping,
    PingAcknowledgement,
    Settings,
    WindowUpdate,
    Reset,
    Garbage,
    SlowHead,
    TinyChunks,
}

pub(crate) const FLOODS: [Flood; 8] = [
    Flood::Ping,
    Flood::PingAcknowledgement,
    Flood::Settings,
    Flood::WindowUpdate,
    Flood::Reset,
    Flood::Garbage,
    Flood::SlowHead,
    Flood::TinyChunks,
];

impl Flood {
    fn begin(self) -> Vec<u8> {
        match self {
            Self::Garbage => Vec::new(),
            Self::SlowHead => b"GET /plain HTTP/1.1\r\nhost: app\r\n".to_vec(),
            Self::TinyChunks => {
                b"POST /plain HTTP/1.1\r\nhost: app\r\nx-id: 0\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
            }
            _ => PREFACE.to_vec(),
        }
    }

    /// The piece number `turn`.
    fn piece(self, turn: u32) -> Vec<u8> {
        match self {
            Self::Ping => b"\0\0\x08\x06\0\0\0\0\0abcdefgh".repeat(100),
            Self::PingAcknowledgement => b"\0\0\x08\x06\x01\0\0\0\0abcdefgh".repeat(100),
            Self::Settings => b"\0\0\0\x04\0\0\0\0\0".repeat(100),
            Self::WindowUpdate => b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01".repeat(100),
            Self::Reset => {
                let stream = (turn * 2 + 1).to_be_bytes();
                // :method GET, :scheme http, :path /, :authority app.
                let head = b"\x82\x86\x84\x41\x03app";
                let mut frames = vec![0, 0, 9, 1, 5];
                frames.extend_from_slice(&stream);
                frames.extend_from_slice(head);
                frames.extend_from_slice(&[0, 0, 4, 3, 0]);
                frames.extend_from_slice(&stream);
                frames.extend_from_slice(&[0, 0, 0, 8]);
                frames
            }
            Self::Garbage => turn.wrapping_mul(2_654_435_761).to_le_bytes().repeat(64),
            Self::SlowHead => b"x-slow: yes\r\n".to_vec(),
            Self::TinyChunks => b"1\r\nx\r\n".repeat(200),
        }
    }
}

/// Opens connection after connection until the end; counts them.
pub(crate) async fn run(flood: Flood, address: String, over: Arc<AtomicBool>, connections: Arc<AtomicUsize>) {
    while !over.load(Relaxed) {
        if let Ok(stream) = TcpStream::connect(&address).await {
            connections.fetch_add(1, Relaxed);
            let _ = timeout(TURN, pour(flood, stream)).await;
        }
        // Whatever a gateway answers, connections come at a bounded rate.
        sleep(Duration::from_millis(50)).await;
    }
}

async fn pour(flood: Flood, stream: TcpStream) -> std::io::Result<()> {
    let (mut reading, mut writing) = stream.into_split();
    let read = async {
        let mut unread = vec![0; 16 << 10];
        while reading.read(&mut unread).await? > 0 {}
        Ok(())
    };
    let write = async {
        writing.write_all(&flood.begin()).await?;
        for turn in 0.. {
            writing.write_all(&flood.piece(turn)).await?;
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    tokio::select! {
        ended = read => ended,
        ended = write => ended,
    }
}
