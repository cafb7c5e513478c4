//! What is promised of the database, of both kinds of it.

mod lanes;
mod letters;
mod partitions;
mod refusals;
mod rows;
mod times;
