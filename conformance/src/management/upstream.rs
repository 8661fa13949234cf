//! An upstream that answers everything with its name.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

/// An upstream. It lives as long as the process.
pub(super) struct Upstream {
    pub(super) port: u16,
}

impl Upstream {
    pub(super) fn start(name: &'static str) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer(stream, name));
            }
        });
        Ok(Self { port })
    }
}

fn answer(mut stream: TcpStream, name: &str) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..read]);
        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            seen.drain(..end + 4);
            let length = name.len();
            if write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}").is_err() {
                return;
            }
        }
    }
}
