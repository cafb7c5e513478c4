//! What the admin port answers.

use bytes::Bytes;
use serde::Serialize;

use super::token;
use crate::edge::cors::HeaderLine;
use crate::error::Rejection;

/// Nothing external is loaded, and no other site may frame the page.
const POLICY: &[u8] = b"default-src 'self'; img-src data:; frame-ancestors 'none'";

/// One answer.
pub(super) struct AdminResponse {
    pub(super) status: u16,
    pub(super) body: Bytes,
    content_type: &'static str,
}

impl AdminResponse {
    pub(super) fn of(content_type: &'static str, body: String) -> Self {
        Self {
            status: 200,
            content_type,
            body: body.into(),
        }
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned().into(),
        }
    }

    /// The refusal of what could not be read as a request.
    pub(super) fn refused(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::BodyTooLarge { .. } => Self::text(413, "this request takes no body\n"),
            other => Self::text(other.status(), &format!("{other}\n")),
        }
    }

    pub(super) fn asset(content_type: &'static str, text: &'static str) -> Self {
        Self {
            status: 200,
            content_type,
            body: Bytes::from_static(text.as_bytes()),
        }
    }

    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(json) => Self {
                status,
                content_type: "application/json",
                body: (json + "\n").into(),
            },
            Err(error) => Self::text(500, &format!("status cannot be written: {error}\n")),
        }
    }

    /// Emits the lines of its head.
    pub(super) fn tell(&self, line: HeaderLine<'_>) {
        line("content-type", self.content_type.as_bytes());
        line("content-security-policy", POLICY);
        line("x-content-type-options", b"nosniff");
        line("cache-control", b"no-store");
        match self.status {
            401 => line("www-authenticate", token::CHALLENGE.as_bytes()),
            405 => line("allow", b"POST"),
            _ => {}
        }
    }
}
