//! What every AWS client of this workspace shares. It is the lowest layer that depends on the AWS SDK.
//!
//! | to learn about | read |
//! | --- | --- |
//! | region, endpoints, credentials, timeouts, the SDK's retries | [`client_config`] |
//! | which certificate authorities an HTTPS connection trusts, `MNEME_TLS_ROOTS` | [`tls_roots`] |
//! | what an error of the SDK means, and what the log says of it | [`sdk_error`] |

pub mod client_config;
pub mod sdk_error;
pub mod tls_roots;
