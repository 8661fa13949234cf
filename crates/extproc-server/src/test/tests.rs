//! Handlers behind the rules of a gateway.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use extproc::messages::{CommonResponse, ProcessingResponse};
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;

use super::*;
use crate::{
    Body, Code, Details, Direction, End, GrpcStatus, InPieces, Modes, Next, NotPossible, Request, Response,
    Result,
    raw::{self, RawExchange, continue_with},
};

async fn pass(request: Request, next: Next) -> Result<Response> {
    next.run(request).await
}

async fn mark(mut request: Request, next: Next) -> Result<Response> {
    request.headers_mut().insert("x-seen", "yes".parse()?);
    let mut response = next.run(request).await?;
    response.headers_mut().insert("x-seen", "yes".parse()?);
    Ok(response)
}

async fn redact(request: Request, next: Next) -> Result<Response> {
    let request = request.map(|body| body.map_text(|text| text.replace("secret", "***")));
    Ok(next.run(request).await?.map(|body| body.map_text(|text| text.replace("secret", "***"))))
}

/// Reads the whole body before it goes on.
async fn read_first(request: Request, next: Next) -> Result<Response> {
    let (head, body) = request.into_parts();
    let text = body.text().await?;
    let request = Request::from_parts(head, text.to_uppercase().into());
    let (head, body) = next.run(request).await?.into_parts();
    let text = body.text().await?;
    Ok(Response::from_parts(head, text.to_uppercase().into()))
}

#[tokio::test(start_paused = true)]
async fn what_is_not_touched_passes() {
    let gateway = TestGateway::new(pass)
        .post("/a?b=c", "a body")
        .header("x-a", "1")
        .trailer("x-end", "2")
        .upstream("another")
        .upstream_trailer("x-end", "3")
        .bodies(BodySendMode::None)
        .every_mode();
    for played in gateway.play().await {
        let upstream = played.upstream().unwrap();
        assert_eq!((upstream.path.as_str(), upstream.text()), ("/a?b=c", "a body"), "{played}");
        assert_eq!((upstream.header("x-a"), upstream.trailer("x-end")), ("1".into(), "2".into()), "{played}");
        assert_eq!((played.client().status(), played.client().text()), (200, "another"), "{played}");
        assert_eq!(played.client().trailer("x-end"), "3", "{played}");
        assert!(upstream.complete && played.client().complete);
    }
}

#[tokio::test(start_paused = true)]
async fn heads_change() {
    for played in TestGateway::new(mark).get("/").bodies(BodySendMode::None).every_mode().play().await {
        assert_eq!(played.upstream().unwrap().header("x-seen"), "yes", "{played}");
        assert_eq!(played.client().header("x-seen"), "yes", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_change_in_every_mode() {
    let gateway =
        TestGateway::new(redact).every_mode().post("/", "my secret").upstream("a secret, and a secret");
    for played in gateway.play().await {
        assert_eq!(played.upstream().unwrap().text(), "my ***", "{played}");
        assert_eq!(played.client().text(), "a ***, and a ***", "{played}");
    }
    // Nothing to read is nothing to change.
    for played in TestGateway::new(redact).every_mode().get("/").play().await {
        assert_eq!((played.client().status(), played.client().text()), (200, ""), "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_are_read_first() {
    for played in
        TestGateway::new(read_first).every_mode().post("/", "body").upstream("response").play().await
    {
        assert_eq!(played.upstream().unwrap().text(), "BODY", "{played}");
        assert_eq!(played.client().text(), "RESPONSE", "{played}");
    }
    for played in TestGateway::new(read_first).every_mode().get("/").play().await {
        assert_eq!(played.upstream().unwrap().text(), "", "{played}");
    }
}

/// Where the head is held until the body was read, it may still change.
#[tokio::test(start_paused = true)]
async fn heads_change_when_the_body_was_read() {
    async fn count(request: Request, next: Next) -> Result<Response> {
        let (mut head, body) = request.into_parts();
        let body = body.bytes().await?;
        head.headers.insert("x-length", body.len().into());
        next.exchange().reroute();
        next.run(Request::from_parts(head, body.into())).await
    }
    use BodySendMode::{Buffered, BufferedPartial, FullDuplexStreamed, Streamed};
    let gateway = TestGateway::new(count).bodies(Buffered).bodies(BufferedPartial).bodies(FullDuplexStreamed);
    for played in gateway.post("/", "body").allow(Rule::Reroute).play().await {
        assert_eq!(played.upstream().unwrap().header("x-length"), "4", "{played}");
        assert_eq!(played.rerouted(), 1, "{played}");
    }
    // In STREAMED it is gone: that is said.
    for played in TestGateway::new(count).bodies(Streamed).post("/", "body").play().await {
        let status = played.status().unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition, "{played}");
        assert!(status.message().contains("change the headers after the body was read"), "{status}");
        assert!(status.message().contains("STREAMED") && status.message().contains("BUFFERED"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_mode_cannot_give_is_said_immediately() {
    async fn read(request: Request, next: Next) -> Result<Response> {
        let error = request.into_body().text().await.unwrap_err();
        let error = error.downcast_ref::<NotPossible>().unwrap();
        assert_eq!((error.wanted, error.mode), ("read the body", Some(BodySendMode::None)));
        assert_eq!(error.setting, "request_body_mode: BUFFERED");
        next.run(Request::default()).await
    }
    for played in TestGateway::new(read).post("/", "body").play().await {
        // It went on with another request, which has no body.
        assert_eq!(played.upstream().unwrap().text(), "", "{played}");
    }
    for played in TestGateway::new(redact).post("/", "body").play().await {
        assert_eq!(played.status().unwrap().code(), Code::FailedPrecondition, "{played}");
        assert!(played.failed());
    }
    // A mode that shows no head has none that could change.
    let mode = ProcessingMode { request_header_mode: HeaderSendMode::Skip, ..ProcessingMode::default() };
    for played in TestGateway::new(mark).mode(mode).get("/").play().await {
        let text = played.status().unwrap().message().to_owned();
        assert!(text.contains("request_header_mode: SEND"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_not_shown_look_empty() {
    async fn look(request: Request, next: Next) -> Result<Response> {
        let exchange = next.exchange();
        assert!(!exchange.shows_head(Direction::Request));
        assert_eq!((request.method(), request.uri().path(), request.headers().len()), (&Method::GET, "/", 0));
        let response = next.run(request).await?;
        assert!(!exchange.shows_head(Direction::Response));
        Ok(response.map(|body| body.map_text(|text| text.to_uppercase())))
    }
    let mode = ProcessingMode {
        request_header_mode: HeaderSendMode::Skip,
        response_header_mode: HeaderSendMode::Skip,
        response_body_mode: BodySendMode::Buffered,
        ..ProcessingMode::default()
    };
    for played in TestGateway::new(look).mode(mode).post("/a", "body").upstream("response").play().await {
        assert_eq!(played.upstream().unwrap().text(), "body", "{played}");
        assert_eq!(played.client().text(), "RESPONSE", "{played}");
    }
}

/// In every mode, without a look at the body.
#[tokio::test(start_paused = true)]
async fn bodies_are_replaced_unread() {
    async fn replace(request: Request, next: Next) -> Result<Response> {
        let (head, _) = request.into_parts();
        let response = next.run(Request::from_parts(head, "new request".into())).await?;
        Ok(response.map(|_| "new response".into()))
    }
    let gateway = TestGateway::new(replace).bodies(BodySendMode::None).every_mode();
    for played in gateway.post("/", "body").upstream("response").play().await {
        assert_eq!(played.upstream().unwrap().text(), "new request", "{played}");
        assert_eq!(played.client().text(), "new response", "{played}");
    }
    // Also where there was none.
    let gateway = TestGateway::new(replace).bodies(BodySendMode::None).every_mode();
    for played in gateway.get("/").play().await {
        assert_eq!(played.upstream().unwrap().text(), "new request", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_change() {
    async fn trailers(request: Request, next: Next) -> Result<Response> {
        let set =
            |trailers: &mut HeaderMap| drop(trailers.insert("x-end", HeaderValue::from_static("changed")));
        let response = next.run(request.map(|body| body.map_trailers(set))).await?;
        Ok(response.map(|body| body.map_chunks(|data| data.to_ascii_uppercase().into()).map_trailers(set)))
    }
    let gateway = TestGateway::new(trailers)
        .post("/", "body")
        .trailer("x-end", "1")
        .upstream("response")
        .upstream_trailer("x-end", "2")
        .bodies(BodySendMode::Streamed)
        .bodies(BodySendMode::Buffered)
        .bodies(BodySendMode::FullDuplexStreamed);
    for played in gateway.play().await {
        assert_eq!(played.upstream().unwrap().trailer("x-end"), "changed", "{played}");
        assert_eq!(played.client().trailer("x-end"), "changed", "{played}");
        assert_eq!(played.client().text(), "RESPONSE", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_answers_itself() {
    async fn answer(request: Request, _: Next) -> Result<Response> {
        let mut response = Response::new(Body::from("no"));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(CONTENT_TYPE, "text/html".parse()?);
        response.headers_mut().append("set-cookie", "a=1".parse()?);
        response.headers_mut().append("set-cookie", "b=2".parse()?);
        response.extensions_mut().insert(GrpcStatus(16));
        response.extensions_mut().insert(Details("no token".to_owned()));
        drop(request);
        Ok(response)
    }
    let gateway = TestGateway::new(answer).bodies(BodySendMode::None).every_mode();
    for played in gateway.post("/", "body").play().await {
        assert_eq!((played.client().status(), played.client().text()), (401, "no"), "{played}");
        assert_eq!(played.client().header("content-type"), "text/html");
        assert_eq!(played.client().header("set-cookie"), "a=1, b=2");
        assert_eq!(played.details(), Some("no_token"));
        assert!(played.upstream().is_none() && !played.failed());
    }
}

/// Also when the upstream has answered, as long as nothing has reached the client.
#[tokio::test(start_paused = true)]
async fn a_handler_answers_instead_of_the_upstream() {
    async fn replace(request: Request, next: Next) -> Result<Response> {
        let response = next.run(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let mut other = Response::new(Body::from("sorry"));
        *other.status_mut() = StatusCode::OK;
        Ok(other)
    }
    let gateway = TestGateway::new(replace).bodies(BodySendMode::None).every_mode();
    for played in
        gateway.get("/").upstream_status(503).upstream_header("x-why", "x").upstream("broken").play().await
    {
        assert_eq!((played.client().status(), played.client().text()), (200, "sorry"), "{played}");
        assert_eq!(played.client().header("x-why"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_pieces() {
    async fn answer(_: Request, _: Next) -> Result<Response> {
        let mut response = Response::new(Body::from("a\nb\n").map_lines(Some));
        response.extensions_mut().insert(InPieces);
        Ok(response)
    }
    let gateway =
        TestGateway::new(answer).bodies(BodySendMode::None).bodies(BodySendMode::FullDuplexStreamed);
    for played in gateway.get("/").play().await {
        assert_eq!((played.client().status(), played.client().text()), (200, "a\nb\n"), "{played}");
        assert!(
            played.client().complete
                && played.transcript.iter().any(|(_, line)| line.contains("streamed_immediate"))
        );
    }
    for played in TestGateway::new(answer).bodies(BodySendMode::Buffered).post("/", "body").play().await {
        assert_eq!(played.status().unwrap().code(), Code::FailedPrecondition, "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_have_the_outcome_that_the_author_wants() {
    async fn fail(request: Request, next: Next) -> Result<Response> {
        match request.uri().path() {
            "/error" => Err("nothing works".into()),
            "/status" => Err(Status::new(Code::Unavailable, "later").into()),
            "/panic" => panic!("as I was told"),
            "/wait" => std::future::pending().await,
            "/large" => {
                request.into_body().collect(2).await?;
                next.run(Request::default()).await
            }
            _ => Err("no such path".into()),
        }
    }
    let cases = [
        ("/error", Code::Internal, "the handler failed"),
        ("/status", Code::Unavailable, "later"),
        ("/panic", Code::Internal, "the handler panicked"),
        ("/wait", Code::DeadlineExceeded, "the handler did not answer within 50ms"),
    ];
    for (path, code, text) in cases {
        for played in TestGateway::new(fail).handler_timeout(Duration::from_millis(50)).get(path).play().await
        {
            let status = played.status().unwrap();
            assert_eq!((status.code(), status.message()), (code, text), "{played}");
            assert!(played.failed() && played.client().status() == 500);
        }
        let answer = |failure: &Failure| {
            assert!(!failure.to_string().is_empty());
            Outcome::respond(StatusCode::IM_A_TEAPOT)
        };
        let gateway = TestGateway::new(fail).on_error(answer).handler_timeout(Duration::from_millis(50));
        for played in gateway.get(path).play().await {
            assert_eq!((played.client().status(), played.failed()), (418, false), "{played}");
        }
    }
    for played in TestGateway::new(fail).every_mode().post("/large", "body").play().await {
        assert_eq!(played.client().status(), 413, "{played}");
    }
}

/// Waits for the gateway, gives up, and then for something that nobody wakes it for.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_nothing_is_given_up() {
    async fn body(request: Request, _: Next) -> Result<Response> {
        let _ = request.into_body().text().now_or_never();
        std::future::pending().await
    }
    async fn next(request: Request, next: Next) -> Result<Response> {
        let _ = next.run(request).now_or_never();
        std::future::pending().await
    }
    async fn both(request: Request, next: Next) -> Result<Response> {
        let (head, body) = request.into_parts();
        let _ = body.text().now_or_never();
        let _ = next.run(Request::from_parts(head, Body::default())).now_or_never();
        std::future::pending().await
    }
    let limit = Duration::from_millis(50);
    let gateway = |gateway: TestGateway| {
        gateway.every_mode().handler_timeout(limit).post("/", "a body").upstream("another")
    };
    let played = [
        gateway(TestGateway::new(body)).play().await,
        gateway(TestGateway::new(next)).play().await,
        gateway(TestGateway::new(both)).play().await,
    ];
    for played in played.iter().flatten() {
        assert!(played.status().is_some_and(|status| status.code() == Code::DeadlineExceeded), "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_author_makes_the_span() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    async fn handler(request: Request, next: Next) -> Result<Response> {
        let name = Span::current().metadata().unwrap().name();
        assert_eq!(name, request.uri().path().trim_start_matches('/'));
        next.run(request).await
    }
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry());
    let gateway = TestGateway::new(handler).header("traceparent", TRACE);
    gateway.get("/exchange").play().await;
    let gateway = TestGateway::new(handler).header("traceparent", TRACE).span(|head| {
        assert_eq!(head.headers["traceparent"], TRACE);
        tracing::info_span!("mine")
    });
    gateway.get("/mine").play().await;
    let gateway = TestGateway::new(pass).span(|_| panic!("no span"));
    for played in gateway.get("/").play().await {
        assert_eq!(played.status().unwrap().message(), "the handler panicked", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_knows_and_wants_to_know() {
    async fn handler(request: Request, next: Next) -> Result<Response> {
        let exchange = request.extensions().get::<crate::Exchange>().unwrap().clone();
        assert_eq!(exchange.attribute("xds.route_name").unwrap(), "r1");
        assert_eq!(exchange.attribute("request.size").unwrap(), 7);
        assert_eq!(exchange.attribute("other"), None);
        assert_eq!(exchange.metadata("auth").unwrap()["user"], "ann");
        assert_eq!(exchange.body_mode(Direction::Request), Some(BodySendMode::None));
        assert!(!exchange.is_observed());
        exchange.set_metadata("mine", "cost", 10);
        exchange.set_metadata("mine", "who", "me");
        let response = next.run(request).await?;
        exchange.set_metadata("late", "status", response.status().as_u16());
        Ok(response)
    }
    let gateway = TestGateway::new(handler)
        .attribute("xds.route_name", "r1")
        .attribute("request.size", 7)
        .metadata("auth", serde_json::json!({"user": "ann"}));
    for played in gateway.get("/").play().await {
        assert_eq!(played.metadata("mine"), serde_json::json!({"cost": 10, "who": "me"}), "{played}");
        assert_eq!(played.metadata("late"), serde_json::json!({"status": 200}), "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_modes_are_asked_for() {
    async fn body_if_json(request: Request, next: Next) -> Result<Response> {
        let json = request.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
        if !json {
            return next.run(request).await;
        }
        next.exchange().wants(Modes::new().request_body(BodySendMode::Buffered))?;
        redact(request, next).await
    }
    let gateway =
        || TestGateway::new(body_if_json).plan(|plan| plan.allow_mode_override = true).post("/", "a secret");
    for played in gateway().play().await {
        assert_eq!(played.upstream().unwrap().text(), "a secret", "{played}");
    }
    async fn request_only(request: Request, next: Next) -> Result<Response> {
        next.exchange().wants(Modes::new().request_body(BodySendMode::Buffered))?;
        let request = request.map(|body| body.map_text(|text| text.replace("secret", "***")));
        next.run(request).await
    }
    let gateway = TestGateway::new(request_only).plan(|plan| plan.allow_mode_override = true);
    for played in gateway.post("/", "a secret").play().await {
        assert_eq!(played.upstream().unwrap().text(), "a ***", "{played}");
    }
    // Where no gateway would listen.
    let gateway = TestGateway::new(request_only).bodies(BodySendMode::FullDuplexStreamed);
    for played in gateway.post("/", "a secret").play().await {
        assert_eq!(played.status().unwrap().code(), Code::FailedPrecondition, "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_time_is_asked_for() {
    async fn slow(request: Request, next: Next) -> Result<Response> {
        next.exchange().extend(Duration::from_secs(1))?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        next.run(request).await
    }
    let plan = |plan: &mut Plan| plan.max_message_timeout = Duration::from_secs(2);
    for played in TestGateway::new(slow).plan(plan).get("/").play().await {
        assert!(played.transcript.iter().any(|(_, line)| line.contains("wants 1000 ms")), "{played}");
        assert_eq!(played.client().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_changes_nothing() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    let observe = move |request: Request, next: Next| {
        let log = log.clone();
        async move {
            assert!(next.exchange().is_observed());
            log.lock().unwrap().push(request.uri().path().to_owned());
            mark(request, next).await
        }
    };
    for played in TestGateway::new(observe).observed().get("/a").upstream("response").play().await {
        assert_eq!(
            (played.client().text(), played.client().header("x-seen")),
            ("response", String::new()),
            "{played}"
        );
        assert!(!played.transcript.iter().any(|(_, line)| line.starts_with("processor: re")), "{played}");
    }
    assert!(seen.lock().unwrap().iter().all(|path| path == "/a"));
}

#[tokio::test(start_paused = true)]
async fn an_end_is_noticed() {
    let ends: Arc<Mutex<Vec<End>>> = Arc::default();
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let handler = |wait: bool| {
        let (ends, dropped) = (ends.clone(), dropped.clone());
        move |request: Request, next: Next| {
            let (ends, count) = (ends.clone(), Count(dropped.clone()));
            async move {
                next.exchange().on_end(move |end| ends.lock().unwrap().push(end));
                let _count = count;
                if wait {
                    std::future::pending::<()>().await;
                }
                next.run(request).await
            }
        }
    };
    TestGateway::new(handler(false)).get("/").play().await;
    assert_eq!(std::mem::take(&mut *ends.lock().unwrap()), [End::Completed; 2]);
    TestGateway::new(handler(true)).client_leaves_after(1).get("/").play().await;
    assert_eq!(std::mem::take(&mut *ends.lock().unwrap()), [End::Closed; 2]);
    // Nothing of the response is shown: the gateway ends the stream.
    let mode = ProcessingMode { response_header_mode: HeaderSendMode::Skip, ..ProcessingMode::default() };
    TestGateway::new(handler(false)).mode(mode).get("/").play().await;
    assert_eq!(std::mem::take(&mut *ends.lock().unwrap()), [End::Closed; 2]);
    assert_eq!(dropped.load(Relaxed), 6);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "refused-header")]
async fn what_the_gateway_would_ignore_fails_the_test() {
    async fn host(mut request: Request, next: Next) -> Result<Response> {
        request.headers_mut().insert("host", "elsewhere".parse()?);
        next.run(request).await
    }
    TestGateway::new(host).get("/").play().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the exchange hangs")]
async fn what_hangs_fails_the_test() {
    async fn hang(_: Request, _: Next) -> Result<Response> {
        std::future::pending().await
    }
    TestGateway::new(hang).handler_timeout(HOUR).get("/").play().await;
}

const HOUR: Duration = Duration::from_secs(3600);

struct Twice;

impl Raw for Twice {
    async fn run(self, exchange: RawExchange) -> Result<(), Status> {
        while let Some(message) = exchange.next().await {
            let reply = continue_with(&message, CommonResponse::default())?;
            let again: ProcessingResponse = reply.clone();
            if exchange.send(reply).await.is_err() || exchange.send(again).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "second-reply")]
async fn raw_mistakes_are_named() {
    TestGateway::raw(|_| Twice).get("/").play().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_answers_one_by_one() {
    struct Plain;
    impl raw::Processor for Plain {
        async fn process(
            &mut self,
            request: raw::messages::ProcessingRequest,
        ) -> Result<ProcessingResponse, Status> {
            continue_with(&request, CommonResponse::default())
        }
    }
    let gateway = TestGateway::raw(|_| Plain).bodies(BodySendMode::Streamed).bodies(BodySendMode::Buffered);
    for played in gateway.post("/", "body").upstream("response").play().await {
        assert_eq!(
            (played.upstream().unwrap().text(), played.client().text()),
            ("body", "response"),
            "{played}"
        );
    }
}

/// The same plays, over a network.
#[tokio::test]
async fn a_processor_at_an_address_is_played_with() {
    let server = crate::Server::new(redact).bind("127.0.0.1:0").await.unwrap();
    let address = server.local_address().clone();
    let server = tokio::spawn(server.serve(std::future::pending()));
    let gateway = TestGateway::at(&address).await.unwrap().every_mode();
    for played in gateway.post("/", "my secret").upstream("a secret").play().await {
        assert_eq!(played.upstream().unwrap().text(), "my ***", "{played}");
        assert_eq!(played.client().text(), "a ***", "{played}");
    }
    // Errors come through.
    for played in TestGateway::at(&address).await.unwrap().post("/", "body").report().await {
        assert_eq!(played.status().unwrap().code(), Code::FailedPrecondition, "{played}");
    }
    server.abort();
}

#[tokio::test]
async fn a_processor_that_is_silent_hangs() {
    struct Silent;
    impl Raw for Silent {
        async fn run(self, exchange: RawExchange) -> Result<(), Status> {
            exchange.next().await;
            std::future::pending().await
        }
    }
    let server = crate::Server::raw(|_| Silent).bind("127.0.0.1:0").await.unwrap();
    let address = server.local_address().clone();
    let server = tokio::spawn(server.serve(std::future::pending()));
    let gateway = TestGateway::at(&address).await.unwrap().patience(Duration::from_millis(50));
    for played in gateway.get("/").report().await {
        let problems = played.problems();
        assert_eq!(problems[0], "the exchange hangs", "{played}");
        assert!(problems[1].starts_with("missing-reply (X-2): no reply to request_headers"), "{played}");
    }
    server.abort();
}

/// Tasks that a handler has left behind do not wait for ever.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_exchange_ends() {
    let (sender, mut ends) = tokio::sync::mpsc::channel(16);
    let handler = move |request: Request, next: Next| {
        let sender = sender.clone();
        async move {
            let body = request.into_body();
            tokio::spawn(async move {
                let error = body.text().await.unwrap_err();
                sender.send(error.to_string()).await.unwrap();
            });
            let _next = next;
            std::future::pending().await
        }
    };
    let gateway = TestGateway::new(handler).bodies(BodySendMode::FullDuplexStreamed).client_leaves_after(1);
    let plays = gateway.post("/", "body").play().await.len();
    for _ in 0..plays {
        assert_eq!(ends.recv().await.unwrap(), "the gateway has ended the exchange");
    }
}

/// A gateway that takes its time gets all of it.
#[tokio::test(start_paused = true)]
async fn slow_gateways_get_everything() {
    let body = "a secret ".repeat(30_000);
    let pause = Duration::from_millis(5);
    let gateway = TestGateway::new(redact).every_mode().post("/", body.clone()).upstream(body.clone());
    for played in gateway.pieces(16 << 10).reads_slowly(pause).play().await {
        assert!(played.client().text() == body.replace("secret", "***"), "{:?}", played.mode());
        assert!(played.schedule().contains("pieces of 16384 bytes"));
        assert!(played.took() >= pause * 4, "{:?}", played.took());
    }
}

/// What has kept a request from beginning counts, too.
#[tokio::test(start_paused = true)]
async fn times_count_from_when_a_request_was_due() {
    let gateway = TestGateway::new(mark).get("/").upstream("body");
    let due = Instant::now();
    tokio::time::advance(Duration::from_secs(3)).await;
    let played = gateway.once(due).await;
    let steps: Vec<_> = played.steps().iter().map(|step| (step.kind, step.time)).collect();
    assert_eq!(steps, [("request_headers", Duration::from_secs(3)), ("response_headers", Duration::ZERO)]);
    assert_eq!(played.took(), Duration::from_secs(3));
}

#[tokio::test]
async fn messages_are_sent_by_hand() {
    let server = crate::Server::new(mark).bind("127.0.0.1:0").await.unwrap();
    let address = server.local_address().clone();
    tokio::spawn(server.serve(std::future::pending()));
    let mut exchange = Connection::to(&address).await.unwrap().open();
    let mut world = extproc::sim::World::new(Plan::new("ext_proc"));
    world.headers(Direction::Request, true);
    exchange.send(&world.sent[0]).await;
    let reply = exchange.next().await.unwrap().unwrap();
    assert_eq!(describe(&reply), "request_headers set x-seen: yes");
    exchange.close();
    assert!(exchange.next().await.is_none());
}
