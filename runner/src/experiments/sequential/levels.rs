//! At which probability a t-test that is repeated as pairs come in may reject, so that all looks together keep one error.
//!
//! The error is spent as pairs come in, by the function of Lan & DeMets (1983) that is like Pocock's (1977): after the fraction
//! f of the most pairs, α ln(1 + (e - 1) f) of it is gone. What is spent at a look is the probability that the null hypothesis
//! is rejected there and at no look before, which needs the joint distribution of the t of all looks. Tables of it assume a known
//! variance; here it is that of t itself, as in Jennison & Turnbull (1991, "Exact calculations for repeated t, χ² and F tests"),
//! by a recursion of one dimension:
//!
//! Let r = Σd / √(n Σd²), of which t = √(n - 1) r / √(1 - r²). For normal differences without a mean the direction of
//! (d₁, …, dₙ) is uniform, whatever their deviation. A further difference turns it by an angle θ of density ∝ cosⁿ⁻¹θ that does
//! not depend on what was, and r becomes (√n r cos θ + sin θ) / √(n + 1). So r is a Markov chain, and its distribution among the
//! paths that were not rejected is carried on from one n to the next.

use std::f64::consts::{FRAC_PI_2, PI};

use crate::experiments::statistics::t_above;

/// Points at which the distribution of asin r is held, and angles by which it turns.
const POINTS: usize = 801;

/// In which direction a test rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sides {
    /// Where t is large.
    One,
    /// Where t is large or small.
    Two,
}

/// What of an error is spent after a fraction of the most pairs.
pub fn spent(error: f64, fraction: f64) -> f64 {
    error * ((std::f64::consts::E - 1.0) * fraction.clamp(0.0, 1.0)).ln_1p()
}

/// The nominal levels of looks after so many pairs, rising and each at least 2, of at most `most`.
///
/// The probability of a t-test at look k is compared with level k. The levels of looks to come do not change those before.
pub fn levels(looks: &[usize], most: usize, error: f64, sides: Sides) -> Vec<f64> {
    let mut walk = Walk::new();
    let mut before = 0.0;
    let level = |look: &usize| {
        while walk.pairs < *look {
            walk.turn();
        }
        let now = spent(error, *look as f64 / most as f64);
        let angle = walk.reject(now - before, sides);
        before = now;
        let above = t_above(angle.tan() * ((look - 1) as f64).sqrt(), look - 1);
        if sides == Sides::Two { 2.0 * above } else { above }
    };
    looks.iter().map(level).collect()
}

/// The distribution of φ = asin r among the paths that go on.
struct Walk {
    pairs: usize,
    /// The probability at each of [`POINTS`] points from -π/2 to π/2.
    mass: Vec<f64>,
    points: Vec<f64>,
}

impl Walk {
    /// Two pairs: every direction of the plane is as likely.
    fn new() -> Self {
        let points: Vec<f64> = (0..POINTS).map(|i| -FRAC_PI_2 + PI * i as f64 / (POINTS - 1) as f64).collect();
        let mut mass = vec![1.0 / (POINTS - 1) as f64; POINTS];
        mass[0] /= 2.0;
        mass[POINTS - 1] /= 2.0;
        Self { pairs: 2, mass, points }
    }

    fn step() -> f64 {
        PI / (POINTS - 1) as f64
    }

    /// One pair more.
    fn turn(&mut self) {
        let n = self.pairs as f64;
        let weights: Vec<f64> = self.points.iter().map(|theta| theta.cos().max(0.0).powf(n - 1.0)).collect();
        let whole: f64 = weights.iter().sum();
        let turns: Vec<(f64, f64, f64)> = (self.points.iter().zip(&weights))
            .map(|(theta, weight)| (theta.sin(), theta.cos(), weight / whole))
            .filter(|(.., weight)| *weight > 1e-18)
            .collect();
        let mut next = vec![0.0; POINTS];
        for (phi, mass) in self.points.iter().zip(&self.mass).filter(|(_, mass)| **mass != 0.0) {
            let (along, scale) = (n.sqrt() * phi.sin(), (n + 1.0).sqrt());
            for (sin, cos, weight) in &turns {
                let r = ((along * cos + sin) / scale).clamp(-1.0, 1.0);
                share(&mut next, (r.asin() + FRAC_PI_2) / Self::step(), mass * weight);
            }
        }
        self.mass = next;
        self.pairs += 1;
    }

    /// Takes away so much of the probability, from the ends inwards, and tells where that stopped.
    fn reject(&mut self, spend: f64, sides: Sides) -> f64 {
        let (h, last) = (Self::step(), POINTS - 1);
        let each = if sides == Sides::Two { spend / 2.0 } else { spend };
        // What lies beyond the inner edge of each point's interval.
        let (mut beyond, mut at) = (0.0, last);
        while at > 0 && beyond + self.mass[at] < each {
            beyond += self.mass[at];
            at -= 1;
        }
        // Within the interval the tail grows as the power n - 1 of the angle from its end does, for a whole distribution.
        let root = |mass: f64| mass.powf(1.0 / (self.pairs as f64 - 1.0));
        let (from, to) = (root(beyond), root(beyond + self.mass[at]));
        let part = ((root(each) - from) / (to - from)).clamp(0.0, 1.0);
        let outer = if at == last { FRAC_PI_2 } else { self.points[at] + h / 2.0 };
        let width = if at == last { h / 2.0 } else { h };
        let left = (beyond + self.mass[at] - each).max(0.0);
        self.mass[at + 1..].fill(0.0);
        self.mass[at] = left;
        if sides == Sides::Two {
            self.mass[..last - at].fill(0.0);
            self.mass[last - at] = left;
        }
        (outer - part * width).min(FRAC_PI_2 - 1e-9)
    }
}

/// Puts a mass between points: on the four around it, so that every cubic has the same mean there and at the place itself.
fn share(masses: &mut [f64], place: f64, mass: f64) {
    let first = (place.floor() as usize).clamp(1, masses.len() - 3) - 1;
    let x = place - first as f64;
    let (a, b, c, d) = (x, x - 1.0, x - 2.0, x - 3.0);
    let parts = [-b * c * d / 6.0, a * c * d / 2.0, -a * b * d / 2.0, a * b * c / 6.0];
    parts.iter().enumerate().for_each(|(i, part)| masses[first + i] += mass * part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_rises_to_the_whole_error() {
        let found: Vec<f64> = (0..=4).map(|i| spent(0.05, f64::from(i) / 4.0)).collect();
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        assert!(found[0] == 0.0 && (found[4] - 0.05).abs() < 1e-15, "{found:?}");
    }

    #[test]
    fn one_look_is_the_t_test() {
        for n in [2, 3, 5, 10, 40, 100] {
            for error in [0.05, 0.01, 0.001] {
                for sides in [Sides::One, Sides::Two] {
                    let found = levels(&[n], n, error, sides)[0];
                    assert!((found / error - 1.0).abs() < 2e-3, "{n} {error} {sides:?}: {found}");
                }
            }
        }
    }
}
