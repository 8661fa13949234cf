use super::*;

const LIMITS: RecordingLimits = RecordingLimits { exchanges: 2, bytes: 20 };

fn framed(text: &str) -> Bytes {
    Bytes::from([b"\0\0\0\0\x04", text.as_bytes()].concat())
}

#[test]
fn nothing_is_recorded_unless_somebody_asks() {
    let (recorder, now) = (Recorder::default(), Instant::now());
    assert!(recorder.begin("p", now).is_none());
    let recording = recorder.start(LIMITS).unwrap();
    assert_eq!(recorder.start(LIMITS).unwrap_err(), AlreadyRecording);
    assert!(recorder.begin("p", now).is_some());
    drop(recording);
    assert!(recorder.begin("p", now).is_none());
    recorder.start(LIMITS).unwrap();
}

#[test]
fn messages_are_recorded_without_their_framing() {
    let (recorder, now) = (Recorder::default(), Instant::now());
    let recording = recorder.start(LIMITS).unwrap();
    let mut track = recorder.begin("p", now).unwrap();
    track.sent(&framed("head"), [Bytes::from("er")].iter(), now);
    track.received([Bytes::from("re"), Bytes::from("ply")].iter(), now + Duration::from_millis(3));
    track.ended(0);
    let unfinished = recorder.begin("p", now).unwrap();
    drop(track);
    let exchanges = recording.finish();
    drop(unfinished);
    let [exchange] = &exchanges[..] else { panic!("{exchanges:?}") };
    assert_eq!((exchange.processor.as_str(), exchange.status, exchange.truncated), ("p", Some(0), false));
    let messages: Vec<_> =
        exchange.messages.iter().map(|message| (message.from, &message.message[..])).collect();
    assert_eq!(messages, [(Party::Gateway, &b"header"[..]), (Party::Processor, b"reply")]);
    assert_eq!(exchange.messages[1].at, Duration::from_millis(3));
}

#[tokio::test]
async fn limits_hold() {
    let (recorder, now) = (Recorder::default(), Instant::now());
    let recording = recorder.start(LIMITS).unwrap();
    let mut first = recorder.begin("p", now).unwrap();
    let second = recorder.begin("p", now).unwrap();
    assert!(recorder.begin("p", now).is_none());
    first.sent(&framed("15 bytes of it."), [].iter(), now);
    first.sent(&framed("six..."), [].iter(), now);
    // Shorter, but what is behind a gap would mislead.
    first.sent(&framed("1"), [].iter(), now);
    drop((first, second));
    recording.full().await;
    let exchanges = recording.finish();
    let first = exchanges.iter().find(|exchange| !exchange.messages.is_empty()).unwrap();
    assert_eq!((first.messages.len(), first.truncated), (1, true));
    assert_eq!(exchanges.len(), 2);
}
