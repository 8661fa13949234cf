//! Tollgate's own classes. Nobody says what such a class does; it is as strict as the others are, so that what a processor sees
//! is what the upstream serves.

use std::time::Duration;

use tollgate_model::http_connection_manager::{HeadersWithUnderscoresAction, PathWithEscapedSlashesAction};

use crate::translation::{Controller, Defaults, Names, Problem, System, Words};

pub(super) static TOLLGATE: System =
    System { name: "Tollgate", controller: Some(&CONTROLLER), ..System::PLAIN };

pub(super) static CONTROLLER: Controller = Controller {
    name: "tollgate.dev/gateway",
    classes: &["tollgate"],
    claims: None,
    parameters: |translator, chosen| {
        let message = format!("{} is not supported: Tollgate reads no parameters", chosen.object);
        translator.diagnostics.error(&chosen.place, message.clone(), None);
        Err(Problem::new("InvalidParameters", message))
    },
    defaults: Defaults {
        // Calls of gRPC may be streams that stay open.
        request_timeout: |grpc| if grpc { None } else { Some(Duration::from_secs(15)) },
        connection_manager: |http| {
            http.use_remote_address = true;
            http.headers_with_underscores_action = HeadersWithUnderscoresAction::RejectRequest;
            http.normalize_path = true;
            http.merge_slashes = true;
            http.path_with_escaped_slashes_action = PathWithEscapedSlashesAction::UnescapeAndRedirect;
        },
        expands_header_values: false,
        ..Defaults::PLAIN
    },
    names: Names::PLAIN,
    words: Words::PLAIN,
};
