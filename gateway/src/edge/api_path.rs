//! Which requests are of Jupiter's API, and what they count as.

use http::Method;

use crate::auth::ConsumerId;
use crate::error::Rejection;
use crate::jupiter::{Api, ApiRoute, Product};
use crate::snapshot::Snapshot;

/// Whether a request of Jupiter's API is sent to an upstream.
pub(super) fn is_api(method: &Method, path: &str, snapshot: &Snapshot) -> bool {
    if snapshot.jupiter.is_empty() || !carried(method) {
        return false;
    }
    if method == Method::GET && optimized(path, snapshot).is_some() {
        return true;
    }
    // Prices are handled separately where ingest knows them, and `/health` is the gateway's own.
    match ApiRoute::of(path, method == Method::POST) {
        Some(route) if route.api == Api::PriceV3 && method == Method::GET => {
            !snapshot.config.price.enabled
        }
        Some(route) => !(route.api == Api::Other && path.ends_with("/health")),
        None => false,
    }
}

/// What the caller's plan counts a request as.
///
/// # Errors
/// [`Rejection::NotInPlan`] if the plan does not allow this product.
pub(super) fn cost(
    method: &Method,
    path: &str,
    consumer: Option<&ConsumerId>,
    snapshot: &Snapshot,
) -> Result<usize, Rejection> {
    let Some(plan) = snapshot.plan(consumer) else {
        return Ok(1);
    };
    let optimized = optimized(path, snapshot);
    let path = optimized.as_deref().unwrap_or(path);
    let route = ApiRoute::of(path, method == Method::POST);
    let product = route.map_or(Product::Other, |route| route.product);
    if !plan.allows_product(product) {
        return Err(Rejection::NotInPlan);
    }
    Ok(usize::try_from(plan.cost_of_product(product)).unwrap_or(usize::MAX))
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
