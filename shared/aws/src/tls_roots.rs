//! The certificate authorities that an HTTPS connection to AWS trusts.
//!
//! Reading every certificate that the system trusts takes most of a function's start. So on Lambda a client trusts
//! only the roots of Amazon Trust Services, which sign AWS's endpoints: Amazon Root CA 1 to 4, and Starfield Services
//! G2, which signed those four. Source: the repository of Amazon Trust Services,
//! <https://www.amazontrust.com/repository/>. A connection fails if an endpoint's certificate has another root. It is
//! not tried again with the system's roots.
//!
//! A client trusts the system's roots instead in four cases:
//! - `MNEME_TLS_ROOTS` is `system`. Set it if AWS changes its roots, or if a proxy replaces the certificates.
//! - The process runs outside Lambda, where the time to start does not matter.
//! - A variable names another endpoint or other certificates ([`OVERRIDES`]).
//! - The region is in China or in an isolated partition, whose endpoints have other roots.

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Which roots a client on Lambda trusts (`MNEME_TLS_ROOTS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsRoots {
    /// The five roots of Amazon Trust Services in this crate.
    #[default]
    Pinned,
    /// The roots of the operating system.
    System,
}

/// The pinned roots, in PEM.
const PINNED: [&str; 5] = [
    include_str!("../roots/amazon-root-ca-1.pem"),
    include_str!("../roots/amazon-root-ca-2.pem"),
    include_str!("../roots/amazon-root-ca-3.pem"),
    include_str!("../roots/amazon-root-ca-4.pem"),
    include_str!("../roots/starfield-services-root-certificate-authority-g2.pem"),
];

/// The variables that may lead to a server with another root. The first six set the SDK's endpoints. The last two set
/// where the crate `rustls-native-certs` finds certificates.
pub const OVERRIDES: [&str; 8] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// The beginnings of the names of regions whose endpoints have other roots.
const OTHER_PARTITIONS: [&str; 3] = ["cn-", "us-iso", "eu-iso"];

/// The HTTP client that trusts the pinned roots only.
///
/// `variable` reads the environment. `None` if the SDK's own client, which trusts the system's roots, has to be used.
pub(crate) fn pinned_client(roots: TlsRoots, variable: impl Fn(&str) -> Option<String>) -> Option<SharedHttpClient> {
    let overridden = OVERRIDES.iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()));
    let other_partition =
        variable("AWS_REGION").is_none_or(|region| OTHER_PARTITIONS.iter().any(|prefix| region.starts_with(prefix)));
    let on_lambda = variable("AWS_LAMBDA_FUNCTION_NAME").is_some();
    if roots == TlsRoots::System || overridden || other_partition || !on_lambda {
        return None;
    }
    let store = PINNED.iter().fold(TrustStore::empty(), |store, pem| store.with_pem_certificate(pem.as_bytes()));
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    Some(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build_https())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, SystemTime};

    use aws_smithy_types::DateTime;
    use aws_smithy_types::date_time::Format;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Whether the pinned roots are used on Lambda in Frankfurt, with one more variable.
    fn is_pinned_with(roots: TlsRoots, name: &'static str, value: &'static str) -> bool {
        let lambda = [("AWS_LAMBDA_FUNCTION_NAME", "lookup"), ("AWS_REGION", "eu-central-1")];
        let variables: HashMap<&str, &str> = lambda.into_iter().chain([(name, value)]).collect();
        pinned_client(roots, |asked| variables.get(asked).map(|value| (*value).to_owned())).is_some()
    }

    #[test]
    fn pinned_client_with_aws_endpoint_on_lambda_is_used() {
        assert!(is_pinned_with(TlsRoots::Pinned, "AWS_REGION", "us-east-1"));
        assert!(is_pinned_with(TlsRoots::Pinned, "AWS_ENDPOINT_URL", ""));
    }

    #[test]
    fn pinned_client_with_system_roots_chosen_is_not_used() {
        assert!(!is_pinned_with(TlsRoots::System, "AWS_REGION", "us-east-1"));
    }

    #[test]
    fn pinned_client_in_region_with_other_roots_is_not_used() {
        for region in ["cn-north-1", "us-isob-east-1", "eu-isoe-west-1"] {
            assert!(!is_pinned_with(TlsRoots::Pinned, "AWS_REGION", region), "{region}");
        }
    }

    #[test]
    fn pinned_client_outside_lambda_is_not_used() {
        let region_only = |asked: &str| (asked == "AWS_REGION").then(|| "us-east-1".to_owned());
        assert!(pinned_client(TlsRoots::Pinned, region_only).is_none());
    }

    #[test]
    fn pinned_client_with_override_is_not_used() {
        for name in OVERRIDES {
            assert!(!is_pinned_with(TlsRoots::Pinned, name, "/x"), "{name}");
        }
    }

    /// The end of a certificate's validity, in the form `YYMMDDhhmmssZ`.
    ///
    /// Reads the only sequence of two UTCTimes in the certificate (RFC 5280, 4.1.2.5). A crate that parses X.509 would
    /// do more. But it would change the features of crates below the AWS SDK, and `cargo test` would build the SDK
    /// twice.
    fn not_after(pem: &str) -> String {
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).unwrap();
        let is_validity = |part: &&[u8]| part.starts_with(b"\x30\x1e\x17\x0d") && part[17..].starts_with(b"\x17\x0d");
        let validity: Vec<&[u8]> = der.windows(32).filter(is_validity).collect();
        assert_eq!(validity.len(), 1, "the validity of {pem}");
        String::from_utf8(validity[0][19..].to_vec()).unwrap()
    }

    /// The test fails a year before a root expires, so that there is time to release a version with its successor.
    #[test]
    fn pinned_roots_a_year_from_now_are_valid() {
        let in_a_year = DateTime::from(SystemTime::now() + Duration::from_secs(365 * 24 * 3600));
        for pem in PINNED {
            let end = not_after(pem);
            let [year, month, day] = [&end[..2], &end[2..4], &end[4..6]];
            let end = DateTime::from_str(&format!("20{year}-{month}-{day}T00:00:00Z"), Format::DateTime).unwrap();
            assert!(end > in_a_year, "this root expires within a year: {pem}");
        }
    }
}
