//! Which file of a crate uses which: for tests that hold the order of its layers and keep imports
//! free of circles.
//!
//! A path is followed to the file that defines what it names, through the `pub use` of the modules
//! in between, those of everything (`*`) included. A module that shows its own parts depends on none
//! of them, unless it uses them too; one that shows those of others depends on them. Test code is
//! left out.

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
            let named = found
                .paths
                .iter()
                .filter_map(|path| self.resolve(from, path));
            let shown = found.shown.values().chain(&found.shown_whole);
            let shown = shown.filter_map(|path| self.resolve(from, path));
            let of_others = shown.filter(|to| !to.starts_with(from));
            let others = named.chain(of_others).filter(|to| to != from);
            uses.extend(others.map(|to| Use {
                from: from.clone(),
                to,
            }));
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

    /// The uses that are part of a circle: files that use each other, directly or through others.
    /// In the form `edge::rpc -> edge::jupiter`.
    pub fn circles(&self) -> Vec<String> {
        let uses = self.uses();
        let mut next: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for Use { from, to } in &uses {
            next.entry(from.clone()).or_default().insert(to.clone());
        }
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = next
            .keys()
            .map(|start| (start, reachable(&next, start)))
            .collect();
        let circular = uses.iter().filter(|Use { from, to }| {
            let back = reached.get(to);
            back.is_some_and(|back| back.contains(from))
        });
        circular
            .map(|Use { from, to }| format!("{} -> {}", from.join("::"), to.join("::")))
            .collect()
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
            let found = self.modules.get(&module)?;
            let shown = match found.shown.get(name) {
                Some(path) => self.resolve(&module, path),
                None => self.shown_whole(&module, name),
            };
            return Some(shown.unwrap_or(module));
        }
        Some(module)
    }

    /// The file that defines a name which a module shows by `pub use …::*`.
    fn shown_whole(&self, module: &Module, name: &String) -> Option<Module> {
        let found = self.modules.get(module)?;
        if found.defined.contains(name) {
            return None;
        }
        found.shown_whole.iter().find_map(|path| {
            let shown = self.resolve(module, path)?;
            let found = self.modules.get(&shown)?;
            match found.shown.get(name) {
                Some(path) => self.resolve(&shown, path),
                None if found.defined.contains(name) => Some(shown),
                None => self.shown_whole(&shown, name),
            }
        })
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
    fn what_is_shown_and_used_in_one_file_is_used() {
        let text = "mod inner; pub use inner::Thing; struct Whole(Thing);";
        let found = uses(&[("a", text), ("a::inner", "pub struct Thing;")]);
        assert_eq!(found, ["a -> a::inner"]);
    }

    #[test]
    fn to_show_what_is_of_others_is_to_use_it() {
        let found = uses(&[
            ("a", "pub use crate::b::Thing; pub(crate) use crate::c::*;"),
            ("b", "pub struct Thing;"),
            ("c", "pub struct Other;"),
            ("d", "use crate::a::Thing; fn f() { crate::a::Other }"),
        ]);
        assert_eq!(found, ["a -> b", "a -> c", "d -> b", "d -> c"]);
    }

    #[test]
    fn everything_shown_is_looked_through() {
        let found = uses(&[
            ("a", "mod inner; pub use inner::*; pub struct Own;"),
            ("a::inner", "mod deep; pub use deep::*; pub struct Thing;"),
            ("a::inner::deep", "pub struct Deep;"),
            ("b", "use crate::a::{Deep, Own, Thing};"),
        ]);
        assert_eq!(found, ["b -> a", "b -> a::inner", "b -> a::inner::deep"]);
    }

    #[test]
    fn the_arguments_of_macros_are_read() {
        let text = "use crate::c; fn f() { println!(\"{}\", [crate::b::g(1), c::h()]) }";
        let found = uses(&[("a", text), ("b", ""), ("c", "")]);
        assert_eq!(found, ["a -> b", "a -> c"]);
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        let sources = sources(&[
            ("a", "use crate::b::B;"),
            ("b", "use crate::c::C;"),
            ("c", "fn f() -> crate::a::A { crate::d::D }"),
            ("d", ""),
            ("e", "use crate::a::A;"),
        ]);
        assert_eq!(sources.circles(), ["a -> b", "b -> c", "c -> a"]);
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
