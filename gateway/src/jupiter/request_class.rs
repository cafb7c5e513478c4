//! What decides how often, and where, a request may be sent.

use http::Method;

use super::Product;

/// The class of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
pub struct RequestClass {
    /// It may be carried out twice.
    pub repeatable: bool,
    /// Only one upstream can serve it, and it is sent there once.
    pub bound: bool,
    /// Slow by nature.
    pub heavy: bool,
    /// A second upstream may be asked before the first has answered.
    pub hedged: bool,
}

impl RequestClass {
    pub fn of(method: &Method, product: Product) -> Self {
        let reads = method == Method::GET;
        // Both only build a transaction from their body.
        let builds = matches!(product, Product::Swap | Product::SwapInstructions);
        Self {
            repeatable: reads || builds,
            bound: product == Product::Execute,
            heavy: matches!(
                product,
                Product::Execute | Product::Order | Product::Build | Product::Other
            ),
            hedged: reads
                && matches!(
                    product,
                    Product::Quote | Product::Price | Product::Tokens | Product::Labels
                ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_something_is_not_repeated() {
        for (method, product, repeatable) in [
            (Method::GET, Product::Quote, true),
            (Method::GET, Product::Order, true),
            (Method::POST, Product::Swap, true),
            (Method::POST, Product::SwapInstructions, true),
            (Method::POST, Product::Execute, false),
            (Method::POST, Product::Other, false),
            (Method::DELETE, Product::Other, false),
        ] {
            let class = RequestClass::of(&method, product);
            assert_eq!(class.repeatable, repeatable, "{method} {product:?}");
            assert_eq!(class.bound, product == Product::Execute);
            assert!(class.repeatable || !class.hedged);
        }
    }
}
