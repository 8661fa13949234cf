//! What no sample does: processors of this program.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use extproc_server::{Body, BodySendMode, Handler, InPieces, Modes, Next, Request, Response, Result, Server};
use http_body::Frame;

use crate::{
    bootstrap::Endpoint,
    cases::{Case, HANDLERS},
};

/// Serves all of them until the test ends.
pub(crate) async fn start() -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for Case { name, .. } in HANDLERS {
        let server = match *name {
            "pieces" => bound(pieces).await,
            "wants" => bound(wants).await,
            other => panic!("no handler {other}"),
        };
        endpoints.push(Endpoint { name: (*name).to_owned(), address: server, certificate: None });
    }
    endpoints
}

async fn bound(handler: impl Handler) -> String {
    let server = Server::new(handler).bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_address().to_string();
    tokio::spawn(server.serve(std::future::pending()));
    address
}

/// Answers itself, piece by piece.
async fn pieces(_: Request, _: Next) -> Result<Response> {
    let mut response = Response::new(Body::new(Words(vec!["three", "two ", "one "])));
    response.headers_mut().insert("x-answered", "yes".parse()?);
    response.extensions_mut().insert(InPieces);
    Ok(response)
}

struct Words(Vec<&'static str>);

impl http_body::Body for Words {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop().map(|word| Ok(Frame::data(word.as_bytes().into()))))
    }
}

/// Gets the body of the response, which the gateway does not send by itself.
async fn wants(request: Request, next: Next) -> Result<Response> {
    next.exchange().wants(Modes::new().response_body(BodySendMode::Buffered))?;
    Ok(next.run(request).await?.map(|body| body.map_text(|text| text.replace("body", "wanted"))))
}
