//! The file that keeps across restarts what is used up of budgets. The gateway replaces it every few
//! seconds, so it must not be anything else.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use perijove_core::settings::{Section, read_text};

/// When each budget will be full again, in milliseconds since 1970.
pub type BudgetTimes = BTreeMap<String, u64>;

/// The content of the file; nothing where it does not exist or is empty.
///
/// # Errors
/// It cannot be read, or is something else than such a file and must not be replaced.
pub fn read_budget_file(file: &Path) -> Result<BudgetTimes, String> {
    let name = file.display();
    match fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BudgetTimes::new()),
        Err(error) => return Err(format!("cannot read {name}: {error}")),
        // Neither a folder, nor a device or pipe, which may have no end.
        Ok(found) if !found.is_file() => return Err(format!("{name} is not a plain file")),
        Ok(_) => {}
    }
    let text = read_text(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    // What is left of a file after a power failure.
    if text.trim_matches(['\0', '\n', '\r', ' ']).is_empty() {
        return Ok(BudgetTimes::new());
    }
    serde_json::from_str(&text).map_err(|_other| {
        format!("{name} holds something else than budgets and would be replaced; name a file of its own, or delete it")
    })
}

/// Reports a file that cannot be what keeps budgets. `keys_file` is replaced by others.
pub(super) fn look_at_budget_file(section: &Section<'_>, file: &Path, keys_file: Option<&Path>) {
    let path = section.resolve(file);
    if keys_file.is_some_and(|keys| is_same(&section.resolve(keys), &path)) {
        return section.violation("file", "is the keys file, which it would replace");
    }
    if let Err(fault) = read_budget_file(&path) {
        return section.fault_apart("file", fault);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && !folder.is_dir()
    {
        section.warn(
            "file",
            format_args!(
                "{} is not there, so that what is used up is not kept",
                folder.display()
            ),
        );
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_missing| path.to_owned());
    real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_what_holds_budgets_or_nothing_is_a_budget_file() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("budgets.json");
        assert_eq!(read_budget_file(&file), Ok(BudgetTimes::new()));
        for (text, is_own) in [
            ("", true),
            ("\0\0\0\0", true),
            ("{}", true),
            (r#"{"upstream/a":1795926700201}"#, true),
            ("keys: []\n", false),
            ("upstreams: []\n", false),
            (r#"{"upstreams":[]}"#, false),
            (r#"{"upstream/a":17"#, false),
            ("-----BEGIN CERTIFICATE-----\n", false),
            ("1", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(read_budget_file(&file).is_ok(), is_own, "{text}");
        }
        for other in [
            folder.path(),
            Path::new("/dev/zero"),
            Path::new("/dev/null"),
        ] {
            let fault = read_budget_file(other).unwrap_err();
            assert!(fault.ends_with("is not a plain file"), "{fault}");
        }
    }
}
