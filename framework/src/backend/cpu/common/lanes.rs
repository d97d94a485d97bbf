//! Vector registers by name, for the few loops whose accumulators must stay in them.
//!
//! Everything else relies on the compiler's own vectorisation (see [`simd`](super::simd)); blocks of dozens of
//! accumulators it would keep in memory.

use super::simd::{Level, level};

/// A register of `f32`.
pub(crate) trait Lanes: Copy {
    /// Numbers in it.
    const WIDTH: usize;

    /// All lanes equal.
    ///
    /// # Safety
    /// The processor has the register's instructions.
    unsafe fn splat(x: f32) -> Self;

    /// Reads [`Self::WIDTH`] numbers.
    ///
    /// # Safety
    /// The processor has the register's instructions, and that many numbers can be read.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes [`Self::WIDTH`] numbers.
    ///
    /// # Safety
    /// The processor has the register's instructions, and that many numbers can be written.
    unsafe fn store(self, to: *mut f32);

    /// self + a b.
    ///
    /// # Safety
    /// The processor has the register's instructions.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// The sums over the lanes of the first [`Self::WIDTH`] registers, each in the lane of its register's number.
    ///
    /// # Safety
    /// The processor has the register's instructions.
    unsafe fn across(registers: &[Self; 16]) -> Self;
}

/// A loop that is written once for all registers.
pub(crate) trait Kernel {
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn run<V: Lanes>(self);
}

/// Runs a kernel compiled for the processor.
pub(crate) fn dispatch(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(kernel: impl Kernel) {
            // SAFETY: this function has the features.
            unsafe { kernel.run::<std::arch::x86_64::__m512>() }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(kernel: impl Kernel) {
            // SAFETY: as above.
            unsafe { kernel.run::<std::arch::x86_64::__m256>() }
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(kernel) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor has these.
    unsafe { kernel.run::<Portable>() }
}

/// Sum of the lanes, in pairs.
///
/// # Safety
/// The processor has the register's instructions.
#[inline(always)]
pub(crate) unsafe fn sum<V: Lanes>(v: V) -> f32 {
    let mut lanes = [0.0; 16];
    // SAFETY: a register has at most 16 lanes.
    unsafe { v.store(lanes.as_mut_ptr()) };
    let mut width = V::WIDTH / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Four numbers on any processor.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Lanes for Portable {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; arrays of f32 need no more alignment than f32.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // Not fused: without the instruction a fused product is a call of a slow function.
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn across(registers: &[Self; 16]) -> Self {
        let sum = |[a, b, c, d]: [f32; 4]| (a + c) + (b + d);
        Self(std::array::from_fn(|i| sum(registers[i].0)))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    impl Lanes for __m512 {
        const WIDTH: usize = 16;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn across(v: &[Self; 16]) -> Self {
            // SAFETY: the caller's promise.
            unsafe {
                fold512(
                    fold512(four512(v[0], v[1], v[2], v[3]), four512(v[4], v[5], v[6], v[7])),
                    fold512(four512(v[8], v[9], v[10], v[11]), four512(v[12], v[13], v[14], v[15])),
                )
            }
        }
    }

    // Functions, for a closure would not be compiled for the caller's instructions: each of them would be a call.

    /// Sums of the pairs of lanes of two registers.
    #[inline(always)]
    unsafe fn two512(a: __m512, b: __m512) -> __m512d {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))) }
    }

    /// Sums of each quarter of four registers, side by side in that quarter.
    #[inline(always)]
    unsafe fn four512(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = (two512(a, b), two512(c, d));
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)))
        }
    }

    /// Sums of neighbouring quarters: those of `a` in the lower half, those of `b` in the upper.
    #[inline(always)]
    unsafe fn fold512(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b)) }
    }

    #[inline(always)]
    unsafe fn two256(a: __m256, b: __m256) -> __m256d {
        // SAFETY: the caller's promise.
        unsafe { _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))) }
    }

    /// Sums of each half of four registers, side by side in that half.
    #[inline(always)]
    unsafe fn four256(a: __m256, b: __m256, c: __m256, d: __m256) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = (two256(a, b), two256(c, d));
            _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)))
        }
    }

    impl Lanes for __m256 {
        const WIDTH: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn across(v: &[Self; 16]) -> Self {
            // SAFETY: the caller's promise.
            unsafe {
                let (a, b) = (four256(v[0], v[1], v[2], v[3]), four256(v[4], v[5], v[6], v[7]));
                _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
            }
        }
    }
}
