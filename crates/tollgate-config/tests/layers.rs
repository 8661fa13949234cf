//! Nothing imports upwards: the rooms of this crate stand in an order, and so do the crates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rooms of this crate, those that know nothing of the others first.
const ROOMS: [&str; 26] = [
    "suggestion",
    "files",
    "source",
    "options",
    "place",
    "diagnostic",
    "yaml",
    "schema",
    "explanation",
    "envoy",
    "binary",
    "kubernetes",
    "routing",
    "gateway_api",
    "patching",
    "translation",
    "policies",
    "guard",
    "inference",
    "istio",
    "envoy_gateway",
    "kgateway",
    "htnn",
    "systems",
    "load",
    "lib",
];

/// The crates, lowest first, as ARCHITECTURE.md has them.
const CRATES: [&str; 10] = [
    "extproc",
    "http2-io",
    "extproc-server",
    "extproc-client",
    "tollgate-model",
    "tollgate-ir",
    "tollgate-config",
    "tollgate-xds",
    "tollgate-proxy",
    "tollgate",
];

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let is_test =
            path.file_stem().is_some_and(|name| ["tests", "golden", "laws"].iter().any(|test| name == *test));
        if is_test {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first names behind every `crate::` of a text, those of unit tests and comments left out.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    let mut names = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        if code[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[start + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut at_start) = (1, true);
        for (index, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => at_start = true,
                letter if at_start && letter.is_alphanumeric() => {
                    names.insert(word(&list[index..]));
                    at_start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// Which room each name at the root of the crate comes from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for line in lib.replace(",\n", ", ").lines() {
        let Some((room, names)) = line.trim().strip_prefix("pub use ").and_then(|rest| rest.split_once("::"))
        else {
            continue;
        };
        let names = names.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty());
        exports.extend(names.map(|name| (name.to_owned(), room.to_owned())));
    }
    exports
}

#[test]
fn no_room_imports_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports = exports(&fs::read_to_string(root.join("lib.rs")).expect("the root"));
    let mut files = Vec::new();
    sources(&root, &mut files);
    let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut upwards = BTreeSet::new();
    for file in &files {
        let relative = file.strip_prefix(&root).expect("below the root");
        let room = relative.iter().next().and_then(|name| name.to_str()).expect("a name");
        let room = room.trim_end_matches(".rs");
        let own = rank(room).unwrap_or_else(|| panic!("{room} has no place in the order"));
        for name in imports(&fs::read_to_string(file).expect("a file")) {
            let target = exports.get(&name).map_or(&*name, |room| room);
            if rank(target).is_some_and(|other| other > own) {
                upwards.insert((room.to_owned(), target.to_owned()));
            }
        }
    }
    assert_eq!(upwards, BTreeSet::new(), "who imports what is above it");
}

#[test]
fn no_crate_depends_on_one_above_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (rank, name) in CRATES.iter().enumerate() {
        let manifest = fs::read_to_string(crates.join(name).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if let Some(other) = CRATES.iter().position(|known| *known == dependency) {
                assert!(other < rank, "{name} depends on {dependency}");
            }
        }
    }
}

#[test]
fn imports_are_found() {
    let text = "use crate::{a::B, c::{d, e}, F};\nlet x = crate::g::h(); // crate::i\n";
    let names: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(names, ["F", "a", "c", "g"]);
}
