//! The error member of a reply that the gateway writes itself. Only the wire form; which error
//! answers what is decided elsewhere.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use super::Id;

/// An error to answer a call with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC or Agave error code.
    pub code: i64,
    /// Text for people; clients show it.
    pub message: Cow<'static, str>,
    /// Raw JSON of the `data` member.
    pub data: Option<Bytes>,
}

impl RpcError {
    /// An error without data.
    pub const fn new(code: i64, message: &'static str) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
            data: None,
        }
    }

    /// -32600: an object that is no call.
    pub const fn invalid_request() -> Self {
        Self::new(-32600, "Invalid request")
    }

    /// -32600: a call that does not say `"jsonrpc":"2.0"`.
    pub const fn unsupported_version() -> Self {
        Self::new(-32600, "Unsupported JSON-RPC protocol version")
    }
}

/// The whole reply to one call, members in Agave's order (jsonrpc, error, id), without the newline
/// that ends an HTTP body. `versionless` leaves out the `jsonrpc` member.
pub fn error_reply(id: &Id, error: &RpcError, versionless: bool) -> Bytes {
    let data_length = error.data.as_ref().map_or(0, Bytes::len);
    let mut out =
        BytesMut::with_capacity(80 + error.message.len() + data_length + id.as_bytes().len());
    out.put_u8(b'{');
    if !versionless {
        out.put_slice(br#""jsonrpc":"2.0","#);
    }
    out.put_slice(br#""error":{"code":"#);
    out.put_slice(error.code.to_string().as_bytes());
    out.put_slice(br#","message":"#);
    put_string(&error.message, &mut out);
    if let Some(data) = &error.data {
        out.put_slice(br#","data":"#);
        out.put_slice(data);
    }
    out.put_slice(br#"},"id":"#);
    out.put_slice(id.as_bytes());
    out.put_u8(b'}');
    out.freeze()
}

/// Appends `text` as a JSON string.
fn put_string(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    for character in text.chars() {
        match character {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            '\n' => out.put_slice(b"\\n"),
            '\r' => out.put_slice(b"\\r"),
            '\t' => out.put_slice(b"\\t"),
            control if u32::from(control) < 0x20 => {
                out.put_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.put_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use super::{RpcError, error_reply};
    use crate::jsonrpc::Id;
    use bytes::Bytes;

    #[test]
    fn members_come_in_the_order_agave_writes_them() {
        let reply = error_reply(
            &Id::from(7),
            &RpcError::new(-32601, "Method not found"),
            false,
        );
        assert_eq!(
            &reply[..],
            br#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":7}"#
        );
    }

    #[test]
    fn a_versionless_call_gets_a_versionless_reply() {
        let reply = error_reply(&Id::null(), &RpcError::unsupported_version(), true);
        assert_eq!(
            &reply[..],
            br#"{"error":{"code":-32600,"message":"Unsupported JSON-RPC protocol version"},"id":null}"#
        );
    }

    #[test]
    fn messages_are_escaped_and_data_is_raw() {
        let error = RpcError {
            code: 1,
            message: "a\"b\\\n\u{1}é".to_owned().into(),
            data: Some(Bytes::from_static(b"{\"n\":18446744073709551615}")),
        };
        let reply = error_reply(&Id::null(), &error, false);
        let value: serde_json::Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(value["error"]["message"], "a\"b\\\n\u{1}é");
        assert_eq!(value["error"]["data"]["n"], u64::MAX);
    }
}
