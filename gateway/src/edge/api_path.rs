//! Which requests are of Jupiter's API, and what they count as.

use http::Method;

use crate::auth::ConsumerId;
use crate::error::Rejection;
use crate::jupiter::{Api, ApiRoute, Product};
use crate::snapshot::Snapshot;

/// Whether a request of Jupiter's API is sent to an upstream.
pub(super) fn is_api(method: &Method, path: &str, snapshot: &Snapshot) -> bool {
    if snapshot.jupiter.is_empty() || !(carried(method) || is_head(method, path, snapshot)) {
        return false;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if reads && optimized(path, snapshot).is_some() {
        return true;
    }
    // Prices are handled separately where ingest knows them, and `/health` is the gateway's own.
    match ApiRoute::of(path) {
        Some(route) if route.api == Api::PriceV3 && reads => !snapshot.config.price.enabled,
        Some(route) => !(route.api == Api::Other && path.ends_with("/health")),
        None => false,
    }
}

/// Refuses what no upstream is asked: parts of the API that the gateway does not know, and verbs that it
/// does not carry. Whoever looks for something costs nothing.
///
/// # Errors
/// [`Rejection::NotServed`], [`Rejection::ApiMethod`].
pub(super) fn check(method: &Method, path: &str, snapshot: &Snapshot) -> Result<(), Rejection> {
    if snapshot.jupiter.is_empty() || matches!(*method, Method::POST | Method::OPTIONS) {
        return Ok(());
    }
    if ApiRoute::is_unknown(path) && !path.ends_with("/health") {
        return Err(Rejection::NotServed {
            product: "this path",
        });
    }
    match verbs(path, snapshot) {
        Some(allowed) if !carried(method) => Err(Rejection::ApiMethod { allowed }),
        _ => Ok(()),
    }
}

/// The verbs of a path of Jupiter's API; `None` for one of RPC.
pub(super) fn verbs(path: &str, snapshot: &Snapshot) -> Option<&'static str> {
    let served = !snapshot.jupiter.is_empty();
    if served && optimized(path, snapshot).is_some() {
        return Some(Product::Quote.verbs());
    }
    let route = ApiRoute::of(path)?;
    let is_price = route.api == Api::PriceV3 && snapshot.config.price.enabled;
    let is_health = route.api == Api::Other && path.ends_with("/health");
    (is_price || (served && !is_health)).then(|| route.product.verbs())
}

/// Whether only the head of what a `GET` would bring is asked for.
pub(super) fn is_head(method: &Method, path: &str, snapshot: &Snapshot) -> bool {
    method == Method::HEAD && product(path, snapshot).has_head()
}

/// What the caller's plan counts a request as.
///
/// # Errors
/// [`Rejection::NotInPlan`] if the plan does not allow this product.
pub(super) fn cost(
    path: &str,
    consumer: Option<&ConsumerId>,
    snapshot: &Snapshot,
) -> Result<usize, Rejection> {
    let Some(plan) = snapshot.plan(consumer) else {
        return Ok(1);
    };
    let product = product(path, snapshot);
    if !plan.allows_product(product) {
        return Err(Rejection::NotInPlan);
    }
    Ok(usize::try_from(plan.cost_of_product(product)).unwrap_or(usize::MAX))
}

/// The product that a path is of.
pub(super) fn product(path: &str, snapshot: &Snapshot) -> Product {
    let optimized = optimized(path, snapshot);
    let route = ApiRoute::of(optimized.as_deref().unwrap_or(path));
    route.map_or(Product::Other, |route| route.product)
}

/// The quote path that a configured path stands for, with its prefix.
pub(super) fn optimized(path: &str, snapshot: &Snapshot) -> Option<String> {
    let settings = &snapshot.config.jupiter.optimizer;
    let best = settings.path.as_deref().filter(|_| settings.enabled)?;
    let before = path.strip_suffix(best)?;
    Some(format!("{before}/swap/v1/quote"))
}

fn carried(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    )
}
