//! Cursors of `vacuum` and `list`: arbitrary text is refused or read, and what was read survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mneme_core::entries::page::{Order, Position};
use mneme_core::maintain::vacuum::VacuumCursor;
use mneme_fuzz::edited;

/// Cursors of each form.
const VALID: [&str; 7] = ["start", "caps", "pack", "id.18446744073709551615", "lru", "lru.1700000000.7", "-1.7"];

fn check(text: &str) {
    if let Ok(cursor) = VacuumCursor::from_text(text) {
        assert_eq!(VacuumCursor::from_text(&cursor.to_text()).ok(), Some(cursor));
    }
    for order in [Order::Id, Order::Lru] {
        if let Ok(position) = Position::from_cursor(text, order) {
            assert_eq!(Position::from_cursor(&position.to_cursor(), order).ok(), Some(position));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    check(&String::from_utf8_lossy(data));
    for valid in VALID {
        check(&String::from_utf8_lossy(&edited(valid.as_bytes(), data)));
    }
});
