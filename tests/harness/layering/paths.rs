//! The paths that a file names, and what it shows of others.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// What is found in one file. All paths begin with `crate`, `self`, `super`, or a name.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) paths: BTreeSet<Vec<String>>,
    /// By the name under which it is shown: what `pub use` names.
    pub(super) shown: BTreeMap<String, Vec<String>>,
    /// The modules of which everything is shown.
    pub(super) shown_whole: BTreeSet<Vec<String>>,
    /// What the file itself defines.
    pub(super) defined: BTreeSet<String>,
}

/// `name` is what the crate's binary calls its library.
pub(super) fn find(file: &syn::File, name: &str) -> Found {
    let mut visitor = Visitor {
        name,
        found: Found::default(),
        imported: BTreeMap::new(),
    };
    for item in &file.items {
        if let Item::Use(item) = item {
            visitor.import(item);
        } else {
            visitor.found.defined.extend(defined(item));
        }
    }
    visitor.visit_file(file);
    visitor.found
}

struct Visitor<'n> {
    name: &'n str,
    found: Found,
    /// What a name of this file stands for.
    imported: BTreeMap<String, Vec<String>>,
}

impl Visitor<'_> {
    fn import(&mut self, item: &ItemUse) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let mut names = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut names);
        for (name, path) in names {
            self.imported.insert(name, self.absolute(path));
        }
    }

    /// Something in the file is called by this path.
    fn names(&mut self, mut segments: Vec<String>) {
        // The beginning may be what was imported.
        match segments.first().and_then(|first| self.imported.get(first)) {
            Some(imported) => drop(segments.splice(..1, imported.iter().cloned())),
            None if segments.len() < 2 => return,
            None => {}
        }
        let path = self.absolute(segments);
        self.found.paths.insert(path);
    }

    /// What a macro does with its arguments is not known: whatever looks like a path is one.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 && !path.is_empty() {
                        self.names(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                }
                other => {
                    if !path.is_empty() {
                        self.names(std::mem::take(&mut path));
                    }
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.visit_tokens(group.stream());
                    }
                }
            }
        }
        if !path.is_empty() {
            self.names(path);
        }
    }

    fn absolute(&self, mut path: Vec<String>) -> Vec<String> {
        if let Some(first) = path.first_mut()
            && *first == self.name
        {
            "crate".clone_into(first);
        }
        path
    }
}

impl<'a> Visit<'a> for Visitor<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        let mut names = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut names);
        for (name, path) in names {
            let path = self.absolute(path);
            if matches!(item.vis, Visibility::Inherited) {
                self.found.paths.insert(path);
            } else if name == "*" {
                self.found.shown_whole.insert(path);
            } else {
                self.found.shown.insert(name, path);
            }
        }
    }

    /// Where something may be seen is no use of it.
    fn visit_visibility(&mut self, _visibility: &'a Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = path.segments.iter().map(|one| one.ident.to_string());
        self.names(segments.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'a syn::Macro) {
        self.visit_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }
}

/// Every name that a tree of `use` brings, with its path.
fn leaves(tree: &UseTree, before: &mut Vec<String>, names: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, names);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            names.push((before.last().cloned().unwrap_or_default(), before.clone()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            names.push((name.clone(), [before.as_slice(), &[name]].concat()));
        }
        UseTree::Rename(rename) => {
            let path = [before.as_slice(), &[rename.ident.to_string()]].concat();
            names.push((rename.rename.to_string(), path));
        }
        UseTree::Glob(_) => names.push(("*".to_owned(), before.clone())),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, before, names);
            }
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// The name that an item defines in its module.
fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
