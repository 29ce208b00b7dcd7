//! The house rules that a compiler does not know, read off the sources.
//!
//! Who may use whom stands in the table of `ARCHITECTURE.md`, and only there: this test reads it.
//! A failure names file, line and rule. To break a rule on purpose, change it in the same commit.

mod code;
mod promises;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use code::{Token, paths, tokens, without_tests};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines of a source file at most.
const LINES_MAX: usize = 400;

/// How far above an `unsafe` its reason may begin, in lines.
const REASON_LINES: usize = 12;

/// What the supervisor may depend on: each crate costs memory in every container and is trusted by
/// all of them.
const DEPENDENCIES: [&str; 11] = [
    "conward-protocol",
    "env_logger",
    "libc",
    "log",
    "memchr",
    "memfd",
    "mio",
    "nix",
    "serde",
    "serde_json",
    "tz-rs",
];

/// What the protocol may depend on; the supervisor has it in it. `rustix` is for the client only.
const PROTOCOL_DEPENDENCIES: [&str; 3] = ["rustix", "serde", "serde_json"];

/// The blocking client: the only part of the protocol that touches the world.
const CLIENT: &str = "protocol/src/client";

/// Sharing that one owner and one loop make needless.
const SHARED: [&str; 9] =
    ["Rc", "RefCell", "Arc", "Mutex", "RwLock", "OnceLock", "LazyLock", "thread", "thread_local"];

/// Parts of a path by which the world gets in. What is pure has none of them.
const WORLD: [&str; 16] = [
    "AsFd",
    "AsRawFd",
    "BorrowedFd",
    "File",
    "OwnedFd",
    "RawFd",
    "SystemTime",
    "env",
    "fs",
    "io",
    "libc",
    "log",
    "mio",
    "net",
    "nix",
    "os",
];

/// All source files below a directory of the project, by their paths in it.
fn sources(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&directory)).expect("a directory of the project") {
            let entry = entry.expect("an entry");
            let path = directory.join(entry.file_name());
            if entry.file_type().expect("its type").is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found.sort();
    found
}

/// What users get, with its tests.
fn programs() -> Vec<PathBuf> {
    ["src", "protocol", "ctl"].into_iter().flat_map(sources).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(ROOT).join(path.as_ref())).expect("a file of the project")
}

/// Whether the whole file is a test, by its name. That `mod tests` is behind `#[cfg(test)]` is a rule.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

/// The code of the product: without tests.
fn product(path: &Path) -> Vec<Token> {
    if is_test(path) { Vec::new() } else { without_tests(tokens(&read(path))) }
}

fn none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The table of `ARCHITECTURE.md`: each layer, in order, and whom it may use.
fn layers() -> Vec<(String, Vec<String>)> {
    let page = read("ARCHITECTURE.md");
    let names = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect()
    };
    let table = page.lines().skip_while(|line| !line.starts_with("| layer | may use |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let mut out = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        for layer in names(cells[1]) {
            out.push((layer, names(cells[2])));
        }
    }
    assert!(out.len() > 10, "ARCHITECTURE.md has no table of layers");
    out
}

/// The layer of a file of the product, and how deep in it its module is.
fn layer_of(path: &Path) -> (String, usize) {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let modules: Vec<&str> =
        parts[1..].iter().map(|part| part.trim_end_matches(".rs")).filter(|part| *part != "mod").collect();
    (modules[0].to_owned(), modules.len())
}

/// The layers that a file of `src` uses, each with the line of its first use.
fn used_by(path: &Path) -> BTreeMap<String, usize> {
    let (own, depth) = layer_of(path);
    let climb = "super::".repeat(depth);
    let mut used = BTreeMap::new();
    for (line, path) in paths(&product(path)) {
        let other = match path.split_once("::") {
            Some(("crate" | "conward", rest)) => rest,
            Some(("conward_protocol", _)) => "protocol",
            _ => match path.strip_prefix("self::").unwrap_or(&path).strip_prefix(&climb) {
                Some(rest) => rest,
                None => continue,
            },
        };
        let other = other.split("::").next().unwrap_or_default();
        if other != own {
            used.entry(other.to_owned()).or_insert(line);
        }
    }
    used
}

#[test]
fn each_layer_uses_only_what_stands_before_it() {
    let layers = layers();
    let mut broken = Vec::new();
    for (nth, (layer, may)) in layers.iter().enumerate() {
        for other in may.iter().filter(|other| layers[..nth].iter().all(|(before, _)| before != *other)) {
            broken.push(format!(
                "ARCHITECTURE.md: `{layer}` may use `{other}`, which does not stand before it"
            ));
        }
    }
    let mut idle: Vec<(String, String)> = layers
        .iter()
        .flat_map(|(layer, may)| may.iter().map(|other| (layer.clone(), other.clone())))
        .collect();
    for path in sources("src").iter().filter(|path| !path.ends_with("src/lib.rs")) {
        let (layer, _) = layer_of(path);
        let Some((_, may)) = layers.iter().find(|(name, _)| *name == layer) else {
            broken.push(format!("{}:1: `{layer}` is no layer of ARCHITECTURE.md", path.display()));
            continue;
        };
        for (other, line) in used_by(path) {
            if !may.contains(&other) {
                broken.push(format!("{}:{line}: `{layer}` may not use `{other}`", path.display()));
            }
            idle.retain(|edge| *edge != (layer.clone(), other.clone()));
        }
    }
    broken.extend(idle.iter().map(|(layer, other)| {
        format!("ARCHITECTURE.md: `{layer}` may use `{other}`, but does not: take that out of the table")
    }));
    none(broken);
}

/// The words between backticks, each with its line.
fn quoted(page: &str) -> Vec<(usize, &str)> {
    let quoted = |(nth, line)| str::split(line, '`').skip(1).step_by(2).map(move |word| (nth + 1, word));
    page.lines().enumerate().flat_map(quoted).collect()
}

/// Whether some file has both of `Type::name`: what belongs to the type, and a function or variant of
/// that name.
fn has(files: &[Vec<Token>], owner: &str, name: &str) -> bool {
    let pair = |code: &[Token], words: &[&str], name: &str| {
        code.windows(2).any(|two| words.contains(&two[0].text.as_str()) && two[1].text == name)
    };
    files.iter().any(|code| match name.starts_with(char::is_uppercase) {
        true => pair(code, &["enum"], owner) && code.iter().any(|token| token.text == name),
        false => pair(code, &["impl", "struct", "enum"], owner) && pair(code, &["fn"], name),
    })
}

#[test]
fn what_the_page_names_is_there() {
    let all = sources("src").into_iter().chain(sources("protocol"));
    let files: Vec<Vec<Token>> = all.map(|path| product(&path)).collect();
    let page = read("ARCHITECTURE.md");
    let (mut broken, mut checked) = (Vec::new(), [0; 3]);
    for (line, word) in quoted(&page) {
        let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_') && !text.is_empty();
        let (kind, there) = match word.split_once("::") {
            _ if word.ends_with(".rs") || word.ends_with(".md") => {
                let root = Path::new(ROOT);
                (0, root.join("src").join(word).exists() || root.join(word).exists())
            }
            Some((owner, name)) if owner.starts_with(char::is_uppercase) && is_name(name) => {
                (1, has(&files, owner, name))
            }
            None if is_name(word) && (word.contains('_') || word == word.to_uppercase()) => {
                (2, files.iter().flatten().any(|token| token.text == word))
            }
            _ => continue,
        };
        checked[kind] += 1;
        if !there {
            broken.push(format!("ARCHITECTURE.md:{line}: the sources have no `{word}`"));
        }
    }
    none(broken);
    assert!(checked.iter().all(|&count| count > 10), "the page names next to nothing: {checked:?}");
    assert!(!has(&files, "Pump", "no_such_function") && !has(&files, "Event", "NoSuchEvent"));
}

#[test]
fn each_module_is_a_layer() {
    let layers = layers();
    let code = tokens(&read("src/lib.rs"));
    let modules = code.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| &pair[1]);
    let unknown = modules.filter(|module| layers.iter().all(|(layer, _)| *layer != module.text));
    let broken = unknown.map(|module| {
        format!("src/lib.rs:{}: `{}` is no layer of ARCHITECTURE.md", module.line, module.text)
    });
    none(broken.collect());
}

#[test]
fn tests_are_behind_cfg_test() {
    let mut broken = Vec::new();
    for path in &programs() {
        for pair in product(path).windows(2).filter(|pair| pair[0].text == "mod" && pair[1].text == "tests") {
            broken.push(format!("{}:{}: `mod tests` without #[cfg(test)]", path.display(), pair[0].line));
        }
    }
    none(broken);
}

#[test]
fn unsafe_stands_in_sys_with_a_reason() {
    let mut broken = Vec::new();
    for path in &programs() {
        let text = read(path);
        let lines: Vec<&str> = text.lines().collect();
        for token in tokens(&text).iter().filter(|token| token.text == "unsafe") {
            let above = &lines[token.line.saturating_sub(REASON_LINES)..token.line];
            if !path.starts_with("src/sys") {
                broken.push(format!("{}:{}: `unsafe` outside src/sys", path.display(), token.line));
            } else if !above.iter().any(|line| line.contains("// SAFETY: ") || line.contains("/// # Safety"))
            {
                broken.push(format!("{}:{}: `unsafe` without its reason", path.display(), token.line));
            }
        }
    }
    none(broken);
}

#[test]
fn files_are_short() {
    let long = ["src", "protocol", "ctl", "tests", "benches"]
        .iter()
        .flat_map(|below| sources(below))
        .filter_map(|path| {
            let lines = read(&path).lines().count();
            let path = path.display();
            (lines > LINES_MAX).then(|| format!("{path}:{LINES_MAX}: {lines} lines, {LINES_MAX} are allowed"))
        });
    none(long.collect());
}

#[test]
fn nothing_is_shared() {
    let mut broken = Vec::new();
    for path in &programs() {
        let code = product(path);
        let static_mut = code.windows(2).filter(|pair| pair[0].text == "static" && pair[1].text == "mut");
        let shared = code.iter().filter(|token| SHARED.contains(&token.text.as_str()));
        for token in static_mut.map(|pair| &pair[0]).chain(shared) {
            let (line, text) = (token.line, &token.text);
            broken.push(format!("{}:{line}: `{text}`: state has one owner, in one thread", path.display()));
        }
    }
    none(broken);
}

#[test]
fn what_is_pure_touches_nothing() {
    let mut broken = Vec::new();
    let protocol = sources("protocol/src");
    let pure = protocol.iter().filter(|path| !path.starts_with(CLIENT));
    for path in sources("src/core").iter().chain(pure) {
        for (line, used) in paths(&product(path)) {
            // A word alone is a name of our own (a field `log`): what comes from outside has a path.
            let outside = used.contains("::") && used.split("::").any(|part| WORLD.contains(&part));
            if used.ends_with("::now") || outside {
                broken.push(format!("{}:{line}: `{used}` in pure code: no fd, clock or log", path.display()));
            }
        }
    }
    none(broken);
}

#[test]
fn dependencies_are_those_agreed_on() {
    let mut broken = Vec::new();
    for (manifest, allowed) in
        [("Cargo.toml", &DEPENDENCIES[..]), ("protocol/Cargo.toml", &PROTOCOL_DEPENDENCIES[..])]
    {
        let mut section = String::new();
        for (nth, line) in read(manifest).lines().enumerate() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                continue;
            }
            let product = section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
            let Some((name, _)) = line.split_once([' ', '=', '.']).filter(|_| product) else { continue };
            if name.starts_with(|c: char| c.is_alphabetic()) && !allowed.contains(&name) {
                broken.push(format!("{manifest}:{}: `{name}` is not on the list of dependencies", nth + 1));
            }
        }
    }
    none(broken);
}

#[test]
fn layers_are_told_from_paths() {
    let table =
        [("src/main.rs", "main", 1), ("src/sys/mod.rs", "sys", 1), ("src/sink/journald/lines.rs", "sink", 3)];
    for (path, layer, depth) in table {
        assert_eq!(layer_of(Path::new(path)), (layer.to_owned(), depth), "{path}");
    }
}
