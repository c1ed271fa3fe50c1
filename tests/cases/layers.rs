//! The folders of each crate are floors: a file uses what lies below it, and there is no circle.
//!
//! What is read are the `use` lines and the paths in the code, as the compiler resolves them: modules of the same crate,
//! by `crate`, `super`, `self`, or a name of the module's own children. What only tests use does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// The floors of `src/preload`, from the lowest. A file may use its own floor and those below.
const FLOORS: [&[&str]; 8] = [
    &["sys"],
    &["threads"],
    &["gate"],
    &["fetch"],
    &["event_loop", "paper"],
    &["tls"],
    &["hooks"],
    &["lifecycle"],
];

/// The real functions behind the hooks: they are made beside the exported names, by one macro in `hooks/mod.rs`, and lanes
/// call them with arguments of their own.
const REAL: &str = "real";

type Module = Vec<String>;

/// The modules of a crate, each with those that it uses.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn the_floors_of_the_library_are_used_downwards_only() {
    let uses = uses_of("src/preload/src");
    let floor = |module: &Module| {
        let folder = module.first()?;
        FLOORS.iter().position(|f| f.contains(&folder.as_str()))
    };
    let mut upward = Vec::new();
    for (module, used) in &uses {
        let Some(own) = floor(module) else { continue };
        for other in used {
            let beside = floor(other) == Some(own) && other.first() != module.first();
            if floor(other).is_none_or(|other| other > own) || beside {
                upward.push(format!("{} uses {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(uses.len() > 40, "modules were found: {}", uses.len());
    assert_eq!(upward, Vec::<String>::new());
}

#[test]
fn no_crate_has_a_circle() {
    for crate_ in ["core", "preload", "trial", "cli", "api"] {
        let uses = uses_of(&format!("src/{crate_}/src"));
        let circles = circles(&uses);
        assert!(circles.is_empty(), "{crate_}: {circles:?}");
    }
    let harness = circles(&uses_of("tests/harness"));
    assert!(harness.is_empty(), "tests/harness: {harness:?}");
}

/// Without it, the two others could pass because nothing is found.
#[test]
fn a_circle_and_an_arrow_are_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod a; mod b;");
    write("a/mod.rs", "pub mod c; pub use c::Thing;");
    write("a/c.rs", "pub struct Thing; fn act() { crate::b::act() }");
    write(
        "b.rs",
        "use crate::a::{self, Thing as Other}; #[cfg(test)] mod tests { use super::*; }",
    );
    let uses = read_crate(directory.path());
    let module = |path: &str| path.split("::").map(String::from).collect::<Module>();
    assert_eq!(uses[&module("a")], BTreeSet::from([module("a::c")]));
    assert_eq!(uses[&module("a::c")], BTreeSet::from([module("b")]));
    assert_eq!(uses[&module("b")], BTreeSet::from([module("a")]));
    let all = ["a", "a::c", "b"].map(module);
    assert_eq!(circles(&uses), vec![all.to_vec()]);
}

fn uses_of(sources: &str) -> Uses {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    read_crate(&root.join(sources))
}

fn read_crate(root: &Path) -> Uses {
    let mut files = BTreeMap::new();
    find_files(root, root, &mut files);
    let modules: BTreeSet<Module> = files.keys().cloned().collect();
    let read = |(module, path): (&Module, &PathBuf)| {
        let text = fs::read_to_string(path).expect("a source file");
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut reader = Reader {
            module,
            modules: &modules,
            found: BTreeSet::new(),
        };
        reader.visit_file(&file);
        (module.clone(), reader.found)
    };
    files.iter().map(read).collect()
}

/// Each file and the module that it is. The root of the crate is nobody's to use.
fn find_files(root: &Path, folder: &Path, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find_files(root, &path, files);
            continue;
        }
        let inner = path
            .strip_prefix(root)
            .expect("below the root")
            .with_extension("");
        let mut module: Module = inner
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let is_root = matches!(
            module.first().map(String::as_str),
            Some("lib" | "main" | "bin")
        );
        if path.extension().is_some_and(|extension| extension == "rs") && !is_root {
            files.insert(module, path);
        }
    }
}

/// Reads what one file uses.
struct Reader<'r> {
    module: &'r Module,
    modules: &'r BTreeSet<Module>,
    found: BTreeSet<Module>,
}

impl Reader<'_> {
    fn note(&mut self, path: &[String]) {
        if path.last().is_some_and(|last| last == REAL) {
            return;
        }
        let own = self.module.as_slice();
        let (mut base, mut rest) = match path.first().map(String::as_str) {
            Some("crate") => (Module::new(), &path[1..]),
            Some("self") => (own.to_vec(), &path[1..]),
            Some("super") => (own[..own.len().saturating_sub(1)].to_vec(), &path[1..]),
            Some(first) if self.modules.contains(&[own, &[first.to_string()]].concat()) => {
                (own.to_vec(), path)
            }
            _ => return,
        };
        while rest.first().is_some_and(|part| part == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        // The longest part of the path that is a file.
        while !base.is_empty() && !self.modules.contains(&base) {
            base.pop();
        }
        if !base.is_empty() && base != own {
            self.found.insert(base);
        }
    }

    fn note_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.note(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.note_tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|name| name == "test")
        };
        if !attributes.iter().any(is_test) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if parts.len() > 1 && path.leading_colon.is_none() {
            self.note(&parts);
        }
        visit::visit_path(self, path);
    }
}

/// The groups of modules that use each other.
fn circles(uses: &Uses) -> Vec<Vec<Module>> {
    let reaches = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&Module> = vec![from];
        while let Some(module) = next.pop() {
            for other in uses.get(module).into_iter().flatten() {
                if seen.insert(other) {
                    next.push(other);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = uses
        .keys()
        .map(|module| (module, reaches(module)))
        .collect();
    let mut found: Vec<Vec<Module>> = Vec::new();
    for (module, reach) in &reached {
        let is_new = !found.iter().flatten().any(|other| other == *module);
        if is_new && reach.contains(module) {
            let both = |other: &&Module| reach.contains(*other) && reached[*other].contains(module);
            found.push(uses.keys().filter(both).cloned().collect());
        }
    }
    found
}
