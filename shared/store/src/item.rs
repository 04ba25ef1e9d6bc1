//! DynamoDB items and values in the types of the SDK, with functions that make and read them.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

/// One item: values by attribute name.
pub type Item = HashMap<String, AttributeValue>;

/// Makes a number. DynamoDB returns numbers of up to 38 digits without an exponent.
pub fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Makes a text.
pub fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// Makes a binary value.
pub fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes.into()))
}

/// The number in `item`'s attribute `name`. `None` if it is missing, is no number or does not fit a `T`.
pub fn number<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The text in `item`'s attribute `name`. `None` if it is missing or no text.
pub fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

/// The bytes in `item`'s attribute `name`. `None` if they are missing or no binary value.
pub fn bytes<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    Some(item.get(name)?.as_b().ok()?.as_ref())
}

/// The Boolean in `item`'s attribute `name`. `None` if it is missing or no Boolean.
pub fn flag(item: &Item, name: &str) -> Option<bool> {
    item.get(name)?.as_bool().ok().copied()
}

/// DynamoDB's limit for an item: 400 KB with the names of its attributes (DynamoDB Developer Guide, "Service, account,
/// and table quotas").
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// The size of an item as DynamoDB counts it (DynamoDB Developer Guide, "DynamoDB item sizes and formats"). Where that
/// rule is approximate, the size is rounded up.
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|digits| digits.len() / 2 + 2).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(|blob| blob.as_ref().len()).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_with_missing_or_other_value_return_none() {
        let item = Item::from([
            ("n".to_owned(), n(7)),
            ("s".to_owned(), s("x")),
            ("b".to_owned(), b([1])),
            ("f".to_owned(), AttributeValue::Bool(true)),
        ]);
        assert_eq!((number(&item, "n"), text(&item, "s").as_deref()), (Some(7u64), Some("x")));
        assert_eq!((bytes(&item, "b"), flag(&item, "f")), (Some(&[1][..]), Some(true)));
        for name in ["missing", "f"] {
            assert_eq!((number::<u64>(&item, name), text(&item, name), bytes(&item, name)), (None, None, None));
        }
        assert_eq!((flag(&item, "n"), number::<u8>(&Item::from([("n".to_owned(), n(256))]), "n")), (None, None));
    }

    #[test]
    fn item_bytes_counts_names_and_values() {
        let list = AttributeValue::L(vec![s("ab"), AttributeValue::Bool(true)]);
        let map = AttributeValue::M(HashMap::from([("k".to_owned(), s("v"))]));
        for (value, bytes) in [(s("abc"), 3), (n(1234), 4), (b([0; 9]), 9), (list, 8), (map, 6)] {
            assert_eq!(item_bytes(&Item::from([("name".to_owned(), value.clone())])), 4 + bytes, "{value:?}");
        }
    }
}
