//! Faults that tests plant into the running program.

/// The environment variable that names the task to break.
const VARIABLE: &str = "PERIJOVE_INGEST_PLANTED_FAULT";

/// Panics, as a library may, where a test asks for it of this task. Does nothing in builds without debug assertions.
pub(crate) fn fault(task: &str) {
    let planted = cfg!(debug_assertions) && std::env::var(VARIABLE).is_ok_and(|name| name == task);
    assert!(!planted, "planted in `{task}`");
}
