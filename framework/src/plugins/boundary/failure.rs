//! Errors and panics across the boundary.

use super::abi::{self, Report, Status, Str};
use crate::data::words;
use crate::error::{Error, OptionError, Result};
use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! { static PANIC: RefCell<Option<String>> = const { RefCell::new(None) }; }

/// Keeps a panic's message and place for [`guard`] instead of printing them. For libraries of plugins, which have a
/// standard library, and with it a hook, of their own.
pub(super) fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |l| format!(" (at {}:{})", l.file(), l.line()));
        PANIC.set(Some(format!("{}{place}", words(info.payload()))));
    }));
}

/// Runs a function of a plugin for the other side: errors are reported, and a panic goes no further.
pub(super) fn guard(report: Report, f: impl FnOnce() -> Result<()>) -> Status {
    let put = |code, key: &str, found: &str, message: &str| {
        // SAFETY: the report is the caller's, who waits for this call.
        unsafe { (report.put)(report.user, code, Str::of(key), Str::of(found), Str::of(message)) }
    };
    let option = |e: &OptionError| put(abi::BAD_OPTION, &e.key, &e.found, &e.allowed);
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return 0,
        Ok(Err(Error::Option(e))) => option(&e),
        Ok(Err(Error::Options(all))) => all.iter().for_each(option),
        Ok(Err(Error::Config(message))) => put(abi::BAD_CONFIG, "", "", &message),
        Ok(Err(other)) => put(abi::FAILED, "", "", &other.to_string()),
        Err(payload) => {
            let message = PANIC.take().unwrap_or_else(|| words(&*payload));
            put(abi::PANICKED, "", "", &message);
            // Dropping a payload may panic in turn; it is a few bytes, once.
            std::mem::forget(payload);
        }
    }
    1
}

/// Runs something that cannot report; a panic in it goes no further.
pub(super) fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        std::mem::forget(payload);
    }
}

/// What was reported.
#[derive(Default)]
struct Reported(Vec<(u32, String, String, String)>);

unsafe extern "C" fn put(user: *mut c_void, code: u32, key: Str, found: Str, message: Str) {
    // SAFETY: `user` is the list that waits for this call in `call`; texts are the ABI's.
    unsafe { (*user.cast::<Reported>()).0.push((code, key.text(), found.text(), message.text())) }
}

/// Calls a function of the other side and turns what it reports into an error that names the plugin.
pub(super) fn call(kind: &'static str, name: &str, f: impl FnOnce(Report) -> Status) -> Result<()> {
    let mut reported = Reported::default();
    if f(Report { user: (&raw mut reported).cast(), put }) == 0 {
        return Ok(());
    }
    Err(error(kind, name, reported.0))
}

fn error(kind: &'static str, name: &str, reported: Vec<(u32, String, String, String)>) -> Error {
    let plugin = |message: String| Error::Plugin { kind, name: name.into(), message };
    let options: Vec<OptionError> = (reported.iter().filter(|r| r.0 == abi::BAD_OPTION))
        .map(|(_, key, found, allowed)| OptionError::new(key, found, allowed))
        .collect();
    match (options.len(), reported.into_iter().next()) {
        (_, None) => plugin("it failed without saying why".into()),
        (1, _) => Error::Options(options),
        (n, _) if n > 1 => Error::Options(options),
        (_, Some((abi::BAD_CONFIG, .., message))) => Error::Config(message),
        (_, Some((abi::PANICKED, .., message))) => plugin(format!("it panicked: {message}")),
        (_, Some((.., message))) => plugin(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_kind_and_panics_become_errors() {
        let through = |e: fn() -> Result<()>| {
            call("criterion", "x", |r| guard(r, e)).err().map(|e| (e.is_usage(), e.to_string()))
        };
        assert_eq!(through(|| Ok(())), None);
        assert_eq!(
            through(|| Err(OptionError::new("norm", "l9", "must be l1 or l2").into())),
            Some((true, "`norm` = l9: must be l1 or l2".into()))
        );
        assert_eq!(through(|| Err(Error::Config("no".into()))), Some((true, "no".into())));
        assert_eq!(through(|| Err(Error::Other("no".into()))), Some((false, "criterion `x`: no".into())));
        assert_eq!(through(|| panic!("number {}", 7)), Some((false, "criterion `x`: it panicked: number 7".into())));
    }
}
