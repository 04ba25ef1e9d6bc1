//! The parts that all AWS clients of this workspace share. No lower crate depends on the AWS SDK.
//!
//! | to learn about | read |
//! | --- | --- |
//! | region, endpoints, credentials, timeouts, the SDK's retries | [`client_config`] |
//! | how far the machine's clock is from a service's | [`server_time`] |
//! | the certificate authorities that an HTTPS connection trusts, and `MNEME_TLS_ROOTS` | [`tls_roots`] |
//! | the signature of a request that no client of the SDK makes | [`signer`] |
//! | the meaning of an SDK error, and its line in the log | [`sdk_error`] |

pub mod client_config;
pub mod sdk_error;
pub mod server_time;
pub mod signer;
pub mod tls_roots;
