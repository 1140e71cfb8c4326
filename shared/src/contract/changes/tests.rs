use super::*;
use crate::contract::tests::task;

#[test]
fn cursor_of_another_kind_is_rejected() {
    let changes = encode("alice", None);
    assert!(decode("alice", &changes).is_some());
    assert!(cursor::decode(Kind::List, "alice", &changes).is_none());
    assert!(decode("alice", &cursor::encode(Kind::List, "alice", &[0; 32])).is_none());
}

#[test]
fn forged_time_that_postgresql_does_not_have_is_rejected() {
    let list_updated_at = DateTime::from_timestamp_micros(-8_000_000_000_000_000_000).expect("chrono has it");
    let position = ChangesPosition { revision: 1, copied_from: 1, list_updated_at };
    assert!(decode("alice", &encode("alice", Some(position))).is_none());
}

#[test]
fn changes_that_lambda_cannot_carry_are_left_for_the_next_request() {
    let end = ChangesPosition { revision: 1000, copied_from: 1000, list_updated_at: DateTime::UNIX_EPOCH };
    let change = |number| Change::Changed(Task { number, revision: number, ..task("\"".repeat(2000)) });
    let list = ChangeList { changes: (1..=1000).map(change).collect(), has_more: false, end: Some(end) };
    for contract in [Envelope, Plain] {
        let page = page(&list, EnvelopeTask::from, |id, _| id);
        let shown = i64::try_from(page.changed.len()).expect("few");
        assert!((500..1000).contains(&shown) && page.has_more, "{shown}");
        let last = ChangesPosition { revision: shown, ..end };
        assert_eq!(page.end, Some(last));
        let response = contract.changes("alice", &list);
        let in_event = serde_json::to_string(&response.body).expect("JSON").len();
        assert!(in_event < 6 * 1024 * 1024, "{in_event}");
    }
}
