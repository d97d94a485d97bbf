//! Panics of libraries that read what strangers wrote.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! { static QUIET: Cell<bool> = const { Cell::new(false) }; }

/// Runs a function of a library that is to report what is wrong with its input, and may panic in its place: the panic
/// ends here, and nothing is printed. What the function was changing may be half changed.
///
/// # Errors
/// It panicked; what the panic says.
pub fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let found = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(outer);
    found.map_err(|payload| {
        let said = words(&*payload);
        // Dropping a payload may panic in turn; it is a few bytes.
        std::mem::forget(payload);
        said
    })
}

/// What a panic says.
pub(crate) fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_what_it_says_and_only_there() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| -> u8 { panic!("at byte {}", 7) }), Err("at byte 7".to_owned()));
        assert_eq!(caught(|| caught(|| -> u8 { panic!("inner") })), Ok(Err("inner".to_owned())));
        assert!(!QUIET.get(), "others are told of as before");
    }
}
