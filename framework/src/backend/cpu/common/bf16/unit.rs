//! What multiplies: the instructions for bf16 that the processor has.

use super::{Place, portable};
#[cfg(target_arch = "x86_64")]
use super::{amx, tiles};

/// 32-bit words of a register.
pub(super) const LANES: usize = 16;

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Plain code: what the instructions do, number by number. Right, and slow.
    Portable,
    /// AVX512-BF16: `vdpbf16ps`.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AMX-BF16: `tdpbf16ps`, on a processor that has AVX512-BF16 as well.
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Unit {
    /// Its name: `bf16` of AVX512-BF16, `amx` of AMX.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "bf16",
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "amx",
        }
    }

    /// Computes a place.
    ///
    /// # Safety
    /// The processor has the unit; the place lies inside its matrices, and both sides are packed to whole registers.
    pub(super) unsafe fn block(self, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::Portable => portable::block(place),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => tiles::block(place),
                #[cfg(target_arch = "x86_64")]
                Self::Amx => amx::block(place),
            }
        }
    }
}

/// The best unit of this processor; the answer is cached by the standard library.
#[inline]
pub fn unit() -> Unit {
    #[cfg(test)]
    if let Some(forced) = forced::UNIT.get() {
        return forced;
    }
    #[cfg(target_arch = "x86_64")]
    if missing().is_none() {
        return if amx::permitted() { Unit::Amx } else { Unit::Avx512 };
    }
    Unit::Portable
}

/// The first of the instruction sets that is not there.
#[cfg(target_arch = "x86_64")]
fn missing() -> Option<&'static str> {
    let has = [
        ("AVX-512 F", is_x86_feature_detected!("avx512f")),
        ("AVX-512 BW", is_x86_feature_detected!("avx512bw")),
        ("AVX-512 VL", is_x86_feature_detected!("avx512vl")),
        ("AVX512-BF16", is_x86_feature_detected!("avx512bf16")),
    ];
    has.into_iter().find(|(_, has)| !has).map(|(name, _)| name)
}

/// What this processor lacks for products in bf16 at more than the speed of f32: nothing, or the reason in words.
pub fn lacking() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    let missing = missing();
    #[cfg(not(target_arch = "x86_64"))]
    let missing = Some("AVX512-BF16, which x86-64 processors alone have");
    missing.map(|missing| format!("this processor has no {missing}"))
}

#[cfg(test)]
pub(crate) mod forced {
    //! Runs code as on a lesser processor.
    use super::Unit;
    use std::cell::Cell;

    thread_local! { pub static UNIT: Cell<Option<Unit>> = const { Cell::new(None) }; }

    /// Every unit that this machine has, on this thread.
    pub fn each_unit(mut f: impl FnMut(Unit)) {
        let best = super::unit();
        let all = [
            Unit::Portable,
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512,
            #[cfg(target_arch = "x86_64")]
            Unit::Amx,
        ];
        // In the order of what they ask of the processor.
        let there = all.iter().position(|&unit| unit == best).map_or(0, |at| at + 1);
        for unit in all.into_iter().take(there) {
            UNIT.set(Some(unit));
            f(unit);
            UNIT.set(None);
        }
    }
}
