//! The gateways that a request has come through, by the names of their processes: one that comes back to
//! where it was goes in circles.

use std::sync::Arc;

/// More gateways in a row than anybody builds on purpose.
const MOST: usize = 16;
/// The length of a name.
const NAME: usize = 16;

/// A request goes in circles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayLoop {
    /// It has come through this gateway before.
    Own,
    /// It has come through more gateways than anybody builds on purpose.
    Long,
}

/// The gateways before this one, the first of them first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hops(Arc<str>);

impl Hops {
    /// Reads what the last gateway says of itself and of those before it; `own` is the name of this
    /// process. `None` if none has sent the request. What is no name is ignored.
    ///
    /// # Errors
    /// This process is among them, or they are too many.
    pub fn of(
        last: Option<&[u8]>,
        before: Option<&[u8]>,
        own: &str,
    ) -> Result<Option<Self>, GatewayLoop> {
        let Some(last) = last else { return Ok(None) };
        let before = before.unwrap_or_default().split(|byte| *byte == b',');
        let names = before.chain([last]).filter_map(name);
        let names: Vec<&str> = names.take(MOST + 1).collect();
        if names.contains(&own) {
            return Err(GatewayLoop::Own);
        }
        if names.len() > MOST {
            return Err(GatewayLoop::Long);
        }
        Ok((!names.is_empty()).then(|| Self(names.join(",").into())))
    }

    /// The value of the header that names them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn name(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii();
    let is_name = text.len() == NAME && text.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(text).ok().filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "000000000000000a";
    const OTHER: &str = "000000000000000b";
    const THIRD: &str = "000000000000000c";

    fn of(last: &str, before: &str) -> Result<Option<String>, GatewayLoop> {
        let hops = Hops::of(Some(last.as_bytes()), Some(before.as_bytes()), OWN)?;
        Ok(hops.map(|hops| hops.0.to_string()))
    }

    #[test]
    fn whoever_sent_it_is_added_to_those_before() {
        assert_eq!(Hops::of(None, Some(OTHER.as_bytes()), OWN), Ok(None));
        assert_eq!(of(OTHER, ""), Ok(Some(OTHER.to_owned())));
        assert_eq!(of(OTHER, THIRD), Ok(Some(format!("{THIRD},{OTHER}"))));
        assert_eq!(of(" x", "\r\n,é, "), Ok(None));
        assert_eq!(of(OTHER, "junk"), Ok(Some(OTHER.to_owned())));
    }

    #[test]
    fn one_that_comes_back_is_refused_wherever_it_was() {
        assert_eq!(of(OWN, ""), Err(GatewayLoop::Own));
        assert_eq!(of(OTHER, OWN), Err(GatewayLoop::Own));
        assert_eq!(
            of(OTHER, &format!("{THIRD}, {OWN} ,{THIRD}")),
            Err(GatewayLoop::Own)
        );
        let many = [THIRD; MOST];
        assert_eq!(of(OTHER, &many.join(",")), Err(GatewayLoop::Long));
        assert!(of(OTHER, &many[1..].join(",")).is_ok());
    }
}
