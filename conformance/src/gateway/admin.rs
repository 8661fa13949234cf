//! Asks the admin server of a running gateway.

use std::{collections::BTreeMap, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::http1::{Framing, Reader, write_head};

const LONGEST: Duration = Duration::from_secs(2);

/// Status and body of a GET request.
pub(crate) async fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        let fields =
            [("host".to_owned(), b"127.0.0.1".to_vec()), ("connection".to_owned(), b"close".to_vec())];
        let head = write_head(&format!("GET {path} HTTP/1.1"), &fields);
        stream.write_all(&head).await.map_err(|error| error.to_string())?;
        let mut reader = Reader::new(stream);
        let head = reader.head().await?.ok_or("closed without an answer")?;
        let status = head.words().1.parse().map_err(|_| format!("status line {:?}", head.line))?;
        let mut body = Vec::new();
        reader
            .body(Framing::of_response(&head, "GET", status)?, |data, _| body.extend_from_slice(data))
            .await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    timeout(LONGEST, ask).await.map_err(|_| "no answer in time".to_owned())?
}

/// The ext_proc counters of one listener: `name` or `stat_prefix.name` to value; those of filters behind the router with
/// `upstream.` before it.
///
/// # Errors
/// The admin server did not answer.
pub(crate) async fn counters(port: u16, listener: &str) -> Result<BTreeMap<String, u64>, String> {
    let (status, text) = get(port, "/stats?filter=ext_proc").await?;
    if status != 200 {
        return Err(format!("/stats answers {status}"));
    }
    let own = format!("http.{listener}.ext_proc.");
    // Envoy writes no dot there.
    let upstream = format!("http.{listener}ext_proc.");
    let counters = text.lines().filter_map(|line| {
        if let Some(line) = line.strip_prefix(&own) {
            return counter(line);
        }
        counter(line.strip_prefix(&upstream)?).map(|(name, value)| (format!("upstream.{name}"), value))
    });
    Ok(counters.collect())
}

/// Everything that is counted under names with `id` in them.
///
/// # Errors
/// The admin server did not answer.
pub(crate) async fn stats(port: u16, id: &str) -> Result<BTreeMap<String, u64>, String> {
    let (status, text) = get(port, &format!("/stats?filter={id}")).await?;
    if status != 200 {
        return Err(format!("/stats answers {status}"));
    }
    Ok(text.lines().filter_map(counter).collect())
}

fn counter(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.split_once(": ")?;
    Some((name.to_owned(), value.trim().parse().ok()?))
}
