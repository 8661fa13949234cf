use std::{
    cell::{Cell, RefCell},
    future::Future,
    io::{Error, ErrorKind, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Coalesced, Driven};

/// A stream that takes as much as it is told to, and remembers how it was used.
#[derive(Default)]
struct Socket {
    room: usize,
    written: Vec<u8>,
    writes: usize,
    flushes: usize,
    blocked: bool,
    broken: bool,
    shut: bool,
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Socket>>);

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        Poll::Pending
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let mut socket = self.0.borrow_mut();
        socket.writes += 1;
        if socket.broken {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        socket.blocked = socket.room == 0;
        if socket.blocked {
            return Poll::Pending;
        }
        let mut taken = 0;
        for buf in bufs {
            let now = buf.len().min(socket.room);
            socket.written.extend_from_slice(&buf[..now]);
            socket.room -= now;
            taken += now;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.borrow_mut().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.borrow_mut().shut = true;
        Poll::Ready(Ok(()))
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn write(stream: &mut Coalesced<Shared>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
    Pin::new(stream).poll_write(&mut context(), bytes)
}

fn roomy() -> Shared {
    let socket = Shared::default();
    socket.0.borrow_mut().room = usize::MAX;
    socket
}

#[test]
fn many_small_writes_are_one() {
    let socket = roomy();
    let (mut stream, flusher) = Coalesced::new(socket.clone());
    for byte in 0..100 {
        assert!(matches!(write(&mut stream, &[byte; 100]), Poll::Ready(Ok(100))));
        assert!(Pin::new(&mut stream).poll_flush(&mut context()).is_ready());
    }
    assert_eq!(socket.0.borrow().writes, 0);
    assert!(flusher.poll_flush(&mut context()).is_ready());
    let state = socket.0.borrow();
    assert_eq!((state.writes, state.flushes, state.written.len()), (1, 1, 10_000));
    assert!(flusher.is_empty());
    drop(state);
    // Nothing to do is nothing done.
    assert!(flusher.poll_flush(&mut context()).is_ready());
    assert_eq!((socket.0.borrow().writes, socket.0.borrow().flushes), (1, 1));
}

#[test]
fn large_slices_are_gathered_behind_what_was_collected() {
    let socket = roomy();
    let (mut stream, _flusher) = Coalesced::new(socket.clone());
    assert!(write(&mut stream, b"small").is_ready());
    let large = vec![1; 32 * 1024];
    let slices = [IoSlice::new(b"head"), IoSlice::new(&large)];
    let taken = Pin::new(&mut stream).poll_write_vectored(&mut context(), &slices);
    assert!(matches!(taken, Poll::Ready(Ok(taken)) if taken == 4 + 32 * 1024));
    let state = socket.0.borrow();
    assert_eq!((state.writes, state.written.len()), (1, 9 + 32 * 1024));
    assert!(state.written.starts_with(b"smallhead"));
}

#[test]
fn a_full_buffer_waits_for_the_socket() {
    let socket = Shared::default();
    let (mut stream, flusher) = Coalesced::new(socket.clone());
    let mut accepted = 0;
    while let Poll::Ready(Ok(taken)) = write(&mut stream, &[7; 1000]) {
        accepted += taken;
        assert!(accepted <= 128 * 1024);
    }
    assert!(accepted > 124 * 1024);
    assert!(socket.0.borrow().blocked);
    socket.0.borrow_mut().room = 10;
    assert!(flusher.poll_flush(&mut context()).is_pending());
    socket.0.borrow_mut().room = usize::MAX;
    assert!(flusher.poll_flush(&mut context()).is_ready());
    assert_eq!(socket.0.borrow().written.len(), accepted);
}

#[test]
fn shutting_down_and_dropping_write_what_is_left() {
    let socket = roomy();
    let (mut stream, _flusher) = Coalesced::new(socket.clone());
    assert!(write(&mut stream, b"left").is_ready());
    assert!(Pin::new(&mut stream).poll_shutdown(&mut context()).is_ready());
    assert!(socket.0.borrow().shut);
    assert_eq!(socket.0.borrow().written, b"left");
    let socket = roomy();
    let (mut stream, _flusher) = Coalesced::new(socket.clone());
    assert!(write(&mut stream, b"goodbye").is_ready());
    drop(stream);
    assert_eq!(socket.0.borrow().written, b"goodbye");
}

#[test]
fn failures_are_reported_to_the_driver() {
    let socket = roomy();
    let (mut stream, flusher) = Coalesced::new(socket.clone());
    assert!(write(&mut stream, b"lost").is_ready());
    socket.0.borrow_mut().broken = true;
    assert!(matches!(flusher.poll_flush(&mut context()), Poll::Ready(Err(_))));
    let failed = write(&mut stream, b"more");
    assert!(matches!(failed, Poll::Ready(Err(error)) if error.kind() == ErrorKind::BrokenPipe));
    assert!(matches!(Pin::new(&mut stream).poll_flush(&mut context()), Poll::Ready(Err(_))));
}

/// Writes pieces of random sizes, at most a few at each poll, until a total is reached.
struct Writer {
    stream: Coalesced<Shared>,
    random: fastrand::Rng,
    written: Vec<u8>,
    piece: Vec<u8>,
    total: usize,
}

impl Future for Writer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..this.random.usize(1..20) {
            if this.written.len() >= this.total {
                return Poll::Pending;
            }
            if this.piece.is_empty() {
                let limit = this.random.choice([10, 500, 20_000, 100_000]).unwrap();
                let value = this.random.u8(..);
                this.piece = vec![value; this.random.usize(1..=limit)];
            }
            let (front, back) = this.piece.split_at(this.random.usize(0..=this.piece.len()));
            let slices = [IoSlice::new(front), IoSlice::new(back)];
            match Pin::new(&mut this.stream).poll_write_vectored(cx, &slices) {
                Poll::Ready(Ok(taken)) => {
                    assert!(taken > 0);
                    this.written.extend(this.piece.drain(..taken));
                }
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }
}

/// After every poll of the driver the buffer is empty or the socket is not writable, and no byte is lost, doubled or
/// moved.
#[test]
fn nothing_stays_behind_after_a_poll() {
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let socket = Shared::default();
        let (stream, flusher) = Coalesced::new(socket.clone());
        let total = random.usize(1..1_000_000);
        let writer = Writer { stream, random: random.fork(), written: Vec::new(), piece: Vec::new(), total };
        let mut driven = Driven::new(writer, flusher);
        let mut polls = 0;
        loop {
            let limit = random.choice([1, 1000, 100_000, 1_000_000]).unwrap();
            socket.0.borrow_mut().room = random.usize(0..=limit);
            assert!(Pin::new(&mut driven).poll(&mut context()).is_pending());
            let state = socket.0.borrow();
            let written = &driven.driver().written;
            assert!(state.written.len() <= written.len());
            let complete = state.written.len() == written.len();
            assert!(
                complete || state.blocked,
                "seed {seed}: bytes stay behind although the socket is writable"
            );
            if complete && written.len() >= total {
                assert!(state.written == *written, "seed {seed}");
                break;
            }
            polls += 1;
            assert!(polls < 10_000_000);
        }
    }
}

/// Gives what it has, at most so much at a time, and counts how often it is asked.
struct Source {
    bytes: Vec<u8>,
    at: usize,
    most: usize,
    reads: Rc<Cell<usize>>,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        self.reads.set(self.reads.get() + 1);
        let end = self.bytes.len().min(self.at + self.most.min(buf.remaining()));
        buf.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

/// However reads are cut, the bytes are the same; many of them need few reads, and few are not waited for.
#[test]
fn many_bytes_are_read_ahead() {
    let bytes: Vec<u8> = (0..500_000_u32).map(|number| (number % 251) as u8).collect();
    for (most, expected) in [(usize::MAX, 10), (100_000, 10), (9000, 62), (1000, 501)] {
        let reads = Rc::new(Cell::new(0));
        let source = Source { bytes: bytes.clone(), at: 0, most, reads: reads.clone() };
        let (mut stream, _flusher) = Coalesced::new(tokio::io::join(source, tokio::io::sink()));
        let mut seen = Vec::new();
        loop {
            let mut space = [0; 8192];
            let mut buf = ReadBuf::new(&mut space);
            assert!(matches!(Pin::new(&mut stream).poll_read(&mut context(), &mut buf), Poll::Ready(Ok(()))));
            if buf.filled().is_empty() {
                break;
            }
            seen.extend_from_slice(buf.filled());
        }
        assert!(seen == bytes);
        assert!(reads.get() <= expected, "{} reads of at most {most}", reads.get());
    }
}

#[test]
fn the_buffer_is_as_large_as_flushes_usually_are() {
    let (mut stream, flusher) = Coalesced::new(roomy());
    let mut flush_of = |pieces: usize| {
        for _ in 0..pieces {
            assert!(matches!(write(&mut stream, &[0; 1000]), Poll::Ready(Ok(1000))));
        }
        let room = flusher.room();
        assert!(flusher.poll_flush(&mut context()).is_ready());
        room
    };
    let large = flush_of(100);
    // A few smaller flushes between larger ones do not change it.
    for _ in 0..4 {
        assert_eq!(flush_of(1), large);
    }
    assert_eq!(flush_of(100), large);
    for _ in 0..40 {
        flush_of(1);
    }
    assert!(flusher.room() <= 16 * 1024, "{}", flusher.room());
}
