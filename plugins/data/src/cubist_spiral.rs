//! The cubist spiral: two classes of points along two intertwined polygons that a very sparse network can tell apart.
//!
//! Zhang & Papyan 2024, "Sparsest Models Elude Pruning", and its published code (without its optional noise, which is
//! 0 there).

use secateur::prelude::*;
use std::f64::consts::PI;

/// Vertices of each polygon in the paper, which are two turns.
const VERTICES: usize = 17;
/// Distance of each polygon from the spiral between them.
const OFFSET: f64 = 15.0;
/// Every segment needs at least two points; the shortest of the paper's 16 holds 2.4 % of them.
const LEAST: usize = 100;

options! {
    /// The paper's training points. It has no test set: test points lie halfway between neighbouring training points.
    pub struct CubistSpiral {
        /// Points per class, less the few that rounding down on each segment loses.
        #[acts(always)]
        pub per_class: usize = 25_000,
        /// Vertices of each polygon, eight a turn, from the innermost on: fewer than the paper's 17 are an easier task.
        #[acts(always)]
        pub vertices: usize = VERTICES,
    }

    fn check(&self, checks: &mut Checks) {
        let allowed = format!("{LEAST} to 10000000 points are allowed");
        checks.ensure("per_class", (LEAST..=10_000_000).contains(&self.per_class), allowed);
        checks.range("vertices", self.vertices, 3.0..=VERTICES as f64);
    }
}

impl DataSource for CubistSpiral {
    fn open(&self, _: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let polygons = [OFFSET, -OFFSET].map(|offset| polygon(offset, self.vertices));
        let mut train: [Vec<[f64; 2]>; 2] = Default::default();
        let mut test: [Vec<[f64; 2]>; 2] = Default::default();
        for class in 0..2 {
            for (from, to, count) in segments(&polygons[class], self.per_class) {
                // The paper's code walks each segment from its end to its start.
                let at = |t: f64| [0, 1].map(|axis| t * from[axis] + (1.0 - t) * to[axis]);
                let last = (count - 1) as f64;
                train[class].extend((0..count).map(|i| at(i as f64 / last)));
                test[class].extend((0..count - 1).map(|i| at((i as f64 + 0.5) / last)));
            }
        }
        let scale = [0, 1].map(|axis| standard(train.iter().flatten().map(|point| point[axis])));
        Ok(Examples {
            name: "cubist-spiral".to_string(),
            shape: vec![2],
            class_names: ["outer", "inner"].map(str::to_string).to_vec(),
            train: pool(&train, scale),
            validation: None,
            test: TestExamples::Own(pool(&test, scale)),
            origin: DataOrigin::Generated { generator: "cubist-spiral 1", seed: 0 },
            searched: vec![],
        })
    }
}

secateur::register!(
    Data,
    "cubist-spiral",
    CubistSpiral,
    "generated points on two intertwined polygons, 2 classes (Zhang & Papyan 2024)"
);

/// The first of theta = linspace(pi, 5 pi, 17) + 0.4 pi; vertices (10 theta + pi + offset) (cos theta, sin theta).
fn polygon(offset: f64, vertices: usize) -> Vec<[f64; 2]> {
    (0..vertices)
        .map(|i| {
            let theta = PI + 4.0 * PI * i as f64 / (VERTICES - 1) as f64 + 0.4 * PI;
            let radius = 10.0 * theta + PI + offset;
            [radius * theta.cos(), radius * theta.sin()]
        })
        .collect()
}

/// Start, end and number of points of each segment: int(share of the length * per_class).
fn segments(vertices: &[[f64; 2]], per_class: usize) -> Vec<([f64; 2], [f64; 2], usize)> {
    let length = |pair: &[[f64; 2]]| (pair[0][0] - pair[1][0]).hypot(pair[0][1] - pair[1][1]);
    let total: f64 = vertices.windows(2).map(length).sum();
    let count = |pair: &[[f64; 2]]| (length(pair) / total * per_class as f64) as usize;
    vertices.windows(2).map(|pair| (pair[0], pair[1], count(pair))).collect()
}

/// Mean and sample standard deviation (n - 1, as in the paper's code).
fn standard(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, (values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / (count - 1.0)).sqrt())
}

fn pool(classes: &[Vec<[f64; 2]>; 2], scale: [(f64, f64); 2]) -> Pool {
    let points = classes.iter().flatten();
    let values = points.flat_map(|p| [0, 1].map(|axis| ((p[axis] - scale[axis].0) / scale[axis].1) as f32));
    let targets = [vec![0; classes[0].len()], vec![1; classes[1].len()]].concat();
    Pool::floats(values.collect(), targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::data::Values;
    use secateur::options::parse;

    fn open(per_class: usize) -> Examples {
        CubistSpiral { per_class, vertices: VERTICES }.open(&Folders::default(), &mut |_| ()).unwrap()
    }

    fn values(pool: &Pool) -> &[f32] {
        match &pool.values {
            Values::F32(values) => values,
            Values::U8(_) => panic!("points are floats"),
        }
    }

    /// Some points of the set that the paper's formulas give in numpy (float64), by index.
    const POINTS: [(usize, [f32; 2]); 7] = [
        (0, [0.584557, -0.8009656]),
        (1, [0.5838432, -0.8009182]),
        (12_345, [1.0887969, -1.2931918]),
        (24_990, [-1.6484262, -1.0339604]),
        (24_991, [0.4262334, -0.4788958]),
        (40_000, [1.1864826, 0.8636067]),
        (49_981, [-1.3376986, -0.8698576]),
    ];

    #[test]
    fn counts_are_the_papers() {
        let examples = open(25_000);
        let count = |class| examples.train.targets.iter().filter(|&&t| t == class).count();
        assert_eq!([count(0), count(1)], [24_991, 24_991]);
    }

    #[test]
    fn points_are_the_papers() {
        let examples = open(25_000);
        let points = values(&examples.train);
        for (at, expected) in POINTS {
            let found = &points[2 * at..2 * at + 2];
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 2e-6), "{at}: {found:?} {expected:?}");
        }
    }

    #[test]
    fn training_points_are_standardised() {
        let examples = open(1000);
        for axis in 0..2 {
            let (mean, std) = standard(values(&examples.train).iter().skip(axis).step_by(2).map(|&v| f64::from(v)));
            assert!(mean.abs() < 1e-6 && (std - 1.0).abs() < 1e-6, "{mean} {std}");
        }
    }

    #[test]
    fn class_0_lies_outside() {
        let outer = polygon(OFFSET, VERTICES);
        let inner = polygon(-OFFSET, VERTICES);
        assert!(outer.iter().zip(&inner).all(|(o, i)| o[0].hypot(o[1]) > i[0].hypot(i[1]) + 29.0));
    }

    #[test]
    fn test_points_are_none_of_the_training_points() {
        let examples = open(LEAST);
        let TestExamples::Own(test) = &examples.test else { panic!("the spiral has its own test points") };
        let train: Vec<&[f32]> = values(&examples.train).chunks(2).collect();
        assert!(values(test).chunks(2).all(|point| !train.contains(&point)));
        assert_eq!(test.targets.len(), examples.train.targets.len() - 2 * (VERTICES - 1));
    }

    #[test]
    fn fewer_vertices_are_the_inner_part() {
        assert_eq!(polygon(OFFSET, 9), polygon(OFFSET, VERTICES)[..9]);
        let some = CubistSpiral { per_class: LEAST, vertices: 3 }.open(&Folders::default(), &mut |_| ()).unwrap();
        assert!((LEAST - 1..=LEAST).contains(&some.train.targets.iter().filter(|class| **class == 0).count()));
        let text = parse::<CubistSpiral>(&"vertices = 18".parse().unwrap()).unwrap_err()[0].to_string();
        assert!(text.contains("`vertices` = 18"), "{text}");
    }

    #[test]
    fn too_few_points_are_refused() {
        let text = parse::<CubistSpiral>(&"per_class = 99".parse().unwrap()).unwrap_err()[0].to_string();
        assert!(text.contains("`per_class` = 99: 100 to 10000000 points"), "{text}");
    }
}
