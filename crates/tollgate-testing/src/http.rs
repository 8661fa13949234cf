//! HTTP/1.1 by hand, so that nothing but the gateway is under test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::DEADLINE;

/// A response, read to the end of its connection.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body, without chunks.
    pub body: String,
}

impl Response {
    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One request on a connection of its own.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut stream = connect(address);
    send(&mut stream, address, path, &[headers, &[("connection", "close")]].concat());
    receive(stream)
}

/// A connection that waits for nothing for ever.
pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
}

/// Writes a request without a body.
pub fn send(stream: &mut TcpStream, host: &str, path: &str, headers: &[(&str, &str)]) {
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).expect("the request is written");
}

/// Reads a response whose connection is closed after it.
pub fn receive(stream: TcpStream) -> Response {
    let mut reader = BufReader::new(stream);
    let mut status_line = String::new();
    reader.read_line(&mut status_line).expect("a status line");
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {status_line:?}"));
    let headers = read_fields(&mut reader);
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let mut body = String::new();
    if chunked {
        body = read_chunks(&mut reader);
    } else {
        reader.read_to_string(&mut body).expect("a body");
    }
    Response { status, headers, body }
}

/// Reads the head of a request and leaves the connection open.
pub fn read_request(stream: &TcpStream) -> (String, Vec<(String, String)>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a request line");
    (line.trim_end().to_owned(), read_fields(&mut reader))
}

fn read_fields(reader: &mut impl BufRead) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(':') {
            Some((name, value)) => fields.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return fields,
        }
    }
}

fn read_chunks(reader: &mut impl BufRead) -> String {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a chunk");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).expect("a whole chunk");
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return String::from_utf8(body).expect("text");
        }
    }
}
