//! Tags: short texts that callers attach to entries, such as a source document, a product or a user.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest tag.
const MAX_TAG_BYTES: usize = 128;
/// The most tags of an entry, and of a lookup.
const MAX_TAGS: usize = 16;

/// A tag: 1 to 128 bytes of UTF-8 without control characters. Tags are compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The tag as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(tag: String) -> Result<Self, String> {
        let rule = "a tag is 1 to 128 bytes without control characters";
        if tag.is_empty() {
            return Err(format!("the tag is empty: {rule}"));
        }
        if tag.len() > MAX_TAG_BYTES {
            return Err(format!("the tag has {} bytes: {rule}", tag.len()));
        }
        match tag.chars().find(|c| c.is_control()) {
            Some(c) => Err(format!("the tag contains U+{:04X}: {rule}", u32::from(c))),
            None => Ok(Self(tag)),
        }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Up to 16 tags, each once, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Tag>")]
pub struct Tags(BTreeSet<Tag>);

impl Tags {
    /// The tags that a row names. Texts that are no tags are left out.
    pub fn from_row(tags: impl IntoIterator<Item = String>) -> Self {
        Self(tags.into_iter().filter_map(|tag| Tag::try_from(tag).ok()).collect())
    }

    /// Whether there are no tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tags, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }

    /// Whether `tag` is one of the tags.
    pub fn contains(&self, tag: &Tag) -> bool {
        self.0.contains(tag)
    }

    /// Whether each of `required` is one of the tags.
    pub fn contains_all(&self, required: &Self) -> bool {
        required.0.is_subset(&self.0)
    }

    /// The tags that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }
}

impl TryFrom<Vec<Tag>> for Tags {
    type Error = String;

    fn try_from(tags: Vec<Tag>) -> Result<Self, String> {
        if tags.len() > MAX_TAGS {
            return Err(format!("there are {} tags, and {MAX_TAGS} are allowed", tags.len()));
        }
        Ok(Self(tags.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_that_is_empty_long_or_has_a_control_character_is_refused() {
        for bad in ["", "a\u{0}b", "tab\t", "\u{85}", &"x".repeat(129)] {
            assert!(Tag::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for good in ["doc:handbook.pdf", "user/équipe 7", "日本", &"x".repeat(128)] {
            assert_eq!(Tag::try_from(good.to_owned()).unwrap().as_str(), good);
        }
    }

    #[test]
    fn tags_are_kept_once_and_are_at_most_16() {
        let tags = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let parsed = |tags: &[String]| serde_json::from_value::<Tags>(tags.into());
        assert_eq!(parsed(&[tags(8), tags(8)].concat()).unwrap().iter().count(), 8);
        assert!(parsed(&tags(17)).unwrap_err().to_string().contains("17 tags"));
        assert!(parsed(&[String::new()]).unwrap_err().to_string().contains("the tag is empty"));
    }

    #[test]
    fn contains_all_needs_each_required_tag() {
        let tags = |tags: &[&str]| Tags::from_row(tags.iter().map(|tag| (*tag).to_owned()));
        let own = tags(&["a", "b"]);
        assert!(own.contains_all(&tags(&[])) && own.contains_all(&tags(&["b", "a"])));
        assert!(!own.contains_all(&tags(&["a", "c"])));
        assert_eq!(own.without(&tags(&["b", "c"])), tags(&["a"]));
    }
}
