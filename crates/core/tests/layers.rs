//! Imports point one way: in each folder a module imports only those named before it. A circle would force its reader to
//! hold several files at once.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder, the path under which its modules are imported, and the modules from the most basic up.
const LAYERS: [(&str, &str, &str); 10] = [
    (
        "crates/core/src",
        "crate::",
        "borrowed dialect report boundary os home request config exchange abi wire daemon worker",
    ),
    (
        "crates/client/src",
        "crate::",
        "settings exchange ownership root connecting received socket buffers ending connection waiting pool problem fields \
         pieces spool body reply patience relief departure retries attempt client tests",
    ),
    ("crates/launch/src", "crate::", "error lifeline replacing program generation tests"),
    ("crates/runtime/src", "crate::", "python wsgi worker entry"),
    (
        "crates/runtime/src/wsgi",
        "crate::wsgi::",
        "settings watch place turn read_ahead transaction report traceback loading stack_dump error_log input \
         start_response file_wrapper restrict log_handler callbacks types toolkit header_keys environ script imported \
         callable application embedded_module host process oversight reply serve",
    ),
    (
        "crates/runtime/src/worker",
        "crate::worker::",
        "orders surroundings service control offspring guardian poller queue connections tally transmission exchange workplace \
         attendant pool prober signals monitor",
    ),
    ("src", "crate::", "handle daemon embed apache nginx"),
    (
        "src/apache",
        "crate::apache::",
        "ffi pool record kept hosts log error_log file_bucket brigade phase software expression directives account translate \
         request exchange proxied discovery lifecycle daemons handler",
    ),
    (
        "src/nginx",
        "crate::nginx::",
        "ffi text log pool record config groups request_fields basic_auth request measures upstream directives variables \
         module",
    ),
    (
        "src/nginx/upstream",
        "super::",
        "event link group lines upload attempt exchange receive request_body buffered unbuffered header remainder watch peer frame \
         setup refusal handler",
    ),
];

#[test]
fn imports_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut wrong = Vec::new();
    for (folder, prefix, names) in LAYERS {
        let names: Vec<&str> = names.split_whitespace().collect();
        for (rank, module) in names.iter().enumerate() {
            let files = files_of(&root.join(folder), module);
            assert!(!files.is_empty(), "{folder}/{module} does not exist");
            for file in files {
                let text = fs::read_to_string(&file).expect("a readable file");
                for imported in imports(&text, prefix) {
                    let other = names.iter().position(|name| *name == imported);
                    if other.is_some_and(|other| other > rank) {
                        wrong.push(format!("{}: {module} imports {imported}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_lists_are_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (folder, _, names) in LAYERS {
        for entry in fs::read_dir(root.join(folder)).expect("a folder").flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let is_module = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
            let known = ["mod", "lib"].contains(&stem) || names.split_whitespace().any(|name| name == stem);
            assert!(!is_module || known, "{folder}/{stem} has no place in the list");
        }
    }
}

/// `module.rs`, and everything in the folder `module`.
fn files_of(folder: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = vec![folder.join(format!("{module}.rs"))];
    let mut folders = vec![folder.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs") && file.exists());
    files
}

/// The modules that come right after `prefix` in the text's `use` lines.
fn imports(text: &str, prefix: &str) -> Vec<String> {
    let name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    let mut found = Vec::new();
    for line in text.split(';').filter_map(|piece| piece.trim_start().rsplit_once("use ")) {
        let Some(rest) = line.1.trim().strip_prefix(prefix) else { continue };
        match rest.strip_prefix('{') {
            // `use crate::{a, b::C}`
            Some(list) => found.extend(list.split(',').map(|item| name(item.trim()))),
            None => found.push(name(rest)),
        }
    }
    found
}
