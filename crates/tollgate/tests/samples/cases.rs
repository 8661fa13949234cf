//! What is played with each processor.

/// A body mode of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    None,
    Streamed,
    Buffered,
    BufferedPartial,
    FullDuplexStreamed,
    /// Copies, in STREAMED.
    Observed,
}

use Mode::{Buffered, BufferedPartial, FullDuplexStreamed, None, Observed, Streamed};

/// Every mode that awaits answers.
pub(crate) const EVERY: &[Mode] = &[None, Streamed, Buffered, BufferedPartial, FullDuplexStreamed];
const BODIES: &[Mode] = &[Streamed, Buffered, BufferedPartial, FullDuplexStreamed];

/// A processor, and one request.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Of the processor: behind `#` stands what is different about this case of it.
    pub(crate) name: &'static str,
    /// Arguments of `tollgate processor NAME`; in `{tokens}` stands a file of tokens.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) modes: &'static [Mode],
    pub(crate) path: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// No request body if it is empty.
    pub(crate) body: &'static str,
    pub(crate) status: u16,
    /// What the client sees, among other things.
    pub(crate) contains: &'static [&'static str],
}

impl Case {
    const DEFAULT: Self = Self {
        name: "",
        arguments: &[],
        modes: EVERY,
        path: "/echo",
        headers: &[],
        body: "body",
        status: 200,
        contains: &[],
    };

    /// The name of the processor.
    pub(crate) fn processor(&self) -> &'static str {
        self.name.split('#').next().unwrap_or_default()
    }

    pub(crate) fn listener(&self, mode: Mode) -> String {
        format!("{}-{mode:?}", self.name)
    }
}

/// Every sample, in each mode that it supports.
pub(crate) const SAMPLES: &[Case] = &[
    Case {
        name: "instructions",
        headers: &[("instructions", r#"{"addHeaders":{"a":"1"},"removeHeaders":["user-agent"]}"#)],
        contains: &[r#""a":"1""#, r#""body":"body""#],
        ..Case::DEFAULT
    },
    Case {
        name: "mark",
        contains: &[
            "x-response-ext-processed: true",
            "x-response-xds-route-name: main",
            r#""x-request-ext-processed":"true""#,
            r#""x-request-xds-route-name":"main""#,
        ],
        ..Case::DEFAULT
    },
    Case {
        name: "redact",
        modes: BODIES,
        path: "/json",
        contains: &[r#"{"users":[{"name":"ann","password":"***"}]}"#],
        ..Case::DEFAULT
    },
    Case {
        name: "token",
        arguments: &["--tokens", "{tokens}"],
        headers: &[("authorization", "Bearer right")],
        contains: &[r#""body":"body""#],
        ..Case::DEFAULT
    },
    Case {
        name: "token#unknown",
        headers: &[("authorization", "Bearer wrong")],
        status: 401,
        contains: &["www-authenticate: Bearer", "a valid token is needed"],
        ..Case::DEFAULT
    },
    Case {
        name: "events",
        arguments: &["--replace", "secret"],
        modes: &[Streamed, Buffered, FullDuplexStreamed],
        path: "/events",
        body: "",
        contains: &["id: 1\ndata: a ***\n\ndata: b\n\n"],
        ..Case::DEFAULT
    },
    Case {
        name: "route",
        modes: &[Buffered, FullDuplexStreamed],
        headers: &[("content-type", "application/json")],
        body: r#"{"model":"large"}"#,
        contains: &[r#""x-model":"large""#],
        ..Case::DEFAULT
    },
    Case { name: "log", modes: &[Observed], contains: &[r#""body":"body""#], ..Case::DEFAULT },
    Case {
        name: "layers",
        contains: &["x-content-type-options: nosniff", r#""via":"tollgate""#],
        ..Case::DEFAULT
    },
    Case {
        name: "pick",
        arguments: &["--endpoint", "10.0.0.1:80"],
        contains: &[r#""x-gateway-destination-endpoint":"10.0.0.1:80""#],
        ..Case::DEFAULT
    },
];

/// Answers in pieces, and modes that are asked for: the gateways have to be able to.
pub(crate) const HANDLERS: &[Case] = &[
    Case {
        name: "pieces",
        modes: &[None, FullDuplexStreamed],
        contains: &["x-answered: yes", "one two three"],
        ..Case::DEFAULT
    },
    Case { name: "wants", modes: &[None], contains: &[r#""wanted":"wanted""#], ..Case::DEFAULT },
];

/// The processors of `docs/processors`, which set `x-seen` in both directions.
pub(crate) fn marked<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Case> {
    let case = |name: &str| Case {
        name: name.to_owned().leak(),
        contains: &["x-seen: yes", r#""x-seen":"yes""#, r#""body":"body""#],
        ..Case::DEFAULT
    };
    names.map(case).collect()
}
