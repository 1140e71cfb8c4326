//! The SQL functions that the store calls, in files that are compiled into whatever uses them.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

/// The files of `shared/sql/`.
const FILES: [&str; 7] = [
    include_str!("../../sql/attempts.sql"),
    include_str!("../../sql/create_task.sql"),
    include_str!("../../sql/delete_task.sql"),
    include_str!("../../sql/get_task.sql"),
    include_str!("../../sql/list_tasks.sql"),
    include_str!("../../sql/schema_use.sql"),
    include_str!("../../sql/update_task.sql"),
];

/// The schema's name in the files.
const PLACEHOLDER: &str = "task_api_functions";

/// How much of the hash the name of a schema shows, in bytes.
const HASH_BYTES: usize = 6;

/// The schema of these functions. It is named after their text, so other versions lie beside them and none ever
/// changes.
pub static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let hash = digest(&SHA256, FILES.concat().as_bytes());
    let digits = hash.as_ref()[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}"));
    format!("task_api_{}", digits.collect::<String>())
});

/// The statements that create the functions in a schema.
pub fn functions_in(schema: &str) -> String {
    FILES.concat().replace(PLACEHOLDER, schema)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_file_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
        let on_disk: BTreeSet<String> = fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("UTF-8"))
            .collect();
        assert_eq!(on_disk, FILES.map(str::to_owned).into());
    }

    #[test]
    fn the_schema_is_named_after_the_text_and_replaces_the_placeholder_everywhere() {
        let digits = SCHEMA.strip_prefix("task_api_").expect("a prefix");
        assert!(digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digits}");
        let statements = functions_in(&SCHEMA);
        assert!(!statements.contains(PLACEHOLDER));
        assert!(statements.contains(&format!("create function {}.get_task(", *SCHEMA)));
    }
}
