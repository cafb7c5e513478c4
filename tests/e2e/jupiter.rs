//! Jupiter's API through the gateway: its own swap API first, the hosted one behind it, and answers to
//! the byte.

mod budgets;
mod failover;
mod faults;
mod gone;
mod heads;
mod hostile;
mod innocent;
mod optimizer;
mod oracle;
mod prices;
mod quotes;
mod replicas;
mod routing;
mod scene;
mod scripted;
mod tokens;
mod trading;
mod wrong_quotes;
