//! An answer without its id, in an allocation of its own: what is kept of it and given to any
//! caller.
//!
//! Made from an [`Answer`](super::Answer) whose id has been found; here it is only inserted again.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::Id;

/// An answer with a gap where the id goes. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    body: Bytes,
    gap: usize,
    result: Option<Range<usize>>,
}

impl Template {
    /// The positions are within the body.
    pub(super) const fn new(body: Bytes, gap: usize, result: Option<Range<usize>>) -> Self {
        Self { body, gap, result }
    }

    /// Assembles one from its parts: `body` without the id, the position of the id in it, and the
    /// range of the result's raw JSON in it (`None` for an error). `None` if a position lies
    /// outside of the body.
    pub fn from_parts(body: Bytes, gap: usize, result: Option<Range<usize>>) -> Option<Self> {
        let within = result
            .as_ref()
            .is_none_or(|range| body.get(range.clone()).is_some());
        (gap <= body.len() && within).then_some(Self { body, gap, result })
    }

    /// Everything but the id.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The position of the id.
    pub fn gap(&self) -> usize {
        self.gap
    }

    /// The range of the result's raw JSON in [`Self::body`]; `None` for an error.
    pub fn place(&self) -> Option<Range<usize>> {
        self.result.clone()
    }

    /// The raw JSON of the result, or `None` for an error.
    pub fn result(&self) -> Option<&[u8]> {
        self.body.get(self.result.clone()?)
    }

    /// The answer for a caller with this id, with room for the newline that ends a response.
    pub fn filled(&self, id: &Id) -> Bytes {
        let id = id.as_bytes();
        let (head, tail) = self.body.split_at(self.gap);
        let mut answer = BytesMut::with_capacity(self.body.len() + id.len() + 1);
        answer.put_slice(head);
        answer.put_slice(id);
        answer.put_slice(tail);
        answer.freeze()
    }

    /// The same in three pieces, without a copy of the answer.
    pub fn pieces(&self, id: &Id) -> [Bytes; 3] {
        let (head, tail) = (self.body.slice(..self.gap), self.body.slice(self.gap..));
        [head, id.to_bytes(), tail]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jsonrpc::{Answer, fixtures};

    fn scan(body: &str) -> Answer {
        Answer::scan(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn real_answers_are_filled_as_they_are_spliced() {
        for (name, body) in fixtures::ALL {
            let answer = scan(body);
            let template = answer.template();
            let id = Id::from(42);
            assert_eq!(template.filled(&id), answer.splice(&id).concat(), "{name}");
            assert_eq!(template.result(), answer.result(), "{name}");
        }
    }

    #[test]
    fn the_newline_of_a_response_fits_without_another_allocation() {
        let filled = scan(r#"{"jsonrpc":"2.0","result":5,"id":1}"#)
            .template()
            .filled(&Id::from(12));
        let room = filled.try_into_mut().unwrap();
        assert!(room.capacity() > room.len());
    }

    #[test]
    fn parts_that_do_not_fit_together_make_no_template() {
        let body = Bytes::from_static(b"{\"result\":5}");
        for (gap, result, fits) in [
            (12, Some(10..11), true),
            (0, None, true),
            (13, None, false),
            (11, Some(10..13), false),
            (11, Some(usize::MAX - 1..usize::MAX), false),
        ] {
            let template = Template::from_parts(body.clone(), gap, result.clone());
            assert_eq!(template.is_some(), fits, "{gap} {result:?}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_filled_as_it_is_spliced(body in fixtures::answers(), id in any::<u64>()) {
            let answer = scan(&body);
            let template = answer.template();
            let id = Id::from(id);
            prop_assert_eq!(&template.filled(&id)[..], answer.splice(&id).concat());
            prop_assert_eq!(&template.filled(&id)[..], template.pieces(&id).concat());
            prop_assert_eq!(template.result(), answer.result());
        }

        #[test]
        fn its_parts_make_it_again(body in fixtures::answers()) {
            let template = scan(&body).template();
            let again = Template::from_parts(
                template.body().clone(),
                template.gap(),
                template.place(),
            );
            prop_assert_eq!(Some(template), again);
        }
    }
}
