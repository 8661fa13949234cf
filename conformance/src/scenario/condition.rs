//! What a step can wait for: one line of text about what another party has seen so far.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// The party a condition speaks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// The scripted client.
    Client,
    /// The scripted upstream behind the named cluster (`upstream` unless named).
    Upstream(String),
    /// The scripted processor with this number, from 0 (`processor` is 0, `processor2` is 1).
    Processor(usize),
}

/// What must have happened there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A complete message head was received.
    Head,
    /// At least so many body bytes were received.
    Body(usize),
    /// The message was received to its end, or was cut.
    End,
    /// A processor received at least so many messages over all its streams.
    Messages(usize),
    /// At least so many streams (processor) or connections (upstream) were opened.
    Opened(usize),
}

/// A condition, for example `upstream head`, `client body 3`, `processor messages 2`, `signal go`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Something was seen by a party.
    Seen(Party, Happened),
    /// Another step published this signal.
    Signal(String),
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (&first, rest) = words.split_first().ok_or("an empty condition")?;
        if first == "signal" {
            return match rest {
                [name] => Ok(Self::Signal((*name).to_owned())),
                _ => Err(format!("`signal` takes one name: {text:?}")),
            };
        }
        let number = |word: &str| word.parse::<usize>().map_err(|_| format!("not a number in {text:?}"));
        let happened = match rest {
            ["head"] => Happened::Head,
            ["end"] => Happened::End,
            ["body", n] => Happened::Body(number(n)?),
            ["messages", n] => Happened::Messages(number(n)?),
            ["streams" | "connections", n] => Happened::Opened(number(n)?),
            _ => {
                return Err(format!(
                    "condition {text:?}: expected PARTY head | end | body N | messages N | streams N | connections N"
                ));
            }
        };
        let party = match first {
            "client" => Party::Client,
            "processor" => Party::Processor(0),
            other => match other.strip_prefix("processor").and_then(|n| n.parse::<usize>().ok()) {
                Some(n) if n > 0 => Party::Processor(n - 1),
                _ => Party::Upstream(other.to_owned()),
            },
        };
        Ok(Self::Seen(party, happened))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(name) => write!(f, "signal {name}"),
            Self::Seen(party, happened) => {
                match party {
                    Party::Client => f.write_str("client")?,
                    Party::Upstream(name) => f.write_str(name)?,
                    Party::Processor(0) => f.write_str("processor")?,
                    Party::Processor(n) => write!(f, "processor{}", n + 1)?,
                }
                match happened {
                    Happened::Head => f.write_str(" head"),
                    Happened::End => f.write_str(" end"),
                    Happened::Body(n) => write!(f, " body {n}"),
                    Happened::Messages(n) => write!(f, " messages {n}"),
                    Happened::Opened(n) => write!(f, " streams {n}"),
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text: &str| text.parse::<Condition>();
        assert_eq!(parse("signal go"), Ok(Condition::Signal("go".into())));
        assert_eq!(parse("client body 3"), Ok(Condition::Seen(Party::Client, Happened::Body(3))));
        assert_eq!(
            parse("processor messages 2"),
            Ok(Condition::Seen(Party::Processor(0), Happened::Messages(2)))
        );
        assert_eq!(parse("processor2 end"), Ok(Condition::Seen(Party::Processor(1), Happened::End)));
        assert_eq!(parse("other head"), Ok(Condition::Seen(Party::Upstream("other".into()), Happened::Head)));
        assert!(parse("upstream body").is_err());
        assert!(parse("").is_err());
    }
}
