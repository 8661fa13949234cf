use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn server() -> Frames {
    let mut frames = Frames::new(Role::Server, FrameLimits::default());
    assert_eq!(frames.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Ok(()));
    frames
}

/// How often a server takes a frame from its client.
fn taken(frames: &mut Frames, frame: &[u8]) -> (usize, Option<Flood>) {
    for count in 0..100_000 {
        if let Err(flood) = frames.received(frame) {
            return (count, Some(flood));
        }
        frames.begin_turn();
    }
    (100_000, None)
}

#[test]
fn frames_are_found_however_the_bytes_are_cut() {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[0; 12]));
    bytes.extend(frame(HEADERS, END_STREAM, 1, b"head"));
    bytes.extend(frame(DATA, PADDED, 3, &[3, 1, 0, 0, 0]));
    bytes.extend(frame(DATA, PADDED, 3, &[0]));
    bytes.extend(frame(DATA, PADDED, 3, b""));
    bytes.extend(frame(PING, 0, 0, &[9; 8]));
    for size in 1..=bytes.len() {
        let mut parser = Parser::behind(PREFACE);
        let mut found = Vec::new();
        for mut piece in bytes.chunks(size) {
            while let Some(frame) = parser.next(&mut piece) {
                found.push((frame.kind, frame.stream, frame.payload));
            }
        }
        let expected =
            [(SETTINGS, 0, 12), (HEADERS, 1, 4), (DATA, 3, 1), (DATA, 3, 0), (DATA, 3, 0), (PING, 0, 8)];
        assert_eq!(found, expected, "in pieces of {size}");
    }
}

/// Envoy: 100 for each stream, and 100 for the connection.
#[test]
fn priorities_are_counted_for_each_stream() {
    let priority = frame(PRIORITY, 0, 1, &[0; 5]);
    assert_eq!(taken(&mut server(), &priority), (100, Some(Flood::Priority)));
    let mut frames = server();
    assert_eq!(frames.received(&frame(HEADERS, END_STREAM, 1, b"x")), Ok(()));
    assert_eq!(taken(&mut frames, &priority), (200, Some(Flood::Priority)));
}

/// Envoy: 5, 2 for each stream, 20 for each DATA frame sent.
#[test]
fn window_updates_are_counted_against_data_sent() {
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    assert_eq!(taken(&mut server(), &update), (5, Some(Flood::WindowUpdate)));
    let mut frames = server();
    assert_eq!(frames.received(&frame(HEADERS, END_STREAM, 1, b"x")), Ok(()));
    assert_eq!(frames.sent(&frame(DATA, 0, 1, b"x")), Ok(()));
    assert_eq!(taken(&mut frames, &update), (27, Some(Flood::WindowUpdate)));
}

#[test]
fn empty_frames_count_when_they_come_in_a_row_and_end_nothing() {
    let empty = frame(DATA, 0, 1, b"");
    assert_eq!(taken(&mut server(), &empty), (1, Some(Flood::EmptyFrames)));
    assert_eq!(taken(&mut server(), &frame(DATA, PADDED, 1, &[2, 0, 0])), (1, Some(Flood::EmptyFrames)));
    assert_eq!(taken(&mut server(), &frame(DATA, END_STREAM, 1, b"")), (100_000, None));
    let with_data = [frame(DATA, 0, 1, b"x"), empty].concat();
    assert_eq!(taken(&mut server(), &with_data), (100_000, None));
}

#[test]
fn answers_that_nobody_takes_end_the_connection() {
    let acknowledgement = frame(PING, 1, 0, &[0; 8]);
    let mut frames = server();
    for _ in 0..1000 {
        assert_eq!(frames.sent(&acknowledgement), Ok(()));
    }
    assert_eq!(frames.sent(&acknowledgement), Err(Flood::OutboundControl));
    let mut frames = server();
    for _ in 0..100 {
        for _ in 0..1000 {
            assert_eq!(frames.sent(&acknowledgement), Ok(()));
        }
        frames.taken(17_000, 0);
    }
    // A peer that is slow but takes what it gets.
    let mut frames = server();
    for _ in 0..10_000 {
        assert_eq!(frames.sent(&acknowledgement.repeat(400)), Ok(()));
        frames.taken(600, 200);
    }
    let mut frames = server();
    let data = frame(DATA, 0, 1, b"x");
    let most = (0..20_000).take_while(|_| frames.sent(&data).is_ok()).count();
    assert_eq!((most, frames.flood()), (10_000, Some(Flood::Outbound)));
}

#[tokio::test(start_paused = true)]
async fn clients_may_reset_a_burst_and_then_some_a_second() {
    let mut frames = server();
    let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
    for _ in 0..1000 {
        assert_eq!(frames.received(&reset), Ok(()));
    }
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    for _ in 0..33 {
        assert_eq!(frames.received(&reset), Ok(()));
    }
    assert_eq!(frames.received(&reset), Err(Flood::Resets));
}

/// Servers have no budget of their own: what they send is measured by the streams that were opened.
#[test]
fn heads_and_resets_of_servers_are_measured_by_requests() {
    for (kind, flood, extra, each) in
        [(HEADERS, Flood::Heads, EXTRA_HEADS, USUAL_HEADS), (RST_STREAM, Flood::Resets, EXTRA_RESETS, 1)]
    {
        let mut frames = Frames::new(Role::Client, FrameLimits::default());
        assert_eq!(frames.sent(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Ok(()));
        for stream in 0..10 {
            assert_eq!(frames.sent(&frame(HEADERS, END_STREAM, 2 * stream + 1, b"x")), Ok(()));
        }
        let most = usize::try_from(extra + 10 * each).unwrap_or_default();
        assert_eq!(taken(&mut frames, &frame(kind, 0, 1, b"1xxx")), (most, Some(flood)));
    }
}

#[test]
fn a_turn_ends_after_many_frames_some_requests_or_much_data() {
    let turns = |bytes: &[u8]| {
        let mut frames = server();
        (1..10_000).find(|_| {
            assert_eq!(frames.received(bytes), Ok(()));
            frames.turn_is_over()
        })
    };
    assert_eq!(turns(&frame(PING, 0, 0, &[0; 8])), Some(2000));
    assert_eq!(turns(&frame(HEADERS, END_STREAM, 1, b"x")), Some(96));
    assert_eq!(turns(&frame(DATA, 0, 1, &[0; 16_384])), Some(64));
}
