//! A client that writes and reads text, so that tests say exactly what is on the wire.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::PATIENCE;

pub(super) struct Client {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, received: Vec::new() }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("written");
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn fill(&mut self) -> usize {
        let mut space = [0; 65536];
        match self.socket.read(&mut space) {
            Ok(read) => {
                self.received.extend_from_slice(&space[..read]);
                read
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => {
                panic!("nothing came: {error}; so far {:?}", String::from_utf8_lossy(&self.received))
            }
        }
    }

    /// Reads up to and including a text.
    pub(super) fn read_until(&mut self, end: &str) -> String {
        loop {
            let found = self.received.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let text: Vec<u8> = self.received.drain(..at + end.len()).collect();
                return String::from_utf8(text).expect("text");
            }
            assert!(self.fill() > 0, "closed; received {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Exactly this comes next.
    pub(super) fn expect(&mut self, text: &str) {
        while self.received.len() < text.len() {
            if self.fill() == 0 {
                break;
            }
        }
        let length = self.received.len().min(text.len());
        let received: Vec<u8> = self.received.drain(..length).collect();
        assert_eq!(String::from_utf8_lossy(&received), text);
    }

    /// Everything until the connection ends.
    pub(super) fn read_to_end(&mut self) -> String {
        while self.fill() > 0 {}
        String::from_utf8(std::mem::take(&mut self.received)).expect("text")
    }
}
