//! Opens exchanges with a processor.

use std::rc::Rc;

use crate::{call::Call, pool::Endpoints, retry::RetryPolicy, status::GrpcStatus};

/// Settings of the exchanges of a client.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Largest reply accepted, bytes; a larger one ends the exchange with code 8 (N-7). Default 64 MiB (decision 10).
    pub max_receive_message_length: usize,
    /// Reopening of streams that failed before the processor answered (N-5). Default `None`: never.
    pub retry: Option<RetryPolicy>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { max_receive_message_length: 64 * 1024 * 1024, retry: None }
    }
}

/// Opens exchanges with one processor, which may have many endpoints.
#[derive(Clone)]
pub struct Client {
    endpoints: Rc<dyn Endpoints>,
    settings: Rc<ClientSettings>,
}

impl Client {
    /// A client that talks to the given endpoints.
    #[must_use]
    pub fn new(endpoints: Rc<dyn Endpoints>, settings: ClientSettings) -> Self {
        Self { endpoints, settings: Rc::new(settings) }
    }

    /// Begins an exchange. A connection is made if there is none; nothing is sent before the call is polled.
    ///
    /// The request carries the complete head of the stream: method, `:path`, `:authority` (its URI must be absolute),
    /// `content-type`, `te` and metadata (N-2, N-3).
    ///
    /// # Errors
    ///
    /// There is no endpoint to talk to, or too many exchanges wait for a connection already. The stream was not even
    /// started: it is not counted as started (F-9), no step has begun, and the code is the one that logs call the
    /// status before the first call (G-2 `os`).
    pub fn open(&self, mut request: http::Request<()>) -> Result<Call, GrpcStatus> {
        let endpoint = self.endpoints.pick()?;
        *request.version_mut() = http::Version::HTTP_2;
        Ok(Call::new(self.endpoints.clone(), self.settings.clone(), endpoint, request)?)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}
