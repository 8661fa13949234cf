//! Query strings.

use tollgate_model::route::split_parameter;

/// The first value of a parameter, decoded. Names are compared decoded.
pub(crate) fn parameter(query: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    query.split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty()).find_map(|parameter| {
        let (key, value) = split_parameter(parameter);
        (decode(key) == name).then(|| decode(value))
    })
}

/// Decodes `%XX`; what is not two digits stays. A plus sign is one.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    decode_if(text, |_| true)
}

/// The same, but only characters that can be seen, as Envoy does with a query as a whole.
pub(super) fn decode_visible(text: &[u8]) -> Vec<u8> {
    decode_if(text, |byte| byte.is_ascii_graphic())
}

fn decode_if(text: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let byte = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let byte = byte.filter(|byte| wanted(*byte));
        rest = if byte.is_some() { &after[2..] } else { after };
        decoded.push(byte.unwrap_or(*first));
    }
    decoded
}
