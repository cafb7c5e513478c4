//! Where rows go: the database first, which also keeps how far each partition was read, then
//! Redis, which is made of what the database holds. When which is written, and what happens when
//! one of them fails, is for the app.

pub mod database;
pub mod market;
pub mod tick;
