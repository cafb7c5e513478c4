//! Bursts of plans that are smaller than what clients send at once, or larger than makes sense.

use perijove_core::settings::Reading;

use crate::config::{Config, Plan};

/// Calls of a usual batch: wallets, explorers and indexers put as many into one request, or more.
const USUAL_BATCH: u32 = 10;

pub(super) fn look_at_bursts(config: &Config, reading: &Reading<'_>) {
    for plan in &config.plans {
        look_at(plan, reading);
    }
}

fn look_at(plan: &Plan, reading: &Reading<'_>) {
    let Some(per_minute) = plan.requests_per_minute else {
        return;
    };
    let (path, burst) = (format!("plans.{}.burst", plan.id), plan.burst);
    // Who bounds batches has thought of them.
    if burst < USUAL_BATCH && plan.max_batch.is_none() {
        reading.warn(
            &path,
            format_args!(
                "{burst} is less than the {USUAL_BATCH} calls of a usual batch, and a batch of more \
                 than {burst} is never admitted (413); raise it, or set max_batch if that is meant"
            ),
        );
    }
    if burst > per_minute {
        reading.warn(
            &path,
            format_args!(
                "{burst} is more than requests_per_minute ({per_minute}): who has made so many calls \
                 at once has {:.1} minutes to wait until that is possible again",
                f64::from(burst) / f64::from(per_minute)
            ),
        );
    }
}
