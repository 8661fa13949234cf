//! The two gateways: where their binaries are, how they are configured, started and asked.

pub(crate) mod admin;
pub(crate) mod bootstrap;
pub(crate) mod find;
pub(crate) mod process;
pub(crate) mod types;

/// A gateway under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Real Envoy, the oracle.
    Envoy,
    /// Tollgate.
    Tollgate,
}

impl Gateway {
    /// Name on the command line, in reports and of the overlay in a scenario.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Tollgate => "tollgate",
        }
    }
}
