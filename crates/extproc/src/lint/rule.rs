//! The rules.

/// What a gateway makes of a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The exchange fails: an error for the client, or the request goes on unprocessed.
    Fails,
    /// It waits until a deadline passes.
    Waits,
    /// What was wanted does not happen.
    Ignored,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $rule:ident $name:literal $reference:literal $effect:ident $remedy:literal;)*) => {
        /// Something that a processor must not do, or does in vain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])* $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// Its name, for reports and exceptions.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// The rule of the protocol behind it, an anchor of `docs/protocol.md`.
            #[must_use]
            pub const fn reference(self) -> &'static str {
                match self { $(Self::$rule => $reference,)* }
            }

            /// What a gateway makes of it.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$rule => Effect::$effect,)* }
            }

            /// What to do instead.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$rule => $remedy,)* }
            }
        }
    };
}

rules! {
    /// A reply to something else than is awaited.
    WrongKind "wrong-kind" "P-1" Fails
        "Reply to each message with the same kind, in the order in which they came";
    /// A second reply to one message.
    SecondReply "second-reply" "P-2" Fails "Reply to each message once";
    /// A message without a reply.
    MissingReply "missing-reply" "X-2" Waits "Reply to each message before its deadline";
    /// A body or a response without its end.
    Unfinished "unfinished" "B-6.4" Waits
        "Set end_of_stream on the last piece, or reply to the trailers if they were sent";
    /// A piece behind the end of a body.
    BehindTheEnd "behind-the-end" "B-6.7" Fails "Send nothing behind the piece that has end_of_stream";
    /// A message that says nothing.
    EmptyMessage "empty-message" "P-3" Fails "Set one of the members of response";
    /// A message behind the last one.
    AfterTheEnd "after-the-end" "L-7" Ignored "Close the stream behind a response of your own";
    /// An answer to a copy.
    AnswerToCopy "answer-to-copy" "V-1" Ignored "Send nothing where observability_mode is set";
    /// `streamed_response` in another mode than FULL_DUPLEX_STREAMED.
    StreamedResponse "streamed-response" "B-4.5" Fails
        "Use body or clear_body in every mode but FULL_DUPLEX_STREAMED";
    /// Another body reply than `streamed_response` in FULL_DUPLEX_STREAMED.
    PlainBody "plain-body" "B-6.6" Fails "Use streamed_response in FULL_DUPLEX_STREAMED";
    /// A body in the reply to headers.
    BodyInHeaders "body-in-headers" "R-8" Ignored
        "Set status CONTINUE_AND_REPLACE to replace the body unread, or send it in the reply to the body";
    /// A new body of another length than the headers say.
    Length "length" "B-3.4" Fails "Set content-length to the length of the new body in the same reply";
    /// A change to headers that have been passed on.
    LateHeaders "late-headers" "M-20" Ignored
        "Change the headers in the reply to them, or use BUFFERED or BUFFERED_PARTIAL";
    /// A header that may not be changed.
    RefusedHeader "refused-header" "M-15" Ignored
        "Leave it alone, or allow it in the gateway's mutation_rules";
    /// A name or a value that no header has.
    InvalidHeader "invalid-header" "M-4.4" Fails "Use the characters that HTTP allows";
    /// A value in the wrong member.
    ValueMember "value-member" "M-5" Ignored "Put the value into raw_value, as bytes";
    /// Trailers where none are read.
    TrailersMember "trailers-member" "T-4" Ignored "Change trailers in the reply to them";
    /// A route that is not chosen again.
    Reroute "reroute" "K-3" Ignored
        "Ask for it in the reply to request headers or a collected request body, with a header_mutation, be it empty";
    /// A mode override that is not considered.
    Override "override" "O-1" Ignored
        "Ask for it in the reply to headers, with allow_mode_override in the gateway and no FULL_DUPLEX_STREAMED";
    /// More time that is not granted.
    Timeout "timeout" "X-4" Ignored
        "Ask for 1 ms to max_message_timeout, once for each reply, in a message of its own";
    /// A response that the gateway does not take.
    Immediate "immediate" "I-13" Fails "Set disable_immediate_response to false in the gateway";
    /// The beginning of a streamed response where it is not possible.
    StreamedImmediate "streamed-immediate" "S-4" Fails
        "Begin with headers that have a :status, before the reply to the request headers, in NONE or FULL_DUPLEX_STREAMED";
    /// A status that is none.
    Status "status" "W-1" Ignored "Use CONTINUE or CONTINUE_AND_REPLACE";
}
