//! Lets requests pass that have one of a few tokens (`authorization: Bearer ...`), and answers others with 401. The upstream does
//! not see the token.

use std::{collections::HashSet, sync::Arc};

use extproc_server::{Body, Details, GrpcStatus, Handler, Next, Request, Response};
use http::{
    HeaderValue, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};

/// Knows these tokens.
pub(crate) fn token(known: HashSet<String>) -> impl Handler {
    let known = Arc::new(known);
    move |mut request: Request, next: Next| {
        let known = known.clone();
        async move {
            let value = request.headers_mut().remove(AUTHORIZATION);
            let token = value.as_ref().and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
            if token.is_some_and(|token| known.contains(token)) {
                return next.run(request).await;
            }
            let mut response = Response::new(Body::from("a valid token is needed\n"));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            // UNAUTHENTICATED, for clients that speak gRPC.
            response.extensions_mut().insert(GrpcStatus(16));
            response.extensions_mut().insert(Details("no_valid_token".to_owned()));
            Ok(response)
        }
    }
}
