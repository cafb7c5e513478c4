//! The names in a plan's lists: methods of RPC, and products of Jupiter's API.

use std::collections::BTreeMap;

use perijove_core::settings::Section;

use super::methods::is_method_name;
use crate::jupiter::Product;

/// All products of Jupiter's API.
const JUPITER: &str = "jupiter";

const EXPECTED: &str = "the name of an RPC method, jupiter, or jupiter/ and one of its products";

/// What has weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Methods of RPC.
    Methods,
    /// Products of Jupiter's API as well.
    Calls,
}

/// A list of methods and products.
pub(super) fn call_names(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let names: Vec<String> = section.list_or(key, Vec::new());
    for (index, name) in names.iter().enumerate() {
        if !is_call_name(name) {
            section.violation(&format!("{key}[{index}]"), format!("must be {EXPECTED}"));
        }
    }
    names
}

/// Weights by method, and in plans by product, at most `burst`.
pub(super) fn costs(section: &mut Section<'_>, burst: u32, of: Of) -> BTreeMap<String, u32> {
    let costs = section.named("costs");
    let costs = costs.into_iter().map(|(path, name, cost): (_, _, u32)| {
        let (known, expected) = match of {
            Of::Methods => (is_method_name(&name), "the name of an RPC method"),
            Of::Calls => (is_call_name(&name), EXPECTED),
        };
        if !known {
            section.violation_at(&path, format!("is not {expected}"));
        } else if cost > burst {
            section.violation_at(&path, "is more than burst, so that no call could be served");
        }
        (name, cost)
    });
    costs.collect()
}

fn is_call_name(name: &str) -> bool {
    is_method_name(name) || Product::ALL.iter().any(|one| means(name, *one))
}

/// Whether a name means a product: it alone, or all.
pub(super) fn means(name: &str, product: Product) -> bool {
    name == JUPITER || is_exactly(name, product)
}

/// The weight of a product: its own, else that of all.
pub(super) fn cost_of(costs: &BTreeMap<String, u32>, product: Product) -> Option<u32> {
    let own = costs.iter().find(|(name, _)| is_exactly(name, product));
    own.map(|(_, cost)| *cost)
        .or_else(|| costs.get(JUPITER).copied())
}

fn is_exactly(name: &str, product: Product) -> bool {
    let rest = name.strip_prefix(JUPITER);
    rest.and_then(|rest| rest.strip_prefix('/')) == Some(product.label())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plan;

    fn plan(allow: &[&str], deny: &[&str]) -> Plan {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Plan {
            allow: names(allow),
            deny: names(deny),
            ..Plan::default()
        }
    }

    #[test]
    fn products_are_open_unless_a_list_says_otherwise() {
        for (allow, deny, quote, execute) in [
            (&[][..], &[][..], true, true),
            (&["getSlot"], &[], false, false),
            (&["getSlot", "jupiter/quote"], &[], true, false),
            (&["jupiter"], &["jupiter/execute"], true, false),
            (&[], &["jupiter"], false, false),
            (&[], &["getSlot"], true, true),
        ] {
            let plan = plan(allow, deny);
            let open = (
                plan.allows_product(Product::Quote),
                plan.allows_product(Product::Execute),
            );
            assert_eq!(open, (quote, execute), "{allow:?} {deny:?}");
        }
    }

    #[test]
    fn a_product_costs_what_it_says_else_what_all_do() {
        let costs = |named: &[(&str, u32)]| {
            let pairs = named.iter().map(|(name, cost)| ((*name).to_owned(), *cost));
            Plan {
                costs: pairs.collect(),
                ..Plan::default()
            }
        };
        let both = costs(&[("jupiter", 2), ("jupiter/order", 5), ("getSlot", 9)]);
        assert_eq!(both.cost_of_product(Product::Order), 5);
        assert_eq!(both.cost_of_product(Product::Quote), 2);
        assert_eq!(costs(&[]).cost_of_product(Product::Quote), 1);
    }

    #[test]
    fn names_are_methods_or_products() {
        for (name, known) in [
            ("getSlot", true),
            ("jupiter", true),
            ("jupiter/swap_instructions", true),
            ("jupiter/qoute", false),
            ("Jupiter/quote", false),
            ("quote/jupiter", false),
        ] {
            assert_eq!(is_call_name(name), known, "{name}");
        }
    }
}
