//! `HttpStatus`: names and numbers of HTTP statuses.

use crate::schema::{Enumeration, Schema, Value, read};

pub(super) static HTTP_STATUS: Schema = Schema {
    name: "envoy.type.v3.HttpStatus",
    title: "",
    fields: &[read("code", "", "Name (`ServiceUnavailable`) or number (503). Required.")],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 1] = [&HTTP_STATUS];

pub(in crate::envoy) static STATUS_CODE: Enumeration<u16> = Enumeration {
    values: &[
        ("Continue", 100, Some(100)),
        ("OK", 200, Some(200)),
        ("Created", 201, Some(201)),
        ("Accepted", 202, Some(202)),
        ("NonAuthoritativeInformation", 203, Some(203)),
        ("NoContent", 204, Some(204)),
        ("ResetContent", 205, Some(205)),
        ("PartialContent", 206, Some(206)),
        ("MultiStatus", 207, Some(207)),
        ("AlreadyReported", 208, Some(208)),
        ("IMUsed", 226, Some(226)),
        ("MultipleChoices", 300, Some(300)),
        ("MovedPermanently", 301, Some(301)),
        ("Found", 302, Some(302)),
        ("SeeOther", 303, Some(303)),
        ("NotModified", 304, Some(304)),
        ("UseProxy", 305, Some(305)),
        ("TemporaryRedirect", 307, Some(307)),
        ("PermanentRedirect", 308, Some(308)),
        ("BadRequest", 400, Some(400)),
        ("Unauthorized", 401, Some(401)),
        ("PaymentRequired", 402, Some(402)),
        ("Forbidden", 403, Some(403)),
        ("NotFound", 404, Some(404)),
        ("MethodNotAllowed", 405, Some(405)),
        ("NotAcceptable", 406, Some(406)),
        ("ProxyAuthenticationRequired", 407, Some(407)),
        ("RequestTimeout", 408, Some(408)),
        ("Conflict", 409, Some(409)),
        ("Gone", 410, Some(410)),
        ("LengthRequired", 411, Some(411)),
        ("PreconditionFailed", 412, Some(412)),
        ("PayloadTooLarge", 413, Some(413)),
        ("URITooLong", 414, Some(414)),
        ("UnsupportedMediaType", 415, Some(415)),
        ("RangeNotSatisfiable", 416, Some(416)),
        ("ExpectationFailed", 417, Some(417)),
        ("MisdirectedRequest", 421, Some(421)),
        ("UnprocessableEntity", 422, Some(422)),
        ("Locked", 423, Some(423)),
        ("FailedDependency", 424, Some(424)),
        ("UpgradeRequired", 426, Some(426)),
        ("PreconditionRequired", 428, Some(428)),
        ("TooManyRequests", 429, Some(429)),
        ("RequestHeaderFieldsTooLarge", 431, Some(431)),
        ("InternalServerError", 500, Some(500)),
        ("NotImplemented", 501, Some(501)),
        ("BadGateway", 502, Some(502)),
        ("ServiceUnavailable", 503, Some(503)),
        ("GatewayTimeout", 504, Some(504)),
        ("HTTPVersionNotSupported", 505, Some(505)),
        ("VariantAlsoNegotiates", 506, Some(506)),
        ("InsufficientStorage", 507, Some(507)),
        ("LoopDetected", 508, Some(508)),
        ("NotExtended", 510, Some(510)),
        ("NetworkAuthenticationRequired", 511, Some(511)),
    ],
};

/// Reads an `HttpStatus`.
pub(super) fn read_http_status(value: &Value<'_>) -> Option<u16> {
    value.message(&HTTP_STATUS)?.required("code")?.enumeration(&STATUS_CODE)
}
