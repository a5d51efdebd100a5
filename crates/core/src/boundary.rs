//! Keeps panics out of C: every `extern "C"` body runs inside [`guard`].
//!
//! Unwinding into C is undefined, and aborting would take down a server that other people's sites run in. So a panic
//! becomes a stated answer, and its message is left for the caller's log.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; when it panics, gives `report` the panic's message and returns what `report` returns.
///
/// The values `body` touched are used no further than their `Drop`: the caller abandons the request they belonged to,
/// which is what makes the assertion of unwind safety true.
#[inline]
pub fn guard<R>(body: impl FnOnce() -> R, report: impl FnOnce(&str) -> R) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let answer = report(message(&*payload));
            // A payload whose own `Drop` panics would start a second unwind right at the border.
            std::mem::forget(payload);
            answer
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_stated_answer() {
        assert_eq!(guard(|| 1, |_| 2), 1);
        assert_eq!(guard(|| panic!("no {}", "way"), |text| text.len()), "no way".len());
    }
}
