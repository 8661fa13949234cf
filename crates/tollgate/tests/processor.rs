//! `tollgate processor`.

use tollgate_testing as support;

use std::{
    net::TcpStream,
    os::unix::net::{UnixListener, UnixStream},
};

use support::{process::Running, scratch, texts, tollgate};

#[test]
fn it_listens_where_it_is_told_until_a_signal() {
    let mut processor =
        Running::spawn(tollgate().args(["processor", "instructions", "--listen", "127.0.0.1:0"]));
    let address = processor.wait_for("listens on ");
    TcpStream::connect(address).unwrap();
    processor.signal("TERM");
    let (status, output) = processor.wait();
    assert_eq!(status.code(), Some(0), "{output}");
}

#[test]
fn it_listens_on_unix_sockets() {
    let socket = scratch("processor_unix").join("s");
    let address = format!("unix:{}", socket.display());
    let mut processor = Running::spawn(tollgate().args(["processor", "instructions", "--listen", &address]));
    assert_eq!(processor.wait_for("listens on "), address);
    UnixStream::connect(&socket).unwrap();
    processor.signal("INT");
    assert_eq!(processor.wait().0.code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn an_address_in_use_is_named() {
    let socket = scratch("processor_in_use").join("s");
    let _served = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:{}", socket.display());
    let output = tollgate().args(["processor", "instructions", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains(&address));
}

#[test]
fn the_marking_processor_needs_both_halves_of_an_identity() {
    let output = tollgate().args(["processor", "mark", "--tls-certificate", "server.crt"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(texts(&output).1.contains("--tls-private-key"));
    let arguments = ["processor", "mark", "--listen", "127.0.0.1:0"];
    let identity = ["--tls-certificate", "/nowhere.crt", "--tls-private-key", "/nowhere.key"];
    let output = tollgate().args(arguments).args(identity).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("/nowhere.crt"), "{output:?}");
}

#[test]
fn the_marking_processor_listens_until_a_signal() {
    let mut processor = Running::spawn(tollgate().args(["processor", "mark", "--listen", "127.0.0.1:0"]));
    let address = processor.wait_for("listens on ");
    TcpStream::connect(address).unwrap();
    processor.signal("TERM");
    assert_eq!(processor.wait().0.code(), Some(0));
}
