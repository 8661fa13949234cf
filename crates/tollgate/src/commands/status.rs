//! `tollgate status`.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use crate::{
    cli::{Form, Status},
    yaml,
};

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const LONGEST: u64 = 256 * 1024 * 1024;

/// Asks the admin server of a gateway.
pub(crate) fn run(arguments: &Status) -> ExitCode {
    let path = match arguments.output {
        Form::Text => "/xds",
        Form::Json | Form::Yaml => "/xds?format=json",
    };
    let answer = match ask(arguments.admin_address, path) {
        Ok(answer) => answer,
        Err(error) => {
            let _ =
                writeln!(io::stderr(), "the gateway at {} cannot be asked: {error}", arguments.admin_address);
            return ExitCode::from(2);
        }
    };
    let answer = match (arguments.output, serde_json::from_str(&answer)) {
        (Form::Yaml, Ok(document)) => yaml::to_string(&document),
        _ => answer,
    };
    let is_stale = ["STALE", "REFUSED"].iter().any(|state| answer.contains(state));
    match io::stdout().write_all(answer.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if is_stale => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| invalid("it does not speak HTTP"))?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(invalid(head.lines().next().unwrap_or_default()));
    }
    Ok(body.to_owned())
}
