//! Checks that the modules of shared/ form layers: a module uses only modules of lower layers, and the files'
//! imports have no cycle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use local::binaries::workspace_root;
use syn::{
    Attribute, Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

/// The modules of shared/src, from the lowest layer to the highest.
const LAYERS: &[&[&str]] = &[
    &["task"],
    &["error"],
    &["variables", "request", "response", "http_client"],
    &["logs"],
    &["auth", "store", "secrets"],
    &["contract"],
    &["run"],
];

/// The path of a module in the crate, such as `["store", "pool"]`. The path of the crate's root is empty.
type ModulePath = Vec<String>;

/// The modules that a file declares, re-exports and uses.
#[derive(Default)]
struct Module {
    /// The modules that the file declares and that have files of their own.
    children: BTreeSet<String>,
    /// Re-exported names, with the paths they are imported from.
    re_exports: BTreeMap<String, Vec<String>>,
    /// Every other path that the file uses.
    paths: Vec<Vec<String>>,
}

/// Parses the source of a file, without its tests.
fn read(source: &str) -> Module {
    let mut module = Module::default();
    module.visit_file(&syn::parse_file(source).expect("shared/ compiles"));
    module
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test")
            || path.is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|arg| arg.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_none() {
            self.children.insert(item.ident.to_string());
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        flatten(&item.tree, &mut Vec::new(), &mut |name, path| {
            if is_public {
                self.re_exports.insert(name, path);
            } else {
                self.paths.push(path);
            }
        });
    }

    /// Skips visibilities: the path in `pub(super)` is not a use of a module.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// Calls `found` with each name that a `use` imports, and its path.
fn flatten(tree: &UseTree, path: &mut Vec<String>, found: &mut impl FnMut(String, Vec<String>)) {
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, found)),
        UseTree::Name(name) => {
            let mut whole = path.clone();
            if name.ident != "self" {
                whole.push(name.ident.to_string());
            }
            found(whole.last().expect("a path has a name").clone(), whole);
        }
        UseTree::Rename(rename) => {
            let whole = [&path[..], &[rename.ident.to_string()]].concat();
            found(rename.rename.to_string(), whole);
        }
        UseTree::Glob(_) => found("*".into(), path.clone()),
    }
}

/// The modules of a crate, by path.
struct Crate(BTreeMap<ModulePath, Module>);

impl Crate {
    /// Parses the files of a crate, given as a map from path to source.
    fn new(files: &BTreeMap<String, String>) -> Self {
        let mut modules: BTreeMap<ModulePath, Module> = BTreeMap::new();
        for (file, source) in files {
            let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let path = path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect();
            modules.insert(path, read(source));
        }
        Self(modules)
    }

    /// Returns the module that defines the item that `path` names in the module `from`; `None` if another
    /// crate does.
    fn resolve(&self, from: &ModulePath, path: &[String]) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => from[..from.len() - 1].to_vec(),
            child if self.0[from].children.contains(child) => [&from[..], &[child.to_owned()]].concat(),
            _ => return None,
        };
        for name in rest {
            if name == "super" {
                module.pop();
            } else if self.0[&module].children.contains(name) {
                module.push(name.clone());
            } else if let Some(target) = self.0[&module].re_exports.get(name) {
                return self.resolve(&module, target).or(Some(module));
            } else {
                break;
            }
        }
        Some(module)
    }

    /// Returns every pair of different modules in which the first uses the second.
    fn edges(&self) -> BTreeSet<(ModulePath, ModulePath)> {
        let used = |(from, module): (&ModulePath, &Module)| {
            let targets = module.paths.iter().filter_map(|path| self.resolve(from, path));
            targets.map(|to| (from.clone(), to)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(used).filter(|(from, to)| from != to).collect()
    }
}

/// Returns every use that breaks the layers of a crate.
fn violations(files: &BTreeMap<String, String>) -> Vec<String> {
    let edges = Crate::new(files).edges();
    let name = |path: &ModulePath| path.join("::");
    let mut violations = Vec::new();
    for (from, to) in &edges {
        let layer = |path: &ModulePath| LAYERS.iter().position(|layer| layer.contains(&path[0].as_str()));
        match (from.first(), to.first()) {
            // The crate's root only declares and re-exports.
            (None, _) => {}
            (Some(_), None) => violations.push(format!("{} uses a name of the crate's root", name(from))),
            (Some(above), Some(below)) if above == below => {}
            (Some(_), Some(_)) => match (layer(from), layer(to)) {
                (Some(above), Some(below)) if above > below => {}
                (Some(_), Some(_)) => violations.push(format!("{} uses {}", name(from), name(to))),
                _ => violations.push(format!("{} or {} is in no layer", name(from), name(to))),
            },
        }
    }
    // Repeatedly removes the files that use no other file. A file that remains is part of a cycle or uses
    // one.
    let mut remaining = edges;
    loop {
        let users: BTreeSet<_> = remaining.iter().map(|(from, _)| from.clone()).collect();
        let before = remaining.len();
        remaining.retain(|(_, to)| users.contains(to));
        if remaining.len() == before {
            break;
        }
    }
    violations.extend(remaining.iter().map(|(from, to)| format!("cycle: {} -> {}", name(from), name(to))));
    violations
}

/// The files of shared/src by path, except files that contain only tests.
fn shared() -> BTreeMap<String, String> {
    fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("shared/src exists") {
            let entry = entry.expect("it can be listed");
            let name = format!("{prefix}{}", entry.file_name().to_str().expect("UTF-8"));
            if entry.path().is_dir() {
                collect(&entry.path(), &format!("{name}/"), files);
            } else if !name.ends_with("/tests.rs") {
                files.insert(name, fs::read_to_string(entry.path()).expect("UTF-8"));
            }
        }
    }
    let mut files = BTreeMap::new();
    collect(&workspace_root().join("shared/src"), "", &mut files);
    files
}

#[test]
fn no_module_uses_its_own_or_a_higher_layer() {
    assert_eq!(violations(&shared()), [""; 0]);
}

/// Returns the violations that are found if a line is added to a file.
fn violations_with(file: &str, line: &str) -> Vec<String> {
    let mut files = shared();
    files.get_mut(file).expect("the file exists").push_str(line);
    violations(&files)
}

#[test]
fn an_import_in_the_wrong_direction_is_found() {
    for (file, line, violation) in [
        ("task.rs", "use crate::run::Request;\n", "task uses run"),
        ("auth/jwks.rs", "use crate::{Contract, logs};\n", "auth::jwks uses contract"),
        ("auth/jwks.rs", "use crate::contract::Contract;\n", "auth::jwks uses contract"),
        ("store/pool.rs", "fn f(_: super::super::auth::Verifier) {}\n", "store::pool uses auth"),
        ("response.rs", "use super::request::Reader;\n", "response uses request"),
        ("request.rs", "use crate::contract::read::get_task;\n", "request uses contract"),
    ] {
        let violations = violations_with(file, line);
        assert!(violations.contains(&violation.to_owned()), "{file} {line} {violations:?}");
    }
}

#[test]
fn two_files_of_one_module_that_use_each_other_are_found() {
    let violations = violations_with("store/config.rs", "use super::pool::Manager;\n");
    assert!(violations.contains(&"cycle: store::config -> store::pool".to_owned()), "{violations:?}");
    assert!(violations.contains(&"cycle: store::pool -> store::config".to_owned()), "{violations:?}");
}

#[test]
fn imports_in_tests_are_ignored() {
    let test = "#[cfg(test)]\nmod more_tests {\n    use crate::run::Request;\n}\n";
    assert_eq!(violations_with("task.rs", test), [""; 0]);
}
