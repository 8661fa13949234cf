//! A case of the corpus.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::scenario::reply::Reply;

/// One hostile party, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Unique.
    pub name: String,
    /// Which listener of the gateway the client talks to.
    #[serde(default = "plain")]
    pub listener: String,
    /// What a client of HTTP/1 sends, byte by byte (Latin-1).
    pub send: Option<String>,
    /// What a client of HTTP/2 sends.
    pub http2: Option<Http2>,
    /// What the upstream answers, byte by byte, instead of 200.
    pub answer: Option<String>,
    /// What the upstream of `http2_raw` answers, frame by frame.
    #[serde(default)]
    pub frames: Vec<Frame>,
    /// The answer is given as soon as the head of the request is there.
    #[serde(default)]
    pub early: bool,
    /// The upstream closes its connection behind the answer.
    #[serde(default)]
    pub close: bool,
    /// What the processor answers, by the kind of the message; everything else it lets pass.
    #[serde(default)]
    pub reply: BTreeMap<String, Reply>,
    /// Fields of requests that are shown with them.
    #[serde(default)]
    pub show: Vec<String>,
    /// What must be seen.
    pub expect: Expect,
}

/// What a client of HTTP/2 sends on stream 1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http2 {
    /// All fields, pseudo-headers included: `name: value`. Instead of `fields`.
    pub head: Option<Vec<String>>,
    /// Fields behind the usual pseudo-headers.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Data.
    pub body: Option<String>,
    /// Trailers.
    pub trailers: Option<Vec<String>>,
}

/// A frame on the stream of the request, or one that ends the connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frame {
    /// HEADERS, pseudo-headers included.
    pub head: Option<Vec<String>>,
    /// DATA.
    pub data: Option<String>,
    /// RST_STREAM with this code.
    pub reset: Option<u32>,
    /// GOAWAY with this code; the last stream is the request's.
    pub goaway: Option<u32>,
    /// The frame ends the stream.
    #[serde(default)]
    pub end: bool,
}

/// What each party sees.
#[derive(Debug, Default, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// What the client got: statuses in their order; `refused` is a reset stream or a connection closed without an answer,
    /// `cut` a response that did not come to its end, `none` nothing in time, `ambiguous` what is not read by all alike.
    pub client: Vec<String>,
    /// The body of the last response, where that matters.
    pub body: Option<String>,
    /// Requests that reached upstreams: `METHOD TARGET HOST [field: value] BODY`, with `secure` before those that the secured
    /// upstream got and `(cut)` behind those that did not come to their end.
    #[serde(default)]
    pub upstream: Vec<String>,
}

impl Expect {
    /// Whether this, which was seen, is what is expected.
    pub(super) fn is(&self, expected: &Self) -> bool {
        self.client == expected.client
            && self.body == expected.body
            && Self::are(&self.upstream, &expected.upstream)
    }

    /// Whether these requests are the expected ones. How much there is to see of a request that was cut is a matter of time,
    /// so such a one may be missing.
    pub(super) fn are(seen: &[String], expected: &[String]) -> bool {
        let is_cut = |request: &&String| request.ends_with("(cut)");
        let whole = |requests: &[String]| -> Vec<String> {
            requests.iter().filter(|request| !is_cut(request)).cloned().collect()
        };
        whole(seen) == whole(expected)
            && (expected.iter().any(|one| is_cut(&one)) || !seen.iter().any(|one| is_cut(&one)))
    }
}

fn plain() -> String {
    "plain".to_owned()
}
