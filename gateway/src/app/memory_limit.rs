//! The memory that the process may use: of its container or unit, or of the machine.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// The cache may take this part of the memory, as a fraction; the rest is for everything else.
const SHARE: (u64, u64) = (3, 4);

/// Warns if the cache alone could take nearly all memory: the kernel would then kill the process
/// once the cache has filled up.
pub(super) fn check_cache(config: &Config) {
    let Some(limit) = limit(Path::new(GROUPS), &own_group(), machine()) else {
        return;
    };
    let cache = if config.cache.enabled {
        config.cache.memory as u64
    } else {
        0
    };
    if is_too_much(cache, limit) {
        tracing::warn!(
            cache,
            limit,
            "`cache.memory` is more than three quarters of the memory this process may use; it will \
             be killed when the cache has filled up; lower it, or raise the limit"
        );
    }
}

fn is_too_much(cache: u64, limit: u64) -> bool {
    let (part, whole) = SHARE;
    u128::from(cache) * u128::from(whole) > u128::from(limit) * u128::from(part)
}

/// The least of the limits of a control group, those above it, and the machine, in bytes. None if none
/// is known.
fn limit(root: &Path, group: &str, machine: Option<u64>) -> Option<u64> {
    let group = root.join(group.trim_start_matches('/'));
    let groups = group
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    // Version 2, and version 1, which has a hierarchy for each resource.
    let files = groups
        .map(|folder| folder.join("memory.max"))
        .chain([root.join("memory/memory.limit_in_bytes")]);
    // "max" is no limit, and neither is a number beyond the machine's memory.
    files
        .filter_map(|file: PathBuf| std::fs::read_to_string(file).ok()?.trim().parse().ok())
        .chain(machine)
        .min()
}

/// The process's own control group; the root's if that is unknown, as within most containers.
fn own_group() -> String {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    unified.unwrap_or("/").to_owned()
}

/// The memory of the machine, in bytes.
fn machine() -> Option<u64> {
    memory_total(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let of = |group: &str, machine| limit(root, group, machine);
        assert_eq!(of("/", None), None);
        assert_eq!(of("/a.slice/b.service", Some(8 * GIB)), Some(8 * GIB));
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("a.slice/b.service/memory.max", "max\n");
        write("a.slice/memory.max", "4294967296\n");
        assert_eq!(of("/a.slice/b.service", Some(8 * GIB)), Some(4 * GIB));
        assert_eq!(of("/a.slice/b.service", Some(2 * GIB)), Some(2 * GIB));
        assert_eq!(of("/c.slice", Some(8 * GIB)), Some(8 * GIB));
        // A container sees its own group as the root.
        write("memory.max", "1073741824\n");
        assert_eq!(of("/", Some(8 * GIB)), Some(GIB));
        // Version 1: no limit is a very large number.
        std::fs::remove_file(root.join("memory.max")).unwrap();
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of("/", Some(8 * GIB)), Some(8 * GIB));
    }

    #[test]
    fn the_cache_may_have_three_quarters() {
        assert!(!is_too_much(3 * GIB, 4 * GIB));
        assert!(is_too_much(3 * GIB + 1, 4 * GIB));
        assert!(is_too_much(u64::MAX, u64::MAX));
    }

    #[test]
    fn the_memory_of_the_machine_is_read() {
        let text = "MemTotal:       16302832 kB\nMemFree:         1000 kB\n";
        assert_eq!(memory_total(text), Some(16_302_832 * 1024));
        assert_eq!(memory_total("MemFree: 1 kB\n"), None);
        assert!(machine().is_some_and(|bytes| bytes > GIB / 8));
    }
}
