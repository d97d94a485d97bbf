//! Generated handwriting-like digits: the data set that needs no download.
//!
//! Each image is one of several ways to write a digit, drawn as strokes after its own wobble, slant, scale, turn and
//! shift, with stray marks, worn spots and noise: about as hard for a small network as MNIST, a little harder.

mod canvas;
mod digits;

use self::canvas::{Canvas, SIDE};
use self::digits::{DIGITS, Piece};
use rand::{Rng, RngExt as _};
use rand_distr::StandardNormal;
use rayon::prelude::*;
use secateur::data::purpose;
use secateur::prelude::*;

/// Pixels of an image.
const PIXELS: usize = SIDE * SIDE;
/// Side of the square that an unchanged digit fills, in pixels.
const EXTENT: f32 = 19.0;
/// Images per piece of parallel work.
const PIECE: usize = 64;

options! {
    /// Drawn digits; classes take turns, so that each has its share to within one.
    pub struct Glyphs {
        /// Training images.
        #[acts(always)]
        pub train: usize = 12_000,
        /// Test images.
        #[acts(always)]
        pub test: usize = 2_000,
        /// Standard deviation of the noise on each pixel, as a fraction of full white.
        #[acts(always)]
        pub noise: f64 = 0.1,
        /// Seed of the set itself, so that runs with different seeds still see the same images.
        #[acts(always)]
        pub seed: u64 = 0,
    }

    fn check(&self, checks: &mut Checks) {
        for (key, count) in [("train", self.train), ("test", self.test)] {
            checks.ensure(key, (1..=1_000_000).contains(&count), "1 to 1000000 images are allowed");
        }
        checks.range("noise", self.noise, 0.0..=1.0);
    }
}

impl DataSource for Glyphs {
    fn open(&self, _: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        Ok(Examples {
            name: "glyphs".to_string(),
            shape: vec![1, SIDE, SIDE],
            class_names: (0..DIGITS.len()).map(|digit| digit.to_string()).collect(),
            train: pool(self, 0, self.train),
            validation: None,
            test: TestExamples::Own(pool(self, 1, self.test)),
            origin: DataOrigin::Generated { generator: "glyphs 1", seed: self.seed },
            searched: vec![],
        })
    }
}

secateur::register!(
    Data,
    "glyphs",
    Glyphs,
    "generated 28x28 digits, 10 classes; made in memory in a second (the default)"
);

/// Each image has a random stream of its own: threads and the size of the set change nothing.
fn pool(options: &Glyphs, split: u64, count: usize) -> Pool {
    let mut bytes = vec![0; count * PIXELS];
    bytes.par_chunks_mut(PIECE * PIXELS).enumerate().for_each(|(piece, images)| {
        for (i, image) in images.chunks_exact_mut(PIXELS).enumerate() {
            let index = piece * PIECE + i;
            let mut random = Seed(options.seed).numbered(purpose::EXAMPLE, split, index as u64);
            draw(index % DIGITS.len(), options.noise as f32, &mut random, image);
        }
    });
    Pool::bytes(bytes, (0..count).map(|i| (i % DIGITS.len()) as u32).collect())
}

fn draw(digit: usize, noise: f32, random: &mut impl Rng, image: &mut [u8]) {
    let mut canvas = Canvas::new();
    let variants = DIGITS[digit];
    let strokes = variants[random.random_range(0..variants.len())];
    let hand = Hand::draw(random);
    let half_width = random.random_range(0.7..1.6);
    let ink = random.random_range(0.65..1.0);
    for stroke in strokes {
        canvas.stroke(&hand.write(stroke, random), half_width, ink);
    }
    for _ in 0..random.random_range(0..2) {
        canvas.rub_out(point(random, 4.0..24.0), random.random_range(1.0..2.0));
    }
    for _ in 0..random.random_range(0..3) {
        let start = point(random, 1.0..27.0);
        let (angle, length): (f32, f32) = (random.random_range(0.0..6.3), random.random_range(2.0..8.0));
        let end = [start[0] + length * angle.cos(), start[1] + length * angle.sin()];
        canvas.stroke(&[start, end], random.random_range(0.5..1.2), random.random_range(0.3..0.9));
    }
    canvas.add_noise(noise, random);
    canvas.write(image);
}

/// How one digit is written: from the unit square to pixels.
struct Hand {
    /// Rows of the linear part, in pixels.
    linear: [[f32; 2]; 2],
    shift: [f32; 2],
    /// Amplitude, frequencies and phase of a smooth displacement per axis.
    wobble: [[f32; 4]; 2],
    /// Standard deviation of each end point and arc of the letter form.
    loose: f32,
}

impl Hand {
    fn draw(random: &mut impl Rng) -> Self {
        let (sin, cos) = (0.14 * normal(random)).clamp(-0.4, 0.4).sin_cos();
        let slant = (0.16 * normal(random)).clamp(-0.45, 0.45);
        let (wide, high) = (EXTENT * random.random_range(0.7..1.1), EXTENT * random.random_range(0.8..1.1));
        // rotation * slant * scale
        let linear = [[cos * wide, (cos * slant - sin) * high], [sin * wide, (sin * slant + cos) * high]];
        let middle = SIDE as f32 / 2.0;
        let mut offset = || middle + random.random_range(-2.0..2.0);
        let shift = [offset(), offset()];
        let mut wave = || {
            let [x, y] = [(); 2].map(|()| random.random_range(-6.0..6.0));
            [0.03 * normal(random), x, y, random.random_range(0.0..6.3)]
        };
        Self { linear, shift, wobble: [wave(), wave()], loose: 0.025 }
    }

    /// The stroke's points in pixels.
    fn write(&self, stroke: &[Piece], random: &mut impl Rng) -> Vec<[f32; 2]> {
        let mut points = Vec::with_capacity(32);
        for piece in stroke {
            piece.map(|v| v + self.loose * normal(random)).trace(&mut points);
        }
        points.into_iter().map(|p| self.place(p)).collect()
    }

    fn place(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let wobble = self.wobble.map(|[size, fx, fy, phase]| size * (fx * x + fy * y + phase).sin());
        let (x, y) = (x - 0.5 + wobble[0], y - 0.5 + wobble[1]);
        [0, 1].map(|row| self.linear[row][0] * x + self.linear[row][1] * y + self.shift[row])
    }
}

fn normal(random: &mut impl Rng) -> f32 {
    random.sample(StandardNormal)
}

fn point(random: &mut impl Rng, range: std::ops::Range<f32>) -> [f32; 2] {
    [(); 2].map(|()| random.random_range(range.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::data::{DataConfig, Values};
    use secateur::options::parse;

    fn open(glyphs: Glyphs) -> Examples {
        glyphs.open(&Folders::default(), &mut |_| ()).unwrap()
    }

    fn small(train: usize, seed: u64) -> Examples {
        open(Glyphs { train, test: 40, seed, ..Glyphs::default() })
    }

    fn bytes(pool: &Pool) -> &[u8] {
        match &pool.values {
            Values::U8(bytes) => bytes,
            Values::F32(_) => panic!("images are bytes"),
        }
    }

    #[test]
    fn images_do_not_depend_on_threads_nor_on_their_number() {
        let all = small(300, 1);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| small(150, 1));
            assert!(bytes(&all.train)[..150 * PIXELS] == *bytes(&again.train), "{threads} threads");
        }
    }

    #[test]
    fn seed_and_split_give_different_images() {
        let (one, two) = (small(40, 1), small(40, 2));
        let TestExamples::Own(test) = &one.test else { panic!("glyphs have their own test images") };
        assert!(bytes(&one.train) != bytes(&two.train));
        assert!(bytes(&one.train) != bytes(test));
    }

    #[test]
    fn every_class_has_its_share() {
        let set = small(105, 0).dataset(&DataConfig::default(), 0).unwrap();
        assert_eq!(set.train.class_counts(10), [11, 11, 11, 11, 11, 10, 10, 10, 10, 10]);
        assert_eq!(set.classes(), 10);
    }

    #[test]
    fn brightness_is_that_of_handwriting() {
        let found = small(1000, 0).statistics().unwrap();
        assert!((0.1..0.25).contains(&found.mean[0]) && (0.2..0.35).contains(&found.std[0]), "{found:?}");
    }

    /// The nearest class mean tells most digits apart, but far from all.
    #[test]
    fn digits_resemble_their_class_without_being_trivial() {
        let set = small(2000, 0);
        let mut means = vec![[0.0_f32; PIXELS]; 10];
        for (i, image) in bytes(&set.train).chunks(PIXELS).enumerate() {
            means[i % 10].iter_mut().zip(image).for_each(|(m, &v)| *m += f32::from(v) / 200.0);
        }
        let fresh = small(500, 9);
        let distance =
            |image: &[u8], mean: &[f32]| image.iter().zip(mean).map(|(&v, m)| (f32::from(v) - m).powi(2)).sum::<f32>();
        let right = bytes(&fresh.train).chunks(PIXELS).enumerate().filter(|(i, image)| {
            let nearest = (0..10).min_by(|&a, &b| distance(image, &means[a]).total_cmp(&distance(image, &means[b])));
            nearest == Some(i % 10)
        });
        let accuracy = right.count() as f32 / 500.0;
        assert!((0.5..0.9).contains(&accuracy), "{accuracy}");
    }

    #[test]
    fn without_noise_the_corners_are_black() {
        let set = open(Glyphs { train: 100, test: 1, noise: 0.0, seed: 0 });
        let black = bytes(&set.train).iter().filter(|&&v| v == 0).count();
        assert!(black > 100 * PIXELS / 2, "{black}");
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        let errors = parse::<Glyphs>(&"train = 0\nnoise = 1.5".parse().unwrap()).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["`train` = 0: 1 to 1000000 images are allowed", "`noise` = 1.5: must lie between 0 and 1"]);
    }
}
