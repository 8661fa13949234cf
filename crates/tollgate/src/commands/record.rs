//! `tollgate record`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    process::ExitCode,
    time::Duration,
};

use extproc_server::Body;
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::cli::Record;

/// Longest that an answer takes beside the time of the recording.
const RESERVE: Duration = Duration::from_secs(30);
/// Largest answer: what the gateway records at most, as text, with something for what is around the messages.
const LARGEST: usize = 256 << 20;

/// Has a gateway record, and writes what it gives.
pub(crate) fn run(arguments: &Record) -> ExitCode {
    match record(arguments) {
        Ok(exchanges) => {
            let _ = writeln!(io::stderr(), "{exchanges} exchanges in {}", arguments.file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn record(arguments: &Record) -> io::Result<usize> {
    // Before the gateway works for nothing.
    let mut file = open(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let time = Duration::from_secs(arguments.seconds) + RESERVE;
    let recording = runtime.block_on(async { timeout(time, ask(arguments)).await });
    let text = recording.map_err(|_| at_gateway(arguments, "no answer in time"))??;
    file.write_all(&text)?;
    file.sync_all()?;
    Ok(text.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1))
}

/// Only its owner can read what is recorded.
fn open(arguments: &Record) -> io::Result<File> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&arguments.file);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", arguments.file.display())))
}

fn at_gateway(arguments: &Record, problem: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("the gateway's admin server at {}: {problem}", arguments.admin_address))
}

async fn ask(arguments: &Record) -> io::Result<Vec<u8>> {
    let Record { admin_address, seconds, exchanges, bytes, .. } = arguments;
    let failed = |error: hyper::Error| at_gateway(arguments, error);
    let stream = TcpStream::connect(admin_address).await.map_err(|error| at_gateway(arguments, error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors are those of the request.
    tokio::spawn(connection);
    let request = Request::post(format!("/record?seconds={seconds}&exchanges={exchanges}&bytes={bytes}"))
        .header(HOST, admin_address.to_string())
        .body(String::new())
        .map_err(io::Error::other)?;
    let response: Response<Incoming> = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = Body::new(response.into_body()).collect(LARGEST).await;
    let body = body.map_err(|error| at_gateway(arguments, error))?;
    match status {
        StatusCode::OK => Ok(body.into()),
        status => Err(at_gateway(arguments, format!("{status}: {}", String::from_utf8_lossy(&body).trim()))),
    }
}
