//! What decides how often, and where, a request may be sent.

use http::Method;

use super::{Api, ApiRoute, Product};

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
    pub fn of(method: &Method, route: &ApiRoute<'_>) -> Self {
        let product = route.product;
        // Parts of the API that the gateway does not know may change something with any verb:
        // `GET /trigger/v2/vault/register` does.
        let reads = method == Method::GET && route.api != Api::Other;
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
        for (method, path, repeatable) in [
            (Method::GET, "/swap/v1/quote", true),
            (Method::GET, "/ultra/v1/order", true),
            (Method::GET, "/swap/v2/build", true),
            (Method::GET, "/price/v3", true),
            (Method::GET, "/tokens/v2/tag", true),
            (Method::GET, "/ultra/v1/holdings/abc", true),
            (Method::POST, "/swap/v1/swap", true),
            (Method::POST, "/v6/swap-instructions", true),
            (Method::POST, "/swap/v2/execute", false),
            (Method::POST, "/trigger/v1/createOrder", false),
            (Method::DELETE, "/trigger/v2/orders/7", false),
            (Method::POST, "/tokens/v2/x", false),
            // Unknown parts, of which one is known to change something.
            (Method::GET, "/trigger/v2/vault/register", false),
            (Method::GET, "/portfolio/v1/positions/abc", false),
            (Method::GET, "/price/v2", false),
        ] {
            let route = ApiRoute::of(path).unwrap();
            let class = RequestClass::of(&method, &route);
            assert_eq!(class.repeatable, repeatable, "{method} {path}");
            assert_eq!(class.bound, route.product == Product::Execute);
            assert!(class.repeatable || !class.hedged);
        }
    }
}
