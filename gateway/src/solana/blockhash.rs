//! Results that deny a blockhash. A node that has not seen the block yet gives them too: to one that is
//! further ahead the blockhash may be valid.

use super::Method;
use crate::jsonrpc::Cursor;

/// Whether a result says that a blockhash is unknown or has expired. The result may be cut off after
/// what says so.
pub fn denies_blockhash(method: Method, result: &[u8]) -> bool {
    if !matches!(
        method,
        Method::IsBlockhashValid | Method::GetFeeForMessage | Method::SimulateTransaction
    ) {
        return false;
    }
    let mut cursor = Cursor::new(result);
    let Some(value) = cursor.member(b"value") else {
        return false;
    };
    match method {
        Method::IsBlockhashValid => value.value() == Some(b"false"),
        Method::GetFeeForMessage => value.value() == Some(b"null"),
        Method::SimulateTransaction => {
            let err = value.member(b"err");
            err.is_some_and(|err| err.string() == Some(b"BlockhashNotFound"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_denies_a_blockhash_is_told_by_method() {
        use Method as M;
        let not_found = r#"{"err":"BlockhashNotFound","logs":[]}"#;
        for (method, value, denies) in [
            (M::IsBlockhashValid, "false", true),
            (M::IsBlockhashValid, " false ", true),
            (M::IsBlockhashValid, "true", false),
            (M::GetFeeForMessage, "null", true),
            (M::GetFeeForMessage, "5000", false),
            (M::SimulateTransaction, not_found, true),
            (
                M::SimulateTransaction,
                r#"{"logs":["BlockhashNotFound"],"err":null}"#,
                false,
            ),
            (
                M::SimulateTransaction,
                r#"{"err":{"InstructionError":[0,"BlockhashNotFound"]}}"#,
                false,
            ),
            (
                M::SimulateTransaction,
                r#"{"err":"AccountNotFound"}"#,
                false,
            ),
            (M::GetAccountInfo, "null", false),
        ] {
            let result = format!(r#"{{"context":{{"slot":7}},"value":{value}}}"#);
            let denied = denies_blockhash(method, result.as_bytes());
            assert_eq!(denied, denies, "{method:?} {value}");
        }
        assert!(!denies_blockhash(M::IsBlockhashValid, b"false"));
    }
}
