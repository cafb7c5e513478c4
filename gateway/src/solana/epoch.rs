//! The slots of an epoch, as reported by `getEpochInfo`.

use std::ops::RangeInclusive;

use perijove_core::Slot;

use crate::jsonrpc::Cursor;

/// The first and the last slot of the epoch of a `getEpochInfo` result. Answers kept for an epoch
/// are of the finalized bank, whose epoch changes some 32 slots after that of the newest.
pub fn epoch_slots(result: &[u8]) -> Option<RangeInclusive<Slot>> {
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
    let (index, length) = (index?, length?);
    let start = absolute?.checked_sub(index)?;
    let end = start.checked_add(length.checked_sub(1)?)?;
    (index < length).then_some(Slot(start)..=Slot(end))
}

#[cfg(test)]
mod tests {
    use perijove_core::Slot;

    use super::epoch_slots;

    #[test]
    fn an_epoch_has_a_first_and_a_last_slot() {
        for (result, first, last) in [
            (
                r#"{"absoluteSlot":1967,"blockHeight":1937,"epoch":0,"slotIndex":1967,"slotsInEpoch":432000,"transactionCount":8}"#,
                0,
                431_999,
            ),
            (
                r#"{ "slotsInEpoch" : 32, "epoch" : 3, "slotIndex" : 31, "absoluteSlot" : 127 }"#,
                96,
                127,
            ),
            (
                r#"{"absoluteSlot":128,"slotIndex":0,"slotsInEpoch":32}"#,
                128,
                159,
            ),
            (
                r#"{"absoluteSlot":18446744073709551615,"slotIndex":5,"slotsInEpoch":6}"#,
                u64::MAX - 5,
                u64::MAX,
            ),
        ] {
            let slots = epoch_slots(result.as_bytes());
            assert_eq!(slots, Some(Slot(first)..=Slot(last)), "{result}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_no_epoch() {
        for result in [
            r#"{"absoluteSlot":500,"slotIndex":32,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":5,"slotIndex":6,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":5,"slotIndex":0,"slotsInEpoch":0}"#,
            r#"{"absoluteSlot":18446744073709551615,"slotIndex":5,"slotsInEpoch":7}"#,
            r#"{"absoluteSlot":5,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":"5","slotIndex":5,"slotsInEpoch":32}"#,
            r#"{"absoluteSlot":5,"slotIndex":5,"slotsInEpoch":32"#,
            "5",
            "null",
            "",
        ] {
            assert_eq!(epoch_slots(result.as_bytes()), None, "{result}");
        }
    }
}
