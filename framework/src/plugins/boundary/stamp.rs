//! What a plugin's file says of itself, as plain bytes that can be read without opening it.

use super::abi;

#[cfg(panic = "abort")]
macro_rules! panic_strategy {
    () => {
        "abort"
    };
}
#[cfg(not(panic = "abort"))]
macro_rules! panic_strategy {
    () => {
        "unwind"
    };
}

const TEXT: &str = concat!(
    "secateur-plugin\nabi=3\nframework=",
    env!("CARGO_PKG_VERSION"),
    "\nrustc=",
    env!("SECATEUR_RUSTC"),
    "\ndfdx=0.13.0\ntarget=",
    env!("SECATEUR_TARGET"),
    "\npanic=",
    panic_strategy!(),
    "\n\0"
);

/// The stamp of every library that this crate is linked into.
// A plain array: a reference would need a relocation, which only the dynamic linker applies.
#[used]
#[unsafe(export_name = "secateur_plugin_stamp")]
pub static STAMP: [u8; TEXT.len()] = {
    let mut bytes = [0; TEXT.len()];
    bytes.copy_from_slice(TEXT.as_bytes());
    bytes
};

/// A stamp that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// This program's own.
    pub fn own() -> Self {
        Self(TEXT.trim_end_matches('\0').into())
    }

    /// Reads a stamp from bytes that begin with it; `None` where they do not.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == 0)?;
        let text = std::str::from_utf8(&bytes[..end]).ok()?;
        text.starts_with("secateur-plugin\n").then(|| Self(text.into()))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
    }

    /// Why this program cannot open the plugin, if so. Only what makes it impossible counts: another framework version
    /// or compiler speaks the same ABI.
    pub fn refusal(&self) -> Option<String> {
        let (own, abi) = (Self::own(), self.get("abi").unwrap_or("none"));
        if abi != abi::VERSION.to_string() {
            return Some(format!(
                "it speaks plugin ABI {abi}, this program speaks ABI {own}: build it again, against secateur {version} (in C \
                 against that version's include/secateur_plugin.h; CHANGELOG.md says what changed). It says of itself: {words}",
                own = abi::VERSION,
                version = env!("CARGO_PKG_VERSION"),
                words = self.in_words()
            ));
        }
        if self.get("panic") == Some("abort") {
            return Some(
                "it was built with panic = \"abort\", so that one panic in it would end this program; remove that from its \
                 Cargo.toml profile and build it again"
                    .into(),
            );
        }
        match (self.get("target"), own.get("target")) {
            (Some(found), Some(wanted)) if found != wanted => {
                Some(format!("it was built for {found}, this program for {wanted}; build it with --target {wanted}"))
            }
            _ => None,
        }
    }

    /// All keys on one line.
    pub fn in_words(&self) -> String {
        self.0.lines().skip(1).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_stamp_is_accepted_and_others_say_why_not() {
        let own = Stamp::parse(&STAMP).unwrap();
        assert_eq!((own.get("abi"), own.refusal()), (Some(abi::VERSION.to_string().as_str()), None));
        let with = |from: &str, to: &str| Stamp(own.0.replace(from, to)).refusal().unwrap();
        assert!(with("abi=3", "abi=7").contains("speaks plugin ABI 7, this program speaks ABI 3: build it again"));
        assert!(with("panic=unwind", "panic=abort").contains("panic = \"abort\""));
        assert!(with("target=", "target=not-").contains("built for not-"));
        assert_eq!(Stamp::parse(b"something else\0"), None);
    }

    #[test]
    fn a_reader_bears_stamps_that_nobody_wrote() {
        secateur_fuzz::bears("stamp", &[STAMP.to_vec()], |bytes| {
            let Some(stamp) = Stamp::parse(bytes) else { return 0 };
            stamp.refusal().map_or(0, |words| words.len()) + stamp.in_words().len()
        });
    }
}
