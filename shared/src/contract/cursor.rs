//! Cursors: positions that a response contains and a later request sends back. To clients they are opaque
//! text.
//!
//! A cursor is the base64url encoding of its kind, a checksum and a position. The checksum also covers the
//! user's id, so cursors of other users are rejected like altered ones. The checksum is not a signature:
//! users can forge cursors for their own list. A position must therefore be validated like any other value in
//! a request.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use ring::digest::{SHA256, digest};

use crate::task::ChangesPosition;

/// The kind of list that a cursor belongs to. Its number is the first byte of the cursor.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    /// The changes of a list.
    Changes = 1,
    /// A list.
    List = 2,
}

/// Maximum length of a cursor, in bytes. The longest cursor of a list, which contains a title escaped by
/// JSON, has about half of it.
const MAX_CURSOR_LEN: usize = 4096;

/// Length of the checksum, in bytes.
const CHECKSUM_LEN: usize = 8;

/// Returns the cursor for a position in the changes of a user's list. `None` is the start of a list that
/// doesn't exist yet.
pub(super) fn of_changes(user_id: &str, position: Option<ChangesPosition>) -> String {
    let numbers = position.map_or([0; 4], |position| {
        let ChangesPosition { revision, number, copied_from, list_updated_at } = position;
        [revision, number, copied_from, list_updated_at.timestamp_micros()]
    });
    encode(Kind::Changes, user_id, numbers.map(i64::to_be_bytes).as_flattened())
}

/// Decodes a cursor created by [`of_changes`] for the user. `None` if it is not one.
pub(super) fn read_changes(user_id: &str, cursor: &str) -> Option<Option<ChangesPosition>> {
    let position = decode(Kind::Changes, user_id, cursor)?;
    let ([revision, number, copied_from, micros], []) = position.as_chunks() else { return None };
    let [revision, number, copied_from, micros] =
        [revision, number, copied_from, micros].map(|bytes| i64::from_be_bytes(*bytes));
    // chrono accepts earlier times than PostgreSQL. No genuine cursor has a negative one.
    let list_updated_at = DateTime::from_timestamp_micros(micros).filter(|_| micros >= 0)?;
    let position = ChangesPosition { revision, number, copied_from, list_updated_at };
    Some(Some(position).filter(|position| position.number > 0))
}

/// Encodes a position as a cursor of the user.
pub(super) fn encode(kind: Kind, user_id: &str, position: &[u8]) -> String {
    let checksum = checksum(kind, user_id, position);
    BASE64_URL_SAFE_NO_PAD.encode([&[kind as u8], &checksum[..], position].concat())
}

/// Decodes the position in a cursor of the user. `None` if it is of another kind or user, altered or too
/// long.
pub(super) fn decode(kind: Kind, user_id: &str, cursor: &str) -> Option<Vec<u8>> {
    if cursor.len() > MAX_CURSOR_LEN {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (expected, position) = bytes.strip_prefix(&[kind as u8])?.split_at_checked(CHECKSUM_LEN)?;
    (checksum(kind, user_id, position) == expected).then(|| position.to_vec())
}

fn checksum(kind: Kind, user_id: &str, position: &[u8]) -> [u8; CHECKSUM_LEN] {
    // U+0000 separates the id from the position unambiguously: a user id can't contain it.
    let content = [&[kind as u8], user_id.as_bytes(), &[0], position].concat();
    *digest(&SHA256, &content).as_ref().first_chunk().expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user_id: &str, cursor: &str) -> Option<Vec<u8>> {
        decode(Kind::List, user_id, cursor)
    }

    #[test]
    fn position_is_read_back() {
        for position in [&[][..], &[0; 1500], b"\x00\xff position"] {
            let cursor = encode(Kind::List, "alice", position);
            assert_eq!(read("alice", &cursor).as_deref(), Some(position));
            assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        }
    }

    #[test]
    fn cursor_of_another_user_is_rejected() {
        let cursor = encode(Kind::List, "alice", b"position");
        for user_id in ["bob", "alic", "alicep", "Alice", ""] {
            assert_eq!(read(user_id, &cursor), None, "{user_id}");
        }
    }

    #[test]
    fn cursor_of_another_kind_is_rejected() {
        let changes = of_changes("alice", None);
        assert!(read_changes("alice", &changes).is_some());
        assert_eq!(read("alice", &changes), None);
        assert!(read_changes("alice", &encode(Kind::List, "alice", &[0; 32])).is_none());
    }

    #[test]
    fn forged_time_that_postgresql_does_not_have_is_rejected() {
        let list_updated_at =
            DateTime::from_timestamp_micros(-8_000_000_000_000_000_000).expect("chrono has it");
        let position = ChangesPosition { revision: 1, number: 1, copied_from: 1, list_updated_at };
        assert!(read_changes("alice", &of_changes("alice", Some(position))).is_none());
    }

    #[test]
    fn changed_or_malformed_cursor_is_rejected() {
        let cursor = encode(Kind::List, "alice", b"position");
        for at in 0..cursor.len() {
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, if cursor[at..].starts_with('A') { "B" } else { "A" });
            assert_eq!(read("alice", &changed), None, "{changed}");
            assert_eq!(read("alice", &cursor[..at]), None);
        }
        for malformed in ["", "=", "é", "A", &format!("{cursor}="), &format!(" {cursor}"), &"A".repeat(9999)]
        {
            assert_eq!(read("alice", malformed), None, "{malformed}");
        }
        assert_eq!(
            read("alice", &encode(Kind::List, "alice", &[0; MAX_CURSOR_LEN])),
            None,
            "a huge cursor is rejected"
        );
    }
}
