//! A small grey image that strokes are drawn on.

use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;

/// Side of the image in pixels.
pub(super) const SIDE: usize = 28;
/// Half the width of the soft edge of a stroke, in pixels.
const EDGE: f32 = 0.7;
/// Pixels that a vector of every x86-64 holds; rows are whole vectors.
const LANES: usize = 4;
/// From here on numbers are whole.
const WHOLE: f32 = (1 << 23) as f32;

/// Brightness of each pixel; 0 is black, 1 is white.
pub(super) struct Canvas([f32; SIDE * SIDE]);

impl Canvas {
    pub(super) fn new() -> Self {
        Self([0.0; SIDE * SIDE])
    }

    /// Draws a line through the points; where strokes meet, the brighter one stays.
    pub(super) fn stroke(&mut self, points: &[[f32; 2]], half_width: f32, ink: f32) {
        let reach = half_width + EDGE;
        // Ink fades with the distance and roundings keep order, so that the nearest segment alone decides.
        let mut nearest = [f32::INFINITY; SIDE * SIDE];
        let [mut top, mut left] = [SIDE; 2];
        let [mut bottom, mut right] = [0; 2];
        for pair in points.windows(2) {
            let near = |axis: usize| span(pair[0][axis].min(pair[1][axis]), pair[0][axis].max(pair[1][axis]), reach);
            let (columns, rows) = (near(0), near(1));
            // Vectors of whole pixels: those beyond the span are out of reach, and their cover is 0.
            let columns = columns.start / LANES * LANES..columns.end.next_multiple_of(LANES);
            let segment = Segment::new(pair[0], pair[1]);
            for y in rows.clone() {
                let row = nearest[y * SIDE..][columns.clone()].as_chunks_mut::<LANES>().0;
                for (first, pixels) in columns.clone().step_by(LANES).zip(row) {
                    for (lane, pixel) in pixels.iter_mut().enumerate() {
                        let square = segment.square([(first + lane) as f32 + 0.5, y as f32 + 0.5]);
                        *pixel = if square < *pixel { square } else { *pixel };
                    }
                }
            }
            (top, bottom) = (top.min(rows.start), bottom.max(rows.end));
            (left, right) = (left.min(columns.start), right.max(columns.end));
        }
        for y in (top..bottom).filter(|_| left < right) {
            let row = y * SIDE + left..y * SIDE + right;
            for (pixel, square) in self.0[row.clone()].iter_mut().zip(&nearest[row]) {
                let cover = (reach - square.sqrt()) / (2.0 * EDGE);
                *pixel = pixel.max(ink * cover.clamp(0.0, 1.0));
            }
        }
    }

    /// Fades everything within about `radius` of a spot.
    pub(super) fn rub_out(&mut self, spot: [f32; 2], radius: f32) {
        let near = |axis: usize| span(spot[axis], spot[axis], radius + EDGE);
        let segment = Segment::new(spot, spot);
        for y in near(1) {
            for x in near(0) {
                let distance = segment.square([x as f32 + 0.5, y as f32 + 0.5]).sqrt();
                let left = (distance - radius + EDGE) / (2.0 * EDGE);
                self.0[y * SIDE + x] *= left.clamp(0.0, 1.0);
            }
        }
    }

    pub(super) fn add_noise(&mut self, deviation: f32, random: &mut impl Rng) {
        if deviation > 0.0 {
            for pixel in &mut self.0 {
                let sample: f32 = random.sample(StandardNormal);
                *pixel += deviation * sample;
            }
        }
    }

    pub(super) fn write(&self, image: &mut [u8]) {
        for (byte, pixel) in image.iter_mut().zip(&self.0) {
            let level = (pixel * 255.0).clamp(0.0, 255.0);
            // The last bits of the sum are the nearest whole number, of two equally near ones the even one: halves go up.
            let sum = level + WHOLE;
            let half = level - (sum - WHOLE) == 0.5;
            *byte = (sum.to_bits() + u32::from(half)) as u8;
        }
    }
}

/// The pixels whose centres can lie within `reach` of [low, high].
fn span(low: f32, high: f32, reach: f32) -> std::ops::Range<usize> {
    let end = ((high + reach).ceil() as usize).min(SIDE);
    ((low - reach).floor() as usize).min(end)..end
}

/// The straight line between two points.
struct Segment {
    from: [f32; 2],
    to_end: [f32; 2],
    /// Squared, in pixels.
    length: f32,
}

impl Segment {
    fn new(from: [f32; 2], to: [f32; 2]) -> Self {
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        Self { from, to_end: [dx, dy], length: dx * dx + dy * dy }
    }

    /// The square of the distance from a point to the nearest one of the segment.
    #[inline(always)]
    fn square(&self, point: [f32; 2]) -> f32 {
        let [dx, dy] = self.to_end;
        let (px, py) = (point[0] - self.from[0], point[1] - self.from[1]);
        let along = if self.length > 0.0 { ((px * dx + py * dy) / self.length).clamp(0.0, 1.0) } else { 0.0 };
        let (ex, ey) = (px - along * dx, py - along * dy);
        ex * ex + ey * ey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_to_the_nearest_point_of_the_segment() {
        let (a, b) = ([0.0, 0.0], [4.0, 0.0]);
        let segment = Segment::new(a, b);
        assert_eq!(segment.square([2.0, 3.0]), 9.0);
        assert_eq!(segment.square([-3.0, 4.0]), 25.0);
        assert_eq!(segment.square([7.0, 4.0]), 25.0);
        assert_eq!(Segment::new(a, a).square([3.0, 4.0]), 25.0);
    }

    #[test]
    fn a_stroke_is_bright_inside_and_black_outside() {
        let mut canvas = Canvas::new();
        canvas.stroke(&[[4.5, 10.5], [20.5, 10.5]], 1.0, 0.8);
        let at = |canvas: &Canvas, x: usize, y: usize| canvas.0[y * SIDE + x];
        assert_eq!(at(&canvas, 12, 10), 0.8);
        assert_eq!(at(&canvas, 12, 13), 0.0);
        assert_eq!(at(&canvas, 24, 10), 0.0);
        let edge = at(&canvas, 12, 11);
        assert!(edge > 0.0 && edge < 0.8, "{edge}");
        canvas.rub_out([12.5, 10.5], 2.0);
        assert_eq!((at(&canvas, 12, 10), at(&canvas, 18, 10)), (0.0, 0.8));
    }

    /// As one would write it: pixel by pixel over the whole image.
    fn plain_stroke(canvas: &mut Canvas, points: &[[f32; 2]], half_width: f32, ink: f32) {
        for pair in points.windows(2) {
            let segment = Segment::new(pair[0], pair[1]);
            for (i, pixel) in canvas.0.iter_mut().enumerate() {
                let distance = segment.square([(i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5]).sqrt();
                *pixel = pixel.max(ink * ((half_width + EDGE - distance) / (2.0 * EDGE)).clamp(0.0, 1.0));
            }
        }
    }

    #[test]
    fn strokes_and_bytes_are_those_of_plain_loops_to_the_last_bit() {
        let mut random = secateur::prelude::Seed(3).numbered(secateur::data::purpose::EXAMPLE, 0, 0);
        for _ in 0..200 {
            let count = random.random_range(1..5);
            let points: Vec<[f32; 2]> = (0..count).map(|_| [(); 2].map(|()| random.random_range(-6.0..34.0))).collect();
            // A stroke may stand still, too.
            let points = [&points[..], &points[count - 1..]].concat();
            let (half_width, ink) = (random.random_range(0.5..1.6), random.random_range(0.3..1.0));
            let (mut found, mut expected) = (Canvas::new(), Canvas::new());
            found.stroke(&points, half_width, ink);
            plain_stroke(&mut expected, &points, half_width, ink);
            assert_eq!(found.0.map(f32::to_bits), expected.0.map(f32::to_bits), "{points:?}");
            found.add_noise(0.3, &mut random);
            let (mut bytes, rounded) = ([0; SIDE * SIDE], found.0.map(|pixel| (pixel * 255.0).round() as u8));
            found.write(&mut bytes);
            assert_eq!(bytes, rounded);
        }
        let halves: [f32; SIDE * SIDE] = std::array::from_fn(|i| (i as f32 - 300.0) * 0.5 / 255.0);
        let mut bytes = [0; SIDE * SIDE];
        Canvas(halves).write(&mut bytes);
        assert_eq!(bytes, halves.map(|pixel| (pixel * 255.0).round() as u8));
    }

    #[test]
    fn strokes_outside_the_image_are_cut_off() {
        let mut canvas = Canvas::new();
        canvas.stroke(&[[-50.0, -9.0], [90.0, -9.0], [90.0, 90.0]], 1.0, 1.0);
        assert!(canvas.0.iter().all(|&v| v == 0.0));
    }
}
