//! A client connection of HTTP/1.1.

use std::{future::poll_fn, net::SocketAddr, pin::Pin, task::Poll};

use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};

use super::{Exchange, Load};
use crate::{
    Result,
    http1::{Message, Messages},
};

pub(super) async fn run(address: SocketAddr, load: &Load, index: usize) -> Result<()> {
    let request = encode(&load.exchange);
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut messages = Messages::default();
    loop {
        let begun = load.pace.next(index).await;
        load.begin();
        socket.write_all(&request).await?;
        let message = receive(&mut socket, load, &mut messages).await?;
        load.complete(begun, message);
    }
}

async fn receive(socket: &mut TcpStream, load: &Load, messages: &mut Messages) -> Result<Message> {
    poll_fn(|cx| {
        loop {
            let message = load.scratch.with(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut *socket).poll_read(cx, &mut buffer) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(Ok(())) => {}
                }
                let bytes = buffer.filled();
                if bytes.is_empty() {
                    return Poll::Ready(Err("the connection was closed".into()));
                }
                let (taken, message) = messages.feed(bytes)?;
                if message.is_some() && taken < bytes.len() {
                    return Poll::Ready(Err("more than one response".into()));
                }
                Poll::Ready(Result::Ok(message))
            });
            match message {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(message))) => return Poll::Ready(Ok(message)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

fn encode(exchange: &Exchange) -> Vec<u8> {
    let mut request =
        format!("{} {} HTTP/1.1\r\nhost: {}\r\n", exchange.method, exchange.path, exchange.host);
    for (name, value) in &exchange.fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if exchange.body > 0 {
        request.push_str(&format!("content-length: {}\r\n", exchange.body));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.resize(request.len() + exchange.body, b'c');
    request
}
