//! What an upstream may be asked, by its settings.

use std::collections::HashSet;

use crate::config;
use crate::solana::Capability;

/// The methods and capabilities granted by the settings.
#[derive(Debug)]
pub(in crate::upstream) struct MethodRules {
    allow: HashSet<String>,
    deny: HashSet<String>,
    capabilities: Option<Vec<Capability>>,
}

impl MethodRules {
    pub(in crate::upstream) fn new(settings: &config::UpstreamSettings) -> Self {
        Self {
            allow: settings.allow.iter().cloned().collect(),
            deny: settings.deny.iter().cloned().collect(),
            capabilities: settings.capabilities.clone(),
        }
    }

    /// Whether the method may be sent to it at all.
    pub(in crate::upstream) fn allow(&self, method: &str) -> bool {
        (self.allow.is_empty() || self.allow.contains(method))
            && (self.deny.is_empty() || !self.deny.contains(method))
    }

    /// Whether the upstream is assumed to have a capability. By default, all but the archive: what
    /// is missing is learned from refusals, but a ledger that goes back to genesis is rare and its
    /// absence shows only as "block not found".
    pub(in crate::upstream) fn grant(&self, capability: Capability) -> bool {
        match &self.capabilities {
            Some(named) => capability.is_granted_by(named),
            None => capability != Capability::Archive,
        }
    }
}
