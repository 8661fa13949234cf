//! One HTTP request and its response, as a handler sees them.

mod answer;
mod driver;
mod handle;
pub(crate) mod head;
mod pass;
mod pump;
pub(crate) mod shared;
mod shown;
mod value;

#[cfg(feature = "test")]
pub(crate) use self::value::{from_struct, into as into_value, into_struct};
pub(crate) use self::{
    answer::message as immediate,
    driver::{Driver, DriverSettings},
    pass::Passing,
};
pub use self::{
    answer::{Details, GrpcStatus, InPieces},
    handle::{End, Exchange, Modes},
};
