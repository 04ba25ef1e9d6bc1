//! JSON text in, a value out: stricter than `serde_json` alone, and with errors that say what to change.

use std::cell::RefCell;
use std::fmt;

use mneme_model::error::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::shortened;

/// The deepest nesting that is read. `serde_json` itself stops at 128 levels and calls the text malformed.
const MAX_DEPTH: usize = 100;

/// The fields whose numbers must survive being stored or hashed. A number anywhere else is read as its field's type.
const EXACT_FIELDS: [&str; 2] = ["metadata", "context"];

/// The part of an HTTP event that API Gateway fills in. Fields of the same names in it are not the caller's.
const GATEWAY_FIELD: &str = "requestContext";

/// Reads one JSON value. `what`: the subject of the error's sentence, such as "the body".
///
/// Errors: `InvalidRequest` for malformed JSON, a field that occurs twice in an object, nesting deeper than
/// [`MAX_DEPTH`], and a number in `metadata` or `context` that would come back as another number.
pub(super) fn from_text(text: &str, what: &str) -> Result<Value, Error> {
    let refusal = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = JsonSeed { depth: 0, is_callers: true, refusal: &refusal };
    let read = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| match refusal.take() {
        Some(refusal) => refusal.into_error(),
        None => Error::invalid(format!("{what} is not JSON: {error}"), "send one JSON object, in UTF-8"),
    })
}

/// Why well-formed JSON is refused, and where.
struct Refusal {
    /// The fields and positions that lead there, innermost first.
    path: Vec<String>,
    reason: Reason,
}

enum Reason {
    Duplicate,
    TooDeep,
    /// The number as it was sent.
    Inexact(String),
}

impl Refusal {
    fn into_error(self) -> Error {
        let mut place = String::new();
        for step in self.path.iter().rev() {
            if !place.is_empty() && !step.starts_with('[') {
                place.push('.');
            }
            place.push_str(step);
        }
        let place = shortened(place);
        match self.reason {
            Reason::Duplicate => {
                Error::invalid(format!("`{place}` is given twice in one object"), "send each field once")
            }
            Reason::TooDeep => Error::invalid(
                format!("`{place}` is nested more than {MAX_DEPTH} levels deep"),
                "send a flatter object, or the inner part as a text that contains JSON",
            ),
            Reason::Inexact(number) => Error::invalid(
                format!("{place}: the number {} cannot be kept exactly", shortened(number)),
                "send the number as a text, or with at most 15 significant digits",
            ),
        }
    }
}

/// Reads a value at one level of nesting.
#[derive(Clone, Copy)]
struct JsonSeed<'a> {
    depth: usize,
    /// False inside [`GATEWAY_FIELD`].
    is_callers: bool,
    /// Set before an error is returned that is not a syntax error.
    refusal: &'a RefCell<Option<Refusal>>,
}

impl JsonSeed<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn refuse<E: serde::de::Error>(self, path: Vec<String>, reason: Reason) -> E {
        self.refusal.replace(Some(Refusal { path, reason }));
        E::custom("refused")
    }

    /// Adds an outer step to the path of the refusal, if there is one.
    fn locate<E>(self, error: E, step: impl FnOnce() -> String) -> E {
        if let Some(refusal) = self.refusal.borrow_mut().as_mut() {
            refusal.path.push(step());
        }
        error
    }

    /// Reads a value whose numbers must be kept exactly.
    fn exact(self, text: &str) -> Result<Value, serde_json::Error> {
        let value = self.deserialize(&mut serde_json::Deserializer::from_str(text))?;
        match numbers(text).find(|number| !is_kept(number)) {
            None => Ok(value),
            Some(number) => Err(self.refuse(Vec::new(), Reason::Inexact(number.to_owned()))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for JsonSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(self.refuse(Vec::new(), Reason::TooDeep));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            match seq.next_element_seed(self.deeper()) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Value::Array(items)),
                Err(error) => return Err(self.locate(error, || format!("[{}]", items.len()))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.refuse(vec![key], Reason::Duplicate));
            }
            let inner = Self { is_callers: self.is_callers && key != GATEWAY_FIELD, ..self.deeper() };
            let value = if inner.is_callers && EXACT_FIELDS.contains(&key.as_str()) {
                map.next_value::<Box<RawValue>>().and_then(|text| inner.exact(text.get()).map_err(A::Error::custom))
            } else {
                map.next_value_seed(inner)
            };
            let value = value.map_err(|error| self.locate(error, || key.clone()))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The numbers of valid JSON, as they are written.
fn numbers(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?..];
            let Some(string) = rest.strip_prefix('"') else {
                let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
                let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
                rest = after;
                return Some(number);
            };
            rest = &string[string_end(string)?..];
        }
    })
}

/// The position after the closing quote. `string`: a JSON string without its opening quote.
fn string_end(string: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in string.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => return Some(at + 1),
            _ => is_escaped = byte == b'\\' && !is_escaped,
        }
    }
    None
}

/// Whether `number`, read as the nearest 64-bit integer or float, is written as the same number again.
fn is_kept(number: &str) -> bool {
    if number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok() {
        return true;
    }
    // Rust writes a float with the fewest digits that give the same float again.
    let written = number.parse::<f64>().ok().and_then(|float| decimal(&format!("{float:e}")));
    written.is_some() && written == decimal(number)
}

/// A decimal number, in one form for each value.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    /// Significant digits, without zeros at either end. Empty for zero.
    digits: String,
    /// The power of ten that `0.digits` is multiplied with. 0 for zero.
    exponent: i64,
}

/// `None`: the exponent does not fit 64 bits.
fn decimal(number: &str) -> Option<Decimal> {
    let (is_negative, unsigned) = match number.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, number),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading_zeros = all.len() - digits.len();
    let digits = digits.trim_end_matches('0').to_owned();
    if digits.is_empty() {
        return Some(Decimal { is_negative: false, digits, exponent: 0 });
    }
    let point = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(leading_zeros).ok()?)?;
    let exponent = exponent.parse::<i64>().ok()?.checked_add(point)?;
    Some(Decimal { is_negative, digits, exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        from_text(text, "the body").unwrap_err().detail
    }

    #[test]
    fn from_text_with_valid_json_agrees_with_serde_json() {
        let texts = [
            "null",
            " true ",
            "[1, -2, 3.5, 1e300, 18446744073709551615, -9223372036854775808]",
            r#"{"a": {"b": ["c", {"d": null}]}, "metadata": {"x": [0.1, 1e20, "1.00000000000000000001", -7]}}"#,
            r#""Straße \"\\\u00e9""#,
        ];
        for text in texts {
            assert_eq!(from_text(text, "it").unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn from_text_with_malformed_json_names_the_subject_and_the_position() {
        for text in ["", "{]", "[1,]", "{\"a\": 1} x", "{\"metadata\": {]}", "\"\\ud800\""] {
            assert!(refused(text).starts_with("the body is not JSON: "), "{text}: {}", refused(text));
        }
        assert!(refused("{]").ends_with("at line 1 column 2"));
    }

    #[test]
    fn from_text_with_a_repeated_field_names_it() {
        assert_eq!(refused(r#"{"query": "a", "query": "b"}"#), "`query` is given twice in one object");
        let nested = r#"{"entries": [{}, {"metadata": {"a": {"b": 1, "b": 1}}}]}"#;
        assert_eq!(refused(nested), "`entries[1].metadata.a.b` is given twice in one object");
    }

    #[test]
    fn from_text_with_deep_nesting_is_not_called_malformed() {
        let nested = |levels: usize| format!("{{\"metadata\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(from_text(&nested(99), "it").is_ok());
        for levels in [101, 127, 5_000] {
            let detail = refused(&nested(levels));
            assert!(detail.starts_with("`metadata[0][0]") && detail.ends_with("levels deep"), "{detail}");
        }
        let outside = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        assert!(refused(&outside).ends_with("is nested more than 100 levels deep"));
    }

    #[test]
    fn from_text_with_metadata_numbers_that_would_change_refuses_them() {
        for number in ["123456789012345678901234567890", "18446744073709551617", "0.1234567890123456789", "1e-400"] {
            for field in EXACT_FIELDS {
                let detail = refused(&format!("{{\"{field}\": {{\"n\": [{number}]}}}}"));
                assert_eq!(detail, format!("{field}: the number {number} cannot be kept exactly"));
            }
            assert!(from_text(&format!("{{\"threshold\": {number}}}"), "it").is_ok());
            let gateways = format!("{{\"requestContext\": {{\"authorizer\": {{\"metadata\": {number}}}}}}}");
            assert!(from_text(&gateways, "it").is_ok());
        }
    }

    #[test]
    fn is_kept_accepts_numbers_that_come_back_equal() {
        for number in [
            "0",
            "-0",
            "0.0",
            "60.0",
            "1e3",
            "1E+3",
            "0.1",
            "3.141592653589793",
            "0.30000000000000004",
            "1e22",
            "5e-324",
            "100000000000000000000",
            "18446744073709551615",
            "-9223372036854775808",
            "1.50",
            "0.00012",
            "1.7976931348623157e308",
        ] {
            assert!(is_kept(number), "{number}");
        }
        assert!(!is_kept("9007199254740993.0"));
    }
}
