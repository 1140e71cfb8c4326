//! Cursors: positions that a response contains and a later request refers to. To clients they are opaque text.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use ring::digest::{SHA256, digest};

use crate::task::ChangesPosition;

/// What a cursor is a position in. Its number is the cursor's first byte.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    /// The changes of a list.
    Changes = 1,
}

/// How much of the hash of the user's id a cursor holds, in bytes: enough to notice that it is another user's.
const USER_BYTES: usize = 8;

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
fn encode(kind: Kind, user_id: &str, position: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[kind as u8], &user_hash(user_id)[..], position].concat())
}

/// The position in a cursor of a user; `None` if it is no such cursor.
fn decode(kind: Kind, user_id: &str, cursor: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let position = bytes.strip_prefix(&[kind as u8])?.strip_prefix(&user_hash(user_id))?;
    Some(position.to_vec())
}

fn user_hash(user_id: &str) -> [u8; USER_BYTES] {
    let hash = digest(&SHA256, user_id.as_bytes());
    *hash.as_ref().first_chunk().expect("a SHA-256 has 32 bytes")
}
