//! The SQL functions that the store calls. The files of `shared/sql/` are compiled into the binaries.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

/// The files of `shared/sql/`.
const FILES: [&str; 5] = [
    include_str!("../../sql/changes.sql"),
    include_str!("../../sql/lists.sql"),
    include_str!("../../sql/tasks.sql"),
    include_str!("../../sql/users.sql"),
    include_str!("../../sql/writes.sql"),
];

/// The name that stands for the schema in the files.
const PLACEHOLDER: &str = "task_api_functions";

/// Length of the hash in a schema's name, in bytes.
const HASH_BYTES: usize = 6;

/// The name of the schema with this build's functions. The name contains a hash of their text, so different
/// versions exist side by side, and the functions of a schema never change.
pub static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let hash = digest(&SHA256, FILES.concat().as_bytes());
    let digits = hash.as_ref()[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}"));
    format!("task_api_{}", digits.collect::<String>())
});

/// Returns the statements that create the functions in a schema.
pub fn functions_in(schema: &str) -> String {
    FILES.concat().replace(PLACEHOLDER, schema)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_sql_file_is_compiled_in() {
        let folder = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).expect("the folder exists");
        let on_disk: BTreeSet<_> = folder
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("the file is UTF-8"))
            .collect();
        assert_eq!(on_disk, FILES.map(str::to_owned).into());
    }

    #[test]
    fn schema_name_contains_a_hash_and_replaces_every_placeholder() {
        let digits = SCHEMA.strip_prefix("task_api_").expect("the name starts with task_api_");
        assert!(digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digits}");
        let statements = functions_in(&SCHEMA);
        assert!(!statements.contains(PLACEHOLDER));
        assert!(statements.contains(&format!("create function {}.get_task(", *SCHEMA)));
    }
}
