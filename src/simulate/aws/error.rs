//! Errors as awsJson 1.1 tells them.

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

/// An error of the service: HTTP 400 with a type and a message, unless it says another status.
#[derive(Debug)]
pub(crate) struct AwsError {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    status: StatusCode,
    /// Errors in the service's model spell the member `Message`, the others `message`.
    modelled: bool,
}

impl AwsError {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: StatusCode::BAD_REQUEST, modelled: false }
    }

    pub(crate) fn modelled(kind: &'static str, message: impl Into<String>) -> Self {
        Self { modelled: true, ..Self::new(kind, message) }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn response(self) -> Response {
        let member = if self.modelled { "Message" } else { "message" };
        let mut body = json!({ "__type": self.kind });
        if !self.message.is_empty() {
            body[member] = json!(self.message);
        }
        let mut response = super::json(self.status, body.to_string());
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.kind));
        response
    }
}
