//! What becomes of a request for a tunnel when its answer arrives.

use std::borrow::Cow;

use extproc::{ResponseHeaders, remove_fields};
use http::{
    StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
};

use super::{Transaction, core::Core};
use crate::{
    stream::{Downstream, ResponseEvent},
    stream_info::Protocol,
};

/// How far an upgrade is that the connection manager allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// The request asks for none.
    None,
    /// The upstream has not answered.
    Asked,
    /// The upstream did not take a WebSocket and gave no error either: of its answer only the head is passed on.
    Unsuccessful,
    /// The upstream agreed.
    Open,
    /// The upstream gave another answer.
    Refused,
}

impl Core {
    /// Looks at what the upstream answers to an upgrade, before anybody else sees it.
    pub(super) fn judge_upgrade(&mut self, event: ResponseEvent) -> ResponseEvent {
        if self.upgrade != Upgrade::Asked {
            return event;
        }
        match event {
            ResponseEvent::Headers { mut head, .. } if self.is_no_websocket(&head) => {
                self.upgrade = Upgrade::Unsuccessful;
                remove_fields(&mut head.fields, &[CONTENT_LENGTH, TRANSFER_ENCODING]);
                ResponseEvent::Headers { head, end_stream: true }
            }
            event => event,
        }
    }

    /// As Envoy sees it: what is below 400 and no 101 is no answer to a WebSocket handshake, over HTTP/1.
    fn is_no_websocket(&self, head: &ResponseHeaders) -> bool {
        head.status != StatusCode::SWITCHING_PROTOCOLS
            && head.status < StatusCode::BAD_REQUEST
            && self.info.upstream.protocol == Some(Protocol::Http11)
            && self
                .messages
                .request
                .fields
                .get(UPGRADE)
                .is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// The answer to an upgrade stands. If there is a tunnel it has no end that could be waited for; if not, nobody wants
    /// what the client has sent behind the request.
    pub(super) fn upgrade_answered(&mut self) {
        let status = self.core.messages.response.as_ref().map(|head| head.status);
        match self.core.upgrade {
            Upgrade::Asked if status == Some(StatusCode::SWITCHING_PROTOCOLS) => {
                self.core.upgrade = Upgrade::Open;
                self.deadlines.response = None;
                return;
            }
            Upgrade::Asked => self.core.upgrade = Upgrade::Refused,
            Upgrade::Unsuccessful => {
                self.core.info.response_code_details =
                    Some(Cow::Borrowed("websocket_handshake_unsuccessful"));
            }
            Upgrade::None | Upgrade::Open | Upgrade::Refused => return,
        }
        self.client.request_abandoned = true;
    }
}
