//! Plays the corpus of hostile requests, responses and processors: one raw party a case, everything else reads strictly.
//!
//! Whatever is sent, the upstream must get the one reading of it that everybody shares, or nothing; and the next client must be
//! served. Where the two gateways differ the case says so.

mod case;
mod client;
mod http2;
mod listeners;
mod processor;
mod raw_http2;
mod strict;
mod upstream;

use std::{path::Path, sync::PoisonError, time::Duration};

use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use self::{
    case::{Case, Expect},
    listeners::{Plan, Ports},
    processor::Replies,
    raw_http2::Frames,
    upstream::{OWN, Shared, with},
};
use crate::{
    gateway::{
        Gateway,
        process::{self, NotStarted},
    },
    scenario::load::Written,
};

/// How long the record of the upstreams may take to become what is expected.
const SETTLES_WITHIN: Duration = Duration::from_millis(2500);
/// The same when nothing is expected yet.
const OBSERVED_FOR: Duration = Duration::from_millis(40);

/// What came of a case: nothing is wrong if `differences` is empty.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) differences: Vec<String>,
    /// What was seen, as the case would expect it.
    pub(crate) seen: String,
}

/// Plays every case, one after the other, against one process.
///
/// # Errors
/// A case cannot be read, or the gateway does not start.
pub(crate) async fn play_all(
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    all: &[Written],
    mut report: impl FnMut(Outcome),
) -> Result<(), String> {
    let cases = all.iter().map(|written| read(written, gateway)).collect::<Result<Vec<_>, _>>()?;
    let shared = Shared::default();
    let replies = Replies::default();
    let frames = Frames::default();
    let mut parties = JoinSet::new();
    let bind = async || TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string());
    let [open, secure, second, raw, processor] =
        [bind().await?, bind().await?, bind().await?, bind().await?, bind().await?];
    let port = |listener: &TcpListener| {
        listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
    };
    let ports = Ports {
        open: port(&open)?,
        secure: port(&secure)?,
        http2: port(&second)?,
        raw: port(&raw)?,
        processor: port(&processor)?,
    };
    parties.spawn(upstream::serve(open, "", shared.clone()));
    parties.spawn(upstream::serve(secure, "secure ", shared.clone()));
    parties.spawn(http2::serve(second, shared.clone()));
    parties.spawn(raw_http2::serve(raw, frames.clone()));
    parties.spawn(processor::serve(processor, replies.clone()));
    let (plan, reserved) = listeners::plan(ports)?;
    let file = directory.join("hostile.json");
    std::fs::write(&file, plan.bootstrap.to_string())
        .map_err(|error| format!("{}: {error}", file.display()))?;
    drop(reserved);
    let mut running = process::start(gateway, binary, &file, plan.admin).await.map_err(|why| match why {
        NotStarted::Exited(why) | NotStarted::Other(why) => why,
    })?;
    for (number, case) in cases.iter().enumerate() {
        frames.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&case.frames);
        report(play(gateway, case, number, &plan, &shared, &replies).await);
        if !running.alive() {
            return Err(format!("the gateway has ended after {:?}:\n{}", case.name, running.log()));
        }
    }
    running.stop().await;
    Ok(())
}

/// The case as it is for a gateway.
///
/// # Errors
/// It cannot be read.
pub(crate) fn check(written: &Written) -> Result<(), String> {
    read(written, Gateway::Envoy)?;
    let ours = read(written, Gateway::Tollgate)?;
    let is_ambiguous = |seen: &String| seen.contains("AMBIGUOUS") || seen == "ambiguous";
    if ours.expect.upstream.iter().chain(&ours.expect.client).any(is_ambiguous) {
        return Err(written.wrong("nothing ambiguous may be expected"));
    }
    Ok(())
}

fn read(written: &Written, gateway: Gateway) -> Result<Case, String> {
    let case: Case = written.read(gateway)?;
    if case.send.is_some() == case.http2.is_some() {
        return Err(written.wrong("one of send and http2 is needed"));
    }
    Ok(case)
}

async fn play(
    gateway: Gateway,
    case: &Case,
    number: usize,
    plan: &Plan,
    shared: &Shared,
    replies: &Replies,
) -> Outcome {
    let outcome = |differences, seen| Outcome { name: case.name.clone(), differences, seen };
    let Some(port) = plan.listeners.get(case.listener.as_str()).copied() else {
        return outcome(vec![format!("there is no listener {:?}", case.listener)], String::new());
    };
    with(shared, |seen| {
        *seen = upstream::Seen {
            answer: case.answer.clone(),
            early: case.early,
            close: case.close,
            show: case.show.clone(),
            ..upstream::Seen::default()
        };
    });
    *replies.lock().unwrap_or_else(PoisonError::into_inner) = case.reply.clone();
    let got = match (&case.send, &case.http2) {
        (Some(send), _) => client::http1(port, send, &format!("{OWN}after/{number}")).await,
        (None, Some(request)) => client::http2(port, request).await,
        (None, None) => Err("nothing is sent".to_owned()),
    };
    let mut differences = Vec::new();
    let got = got.unwrap_or_else(|why| {
        differences.push(why);
        client::Got::default()
    });
    if let (Gateway::Tollgate, Some(why)) = (gateway, &got.ambiguous) {
        differences.push(format!("the client gets what can be read in two ways: {why}"));
    }
    let next = format!("{OWN}next/{number}");
    differences.extend(client::own(port, &next).await.err());
    let upstream = settled(shared, &case.expect).await;
    let own = with(shared, |seen| seen.own.iter().filter(|path| **path == next).count());
    if own != 1 {
        differences.push(format!("the next client's request reached upstreams {own} times"));
    }
    if gateway == Gateway::Tollgate && upstream.iter().any(|request| request.contains("AMBIGUOUS")) {
        differences.push("an upstream gets what can be read in two ways".to_owned());
    }
    let body = case.expect.body.as_ref().map(|_| got.body.clone());
    let mut client = got.client;
    client.extend(got.ambiguous.is_some().then(|| "ambiguous".to_owned()));
    let seen = Expect { client, body, upstream };
    if !seen.is(&case.expect) {
        differences.push(format!("expected {:?}\n     got {seen:?}", case.expect));
    }
    let seen =
        serde_json::json!({"client": seen.client, "upstream": seen.upstream, "body": got.body}).to_string();
    outcome(differences, seen)
}

/// What the upstreams have seen, once that is what is expected, or does not become it.
async fn settled(shared: &Shared, expect: &Expect) -> Vec<String> {
    let is_draft = expect.client.is_empty();
    let deadline = Instant::now() + if is_draft { OBSERVED_FOR } else { SETTLES_WITHIN };
    loop {
        let requests = with(shared, |seen| seen.requests.clone());
        if Expect::are(&requests, &expect.upstream) || Instant::now() >= deadline {
            return requests;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
