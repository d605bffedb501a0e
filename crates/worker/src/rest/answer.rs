//! Answers and refusals, in Kafka Connect's forms.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use datapipe_connect::ErrorMessage;
use datapipe_core::port::{ErrorKind, PortError};

/// A request that is not carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

/// What a handler comes to.
pub(super) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request itself is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What it names is not there.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Not now, or not here.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// It was tried and failed.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Not by this worker any more.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// A port failed while the request was carried out.
    pub(super) fn port(attempt: &str, error: &PortError) -> Self {
        let message = format!("{attempt}: {}", error.report());
        match error.kind() {
            ErrorKind::Fenced => Self::conflict(message),
            ErrorKind::Retry | ErrorKind::Ambiguous | ErrorKind::Refused => Self::failed(message),
        }
    }

    /// The words of HTTP itself, as Kafka Connect's server says them.
    pub(super) fn http(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self::new(status, format!("HTTP {} {reason}", status.as_u16()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error_code = i32::from(self.status.as_u16());
        (self.status, Json(ErrorMessage { error_code, message: self.message })).into_response()
    }
}
