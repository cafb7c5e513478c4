//! The subscriptions of a node, and the names of their three methods.

/// A kind of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SubscriptionKind {
    Account,
    Program,
    Signature,
    Slot,
    Root,
    Logs,
    Block,
    Vote,
    SlotsUpdates,
}

impl SubscriptionKind {
    pub(super) const ALL: [Self; 9] = [
        Self::Account,
        Self::Program,
        Self::Signature,
        Self::Slot,
        Self::Root,
        Self::Logs,
        Self::Block,
        Self::Vote,
        Self::SlotsUpdates,
    ];

    /// Names of the methods that begin and end it, and of its notifications.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Account => [
                "accountSubscribe",
                "accountUnsubscribe",
                "accountNotification",
            ],
            Self::Program => [
                "programSubscribe",
                "programUnsubscribe",
                "programNotification",
            ],
            Self::Signature => [
                "signatureSubscribe",
                "signatureUnsubscribe",
                "signatureNotification",
            ],
            Self::Slot => ["slotSubscribe", "slotUnsubscribe", "slotNotification"],
            Self::Root => ["rootSubscribe", "rootUnsubscribe", "rootNotification"],
            Self::Logs => ["logsSubscribe", "logsUnsubscribe", "logsNotification"],
            Self::Block => ["blockSubscribe", "blockUnsubscribe", "blockNotification"],
            Self::Vote => ["voteSubscribe", "voteUnsubscribe", "voteNotification"],
            Self::SlotsUpdates => [
                "slotsUpdatesSubscribe",
                "slotsUpdatesUnsubscribe",
                "slotsUpdatesNotification",
            ],
        }
    }

    pub(super) const fn subscribe(self) -> &'static str {
        let [name, _, _] = self.names();
        name
    }

    pub(super) const fn unsubscribe(self) -> &'static str {
        let [_, name, _] = self.names();
        name
    }

    pub(super) const fn notification(self) -> &'static str {
        let [_, _, name] = self.names();
        name
    }

    /// The kind whose notifications name this method.
    pub(super) fn notified(method: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| method == kind.notification())
    }

    /// The label in metrics and in `/status`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Program => "program",
            Self::Signature => "signature",
            Self::Slot => "slot",
            Self::Root => "root",
            Self::Logs => "logs",
            Self::Block => "block",
            Self::Vote => "vote",
            Self::SlotsUpdates => "slots_updates",
        }
    }

    /// Whether missed notifications can be recovered.
    pub(super) const fn can_be_repaired(self) -> bool {
        !matches!(
            self,
            Self::Logs | Self::Block | Self::Vote | Self::SlotsUpdates
        )
    }
}

/// What a method does, if it is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionAction {
    Subscribe(SubscriptionKind),
    Unsubscribe(SubscriptionKind),
}

impl SubscriptionAction {
    pub(super) fn of(method: &str) -> Option<Self> {
        // Most calls are none of these.
        if !method.ends_with("ubscribe") {
            return None;
        }
        SubscriptionKind::ALL.into_iter().find_map(|kind| {
            if method == kind.subscribe() {
                Some(Self::Subscribe(kind))
            } else {
                (method == kind.unsubscribe()).then_some(Self::Unsubscribe(kind))
            }
        })
    }

    /// The method that does it.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Subscribe(kind) => kind.subscribe(),
            Self::Unsubscribe(kind) => kind.unsubscribe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_names() {
        assert_eq!(
            SubscriptionAction::of("slotsUpdatesSubscribe"),
            Some(SubscriptionAction::Subscribe(
                SubscriptionKind::SlotsUpdates
            ))
        );
        assert_eq!(
            SubscriptionAction::of("rootUnsubscribe"),
            Some(SubscriptionAction::Unsubscribe(SubscriptionKind::Root))
        );
        for none in ["getSlot", "Subscribe", "accountsubscribe", "xSubscribe"] {
            assert_eq!(SubscriptionAction::of(none), None, "{none}");
        }
    }
}
