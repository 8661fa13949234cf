//! Checks that need a connection, and perhaps some bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_model::cluster::TcpHealthCheck;

use super::Finding;
use crate::upstream::pool::transport::Transport;

/// Most bytes of an answer.
const MOST: usize = 64 * 1024;

/// Sends what there is to send, and waits for what has to come.
pub(super) async fn ask(transport: &mut Transport, check: &TcpHealthCheck) -> Finding {
    match exchange(transport, check).await {
        Ok(finding) => finding,
        Err(error) => Finding::Unreachable(error.to_string()),
    }
}

async fn exchange(transport: &mut Transport, check: &TcpHealthCheck) -> std::io::Result<Finding> {
    transport.write_all(&check.send).await?;
    transport.flush().await?;
    let mut received = Vec::new();
    while !all_found(&check.receive, &received) {
        if received.len() > MOST {
            return Ok(Finding::Unwell("a long answer without what was expected".to_owned()));
        }
        if transport.read_buf(&mut received).await? == 0 {
            return Ok(Finding::Unreachable("the connection was closed".to_owned()));
        }
    }
    Ok(Finding::Well { degraded: false })
}

/// Whether all blocks are there, in this order, whatever is between them.
fn all_found(blocks: &[bytes::Bytes], received: &[u8]) -> bool {
    let mut rest = received;
    blocks.iter().all(|block| match memchr::memmem::find(rest, block) {
        Some(at) => {
            rest = &rest[at + block.len()..];
            true
        }
        None => false,
    })
}

pub(super) async fn until_closed(transport: &mut Transport) {
    // Whatever it is, it was not asked for.
    let _ = transport.read_u8().await;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn blocks_are_found_in_their_order() {
        let blocks = [Bytes::from_static(b"ab"), Bytes::from_static(b"cd")];
        for (received, found) in
            [("abcd", true), ("xabxcdx", true), ("cdab", false), ("abc", false), ("", false)]
        {
            assert_eq!(all_found(&blocks, received.as_bytes()), found, "{received}");
        }
        assert!(all_found(&[], b""));
    }
}
