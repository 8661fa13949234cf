//! Two layers of `tower-http`, as they are: each response says that browsers must not guess its type, and each request gets a
//! header that its upstream knows gateways by.

use extproc_server::{Handler, layer};
use http::{
    HeaderValue,
    header::{VIA, X_CONTENT_TYPE_OPTIONS},
};
use tower_http::set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer};
use tower_layer::Stack;

pub(crate) fn layers() -> impl Handler {
    let requests = SetRequestHeaderLayer::appending(VIA, HeaderValue::from_static("tollgate"));
    let responses =
        SetResponseHeaderLayer::if_not_present(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    layer(Stack::new(requests, responses))
}
