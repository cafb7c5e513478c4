//! Budgets that several upstreams of one organisation share.

use perijove_core::settings::Section;

use super::{BudgetSettings, UpstreamSettings};

/// Reports upstreams that share a budget but configure it differently.
pub(super) fn refuse_contradictions(section: &Section<'_>, upstreams: &[UpstreamSettings]) {
    let mut known: Vec<(&str, &BudgetSettings)> = Vec::new();
    for upstream in upstreams {
        let Some(budget) = &upstream.budget else {
            continue;
        };
        let Some(name) = budget.organisation.as_deref() else {
            continue;
        };
        match known.iter().find(|(other, _)| *other == name) {
            Some((_, first)) if *first != budget => section.violation_at(
                &format!("upstreams.{}.budget", upstream.id),
                "differs from the first budget of the same organisation",
            ),
            Some(_) => {}
            None => known.push((name, budget)),
        }
    }
}
