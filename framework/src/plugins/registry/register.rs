//! `register!`, and what it calls.

use crate::error::{Error, OptionError, Result};
use crate::options::{Idle, OptionSet, Table};

/// Reads options, which checks them, and builds a plugin from them; called by [`register!`](crate::register!).
///
/// # Errors
/// All options that are refused, with keys relative to the plugin's.
pub fn build<O, T>(options: &Table) -> Result<T>
where
    O: OptionSet,
    T: TryFrom<O>,
    Error: From<T::Error>,
{
    let options = crate::options::parse::<O>(options).map_err(Error::Options)?;
    Ok(T::try_from(options)?)
}

/// Checks options as [`build`] does; called by [`register!`](crate::register!).
///
/// # Errors
/// All that are wrong; what else keeps the plugin from being built, under `name`.
pub fn check<O, T>(options: &Table) -> Result<(), Vec<OptionError>>
where
    O: OptionSet,
    T: TryFrom<O>,
    Error: From<T::Error>,
{
    match build::<O, T>(options) {
        Ok(_) => Ok(()),
        Err(Error::Options(errors)) => Err(errors),
        Err(Error::Option(error)) => Err(vec![error]),
        Err(other) => Err(vec![OptionError::new("name", "", other.to_string())]),
    }
}

/// The options that cannot act beside the others, or beside the sections of the config around them; none where they do
/// not parse. Called by [`register!`](crate::register!).
pub fn idle<O: OptionSet>(options: &Table, sections: &Table) -> Vec<Idle> {
    crate::options::parse::<O>(options).map_or_else(|_| vec![], |options| options.idle_beside(sections))
}

/// Registers a plugin: `register!(Criterion, "name", Type, "One sentence.")`.
///
/// The type is its own options (declared with [`options!`](crate::options!)), or is built from them by `TryFrom`:
/// `register!(Criterion, "name", Type, "One sentence.", options = Options)`. A type that holds tensors is written
/// `Type<B>`, with the letter B, and is registered for every device.
#[macro_export]
macro_rules! register {
    ($kind:ident, $name:literal, $type:ident, $summary:literal $(,)?) => {
        $crate::register!(@entry $kind, $name, $summary, $type, [$type] [$type]);
    };
    ($kind:ident, $name:literal, $type:ident, $summary:literal, options = $options:ty $(,)?) => {
        $crate::register!(@entry $kind, $name, $summary, $options, [$type] [$type]);
    };
    ($kind:ident, $name:literal, $type:ident<B>, $summary:literal, options = $options:ty $(,)?) => {
        $crate::register!(
            @entry $kind, $name, $summary, $options,
            [$type<$crate::backend::Cpu>] [$type<$crate::backend::Cuda>]
        );
    };
    (@entry $kind:ident, $name:literal, $summary:literal, $options:ty, [$cpu:ty] $cuda:tt) => {
        $crate::plugins::registry::inventory::submit! {
            $crate::plugins::registry::Entry {
                kind: $crate::plugins::registry::Kind::$kind,
                name: $name,
                summary: $summary,
                krate: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                docs: <$options as $crate::options::OptionSet>::docs,
                check: $crate::plugins::registry::check::<$options, $cpu>,
                undeclared: <$options as $crate::options::OptionSet>::undeclared,
                idle: $crate::plugins::registry::idle::<$options>,
                makers: $crate::makers!($kind, $options, [$cpu] $cuda),
            }
        }
    };
}

/// Constructors for every device; the framework's features decide which these are, not those of the crate that
/// registers.
#[cfg(not(feature = "cuda"))]
#[doc(hidden)]
#[macro_export]
macro_rules! makers {
    ($kind:ident, $options:ty, [$cpu:ty] $cuda:tt) => {
        $crate::plugins::registry::Makers { cpu: $crate::maker!($kind, $options, $cpu) }
    };
}

/// Constructors for every device; the framework's features decide which these are, not those of the crate that
/// registers.
#[cfg(feature = "cuda")]
#[doc(hidden)]
#[macro_export]
macro_rules! makers {
    ($kind:ident, $options:ty, [$cpu:ty] [$cuda:ty]) => {
        $crate::plugins::registry::Makers {
            cpu: $crate::maker!($kind, $options, $cpu),
            cuda: $crate::maker!($kind, $options, $cuda),
        }
    };
}

/// The constructor for one device.
#[doc(hidden)]
#[macro_export]
macro_rules! maker {
    ($kind:ident, $options:ty, $type:ty) => {
        $crate::plugins::registry::DeviceMaker::$kind(|options| {
            Ok(Box::new($crate::plugins::registry::build::<$options, $type>(options)?))
        })
    };
}
