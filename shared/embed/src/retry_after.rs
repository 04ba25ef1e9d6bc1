//! The pause that a service asks for in the headers of a reply.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Reads the pause from a reply's headers, which `header` looks up.
///
/// `retry-after-ms` (OpenAI) and `x-amz-retry-after` (AWS) are in milliseconds. `retry-after` is in seconds or a date
/// (RFC 9110, 10.2.3). `None` if there is no such header, or if its value has none of these forms.
pub(crate) fn retry_after<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Duration> {
    let millis = ["retry-after-ms", "x-amz-retry-after"].into_iter().find_map(&header);
    if let Some(millis) = millis.and_then(|text| text.trim().parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    let text = header("retry-after")?.trim();
    if let Ok(secs) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(secs).ok();
    }
    let until = SystemTime::try_from(DateTime::from_str(text, Format::HttpDate).ok()?).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Option<Duration> {
        retry_after(|asked| (asked == name).then_some(value))
    }

    #[test]
    fn retry_after_in_each_form_is_read() {
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(read("x-amz-retry-after", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = read("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT").unwrap();
        assert!(later > Duration::from_secs(86_400));
    }

    #[test]
    fn retry_after_in_unknown_form_is_none() {
        for value in ["", "-1", "NaN", "inf", "1e300", "soon"] {
            assert_eq!(read("retry-after", value), None, "{value}");
            assert_eq!(read("retry-after-ms", value), None, "{value}");
        }
        assert_eq!(read("other", "7"), None);
    }
}
