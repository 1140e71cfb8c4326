//! Cursors: positions that a response contains and a later request sends back. To clients they are opaque
//! text.
//!
//! A cursor is the base64url encoding of its kind, a checksum and a position. The checksum also covers the
//! user's id, so cursors of other users are rejected like altered ones. The checksum is not a signature:
//! users can forge cursors for their own list. A position must therefore be validated like any other value in
//! a request.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};

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
