//! Section 2: our messages and those generated from Envoy's own definitions are the same on the wire, both ways.

mod strategies;

use std::fmt::Debug;

use envoy_types::pb::envoy::service::ext_proc::v3 as theirs;
use extproc::messages as ours;
use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestCaseResult},
};
use prost::Message;

/// `message` survives the way to the other type and back, and the other type finds no field it does not know: what
/// it encodes is as long as what it was given.
fn round_trip<Here, There>(message: &Here) -> TestCaseResult
where
    Here: Message + Default + PartialEq + Debug,
    There: Message + Default + PartialEq + Debug,
{
    let bytes = message.encode_to_vec();
    let there = There::decode(bytes.as_slice()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let back = there.encode_to_vec();
    prop_assert_eq!(bytes.len(), back.len());
    let here = Here::decode(back.as_slice()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(message, &here);
    // And once more from their side: our encoding of what they sent is theirs again.
    let again = There::decode(here.encode_to_vec().as_slice());
    let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(there, again);
    Ok(())
}

proptest! {
    #[test]
    fn requests_are_compatible(message in strategies::processing_request()) {
        round_trip::<ours::ProcessingRequest, theirs::ProcessingRequest>(&message)?;
    }

    #[test]
    fn responses_are_compatible(message in strategies::processing_response()) {
        round_trip::<ours::ProcessingResponse, theirs::ProcessingResponse>(&message)?;
    }

    #[test]
    fn any_bytes_mean_the_same_to_both(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let here = ours::ProcessingResponse::decode(bytes.as_slice());
        let there = theirs::ProcessingResponse::decode(bytes.as_slice());
        prop_assert_eq!(here.is_ok(), there.is_ok());
        if let (Ok(here), Ok(there)) = (here, there) {
            prop_assert_eq!(here.encoded_len(), there.encoded_len());
        }
    }
}

/// W-1: undefined numbers are kept, not refused.
#[test]
fn undefined_numbers_survive() {
    let message = ours::CommonResponse { status: 77, ..Default::default() };
    let decoded = ours::CommonResponse::decode(message.encode_to_vec().as_slice());
    assert_eq!(decoded, Ok(message));
}

/// Values share the buffer they came in.
#[test]
fn bodies_are_not_copied() {
    let body = bytes::Bytes::from(vec![7_u8; 1024]);
    let message = ours::HttpBody { body, ..Default::default() };
    let buffer = bytes::Bytes::from(message.encode_to_vec());
    let range = buffer.as_ptr_range();
    let decoded = ours::HttpBody::decode(buffer).expect("own encoding");
    assert!(range.contains(&decoded.body.as_ptr()));
}
