//! Entity tags (RFC 9110 §8.8.3): how versions of tasks and lists are written in headers.

use chrono::{DateTime, Utc};

use crate::task::{Version, Versions};

/// The first part of every tag. Increment it when a task or list is rendered differently, so that clients
/// don't keep the old body of a version that hasn't changed.
const RENDERING: u32 = 1;

/// Returns the tag of a version. It is strong: equal tags mean equal bodies.
pub(super) fn entity_tag(version: Version) -> String {
    let Version { revision, updated_at } = version;
    format!("\"{RENDERING:x}-{revision:x}-{:x}\"", updated_at.timestamp_micros())
}

/// Parses `If-Match`, which is compared strongly (§13.1.1): weak tags and tags not issued by this service
/// match nothing. `None` if the value is neither `*` nor a list of tags.
pub(super) fn if_match(value: &[u8]) -> Option<Versions> {
    versions(value, |tags| tags.retain(|tag| !tag.is_weak))
}

/// Parses `If-None-Match`, which is compared weakly (§13.1.2). `None` if the value is neither `*` nor a list
/// of tags.
pub(super) fn if_none_match(value: &[u8]) -> Option<Versions> {
    versions(value, |_| ())
}

fn versions(value: &[u8], select: impl FnOnce(&mut Vec<Tag>)) -> Option<Versions> {
    if value.trim_ascii() == b"*" {
        return Some(Versions::Any);
    }
    let mut tags = tags(value.trim_ascii())?;
    select(&mut tags);
    Some(match tags.is_empty() {
        true => Versions::OnlyWeak,
        false => Versions::These(tags.iter().filter_map(|tag| version(tag.opaque)).collect()),
    })
}

/// One of the entity tags in a header.
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

/// Parses a list of one or more tags. Empty elements are ignored (§5.6.1.2).
fn tags(mut value: &[u8]) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    loop {
        value = value.trim_ascii_start();
        if !value.starts_with(b",") && !value.is_empty() {
            let is_weak = value.starts_with(b"W/");
            let quoted = value.strip_prefix(b"W/").unwrap_or(value).strip_prefix(b"\"")?;
            let end = quoted.iter().position(|byte| *byte == b'"')?;
            let (opaque, rest) = (&quoted[..end], &quoted[end + 1..]);
            // Visible ASCII characters, and bytes outside ASCII.
            if !opaque.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)) {
                return None;
            }
            tags.push(Tag { is_weak, opaque });
            value = rest.trim_ascii_start();
        }
        match value.split_first() {
            Some((b',', rest)) => value = rest,
            Some(_) => return None,
            None => return Some(tags).filter(|tags| !tags.is_empty()),
        }
    }
}

fn version(opaque: &[u8]) -> Option<Version> {
    let text = str::from_utf8(opaque).ok()?;
    let (revision, micros) = text.strip_prefix(&format!("{RENDERING:x}-"))?.split_once('-')?;
    let revision = i64::from_str_radix(revision, 16).ok()?;
    let updated_at = DateTime::<Utc>::from_timestamp_micros(i64::from_str_radix(micros, 16).ok()?)?;
    let version = Version { revision, updated_at };
    // A number can be written in several ways, such as with a sign or leading zeros, but only one spelling is
    // valid in a tag.
    (entity_tag(version).as_bytes()[1..].strip_suffix(b"\"") == Some(opaque)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: i64, micros: i64) -> Version {
        Version { revision, updated_at: DateTime::from_timestamp_micros(micros).expect("in range") }
    }

    #[test]
    fn tag_of_a_version_is_read_back() {
        for version in [at(0, 0), at(1, 1), at(i64::MAX, 1_795_572_223_356_083)] {
            let tag = entity_tag(version);
            assert_eq!(if_match(tag.as_bytes()), Some(Versions::These(vec![version])), "{tag}");
        }
    }

    #[test]
    fn lists_are_read_as_rfc_9110_allows() {
        let (one, two) = (at(1, 2), at(3, 4));
        let (a, b) = (entity_tag(one), entity_tag(two));
        let both = Some(Versions::These(vec![one, two]));
        for list in [format!("{a},{b}"), format!(" {a} ,\t{b} "), format!(",, {a} , ,{b},")] {
            assert_eq!(if_match(list.as_bytes()), both, "{list}");
        }
        assert_eq!(if_match(b" * "), Some(Versions::Any));
        let others = format!(
            "\"\", \"xyz\", \"a,b\", \"\u{e9}\", W/{a}, {b}, \"{RENDERING:x}-+3-4\", \"{RENDERING:x}-03-4\""
        );
        assert_eq!(if_match(others.as_bytes()), Some(Versions::These(vec![two])));
        assert_eq!(if_match(format!("W/{a}, W/\"x\"").as_bytes()), Some(Versions::OnlyWeak));
        assert_eq!(if_none_match(format!("W/{a}, {b}").as_bytes()), both);
    }

    #[test]
    fn value_that_is_not_a_list_of_tags_is_rejected() {
        for value in [
            "",
            " ",
            ",",
            "abc",
            "\"abc",
            "abc\"",
            "w/\"a\"",
            "\"a\" \"b\"",
            "*, \"a\"",
            "\"a b\"",
            "**",
            "W/",
        ] {
            assert_eq!(if_match(value.as_bytes()), None, "{value}");
        }
    }
}
