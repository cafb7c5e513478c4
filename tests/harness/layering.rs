//! Which file of a crate uses which: for tests that hold the order of its layers and keep imports
//! free of cycles.
//!
//! A path is followed to the file that defines what it names, through the `pub use` of the modules
//! in between: a facade that shows its parts depends on none of them. Test code and the arguments
//! of macros are left out.

#![allow(clippy::expect_used, reason = "a harness fails by panicking")]

mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use paths::{Found, find};

/// A module as the segments of its path: `["source", "kafka"]`. The root has none.
pub type Module = Vec<String>;

/// The sources of one crate.
#[derive(Debug)]
pub struct Sources {
    modules: BTreeMap<Module, Found>,
}

/// One file uses another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub from: Module,
    pub to: Module,
}

impl Sources {
    /// Reads what is under `src` of the crate in this folder. `name` is the library's, by which the
    /// crate's own binary calls it.
    ///
    /// # Panics
    /// A file cannot be read or is not Rust.
    pub fn read(folder: &Path, name: &str) -> Self {
        let root = folder.join("src");
        let mut modules = BTreeMap::new();
        for file in files(&root) {
            let text = fs::read_to_string(&file).expect("a source");
            let syntax = syn::parse_file(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            modules.insert(module(&root, &file), find(&syntax, name));
        }
        Self { modules }
    }

    /// The names of the top level's modules.
    pub fn top(&self) -> BTreeSet<String> {
        let modules = self.modules.keys();
        modules
            .filter_map(|module| module.first())
            .cloned()
            .collect()
    }

    /// Every use of one file by another, each once.
    pub fn uses(&self) -> BTreeSet<Use> {
        let mut uses = BTreeSet::new();
        for (from, found) in &self.modules {
            for path in &found.paths {
                let to = self.resolve(from, path).filter(|to| to != from);
                let from = from.clone();
                uses.extend(to.map(|to| Use { from, to }));
            }
        }
        uses
    }

    /// The modules that name another crate.
    pub fn naming(&self, other: &str) -> BTreeSet<Module> {
        let naming = self.modules.iter().filter(|(from, found)| {
            let mut named = found.paths.iter().filter(|path| {
                let first = path.first();
                first.is_some_and(|first| first == other)
            });
            named.any(|path| self.resolve(from, path).is_none())
        });
        naming.map(|(module, _)| module.clone()).collect()
    }

    /// The modules that name this part of another crate, wherever in it that stands.
    pub fn naming_in(&self, other: &str, part: &str) -> BTreeSet<Module> {
        let naming = self.modules.iter().filter(|(from, found)| {
            let mut named = found.paths.iter().filter(|path| {
                path.split_first().is_some_and(|(first, rest)| {
                    first == other && rest.iter().any(|one| one == part)
                })
            });
            named.any(|path| self.resolve(from, path).is_none())
        });
        naming.map(|(module, _)| module.clone()).collect()
    }

    /// Files that use each other, directly or through others: each set once.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let mut next: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for Use { from, to } in self.uses() {
            next.entry(from).or_default().insert(to);
        }
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = next
            .keys()
            .map(|start| (start, reachable(&next, start)))
            .collect();
        let mut cycles = BTreeSet::new();
        for (start, ends) in &reached {
            let cycle = ends.iter().filter(|end| {
                let back = reached.get(*end);
                back.is_some_and(|back| back.contains(start))
            });
            let cycle: Vec<String> = cycle.map(|module| module.join("::")).collect();
            if !cycle.is_empty() {
                cycles.insert(cycle);
            }
        }
        cycles.into_iter().collect()
    }

    /// The file that defines what a path names; None outside of the crate.
    fn resolve(&self, from: &Module, path: &[String]) -> Option<Module> {
        let (mut module, mut rest) = self.begin(from, path)?;
        while let Some((name, left)) = rest.split_first() {
            let mut child = module.clone();
            child.push(name.clone());
            if self.modules.contains_key(&child) {
                (module, rest) = (child, left);
                continue;
            }
            let shown = self.modules.get(&module)?.shown.get(name);
            let defined = shown.and_then(|path| self.resolve(&module, path));
            return Some(defined.unwrap_or(module));
        }
        Some(module)
    }

    /// The module in which a path begins, and what is left of the path.
    fn begin<'p>(&self, from: &Module, path: &'p [String]) -> Option<(Module, &'p [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Module::new(), rest)),
            "self" => Some((from.clone(), rest)),
            "super" => {
                let supers = path.iter().take_while(|one| *one == "super").count();
                let depth = from.len().checked_sub(supers)?;
                Some((from.get(..depth)?.to_vec(), path.get(supers..)?))
            }
            first => {
                let mut child = from.clone();
                child.push(first.to_owned());
                let is_child = self.modules.contains_key(&child);
                is_child.then(|| (from.clone(), path))
            }
        }
    }
}

fn reachable<'m>(
    next: &'m BTreeMap<Module, BTreeSet<Module>>,
    start: &'m Module,
) -> BTreeSet<&'m Module> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(module) = waiting.pop() {
        for module in next.get(module).into_iter().flatten() {
            if reached.insert(module) {
                waiting.push(module);
            }
        }
    }
    reached
}

/// `src/upstream/pool.rs` is `["upstream", "pool"]`.
fn module(root: &Path, file: &Path) -> Module {
    let inner = file.strip_prefix(root).expect("under the root");
    let inner = inner.with_extension("");
    let segments = inner.components();
    let module: Module = segments
        .map(|segment| segment.as_os_str().to_string_lossy().into_owned())
        .collect();
    if module == ["lib"] {
        Module::new()
    } else {
        module
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From texts by module, such as `("source::kafka", "use crate::record;")`.
    fn sources(texts: &[(&str, &str)]) -> Sources {
        let modules = texts.iter().map(|(module, text)| {
            let segments = module.split("::").filter(|one| !one.is_empty());
            let syntax = syn::parse_file(text).expect("Rust");
            (segments.map(str::to_owned).collect(), find(&syntax, "this"))
        });
        Sources {
            modules: modules.collect(),
        }
    }

    fn uses(texts: &[(&str, &str)]) -> Vec<String> {
        let uses = sources(texts).uses().into_iter();
        uses.map(|one| format!("{} -> {}", one.from.join("::"), one.to.join("::")))
            .collect()
    }

    #[test]
    fn a_path_is_followed_to_the_file_that_defines_it() {
        let found = uses(&[
            ("", "pub mod a; pub mod b;"),
            (
                "a",
                "mod inner; pub use inner::{Thing, other as renamed}; pub(in crate::b) fn f() {}",
            ),
            ("a::inner", "pub struct Thing; pub fn other() {}"),
            (
                "b",
                "use crate::a::{self, Thing}; fn f() { a::renamed(); this::a::Own::new() } // crate::c\n\
                 const TEXT: &str = \"crate::c\";",
            ),
            ("c", "use super::b::f; use std::fmt;"),
        ]);
        assert_eq!(found, ["b -> a", "b -> a::inner", "c -> b"]);
    }

    #[test]
    fn code_for_tests_is_left_out() {
        let text = "#[cfg(test)] mod tests { use crate::b::g; } #[cfg(test)] use crate::b;";
        assert_eq!(uses(&[("a", text), ("b", "")]), Vec::<String>::new());
    }

    #[test]
    fn files_that_use_each_other_are_a_cycle() {
        let sources = sources(&[
            ("a", "use crate::b::B;"),
            ("b", "use crate::c::C;"),
            ("c", "fn f() -> crate::a::A { crate::d::D }"),
            ("d", ""),
            ("e", "use crate::a::A;"),
        ]);
        assert_eq!(sources.cycles(), [["a", "b", "c"]]);
    }

    #[test]
    fn another_crate_is_told_from_a_module_of_the_same_name() {
        let sources = sources(&[
            ("a", "use redis::Cmd;"),
            ("b", "mod redis; use redis::Own;"),
            ("b::redis", ""),
        ]);
        assert_eq!(sources.naming("redis"), [vec!["a".to_owned()]].into());
        assert_eq!(sources.naming_in("redis", "Cmd").len(), 1);
        assert!(sources.naming_in("redis", "Own").is_empty());
    }
}
