//! `tollgate try`.

mod report;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use extproc_server::{
    BodySendMode,
    test::{Played, TestGateway},
};
use http::Method;

use self::report::Case;
use crate::cli::{Try, TryMode, TryOutput};

/// Exchanges that are played at a time.
const AT_ONCE: usize = 50;

/// Plays, and reports.
pub(crate) fn run(arguments: &Try) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let cases = match runtime.and_then(|runtime| runtime.block_on(play(arguments))) {
        Ok(cases) => cases,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}: {error}", arguments.address);
            return ExitCode::from(2);
        }
    };
    let text = match arguments.output {
        TryOutput::Text => report::text(&cases),
        TryOutput::Json => report::json(&arguments.address, &cases),
        TryOutput::Markdown => report::markdown(&arguments.address, &cases),
    };
    // Who closed standard output does not want to know.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::from(u8::from(cases.iter().any(Case::has_problems)))
}

async fn play(arguments: &Try) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let all = arguments.modes.contains(&TryMode::All);
    let modes: &[_] = match all {
        true => {
            use TryMode::{Buffered, Duplex, Headers, Observe, Partial, Streamed};
            &[Headers, Buffered, Partial, Streamed, Duplex, Observe]
        }
        false => &arguments.modes,
    };
    for &mode in modes {
        let gateway = in_mode(with_trailers(given(arguments).await?, arguments), mode);
        cases.push(Case::new(mode, "as given", gateway.report().await));
        if !all {
            continue;
        }
        let gateway = in_mode(TestGateway::at(&arguments.address).await?.patience(arguments.timeout), mode);
        cases.push(Case::new(mode, "without bodies", gateway.get(&arguments.path).report().await));
        let gateway = in_mode(bodies(arguments).await?, mode);
        cases.push(Case::new(mode, "bodies with letters of several bytes", gateway.report().await));
        let gateway = bodies(arguments).await?.trailer("x-trailer", "1").upstream_trailer("x-trailer", "2");
        cases.push(Case::new(mode, "trailers", in_mode(gateway, mode).report().await));
        let gateway = in_mode(bodies(arguments).await?, mode).client_leaves_after(1);
        cases.push(Case::new(mode, "the client leaves", gateway.report().await));
        cases.push(Case::new(mode, "50 at a time", at_once(arguments, mode).await?));
    }
    Ok(cases)
}

/// Exchanges on connections of their own, all at a time.
async fn at_once(arguments: &Try, mode: TryMode) -> io::Result<Vec<Played>> {
    let mut playing = Vec::new();
    for _ in 0..AT_ONCE {
        let gateway = in_mode(with_trailers(given(arguments).await?, arguments), mode);
        playing.push(tokio::spawn(gateway.report()));
    }
    let mut played = Vec::new();
    for playing in playing {
        played.extend(playing.await.map_err(io::Error::other)?);
    }
    Ok(played)
}

/// The request and the response that were asked for.
async fn given(arguments: &Try) -> io::Result<TestGateway> {
    let mut gateway = TestGateway::at(&arguments.address).await?.patience(arguments.timeout);
    if let Some(body) = &arguments.data {
        gateway = gateway.post(&arguments.path, body.0.clone());
    }
    let method = arguments.method.clone();
    let default = if arguments.data.is_some() { Method::POST } else { Method::GET };
    gateway = gateway.method(method.unwrap_or(default), &arguments.path);
    for field in &arguments.headers {
        gateway = gateway.header(&field.name, &field.value);
    }
    gateway = gateway.upstream_status(arguments.upstream_status);
    for field in &arguments.upstream_headers {
        gateway = gateway.upstream_header(&field.name, &field.value);
    }
    if let Some(body) = &arguments.upstream_body {
        gateway = gateway.upstream(body.0.clone());
    }
    Ok(gateway)
}

fn with_trailers(mut gateway: TestGateway, arguments: &Try) -> TestGateway {
    for field in &arguments.trailers {
        gateway = gateway.trailer(&field.name, &field.value);
    }
    for field in &arguments.upstream_trailers {
        gateway = gateway.upstream_trailer(&field.name, &field.value);
    }
    gateway
}

/// As given, with bodies of some kind if there are none.
async fn bodies(arguments: &Try) -> io::Result<TestGateway> {
    let mut gateway = given(arguments).await?;
    if arguments.data.is_none() {
        gateway = gateway.post(&arguments.path, "größer als 1 €");
    }
    if arguments.upstream_body.is_none() {
        gateway = gateway.upstream("kleiner als 2 €");
    }
    Ok(gateway)
}

fn in_mode(gateway: TestGateway, mode: TryMode) -> TestGateway {
    match mode {
        TryMode::Headers | TryMode::All => gateway.bodies(BodySendMode::None),
        TryMode::Buffered => gateway.bodies(BodySendMode::Buffered),
        TryMode::Partial => gateway.bodies(BodySendMode::BufferedPartial),
        TryMode::Streamed => gateway.bodies(BodySendMode::Streamed),
        TryMode::Duplex => gateway.bodies(BodySendMode::FullDuplexStreamed),
        TryMode::Observe => gateway.bodies(BodySendMode::Streamed).observed(),
    }
}
