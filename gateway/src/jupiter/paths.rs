//! Which part of Jupiter's API a path belongs to, and where each kind of upstream serves that part.

/// A part of the API that upstreams may serve under paths of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// `/swap/v1`, also called v6.
    SwapV1,
    SwapV2,
    UltraV1,
    PriceV3,
    TokensV2,
    /// Everything else.
    Other,
}

impl Api {
    pub const ALL: [Self; 6] = [
        Self::SwapV1,
        Self::SwapV2,
        Self::UltraV1,
        Self::PriceV3,
        Self::TokensV2,
        Self::Other,
    ];

    /// Its path on Jupiter's own hosts. Everything else has its whole path there.
    const fn hosted(self) -> &'static str {
        match self {
            Self::SwapV1 => "/swap/v1",
            Self::SwapV2 => "/swap/v2",
            Self::UltraV1 => "/ultra/v1",
            Self::PriceV3 => "/price/v3",
            Self::TokensV2 => "/tokens/v2",
            Self::Other => "",
        }
    }
}

/// The product: a label of metrics and logs, and what decides how a request is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// `GET /swap/v1/quote`.
    Quote,
    /// `POST /swap/v1/swap`: a transaction is built from a quote.
    Swap,
    SwapInstructions,
    /// `GET /swap/v1/program-id-to-label`.
    Labels,
    /// `GET /order` of v2 and Ultra.
    Order,
    Build,
    /// `POST /execute` of v2 and Ultra: a signed transaction is sent.
    Execute,
    Price,
    Tokens,
    Other,
}

impl Product {
    pub const ALL: [Self; 10] = [
        Self::Quote,
        Self::Swap,
        Self::SwapInstructions,
        Self::Labels,
        Self::Order,
        Self::Build,
        Self::Execute,
        Self::Price,
        Self::Tokens,
        Self::Other,
    ];

    /// The value of the label `product`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::Swap => "swap",
            Self::SwapInstructions => "swap_instructions",
            Self::Labels => "labels",
            Self::Order => "order",
            Self::Build => "build",
            Self::Execute => "execute",
            Self::Price => "price",
            Self::Tokens => "tokens",
            Self::Other => "other",
        }
    }

    /// The verbs that it has, for those who ask.
    pub fn verbs(self) -> &'static str {
        match (self.verb(), self) {
            (Some("GET"), _) => "GET, HEAD",
            (Some(verb), _) => verb,
            (None, Self::Tokens) => "GET, HEAD, POST, PUT, PATCH, DELETE",
            // A `GET` may change something there, and a `HEAD` must not.
            (None, _) => "GET, POST, PUT, PATCH, DELETE",
        }
    }

    /// Whether a `HEAD` is answered as a `GET` is, without a body.
    pub fn has_head(self) -> bool {
        self.verb() == Some("GET") || self == Self::Tokens
    }

    /// The only verb that it has; `None` if any may be valid.
    pub const fn verb(self) -> Option<&'static str> {
        match self {
            Self::Quote | Self::Labels | Self::Order | Self::Build | Self::Price => Some("GET"),
            Self::Swap | Self::SwapInstructions | Self::Execute => Some("POST"),
            Self::Tokens | Self::Other => None,
        }
    }

    fn of(api: Api, rest: &str) -> Self {
        let rest = rest.trim_end_matches('/');
        match (api, rest) {
            (Api::SwapV1, "/quote") => Self::Quote,
            (Api::SwapV1, "/swap") => Self::Swap,
            (Api::SwapV1, "/swap-instructions") => Self::SwapInstructions,
            (Api::SwapV1, "/program-id-to-label") => Self::Labels,
            (Api::SwapV2 | Api::UltraV1, "/order") => Self::Order,
            (Api::SwapV2 | Api::UltraV1, "/execute") => Self::Execute,
            (Api::SwapV2, "/build") => Self::Build,
            (Api::PriceV3, _) => Self::Price,
            (Api::TokensV2, _) => Self::Tokens,
            _ => Self::Other,
        }
    }
}

/// The first parts of the API's paths. A call of Solana's RPC may be posted to any other path.
const ROOTS: [&str; 16] = [
    "swap",
    "ultra",
    "price",
    "tokens",
    "trigger",
    "recurring",
    "lend",
    "send",
    "studio",
    "portfolio",
    "prediction",
    "perps",
    "limit",
    "dca",
    "wallet",
    "transaction",
];

/// Paths of a v6 API, some of which are posted to.
const V6: [&str; 8] = [
    "quote",
    "swap",
    "swap-instructions",
    "program-id-to-label",
    "indexed-route-map",
    "quote-and-simulate",
    "market",
    "tokens",
];

/// A request's place in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRoute<'p> {
    pub api: Api,
    pub product: Product,
    /// What follows the part's own path: empty, or beginning with a slash.
    rest: &'p str,
    /// From the API's first segment on; what precedes it is for the gateway (a key, for example).
    path: &'p str,
}

/// A path that two servers could interpret differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl<'p> ApiRoute<'p> {
    /// The route of a path; `None` if it is not part of the API.
    pub fn of(path: &'p str) -> Option<Self> {
        let mut at = 0;
        while let Some(rest) = path.get(at..)?.strip_prefix('/') {
            let (first, behind) = segment(rest);
            let (second, after) = segment(behind.strip_prefix('/').unwrap_or_default());
            let from_here = path.get(at..)?;
            if first == "v6" && V6.contains(&second) {
                return Some(Self::new(Api::SwapV1, behind, from_here));
            }
            if is_version(second) && ROOTS.contains(&first) {
                let api = match (first, second) {
                    ("swap", "v1") => Api::SwapV1,
                    ("swap", "v2") => Api::SwapV2,
                    ("ultra", "v1") => Api::UltraV1,
                    ("price", "v3") => Api::PriceV3,
                    ("tokens", "v2") => Api::TokensV2,
                    _ => Api::Other,
                };
                return Some(Self::new(api, after, from_here));
            }
            at = path.len() - behind.len();
        }
        None
    }

    /// Whether a path looks like one of a part of the API that the gateway does not know. A call of
    /// Solana's RPC may be posted to it.
    pub fn is_unknown(path: &'p str) -> bool {
        let mut segments = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .peekable();
        while let Some(segment) = segments.next() {
            // Not a key that precedes a v6 path.
            let version = segments
                .peek()
                .filter(|next| is_version(next) && **next != "v6");
            if is_word(segment) && version.is_some() {
                return Self::of(path).is_none();
            }
        }
        false
    }

    fn new(api: Api, rest: &'p str, path: &'p str) -> Self {
        Self {
            api,
            product: Product::of(api, rest),
            rest,
            path,
        }
    }

    /// # Errors
    /// The path has segments that some servers resolve, so that it would be another path on the
    /// upstream.
    pub fn check(&self) -> Result<(), Ambiguous> {
        let dots = |segment: &str| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            plain == "." || plain == ".."
        };
        let hidden = self.path.to_ascii_lowercase();
        if self.path.split('/').any(dots)
            || self.path.contains('\\')
            || hidden.contains("%2f")
            || hidden.contains("%5c")
        {
            return Err(Ambiguous);
        }
        Ok(())
    }

    /// What follows the part's own path.
    pub const fn rest(&self) -> &'p str {
        self.rest
    }
}

fn segment(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| {
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_word(segment: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    !segment.is_empty() && segment.bytes().all(known)
}

/// Where an upstream serves the parts of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMap([Option<String>; Api::ALL.len()]);

impl PathMap {
    /// The paths of Jupiter's own hosts.
    pub fn hosted() -> Self {
        Self(Api::ALL.map(|api| Some(api.hosted().to_owned())))
    }

    /// Those of `jupiter-swap-api`: version 1 of the swap API, at the root.
    pub fn self_hosted() -> Self {
        Self(Api::ALL.map(|api| (api == Api::SwapV1).then(String::new)))
    }

    /// These parts under these paths, without a slash at their ends.
    pub fn of(parts: &[(Api, String)]) -> Self {
        Self(Api::ALL.map(|api| {
            let found = parts.iter().find(|(part, _)| *part == api);
            found.map(|(_, path)| path.trim_end_matches('/').to_owned())
        }))
    }

    /// Whether the upstream serves this part.
    pub fn has(&self, api: Api) -> bool {
        self.prefix(api).is_some()
    }

    /// The path of a route there.
    pub fn path(&self, route: &ApiRoute<'_>) -> Option<String> {
        let prefix = self.prefix(route.api)?;
        let rest = match route.api {
            Api::Other => route.path,
            _ => route.rest,
        };
        Some(format!("{prefix}{rest}"))
    }

    fn prefix(&self, api: Api) -> Option<&str> {
        self.0.get(api as usize)?.as_deref()
    }
}

/// The query without the gateway's own keys. The rest is unchanged, byte for byte.
pub fn without_keys(query: &str) -> String {
    let kept: Vec<_> = query.split('&').filter(|pair| !is_own_key(pair)).collect();
    kept.join("&")
}

/// Whether a name with its value, as they are written in a query, is a key of the gateway's own.
pub fn is_own_key(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let is_own = |name: &str| matches!(name, "api-key" | "api_key" | "apikey");
    if !name.contains('%') {
        return is_own(name);
    }
    let mut decoded = url::form_urlencoded::parse(name.as_bytes());
    decoded.next().is_some_and(|(name, _)| is_own(&name))
}

#[cfg(test)]
mod tests;
