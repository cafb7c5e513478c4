//! Classifies a call: its method's profile, and what its parameters add to it. Reads only the few
//! parameters that matter, in place.

use perijove_core::{Commitment, Slot};

use super::{Capability, CommitmentRule, Extension, Method, Profile};
use crate::jsonrpc::{Cursor, RpcError, Token};

/// How fresh a call wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadContext {
    /// The level asked for, or the method's default.
    pub commitment: Commitment,
    /// The oldest slot the answer may be read at.
    pub min_context_slot: Option<Slot>,
}

/// A call that no node would serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImpossibleCall {
    /// Named parameters for one of Agave's methods.
    ParamsByName,
    /// `processed` for a method that supports only `confirmed` and above.
    CommitmentTooWeak,
}

impl ImpossibleCall {
    /// The error as Agave gives it.
    pub const fn error(self) -> RpcError {
        RpcError::new(
            -32602,
            match self {
                Self::ParamsByName => "`params` should be an array",
                Self::CommitmentTooWeak => "Method does not support commitment below `confirmed`",
            },
        )
    }
}

/// The result of classification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Which method.
    pub method: Method,
    /// How fresh.
    pub context: ReadContext,
    /// Whether this call is one of the expensive ones.
    pub heavy: bool,
    /// What an upstream needs to answer it.
    pub needs: Option<Capability>,
    /// The slot an upstream must have reached to answer it.
    pub pinned_slot: Option<Slot>,
    /// Why the call can be refused without asking anybody.
    pub refusal: Option<ImpossibleCall>,
}

impl Class {
    /// What applies to every call of the method.
    pub const fn profile(&self) -> &'static Profile {
        self.method.profile()
    }

    /// The class of a method that Agave does not have.
    pub const fn foreign(extension: Option<Extension>) -> Self {
        let method = match extension {
            Some(Extension::Read | Extension::HeavyRead) => Method::Extension,
            Some(Extension::NamedAsRead) => Method::NamedAsRead,
            Some(Extension::Write) | None => Method::Other,
        };
        let profile = method.profile();
        Self {
            method,
            context: ReadContext {
                commitment: profile.default,
                min_context_slot: None,
            },
            heavy: matches!(extension, Some(Extension::HeavyRead)),
            needs: None,
            pinned_slot: None,
            refusal: None,
        }
    }

    /// Whether it may be hedged. A method that is only named like a read is retried when it is
    /// lost, but not hedged.
    pub const fn may_hedge(&self) -> bool {
        !matches!(self.method, Method::NamedAsRead)
    }
}

/// Classifies a call by its method and the raw JSON of its parameters.
pub fn classify(method: &str, params: Option<&[u8]>) -> Class {
    let method = match Method::from_name(method) {
        Method::Other => return Class::foreign(Extension::of(method)),
        method => method,
    };
    let profile = method.profile();
    let mut class = Class {
        method,
        context: ReadContext {
            commitment: profile.default,
            min_context_slot: None,
        },
        heavy: profile.heavy,
        needs: profile.capability,
        pinned_slot: None,
        refusal: None,
    };
    if let Some(params) = params {
        let mut cursor = Cursor::new(params);
        if cursor.token() == Some(Token::Object) {
            class.refusal = Some(ImpossibleCall::ParamsByName);
        } else {
            // Checked by the parser; what cannot be read is left to the upstream.
            _ = read_params(&mut class, profile, &mut cursor);
        }
        if class.context.commitment < profile.floor {
            class.refusal = Some(ImpossibleCall::CommitmentTooWeak);
        }
    }
    class
}

/// Walks the parameters as far as anything in them matters.
fn read_params(class: &mut Class, profile: &Profile, cursor: &mut Cursor<'_>) -> Option<()> {
    let pins = pins_slot(class.method);
    if !pins && profile.config_index.is_none() {
        return Some(());
    }
    let last = profile.config_index.unwrap_or(0);
    cursor.eat(b'[');
    for index in 0..=last {
        if !cursor.item(index == 0).ok()? {
            break;
        }
        match cursor.token()? {
            Token::Object if takes_config(class.method, profile, index) => {
                return read_config(class, profile, cursor);
            }
            Token::Number if pins && (index == 0 || class.method == Method::GetBlocks) => {
                class.pinned_slot = cursor.unsigned().map(Slot).or(class.pinned_slot);
            }
            _ => {
                cursor.value()?;
            }
        }
    }
    Some(())
}

/// Whether the leading numbers are slots the answer is about.
const fn pins_slot(method: Method) -> bool {
    matches!(
        method,
        Method::GetBlock
            | Method::GetBlockTime
            | Method::GetBlockCommitment
            | Method::GetBlocks
            | Method::GetBlocksWithLimit
    )
}

/// Whether the object at `index` is the configuration. Two methods accept it in place of an
/// optional parameter before it.
pub(super) fn takes_config(method: Method, profile: &Profile, index: usize) -> bool {
    profile.config_index == Some(index)
        || matches!(
            (method, index),
            (Method::GetLeaderSchedule, 0) | (Method::GetBlocks, 1)
        )
}

fn read_config(class: &mut Class, profile: &Profile, cursor: &mut Cursor<'_>) -> Option<()> {
    let mut first = true;
    cursor.eat(b'{');
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        let token = cursor.token()?;
        match (key, token) {
            (b"commitment", Token::String) if reads_commitment(profile.commitment) => {
                set_commitment(class, profile, cursor.string()?);
            }
            (b"preflightCommitment", Token::String)
                if profile.commitment == CommitmentRule::Preflight =>
            {
                set_commitment(class, profile, cursor.string()?);
            }
            (b"minContextSlot", Token::Number) if profile.min_context_slot => {
                class.context.min_context_slot = cursor.unsigned().map(Slot);
            }
            (b"searchTransactionHistory", Token::Bool)
                if class.method == Method::GetSignatureStatuses =>
            {
                if cursor.value()? == b"true" {
                    class.heavy = true;
                    class.needs = Some(Capability::History);
                }
            }
            _ => {
                cursor.value()?;
            }
        }
    }
    Some(())
}

const fn reads_commitment(rule: CommitmentRule) -> bool {
    matches!(rule, CommitmentRule::Flattened | CommitmentRule::Bare)
}

/// An unknown level is ignored by Agave in flattened configurations, and refused by the upstream in
/// bare ones; either way the default applies here.
fn set_commitment(class: &mut Class, profile: &Profile, raw: &[u8]) {
    let named = std::str::from_utf8(raw).ok().and_then(Commitment::parse);
    class.context.commitment = named.unwrap_or(profile.default);
}

#[cfg(test)]
mod tests;
