//! The SQL functions that the store calls. The files of `shared/sql/` are compiled into the binaries.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

/// The files of `shared/sql/`.
const FILES: [&str; 14] = [
    include_str!("../../sql/attempts.sql"),
    include_str!("../../sql/create_task.sql"),
    include_str!("../../sql/create_user.sql"),
    include_str!("../../sql/delete_task.sql"),
    include_str!("../../sql/erase_user.sql"),
    include_str!("../../sql/find_matching.sql"),
    include_str!("../../sql/get_task.sql"),
    include_str!("../../sql/keys.sql"),
    include_str!("../../sql/list_changes.sql"),
    include_str!("../../sql/list_tasks.sql"),
    include_str!("../../sql/lower_case.sql"),
    include_str!("../../sql/schema_use.sql"),
    include_str!("../../sql/update_task.sql"),
    include_str!("../../sql/versions.sql"),
];

/// Parts that several functions include, by name. They are text rather than SQL functions because a call of
/// an SQL function takes 7 µs, of 100 µs for a write.
const PARTS: [(&str, &str); 8] = [
    ("check_version", include_str!("../../sql/parts/check_version.sql")),
    ("find_id", include_str!("../../sql/parts/find_id.sql")),
    ("judge_write", include_str!("../../sql/parts/judge_write.sql")),
    ("lock_user", include_str!("../../sql/parts/lock_user.sql")),
    ("record_write", include_str!("../../sql/parts/record_write.sql")),
    ("task_columns", include_str!("../../sql/parts/task_columns.sql")),
    ("write_parameters", include_str!("../../sql/parts/write_parameters.sql")),
    ("write_variables", include_str!("../../sql/parts/write_variables.sql")),
];

/// The name that stands for the schema in the files.
const PLACEHOLDER: &str = "task_api_functions";

/// Length of the hash in a schema's name, in bytes.
const HASH_BYTES: usize = 6;

/// The name of the schema with this build's functions. The name contains a hash of their text, so different
/// versions exist side by side, and the functions of a schema never change.
pub static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let hash = digest(&SHA256, functions_in(PLACEHOLDER).as_bytes());
    let digits = hash.as_ref()[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}"));
    format!("task_api_{}", digits.collect::<String>())
});

/// Returns the statements that create the functions in a schema.
pub fn functions_in(schema: &str) -> String {
    let include =
        |text: String, (name, part): (&str, &str)| text.replace(&format!("-- include: {name}\n"), part);
    PARTS.into_iter().fold(FILES.concat(), include).replace(PLACEHOLDER, schema)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_sql_file_is_compiled_in() {
        let on_disk = |folder: &str| -> BTreeSet<String> {
            fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR")))
                .expect("the folder is there")
                .map(|entry| entry.expect("an entry").path())
                .filter(|path| path.is_file())
                .map(|path| fs::read_to_string(path).expect("UTF-8"))
                .collect()
        };
        assert_eq!(on_disk("sql"), FILES.map(str::to_owned).into());
        assert_eq!(on_disk("sql/parts"), PARTS.map(|(_, part)| part.to_owned()).into());
    }

    #[test]
    fn every_include_is_replaced() {
        assert!(!functions_in(&SCHEMA).contains("-- include"));
    }

    #[test]
    fn schema_name_contains_a_hash_and_replaces_every_placeholder() {
        let digits = SCHEMA.strip_prefix("task_api_").expect("a prefix");
        assert!(digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digits}");
        let statements = functions_in(&SCHEMA);
        assert!(!statements.contains(PLACEHOLDER));
        assert!(statements.contains(&format!("create function {}.get_task(", *SCHEMA)));
    }
}
