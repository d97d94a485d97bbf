//! The letter forms: strokes in the unit square, x to the right and y down.

use Piece::{Arc, To};

/// A part of a stroke; parts are joined by straight lines.
#[derive(Clone, Copy)]
pub(super) enum Piece {
    /// A line to (x, y), or the stroke's start.
    To(f32, f32),
    /// Part of an ellipse: centre x and y, radii along x and y, first and last angle in degrees, clockwise from the
    /// right.
    Arc(f32, f32, f32, f32, f32, f32),
}

/// A digit's forms; each is a few strokes.
type Forms = &'static [&'static [&'static [Piece]]];

pub(super) const DIGITS: [Forms; 10] = [
    &[
        &[&[Arc(0.5, 0.5, 0.32, 0.45, -90.0, 270.0)]],
        &[&[Arc(0.5, 0.5, 0.21, 0.46, -90.0, 270.0)]],
        &[&[Arc(0.5, 0.5, 0.36, 0.4, -50.0, 285.0)]],
    ],
    &[
        &[&[To(0.5, 0.04), To(0.5, 0.96)]],
        &[&[To(0.28, 0.27), To(0.54, 0.04), To(0.54, 0.96)]],
        &[&[To(0.3, 0.25), To(0.52, 0.05), To(0.52, 0.95)], &[To(0.26, 0.95), To(0.78, 0.95)]],
    ],
    &[
        &[&[Arc(0.5, 0.3, 0.29, 0.25, -170.0, 40.0), To(0.18, 0.95), To(0.84, 0.95)]],
        &[&[Arc(0.48, 0.28, 0.28, 0.23, -180.0, 55.0), To(0.22, 0.88), To(0.4, 0.84), To(0.62, 0.94), To(0.86, 0.88)]],
        &[&[
            Arc(0.5, 0.28, 0.28, 0.24, -150.0, 60.0),
            To(0.38, 0.8),
            Arc(0.27, 0.83, 0.12, 0.1, -10.0, -330.0),
            To(0.85, 0.93),
        ]],
    ],
    &[
        &[&[Arc(0.47, 0.28, 0.27, 0.22, -150.0, 85.0), Arc(0.47, 0.72, 0.31, 0.23, -85.0, 150.0)]],
        &[&[To(0.2, 0.07), To(0.76, 0.07), To(0.44, 0.41), Arc(0.45, 0.68, 0.31, 0.27, -80.0, 150.0)]],
        &[&[Arc(0.46, 0.25, 0.24, 0.2, -140.0, 60.0), To(0.4, 0.46), Arc(0.44, 0.7, 0.36, 0.25, -75.0, 120.0)]],
    ],
    &[
        &[&[To(0.3, 0.06), To(0.18, 0.6), To(0.86, 0.6)], &[To(0.68, 0.3), To(0.62, 0.96)]],
        &[&[To(0.66, 0.96), To(0.66, 0.04), To(0.14, 0.66), To(0.9, 0.66)]],
        &[&[To(0.24, 0.08), To(0.24, 0.5), To(0.74, 0.52)], &[To(0.76, 0.06), To(0.74, 0.95)]],
    ],
    &[
        &[&[To(0.8, 0.06), To(0.3, 0.06), To(0.26, 0.46), Arc(0.46, 0.67, 0.31, 0.27, -125.0, 140.0)]],
        &[
            &[To(0.34, 0.1), To(0.3, 0.42), Arc(0.45, 0.67, 0.27, 0.28, -110.0, 155.0)],
            &[To(0.34, 0.1), To(0.82, 0.03)],
        ],
        &[&[Arc(0.55, 0.3, 0.3, 0.22, -45.0, -230.0), To(0.55, 0.5), Arc(0.46, 0.71, 0.3, 0.23, -65.0, 160.0)]],
    ],
    &[
        &[&[Arc(0.72, 0.68, 0.5, 0.62, -95.0, -180.0), Arc(0.5, 0.68, 0.28, 0.26, 180.0, -180.0)]],
        &[&[To(0.64, 0.04), To(0.28, 0.58), Arc(0.5, 0.7, 0.24, 0.24, 205.0, -150.0)]],
        &[&[To(0.32, 0.05), To(0.24, 0.6), Arc(0.5, 0.7, 0.27, 0.22, 195.0, -165.0)]],
    ],
    &[
        &[&[To(0.16, 0.08), To(0.84, 0.08), To(0.42, 0.96)]],
        &[&[To(0.18, 0.08), To(0.82, 0.08), To(0.4, 0.96)], &[To(0.34, 0.5), To(0.78, 0.48)]],
        &[&[To(0.16, 0.2), To(0.2, 0.08), To(0.82, 0.1), Arc(1.0, 0.95, 0.5, 0.62, -115.0, -180.0)]],
    ],
    &[
        &[&[Arc(0.5, 0.27, 0.23, 0.21, 90.0, 450.0)], &[Arc(0.5, 0.71, 0.29, 0.24, -90.0, 270.0)]],
        &[&[Arc(0.5, 0.26, 0.24, 0.2, -20.0, -220.0), Arc(0.5, 0.72, 0.28, 0.23, -40.0, 220.0), To(0.72, 0.22)]],
        &[&[Arc(0.5, 0.3, 0.2, 0.25, 90.0, 450.0)], &[Arc(0.5, 0.75, 0.22, 0.2, -90.0, 270.0)]],
    ],
    &[
        &[&[Arc(0.5, 0.3, 0.26, 0.24, 0.0, -360.0), To(0.72, 0.96)]],
        &[&[Arc(0.5, 0.3, 0.26, 0.24, 0.0, -360.0), Arc(0.3, 0.35, 0.46, 0.6, 5.0, 85.0)]],
        &[&[Arc(0.46, 0.28, 0.26, 0.22, -20.0, -340.0)], &[To(0.74, 0.08), To(0.7, 0.55), To(0.52, 0.96)]],
    ],
];

/// Degrees between two points of an arc.
const STEP: f32 = 20.0;

impl Piece {
    /// Moves every position and radius by what `change` says; angles stay.
    pub(super) fn map(self, mut change: impl FnMut(f32) -> f32) -> Self {
        match self {
            To(x, y) => To(change(x), change(y)),
            Arc(x, y, rx, ry, from, to) => Arc(change(x), change(y), change(rx), change(ry), from, to),
        }
    }

    /// Appends the piece's points.
    pub(super) fn trace(self, points: &mut Vec<[f32; 2]>) {
        match self {
            To(x, y) => points.push([x, y]),
            Arc(x, y, rx, ry, from, to) => {
                let steps = ((to - from).abs() / STEP).ceil();
                points.extend((0..=steps as usize).map(|i| {
                    let (sin, cos) = (from + (to - from) * i as f32 / steps).to_radians().sin_cos();
                    [x + rx * cos, y + ry * sin]
                }));
            }
        }
    }
}
