//! HTTPRouteBackendProtocolWebSocket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use super::{
    upstream::Upstream,
    world::{DEADLINE, GATEWAY, World, route, service},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_change_their_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (one, two) = (Upstream::start("one", false).await, Upstream::start("two", false).await);
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let mut reader = BufReader::new(stream);
        read_head(&mut reader);
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        reader.get_mut().write_all(answer.as_bytes()).expect("written");
        let mut ping = [0; 4];
        reader.read_exact(&mut ping).expect("the client's bytes");
        reader.get_mut().write_all(&ping.map(|byte| byte.to_ascii_uppercase())).expect("written");
    });
    let rules = "  - backendRefs: [{name: websocket, port: 80}]";
    let text = format!(
        "{GATEWAY}{}{}",
        route("HTTPRoute", "ws", "ws.test", rules),
        service("default", "websocket", Some(address), ", appProtocol: kubernetes.io/ws")
    );
    let world = World::serve(text, one, two);
    tokio::task::block_in_place(|| {
        let mut stream = TcpStream::connect(world.address("http")).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let request = "GET / HTTP/1.1\r\nhost: ws.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("written");
        let mut reader = BufReader::new(stream);
        let status = read_head(&mut reader);
        assert!(status.starts_with("HTTP/1.1 101 "), "{status}");
        reader.get_mut().write_all(b"ping").expect("written");
        let mut answer = [0; 4];
        reader.read_exact(&mut answer).expect("the backend's bytes");
        assert_eq!(&answer, b"PING");
    });
}

/// Reads to the end of a head; gives its first line.
fn read_head(reader: &mut impl BufRead) -> String {
    let mut first = String::new();
    reader.read_line(&mut first).expect("a line");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            return first;
        }
    }
}
