//! Routes: the best way from one token to another over one pool or two, at a slot.

use super::market::{Market, Pool, into_for, out_of};

/// Which side of a swap is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    #[default]
    ExactIn,
    ExactOut,
}

impl Mode {
    /// The spelling in requests and answers.
    pub fn label(self) -> &'static str {
        match self {
            Self::ExactIn => "ExactIn",
            Self::ExactOut => "ExactOut",
        }
    }
}

/// What is to be found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    pub input: String,
    pub output: String,
    pub amount: u64,
    pub mode: Mode,
    /// One pool only.
    pub direct: bool,
    /// Through SOL and USDC only.
    pub restricted: bool,
    /// Labels of the dexes to use; empty means all.
    pub dexes: Vec<String>,
    pub excluded: Vec<String>,
    /// Accounts the transaction may name; two pools need more than one does.
    pub max_accounts: u64,
}

/// A swap over one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The number of the pool in the market.
    pub pool: usize,
    pub input: String,
    pub output: String,
    pub given: u128,
    pub taken: u128,
    /// The pool's fee, of the input.
    pub fee: u128,
}

/// Accounts that a route over two pools names.
const TWO_POOLS: u64 = 40;
const ONE_POOL: u64 = 20;

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// Pools there are, but none that leads there as wished.
    NotFound,
    /// Pools there are, but they have not that much.
    TooMuch,
}

/// The best route at the end of a slot.
pub fn best(market: &Market, slot: u64, wish: &Wish) -> Result<Vec<Hop>, NoRoute> {
    let mut found = Vec::new();
    let mut any = false;
    for way in ways(market, wish) {
        any = true;
        found.extend(walk(market, slot, wish, &way));
    }
    let better = |one: &Vec<Hop>| {
        let given = one.first().map_or(u128::MAX, |hop| hop.given);
        let taken = one.last().map_or(0, |hop| hop.taken);
        match wish.mode {
            // The first of equal ones, whatever the order of iteration.
            Mode::ExactIn => u128::MAX - taken,
            Mode::ExactOut => given,
        }
    };
    found.into_iter().min_by_key(better).ok_or(if any {
        NoRoute::TooMuch
    } else {
        NoRoute::NotFound
    })
}

/// The pools of every way there, in order, with the token that comes out of each.
fn ways(market: &Market, wish: &Wish) -> Vec<Vec<(usize, String)>> {
    let usable: Vec<(usize, &Pool)> = market
        .pools()
        .iter()
        .enumerate()
        .filter(|(_, pool)| {
            let label = pool.label();
            let named = |list: &[String]| list.iter().any(|one| one == label);
            (wish.dexes.is_empty() || named(&wish.dexes)) && !named(&wish.excluded)
        })
        .collect();
    let mut ways = Vec::new();
    if wish.max_accounts < ONE_POOL {
        return ways;
    }
    for (first, pool) in &usable {
        let Some(middle) = other(pool, &wish.input) else {
            continue;
        };
        if *middle == wish.output {
            ways.push(vec![(*first, middle.clone())]);
            continue;
        }
        let passable = market.token(middle).is_some_and(|token| token.intermediate);
        if wish.direct || wish.max_accounts < TWO_POOLS || (wish.restricted && !passable) {
            continue;
        }
        for (second, pool) in &usable {
            if other(pool, middle) == Some(&wish.output) {
                ways.push(vec![
                    (*first, middle.clone()),
                    (*second, wish.output.clone()),
                ]);
            }
        }
    }
    ways
}

fn other<'a>(pool: &'a Pool, mint: &str) -> Option<&'a String> {
    match &pool.mints {
        [left, right] if left == mint => Some(right),
        [left, right] if right == mint => Some(left),
        _ => None,
    }
}

/// What a way gives or wants; `None` if it has not that much, or gives nothing.
fn walk(market: &Market, slot: u64, wish: &Wish, way: &[(usize, String)]) -> Option<Vec<Hop>> {
    let mut inputs = vec![wish.input.clone()];
    inputs.extend(way.iter().map(|(_, output)| output.clone()));
    let mut hops = Vec::with_capacity(way.len());
    let mut amount = u128::from(wish.amount);
    let steps: Vec<_> = way.iter().zip(&inputs).collect();
    let ordered: Box<dyn Iterator<Item = _>> = match wish.mode {
        Mode::ExactIn => Box::new(steps.into_iter()),
        Mode::ExactOut => Box::new(steps.into_iter().rev()),
    };
    for ((number, output), input) in ordered {
        let pool = market.pools().get(*number)?;
        let [left, right] = market.holding(*number, slot)?.reserves;
        let (into, from) = if pool.mints.first() == Some(input) {
            (left, right)
        } else {
            (right, left)
        };
        let fee = pool.fee_bps();
        let (given, taken) = match wish.mode {
            Mode::ExactIn => (amount, out_of(amount, into, from, fee)),
            Mode::ExactOut => (into_for(amount, into, from, fee)?, amount),
        };
        amount = match wish.mode {
            Mode::ExactIn => taken,
            Mode::ExactOut => given,
        };
        if amount == 0 || u64::try_from(amount).is_err() {
            return None;
        }
        hops.push(Hop {
            pool: *number,
            input: input.clone(),
            output: output.clone(),
            given,
            taken,
            fee: given * fee / super::market::BPS,
        });
    }
    if wish.mode == Mode::ExactOut {
        hops.reverse();
    }
    Some(hops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jupiter::tokens::{SOL, USDC};

    fn wish(input: &str, output: &str, amount: u64) -> Wish {
        Wish {
            input: input.to_owned(),
            output: output.to_owned(),
            amount,
            max_accounts: 64,
            ..Wish::default()
        }
    }

    #[test]
    fn a_route_is_the_best_of_all_and_options_only_make_it_worse() {
        let market = Market::new();
        let tokens: Vec<_> = market.tokens().iter().map(|one| one.mint.clone()).collect();
        let taken =
            |wish: &Wish| best(&market, 500, wish).map_or(0, |hops| hops.last().unwrap().taken);
        for (input, output) in [
            (&tokens[0], &tokens[1]),
            (&tokens[5], &tokens[1]),
            (&tokens[9], &tokens[12]),
        ] {
            let free = wish(input, output, 1_000_000);
            assert!(taken(&free) > 0);
            for narrower in [
                Wish {
                    direct: true,
                    ..free.clone()
                },
                Wish {
                    restricted: true,
                    ..free.clone()
                },
                Wish {
                    excluded: vec!["Raydium".to_owned()],
                    ..free.clone()
                },
                Wish {
                    max_accounts: 30,
                    ..free.clone()
                },
            ] {
                assert!(taken(&narrower) <= taken(&free), "{narrower:?}");
            }
        }
        let direct = Wish {
            direct: true,
            ..wish(&tokens[9], &tokens[12], 1_000)
        };
        assert_eq!(best(&market, 500, &direct), Err(NoRoute::NotFound));
    }

    #[test]
    fn hops_join_and_an_output_asked_for_is_what_comes_out() {
        let market = Market::new();
        let tokens: Vec<_> = market.tokens().iter().map(|one| one.mint.clone()).collect();
        let exact = Wish {
            mode: Mode::ExactOut,
            ..wish(&tokens[9], &tokens[12], 777_777)
        };
        let hops = best(&market, 500, &exact).unwrap();
        assert_eq!(hops.len(), 2);
        assert_eq!(hops[1].taken, 777_777);
        assert_eq!(
            (hops[0].taken, &hops[0].output),
            (hops[1].given, &hops[1].input)
        );
        let back = wish(
            &tokens[9],
            &tokens[12],
            u64::try_from(hops[0].given).unwrap(),
        );
        assert!(best(&market, 500, &back).unwrap()[1].taken >= 777_777);
        let much = Wish {
            mode: Mode::ExactOut,
            ..wish(SOL, USDC, u64::MAX)
        };
        assert_eq!(best(&market, 500, &much), Err(NoRoute::TooMuch));
    }
}
