//! Clients that would hold the gateway hostage: they ask and do not read, begin and do not go on,
//! or come in crowds. Each is let go in time, others are served meanwhile, and a stop does not
//! wait for them.

mod answers;
mod beginnings;
mod bodies;
mod crowds;
mod line;
mod stopping;
