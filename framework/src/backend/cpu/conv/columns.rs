//! The patches of an image that a convolution sees, as columns of a matrix.

use crate::backend::Patches;
use crate::backend::cpu::common::simd::simd_fn;

impl Patches {
    /// cols [depth, windows] from the image; all of `cols` is overwritten.
    pub(in crate::backend::cpu) fn to_columns(self, image: &[f32], cols: &mut [f32]) {
        to_columns(self, image, cols);
    }

    /// Adds each element of cols [depth, windows] to the element of the image it came from.
    pub(in crate::backend::cpu) fn add_columns(self, cols: &[f32], image: &mut [f32]) {
        add_columns(self, cols, image);
    }
}

simd_fn! { fn to_columns(p: Patches, image: &[f32], cols: &mut [f32]) {
    let (down, across) = p.windows();
    let (kh, kw) = p.kernel;
    for (element, cols) in cols.chunks_exact_mut((down * across).max(1)).enumerate() {
        let (channel, ky, kx) = (element / (kh * kw), element / kw % kh, element % kw);
        let plane = &image[channel * p.height * p.width..][..p.height * p.width];
        let inside = p.inside(kx, across);
        for (w, out) in cols.chunks_exact_mut(across).enumerate() {
            let Some(row) = p.row(w, ky).filter(|_| !inside.is_empty()) else {
                out.fill(0.0);
                continue;
            };
            out[..inside.start].fill(0.0);
            out[inside.end..].fill(0.0);
            let from = &plane[row * p.width..][..p.width][inside.start * p.stride + kx - p.padding..];
            let out = &mut out[inside.clone()];
            if p.stride == 1 {
                out.copy_from_slice(&from[..out.len()]);
            } else {
                for (out, &v) in out.iter_mut().zip(from.iter().step_by(p.stride)) {
                    *out = v;
                }
            }
        }
    }
} }

simd_fn! { fn add_columns(p: Patches, cols: &[f32], image: &mut [f32]) {
    let (down, across) = p.windows();
    let (kh, kw) = p.kernel;
    for (element, cols) in cols.chunks_exact((down * across).max(1)).enumerate() {
        let (channel, ky, kx) = (element / (kh * kw), element / kw % kh, element % kw);
        let plane = &mut image[channel * p.height * p.width..][..p.height * p.width];
        let inside = p.inside(kx, across);
        for (w, from) in cols.chunks_exact(across).enumerate() {
            let Some(row) = p.row(w, ky).filter(|_| !inside.is_empty()) else { continue };
            let out = &mut plane[row * p.width..][..p.width][inside.start * p.stride + kx - p.padding..];
            let from = &from[inside.clone()];
            if p.stride == 1 {
                for (out, &v) in out.iter_mut().zip(from) {
                    *out += v;
                }
            } else {
                for (out, &v) in out.iter_mut().step_by(p.stride).zip(from) {
                    *out += v;
                }
            }
        }
    }
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::random;

    #[test]
    fn columns_are_the_windows() {
        for (height, width, kernel, stride, padding) in [
            (5, 7, (3, 3), 1, 1),
            (8, 6, (4, 4), 2, 1),
            (4, 4, (1, 1), 1, 0),
            (5, 5, (2, 3), 3, 2),
            (3, 3, (5, 5), 1, 2),
        ] {
            let p = Patches { channels: 2, height, width, kernel, stride, padding };
            let (down, across) = p.windows();
            let image = random(p.image(), 1);
            let mut cols = vec![f32::NAN; p.depth() * down * across];
            p.to_columns(&image, &mut cols);
            let weights = random(cols.len(), 2);
            let mut back = vec![0.0; image.len()];
            p.add_columns(&weights, &mut back);
            let mut expected = vec![0.0_f32; image.len()];
            for (i, &v) in cols.iter().enumerate() {
                let (element, w) = (i / (down * across), i % (down * across));
                let (c, ky, kx) = (element / (kernel.0 * kernel.1), element / kernel.1 % kernel.0, element % kernel.1);
                let row = (w / across * stride + ky) as isize - padding as isize;
                let col = (w % across * stride + kx) as isize - padding as isize;
                let inside = (0..height as isize).contains(&row) && (0..width as isize).contains(&col);
                let at = if inside { (c * height + row as usize) * width + col as usize } else { 0 };
                assert_eq!(v, if inside { image[at] } else { 0.0 });
                if inside {
                    expected[at] += weights[i];
                }
            }
            assert!(back.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}
