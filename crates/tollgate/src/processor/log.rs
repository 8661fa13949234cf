//! Logs how large requests and responses are, and how long they take: in observability mode, with bodies in STREAMED.
//!
//! In other modes it does the same, and lets everything pass.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use extproc_server::{Body, BodySendMode, Direction, Exchange, Next, Request, Response, Result};

pub(crate) async fn log(request: Request, next: Next) -> Result<Response> {
    let exchange = next.exchange();
    let begin = Instant::now();
    let line = format!("{} {}", request.method(), request.uri().path());
    let sizes: Arc<[AtomicUsize; 2]> = Arc::default();
    let counted = sizes.clone();
    exchange.on_end(move |end| {
        let [sent, received] = [0, 1].map(|index| counted[index].load(Relaxed));
        let time = Instant::now().duration_since(begin);
        tracing::info!("{line}: {sent} bytes, answered with {received} bytes after {time:?} ({end:?})");
    });
    let request = request.map(|body| count(body, &exchange, Direction::Request, &sizes));
    let response = next.run(request).await?;
    Ok(response.map(|body| count(body, &exchange, Direction::Response, &sizes)))
}

/// Counts the bytes that pass, where they are shown.
fn count(body: Body, exchange: &Exchange, direction: Direction, sizes: &Arc<[AtomicUsize; 2]>) -> Body {
    let hidden = matches!(exchange.body_mode(direction), Some(BodySendMode::None | BodySendMode::Grpc));
    if hidden {
        return body;
    }
    let sizes = sizes.clone();
    body.map_chunks(move |data| {
        sizes[direction as usize].fetch_add(data.len(), Relaxed);
        data
    })
}
