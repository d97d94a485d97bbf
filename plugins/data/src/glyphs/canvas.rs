//! A small grey image that strokes are drawn on.

use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;

/// Side of the image in pixels.
pub(super) const SIDE: usize = 28;
/// Half the width of the soft edge of a stroke, in pixels.
const EDGE: f32 = 0.7;

/// Brightness of each pixel; 0 is black, 1 is white.
pub(super) struct Canvas([f32; SIDE * SIDE]);

impl Canvas {
    pub(super) fn new() -> Self {
        Self([0.0; SIDE * SIDE])
    }

    /// Draws a line through the points; where strokes meet, the brighter one stays.
    pub(super) fn stroke(&mut self, points: &[[f32; 2]], half_width: f32, ink: f32) {
        for pair in points.windows(2) {
            let reach = half_width + EDGE;
            let near = |axis: usize| span(pair[0][axis].min(pair[1][axis]), pair[0][axis].max(pair[1][axis]), reach);
            self.each(near(0), near(1), |pixel, at| {
                let cover = (half_width + EDGE - distance(at, pair[0], pair[1])) / (2.0 * EDGE);
                *pixel = pixel.max(ink * cover.clamp(0.0, 1.0));
            });
        }
    }

    /// Fades everything within about `radius` of a spot.
    pub(super) fn rub_out(&mut self, spot: [f32; 2], radius: f32) {
        let near = |axis: usize| span(spot[axis], spot[axis], radius + EDGE);
        self.each(near(0), near(1), |pixel, at| {
            let left = (distance(at, spot, spot) - radius + EDGE) / (2.0 * EDGE);
            *pixel *= left.clamp(0.0, 1.0);
        });
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
        for (byte, pixel) in image.iter_mut().zip(self.0) {
            // Float to integer casts saturate.
            *byte = (pixel * 255.0).round() as u8;
        }
    }

    fn each(
        &mut self,
        columns: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        change: impl Fn(&mut f32, [f32; 2]),
    ) {
        for y in rows {
            for x in columns.clone() {
                change(&mut self.0[y * SIDE + x], [x as f32 + 0.5, y as f32 + 0.5]);
            }
        }
    }
}

/// The pixels whose centres can lie within `reach` of [low, high].
fn span(low: f32, high: f32, reach: f32) -> std::ops::Range<usize> {
    let end = ((high + reach).ceil() as usize).min(SIDE);
    ((low - reach).floor() as usize).min(end)..end
}

/// From a point to the segment a-b.
fn distance(point: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let (px, py) = (point[0] - a[0], point[1] - a[1]);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (ex, ey) = (px - along * dx, py - along * dy);
    (ex * ex + ey * ey).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_to_the_nearest_point_of_the_segment() {
        let (a, b) = ([0.0, 0.0], [4.0, 0.0]);
        assert_eq!(distance([2.0, 3.0], a, b), 3.0);
        assert_eq!(distance([-3.0, 4.0], a, b), 5.0);
        assert_eq!(distance([7.0, 4.0], a, b), 5.0);
        assert_eq!(distance([3.0, 4.0], a, a), 5.0);
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

    #[test]
    fn strokes_outside_the_image_are_cut_off() {
        let mut canvas = Canvas::new();
        canvas.stroke(&[[-50.0, -9.0], [90.0, -9.0], [90.0, 90.0]], 1.0, 1.0);
        assert!(canvas.0.iter().all(|&v| v == 0.0));
    }
}
