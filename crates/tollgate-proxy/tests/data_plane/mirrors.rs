//! A copy of a request holds the request up only as long as it gets on.

use std::{
    io::{BufRead, BufReader, Read, Write, copy, sink},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use crate::support::{Running, cluster_at, snapshot, to};
use tollgate_model::route::{RequestMirrorPolicy, RouteAction};

/// More than sockets and buffers hold.
const SIZE: usize = 64 << 20;

/// Accepts one connection, and hands it over unread.
fn unread() -> (SocketAddr, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || sender.send(listener.accept().unwrap().0));
    (address, receiver)
}

/// Reads one request of [`SIZE`] bytes, and answers it.
fn reading(stream: TcpStream) -> usize {
    let mut reader = BufReader::new(stream);
    let mut line = String::from(" ");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    let bytes = copy(&mut reader.by_ref().take(SIZE as u64), &mut sink()).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    bytes.try_into().unwrap()
}

fn copied(to_cluster: &str) -> RouteAction {
    let policy = RequestMirrorPolicy::new(to_cluster.to_owned());
    RouteAction { request_mirror_policies: vec![policy], ..to("app") }
}

#[test]
fn a_copy_that_stands_still_is_given_up() {
    let ((app, requests), (still, copies)) = (unread(), unread());
    let clusters = vec![cluster_at("app", &[app]), cluster_at("copy", &[still])];
    let running = Running::start(snapshot(copied("copy"), clusters));
    let upstream = thread::spawn(move || reading(requests.recv().unwrap()));
    assert_eq!(running.post("/", &vec![b'a'; SIZE]).body, "ok");
    assert_eq!(upstream.join().unwrap(), SIZE);
    assert!(copies.recv_timeout(Duration::from_secs(30)).is_ok(), "there was a copy");
}

#[test]
fn a_copy_is_as_long_as_its_request() {
    let ((app, requests), (other, copies)) = (unread(), unread());
    let clusters = vec![cluster_at("app", &[app]), cluster_at("copy", &[other])];
    let running = Running::start(snapshot(copied("copy"), clusters));
    let upstream = thread::spawn(move || reading(requests.recv().unwrap()));
    let copy = thread::spawn(move || reading(copies.recv().unwrap()));
    assert_eq!(running.post("/", &vec![b'a'; SIZE]).body, "ok");
    assert_eq!((upstream.join().unwrap(), copy.join().unwrap()), (SIZE, SIZE));
}
