//! Actions as text, for tables of what the state wants.

use crate::record::Partition;
use crate::source::kafka::state::input::Action;
use crate::source::{Claim, SourceEvent};

fn numbers<'p>(list: impl IntoIterator<Item = &'p Partition>) -> String {
    let numbers = list.into_iter().map(|one| one.number.to_string());
    numbers.collect::<Vec<_>>().join(" ")
}

pub(super) fn told(action: &Action) -> String {
    let claimed = |what: &str, claim: &Claim| format!("{what} {}", claim.partition.number);
    match action {
        Action::Emit(SourceEvent::Assigned(claim)) => claimed("tell assigned", claim),
        Action::Emit(SourceEvent::Begun(begun)) => {
            let gap = begun.gap.as_ref();
            let gap = gap.map_or(String::new(), |gap| format!(", {gap:?} gone"));
            let told = claimed("tell begun", &begun.claim);
            format!("{told} at {}{gap}", begun.offset)
        }
        Action::Emit(SourceEvent::Batch(batch)) => claimed("tell batch", &batch.claim),
        Action::Emit(SourceEvent::Revoked { claim, .. }) => claimed("tell revoked", claim),
        Action::Emit(SourceEvent::Lost(claim)) => claimed("tell lost", claim),
        Action::Emit(SourceEvent::Ended(_)) => "tell ended".to_owned(),
        Action::FindStarts(asked) => {
            format!("find starts {}", numbers(asked.iter().map(|one| &one.0)))
        }
        Action::CheckPositions(asked) => {
            format!(
                "check positions {}",
                numbers(asked.iter().map(|one| &one.0))
            )
        }
        Action::Assign(starts) => format!(
            "assign {}",
            numbers(starts.iter().map(|one| &one.partition))
        ),
        Action::Unassign(list) => format!("unassign {}", numbers(list)),
        Action::Restart(restart) => {
            format!("restart {} at {}", restart.partition.number, restart.offset)
        }
        Action::Pause(list) => format!("pause {}", numbers(list)),
        Action::Resume(list) => format!("resume {}", numbers(list)),
        Action::ClearPauses(list) => format!("clear pauses {}", numbers(list)),
        Action::Commit(offsets) => {
            let offsets = offsets
                .iter()
                .map(|(at, next)| format!("{}@{next}", at.number));
            format!("commit {}", offsets.collect::<Vec<_>>().join(" "))
        }
        Action::FetchEnds(list) => format!("fetch ends {}", numbers(list)),
        Action::ForgetLag(partition) => format!("forget lag {}", partition.number),
    }
}
