//! Events: any JSON is refused or read as a request, and the replies to each caller can be rendered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mneme_api::event::{self, Event, Payload, Reply, RequestFields};
use mneme_api::routes::FUNCTIONS;
use mneme_fuzz::edited;
use mneme_model::config::Claims;
use mneme_model::error::ErrorKind;

/// Valid events of each form. `events/` has more of them.
const VALID: [&str; 4] = [
    include_str!("../../../events/lookup/direct.json"),
    include_str!("../../../events/quota/http-api.json"),
    include_str!("../../../events/delete/rest-api.json"),
    include_str!("../../../events/vacuum/scheduled.json"),
];

/// `choice` selects the function and whether a claim limits the caller.
fn check(text: &[u8], choice: u8) {
    let Ok(payload) = serde_json::from_slice::<Payload>(text) else { return };
    let function = FUNCTIONS[usize::from(choice >> 1) % FUNCTIONS.len()];
    let namespace = (choice & 1 == 1).then(|| "namespaces".to_owned());
    let claims = Claims { namespace, ..Claims::default() };
    let Event { caller, fields, .. } = event::read(payload, function, None, &claims);
    let outcome = match fields {
        Ok(fields) => event::parse::<RequestFields>(fields).map(Reply::ok),
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        assert!(matches!(error.kind, ErrorKind::InvalidRequest | ErrorKind::UnsupportedContentEncoding));
        assert!(error.detail.len() < 2000, "{}", error.detail);
    }
    let _reply = event::render(caller, outcome);
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    check(text, *choice);
    for valid in VALID {
        check(&edited(valid.as_bytes(), text), *choice);
    }
});
