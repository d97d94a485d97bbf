//! Tiles of AMX: `tdpbf16ps` multiplies 16 rows of 32 numbers by 32 numbers of 16 columns.
//!
//! The intrinsics are not stable, inline assembly is. Which tiles are loaded from where, and what becomes of their sums,
//! is tested on any machine, with the instructions emulated; the instructions themselves only where there are some.

use super::Place;
use super::unit::LANES;
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Side of the square of sums that is computed at once, in f32: two by two tiles.
const SIDE: usize = 2 * LANES;

/// Whether this process may use the tiles: the processor has them, the system saves them, and it gave the permission.
pub(super) fn permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| has_tiles() && is_x86_feature_detected!("xsave") && saved_by_system() && permission())
}

/// CPUID leaf 7: AMX-BF16 and AMX-TILE.
fn has_tiles() -> bool {
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    let most = __cpuid_count(0, 0).eax;
    most >= 7 && __cpuid_count(7, 0).edx & BF16_AND_TILE == BF16_AND_TILE
}

/// XCR0: the system saves the tiles' configuration and their data.
fn saved_by_system() -> bool {
    let (low, _high): (u32, u32);
    // SAFETY: the caller found XSAVE, which the system enables together with this instruction; it reads a register alone.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _high, options(nomem, nostack, preserves_flags));
    }
    low >> 17 & 3 == 3
}

/// Asks Linux for the tiles' data, once a process: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
#[cfg(target_os = "linux")]
fn permission() -> bool {
    let answer: isize;
    // SAFETY: the call changes what the process may use, and nothing else.
    unsafe {
        asm!("syscall", inlateout("rax") 158_isize => answer, in("rdi") 0x1023, in("rsi") 18, out("rcx") _, out("r11") _,
             options(nostack));
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn permission() -> bool {
    false
}

/// Computes a place.
///
/// # Safety
/// [`permitted`] said so; the place lies inside its matrices, and both sides are packed to whole registers.
pub(super) unsafe fn block(place: Place) {
    // SAFETY: the caller's promise.
    unsafe {
        configure();
        squares(place, |tiles, sums| multiply(tiles, sums));
        asm!("tilerelease", options(nomem, nostack));
    }
}

/// Two by two tiles, and how far it is to the next ones along the depth.
#[derive(Clone, Copy)]
struct Tiles {
    a: [*const u32; 2],
    a_stride: usize,
    b: [*const u32; 2],
    b_stride: usize,
    /// Tiles along the depth, at least one.
    steps: usize,
}

/// All squares of a place; `multiply` overwrites the sums of one.
///
/// # Safety
/// The place lies inside its matrices, and both sides are packed to whole registers.
unsafe fn squares(place: Place, mut multiply: impl FnMut(Tiles, &mut [f32; SIDE * SIDE])) {
    let mut sums = [0.0; SIDE * SIDE];
    let steps = place.depth.div_ceil(LANES);
    for top in (0..place.rows).step_by(SIDE) {
        for left in (0..place.cols).step_by(SIDE) {
            let (rows, cols) = (SIDE.min(place.rows - top), SIDE.min(place.cols - left));
            if steps > 0 {
                // Where there is one tile alone, it is computed twice, and the second sums are left where they are.
                let lower = top + if rows > LANES { LANES } else { 0 };
                let right = left + if cols > LANES { LANES } else { 0 };
                let a = [top, lower].map(|row| place.a.wrapping_add(row * place.a_stride));
                let b = [left, right].map(|col| place.b.wrapping_add(col));
                multiply(Tiles { a, a_stride: place.a_stride, b, b_stride: place.b_stride, steps }, &mut sums);
            }
            for r in 0..rows {
                for (c, sum) in sums[r * SIDE..][..cols].iter().enumerate() {
                    let (row, col) = (top + r, left + c);
                    // SAFETY: the element is in the place.
                    unsafe {
                        let old = if place.old.is_null() { 0.0 } else { *place.old.add(row * place.old_stride + col) };
                        *place.c.add(row * place.c_stride + col) = old + place.alpha * (*place.first.add(col) + sum);
                    }
                }
            }
        }
    }
}

/// All tiles are 16 rows of 64 bytes.
///
/// # Safety
/// The process may use the tiles.
unsafe fn configure() {
    #[repr(align(64))]
    struct Config([u8; 64]);
    const CONFIG: Config = {
        let mut config = [0; 64];
        config[0] = 1; // palette
        let mut tile = 0;
        while tile < 8 {
            config[16 + 2 * tile] = 64; // bytes of a row
            config[48 + tile] = 16; // rows
            tile += 1;
        }
        Config(config)
    };
    let config = CONFIG;
    // SAFETY: the caller's promise; the configuration is 64 bytes long.
    unsafe { asm!("ldtilecfg [{}]", in(reg) config.0.as_ptr(), options(readonly, nostack)) }
}

/// sums = the product of the tiles, row after row.
///
/// # Safety
/// The tiles are configured, and lie inside packed sides.
unsafe fn multiply(tiles: Tiles, sums: &mut [f32; SIDE * SIDE]) {
    // SAFETY: the caller's promise; what is written is as long as the sums are: 32 rows of 128 bytes.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{upper} + {a_stride}*1]",
            "tileloadd tmm6, [{left} + {b_stride}*1]",
            "tileloadd tmm7, [{right} + {b_stride}*1]",
            "tileloadd tmm5, [{lower} + {a_stride}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, 64",
            "add {lower}, 64",
            "add {left}, {down}",
            "add {right}, {down}",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{sums} + {row}*1], tmm0",
            "tilestored [{sums} + {row}*1 + 64], tmm1",
            "tilestored [{sums} + {row}*1 + 2048], tmm2",
            "tilestored [{sums} + {row}*1 + 2112], tmm3",
            upper = inout(reg) tiles.a[0] => _,
            lower = inout(reg) tiles.a[1] => _,
            left = inout(reg) tiles.b[0] => _,
            right = inout(reg) tiles.b[1] => _,
            a_stride = in(reg) 4 * tiles.a_stride,
            b_stride = in(reg) 4 * tiles.b_stride,
            down = in(reg) 4 * LANES * tiles.b_stride,
            steps = inout(reg) tiles.steps => _,
            sums = in(reg) sums.as_mut_ptr(),
            row = in(reg) 4 * SIDE,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WIDEST, pack, portable, words_of};
    use super::*;
    use crate::backend::cpu::common::matrix::Mat;
    use crate::backend::cpu::common::testing::random;

    /// What the instructions are said to do.
    unsafe fn emulated(tiles: Tiles, sums: &mut [f32; SIDE * SIDE]) {
        for (e, sum) in sums.iter_mut().enumerate() {
            let (r, c) = (e / SIDE, e % SIDE);
            *sum = 0.0;
            for i in 0..LANES * tiles.steps {
                // SAFETY: as for `multiply`.
                let (a, b) = unsafe {
                    let a = tiles.a[r / LANES].add(r % LANES * tiles.a_stride + i).read();
                    (a, tiles.b[c / LANES].add(i * tiles.b_stride + c % LANES).read())
                };
                let ((a_low, a_high), (b_low, b_high)) = (portable::halves(a), portable::halves(b));
                *sum += a_high * b_high;
                *sum += a_low * b_low;
            }
        }
    }

    #[test]
    fn tiles_cover_a_place_as_plain_code_does() {
        for (m, n, k) in [(1, 1, 1), (17, 33, 40), (33, 64, 65), (100, 48, 96), (64, 16, 0)] {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let (stride, width) = (words_of(k), n.next_multiple_of(LANES));
            let (mut a_words, mut b_words) = (vec![0; m.next_multiple_of(LANES) * stride], vec![0; stride * width]);
            pack::rows(&mut a_words, stride, Mat::new(&a, m, k));
            pack::columns(&mut b_words, width, Mat::new(&b, k, n));
            let (old, mut first) = (random(m * n, 3), [0.0; WIDEST]);
            first[..n].copy_from_slice(&random(n, 4));
            for (with_old, alpha) in [(false, 1.0), (true, 0.5)] {
                let [plain, tiles, real] = [0, 1, 2].map(|way| {
                    let mut c = vec![f32::NAN; m * n];
                    let place = Place {
                        a: a_words.as_ptr(),
                        a_stride: stride,
                        b: b_words.as_ptr(),
                        b_stride: width,
                        c: c.as_mut_ptr(),
                        c_stride: n,
                        old: if with_old { old.as_ptr() } else { std::ptr::null() },
                        old_stride: n,
                        first: first.as_ptr(),
                        alpha,
                        rows: m,
                        cols: n,
                        depth: k.div_ceil(2),
                        past_caches: false,
                    };
                    // SAFETY: the place lies inside the matrices, which are packed to whole registers.
                    unsafe {
                        match way {
                            0 => portable::block(place),
                            1 => squares(place, |tiles, sums| emulated(tiles, sums)),
                            _ if permitted() => block(place),
                            _ => {
                                eprintln!("NOT RUN: this machine has no AMX, so its instructions are not tried");
                                return None;
                            }
                        }
                    }
                    Some(c)
                });
                for found in [tiles, real].into_iter().flatten() {
                    for (i, (found, expected)) in found.iter().zip(plain.iter().flatten()).enumerate() {
                        assert!((found - expected).abs() <= 1e-5, "[{m}, {n}, {k}], {i}: {found}, not {expected}");
                    }
                }
            }
        }
    }
}
