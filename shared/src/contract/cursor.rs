//! Cursors: positions that a response contains and a later request refers to. To clients they are opaque text.
//!
//! A cursor is base64url of its kind, a checksum and a position. The checksum covers the user's id as well, so a cursor
//! of another user is rejected as one that was changed is. It is not a signature: anyone can make a cursor for their own
//! list, so a position is a value like any other of a request.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use ring::digest::{SHA256, digest};

use crate::task::ChangesPosition;

/// What a cursor is a position in. Its number is the cursor's first byte.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    /// The changes of a list.
    Changes = 1,
    /// A list.
    List = 2,
}

/// The longest cursor that is read, in bytes. The longest of a list, with a title that JSON escapes, has half of them.
const MAX_CURSOR_LEN: usize = 4096;

const CHECKSUM_LEN: usize = 8;

/// The cursor for a position in the changes of a user's list; `None` for the beginning of a list that doesn't exist yet.
pub(super) fn of_changes(user_id: &str, position: Option<ChangesPosition>) -> String {
    let numbers = position.map_or([0; 4], |position| {
        let ChangesPosition { revision, number, copied_from, list_updated_at } = position;
        [revision, number, copied_from, list_updated_at.timestamp_micros()]
    });
    encode(Kind::Changes, user_id, numbers.map(i64::to_be_bytes).as_flattened())
}

/// The position in a cursor that [`of_changes`] made for the user.
pub(super) fn read_changes(user_id: &str, cursor: &str) -> Option<Option<ChangesPosition>> {
    let position = decode(Kind::Changes, user_id, cursor)?;
    let ([revision, number, copied_from, micros], []) = position.as_chunks() else { return None };
    let [revision, number, copied_from, micros] =
        [revision, number, copied_from, micros].map(|bytes| i64::from_be_bytes(*bytes));
    // PostgreSQL's times don't reach as far back as chrono's.
    let list_updated_at = DateTime::from_timestamp_micros(micros).filter(|_| micros >= 0)?;
    let position = ChangesPosition { revision, number, copied_from, list_updated_at };
    Some(Some(position).filter(|position| position.number > 0))
}

/// The cursor of a user for a position.
pub(super) fn encode(kind: Kind, user_id: &str, position: &[u8]) -> String {
    let checksum = checksum(kind, user_id, position);
    BASE64_URL_SAFE_NO_PAD.encode([&[kind as u8], &checksum[..], position].concat())
}

/// The position in a cursor of a user; `None` if it is no such cursor.
pub(super) fn decode(kind: Kind, user_id: &str, cursor: &str) -> Option<Vec<u8>> {
    if cursor.len() > MAX_CURSOR_LEN {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (expected, position) = bytes.strip_prefix(&[kind as u8])?.split_at_checked(CHECKSUM_LEN)?;
    (checksum(kind, user_id, position) == expected).then(|| position.to_vec())
}

fn checksum(kind: Kind, user_id: &str, position: &[u8]) -> [u8; CHECKSUM_LEN] {
    // A user id doesn't contain U+0000.
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
        assert_eq!(read("alice", &encode(Kind::List, "alice", &[0; MAX_CURSOR_LEN])), None, "a huge one");
    }
}
