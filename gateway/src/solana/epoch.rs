//! Where an epoch ends, as `getEpochInfo` tells it.

use perijove_core::Slot;

use crate::jsonrpc::Cursor;

/// The last slot of the epoch a `getEpochInfo` result is about. What is kept for an epoch is of the
/// finalized bank: ask at `finalized`, or entries of the old epoch outlive it.
pub fn epoch_end(result: &[u8]) -> Option<Slot> {
    let mut cursor = Cursor::new(result);
    if !cursor.eat(b'{') {
        return None;
    }
    let (mut absolute, mut index, mut length) = (None, None, None);
    let mut first = true;
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        match key {
            b"absoluteSlot" => absolute = Some(cursor.unsigned()?),
            b"slotIndex" => index = Some(cursor.unsigned()?),
            b"slotsInEpoch" => length = Some(cursor.unsigned()?),
            _ => {
                cursor.value()?;
            }
        }
    }
    let left = length?.checked_sub(index?)?.checked_sub(1)?;
    absolute
        .filter(|absolute| Some(*absolute) >= index)?
        .checked_add(left)
        .map(Slot)
}

#[cfg(test)]
mod tests {
    use perijove_core::Slot;

    use super::epoch_end;

    #[test]
    fn an_epoch_ends_with_its_last_slot() {
        for (result, end) in [
            (
                r#"{"absoluteSlot":1967,"blockHeight":1937,"epoch":0,"slotIndex":1967,"slotsInEpoch":432000,"transactionCount":8}"#,
                Some(431_999),
            ),
            (
                r#"{ "slotsInEpoch" : 32, "epoch" : 3, "slotIndex" : 31, "absoluteSlot" : 127 }"#,
                Some(127),
            ),
            (
                r#"{"absoluteSlot":128,"slotIndex":0,"slotsInEpoch":32}"#,
                Some(159),
            ),
            (
                r#"{"absoluteSlot":18446744073709551615,"slotIndex":5,"slotsInEpoch":6}"#,
                Some(u64::MAX),
            ),
        ] {
            assert_eq!(epoch_end(result.as_bytes()), end.map(Slot), "{result}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_no_epoch() {
        for result in [
            r#"{"absoluteSlot":5,"slotIndex":32,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":5,"slotIndex":6,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":18446744073709551615,"slotIndex":5,"slotsInEpoch":7}"#,
            r#"{"absoluteSlot":5,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":"5","slotIndex":5,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":5,"slotIndex":5,"slotsInEpoch":32"#,
            "5",
            "null",
            "",
        ] {
            assert_eq!(epoch_end(result.as_bytes()), None, "{result}");
        }
    }
}
