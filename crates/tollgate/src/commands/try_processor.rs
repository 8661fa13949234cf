//! `tollgate try`.

mod connect;
mod load;
mod replay;
mod report;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use extproc_server::{
    BodySendMode,
    test::{Connection, Played, TestGateway},
};
use http::Method;

use self::{
    connect::Connector,
    report::{Case, Cases},
};
use crate::cli::{Attribute, Metadata, Try, TryMode, TryOutput};

/// Exchanges that are played at a time.
const AT_ONCE: usize = 50;
/// For a gateway that reads slowly: 264 kB in pieces of 16 KiB, which is more than it takes before it has read some.
const LONG_LINES: usize = 12_000;
const PIECE: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(2);

/// What was played, for people and machines.
trait Outcome {
    /// For a terminal.
    fn text(&self) -> String;
    /// For a page.
    fn markdown(&self) -> String;
    /// For a program.
    fn json(&self) -> String;
    /// Whether something is wrong with the processor.
    fn has_problems(&self) -> bool;
}

/// Plays, and reports.
pub(crate) fn run(arguments: &Try) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime.and_then(|runtime| runtime.block_on(play(arguments))) {
        Ok(outcome) => outcome,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}: {error}", arguments.address);
            return ExitCode::from(2);
        }
    };
    let text = match arguments.output {
        TryOutput::Text => outcome.text(),
        TryOutput::Json => outcome.json(),
        TryOutput::Markdown => outcome.markdown(),
    };
    // Who closed standard output does not want to know.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::from(u8::from(outcome.has_problems()))
}

async fn play(arguments: &Try) -> io::Result<Box<dyn Outcome>> {
    let connector = Connector::new(&arguments.address, &arguments.tls, arguments.timeout)?;
    if let Some(path) = &arguments.replay {
        return Ok(Box::new(replay::replay(path, &connector, arguments.timeout).await?));
    }
    if let (Some(exchanges), Some(rate)) = (arguments.load, arguments.rate) {
        return Ok(Box::new(load::load(arguments, &connector, exchanges, rate).await?));
    }
    let all = arguments.modes.contains(&TryMode::All);
    let modes: &[_] = match all {
        true => {
            use TryMode::{Buffered, Duplex, Headers, Observe, Partial, Streamed};
            &[Headers, Buffered, Partial, Streamed, Duplex, Observe]
        }
        false => &arguments.modes,
    };
    let mut cases = Vec::new();
    for &mode in modes {
        let gateway = with_trailers(given(arguments, &connector.connect().await?), arguments);
        cases.push(Case::new(mode, "as given", in_mode(gateway, mode).report().await));
        if all {
            every_case(arguments, &connector, mode, &mut cases).await?;
        }
    }
    Ok(Box::new(Cases { address: arguments.address.clone(), cases }))
}

/// What a processor should be able to do in a mode.
async fn every_case(
    arguments: &Try,
    connector: &Connector<'_>,
    mode: TryMode,
    cases: &mut Vec<Case>,
) -> io::Result<()> {
    // A connection each: what one of them has broken is not the fault of the next.
    let plain = async || Ok::<_, io::Error>(plain(arguments, &connector.connect().await?));
    let with_bodies = async || Ok::<_, io::Error>(bodies(arguments, &connector.connect().await?));
    let mut case = async |name, gateway: TestGateway| {
        cases.push(Case::new(mode, name, in_mode(gateway, mode).report().await));
    };
    case("without bodies", plain().await?.get(&arguments.target)).await;
    case("empty bodies", plain().await?.post(&arguments.target, "").upstream("")).await;
    case("bodies cut inside letters", with_bodies().await?).await;
    let gateway = with_bodies().await?.trailer("x-trailer", "1").upstream_trailer("x-trailer", "2");
    case("trailers", gateway).await;
    case("the client leaves", with_bodies().await?.client_leaves_after(1)).await;
    let body = "a line of a long body\n".repeat(LONG_LINES);
    let gateway = plain().await?.post(&arguments.target, body.clone()).upstream(body);
    case("a slow reader", gateway.pieces(PIECE).reads_slowly(PAUSE)).await;
    let played = at_once(arguments, connector, mode).await?;
    cases.push(Case::new(mode, "50 at a time", played));
    Ok(())
}

/// Exchanges on connections of their own, all at a time.
async fn at_once(arguments: &Try, connector: &Connector<'_>, mode: TryMode) -> io::Result<Vec<Played>> {
    let mut playing = Vec::new();
    for _ in 0..AT_ONCE {
        let gateway = with_trailers(given(arguments, &connector.connect().await?), arguments);
        playing.push(tokio::spawn(in_mode(gateway, mode).report()));
    }
    let mut played = Vec::new();
    for playing in playing {
        played.extend(playing.await.map_err(io::Error::other)?);
    }
    Ok(played)
}

fn plain(arguments: &Try, connection: &Connection) -> TestGateway {
    let mut gateway = TestGateway::through(connection).patience(arguments.timeout);
    for Metadata { namespace, values } in &arguments.metadata {
        gateway = gateway.metadata(namespace, values.clone());
    }
    for Attribute { name, value } in &arguments.attributes {
        gateway = gateway.attribute(name, value.clone());
    }
    gateway
}

/// The request and the response that were asked for.
fn given(arguments: &Try, connection: &Connection) -> TestGateway {
    let mut gateway = plain(arguments, connection);
    if let Some(body) = &arguments.data {
        gateway = gateway.post(&arguments.target, body.0.clone());
    }
    let method = arguments.method.clone();
    let default = if arguments.data.is_some() { Method::POST } else { Method::GET };
    gateway = gateway.method(method.unwrap_or(default), &arguments.target);
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
    gateway
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
fn bodies(arguments: &Try, connection: &Connection) -> TestGateway {
    let mut gateway = given(arguments, connection);
    if arguments.data.is_none() {
        gateway = gateway.post(&arguments.target, "größer als 1 €");
    }
    if arguments.upstream_body.is_none() {
        gateway = gateway.upstream("kleiner als 2 €");
    }
    gateway
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
