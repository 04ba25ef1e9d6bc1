//! The page, and the headers that keep it harmless.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("../page/style.css");

/// The parts of the script in the order in which they run. They share one scope.
const SCRIPT: &str = concat!(
    include_str!("../page/dom.js"),
    include_str!("../page/api.js"),
    include_str!("../page/ask.js"),
    include_str!("../page/entries.js"),
    include_str!("../page/savings.js"),
    include_str!("../page/settings.js"),
    include_str!("../page/health.js"),
    include_str!("../page/main.js"),
);

/// The whole document.
pub(crate) static HTML: LazyLock<String> = LazyLock::new(|| {
    let document = include_str!("../page/index.html");
    document.replace("/* style */", STYLE).replace("/* script */", SCRIPT)
});

/// What the page may do: run its own script, use its own style, and call the API of its own origin. A text that became
/// markup could therefore neither run nor load anything. (Content Security Policy Level 3, W3C.)
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        hash(SCRIPT),
        hash(STYLE)
    );
    HeaderValue::try_from(policy).expect("a policy of ASCII characters")
});

/// The headers of the page.
pub(crate) fn headers() -> HeaderMap {
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let mut headers: HeaderMap =
        fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_has_one_script_and_one_style_of_its_own() {
        for (tag, text) in [("script", SCRIPT), ("style", STYLE)] {
            assert_eq!(HTML.matches(&format!("<{tag}>{text}</{tag}>")).count(), 1, "{tag}");
            assert_eq!(HTML.matches(&format!("<{tag}")).count(), 1, "{tag}");
        }
        // An attribute such as `onclick` or `style` would be refused by the policy. The name of SVG is no address.
        let html = HTML.replace("http://www.w3.org/2000/svg", "");
        assert!(![" onclick=\"", " style=\"", " src=", "http://", "https://"].iter().any(|bad| html.contains(bad)));
    }

    #[test]
    fn script_makes_no_markup_of_texts() {
        for bad in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "localStorage"]
        {
            assert!(!SCRIPT.contains(bad), "{bad}");
        }
    }
}
