//! Whom an HTTPS connection trusts: the few roots that sign AWS's endpoints.
//!
//! Reading every certificate that the system trusts takes most of a function's start. AWS's endpoints have certificates of Amazon
//! Trust Services (its repository, <https://www.amazontrust.com/repository/>, names the roots; Amazon's CAs 1 to 4 and Starfield
//! Services G2, which signed them). The system's certificates are used where these may not do: outside Lambda, where start-up does not matter;
//! with an endpoint or certificates of one's own; and in China and the isolated regions, which others sign for.

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

const ROOTS: [&str; 5] = [
    include_str!("../../roots/amazon-root-ca-1.pem"),
    include_str!("../../roots/amazon-root-ca-2.pem"),
    include_str!("../../roots/amazon-root-ca-3.pem"),
    include_str!("../../roots/amazon-root-ca-4.pem"),
    include_str!("../../roots/starfield-services-root-certificate-authority-g2.pem"),
];

/// Variables that say that the other side may have another certificate: the SDK's endpoints, and rustls-native-certs' places
/// of certificates.
const OWN: [&str; 8] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// The client that trusts Amazon's roots; `None` where the SDK's own, which trusts the system's, is needed. `variable`: the
/// environment.
pub(super) fn http_client(variable: impl Fn(&str) -> Option<String>) -> Option<SharedHttpClient> {
    let is_own = OWN.iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()));
    let is_other = variable("AWS_REGION")
        .is_none_or(|region| ["cn-", "us-iso", "eu-iso"].iter().any(|prefix| region.starts_with(prefix)));
    if is_own || is_other || variable("AWS_LAMBDA_FUNCTION_NAME").is_none() {
        return None;
    }
    let store = ROOTS.iter().fold(TrustStore::empty(), |store, pem| store.with_pem_certificate(pem.as_bytes()));
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    Some(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build_https())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn amazons_roots_suffice_unless_something_is_ones_own() {
        let with = |name: &'static str, value: &'static str| {
            let lambda = [("AWS_LAMBDA_FUNCTION_NAME", "lookup"), ("AWS_REGION", "eu-central-1")];
            let variables: HashMap<&str, &str> = lambda.into_iter().chain([(name, value)]).collect();
            http_client(|asked| variables.get(asked).map(|value| (*value).to_owned())).is_some()
        };
        assert!(with("AWS_REGION", "us-east-1"));
        assert!(with("AWS_ENDPOINT_URL", ""));
        assert!(!with("AWS_REGION", "cn-north-1") && !with("AWS_REGION", "us-isob-east-1"));
        assert!(http_client(|asked| (asked == "AWS_REGION").then(|| "us-east-1".to_owned())).is_none());
        for own in OWN {
            assert!(!with(own, "/x"), "{own}");
        }
    }
}
