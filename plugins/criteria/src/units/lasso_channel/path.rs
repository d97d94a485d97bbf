//! LASSO by coordinate descent, with a penalty that rises until few enough coefficients are left.

/// Steps of the penalty.
const STEPS: usize = 73;
/// The first penalty, as a part of that which leaves nothing.
const FIRST: f64 = 1e-3;
/// Rounds over all coefficients at one penalty, at most.
const ROUNDS: usize = 10_000;
/// A round that changes no coefficient by more than this part of the largest is the last.
const STILL: f64 = 1e-10;

/// `½ ‖y - Σ β_c a_c‖² + λ ‖β‖₁`, by the products of the contributions a_c with each other and with y.
pub(super) struct Path {
    units: usize,
    /// `[units, units]`, row by row.
    pub gram: Vec<f64>,
    pub with_output: Vec<f64>,
}

impl Path {
    pub fn new(units: usize) -> Self {
        Self { units, gram: vec![0.0; units * units], with_output: vec![0.0; units] }
    }

    /// Coefficients at a penalty, from those at another.
    fn descend(&self, beta: &mut [f64], penalty: f64) {
        let n = self.units;
        let mut fitted: Vec<f64> =
            self.gram.chunks(n.max(1)).map(|row| row.iter().zip(&*beta).map(|(g, b)| g * b).sum()).collect();
        for _ in 0..ROUNDS {
            let (mut moved, mut largest) = (0.0f64, 0.0f64);
            for c in 0..n {
                let own = self.gram[c * n + c];
                if own <= 0.0 {
                    continue;
                }
                let rest = self.with_output[c] - fitted[c] + own * beta[c];
                let new = rest.signum() * (rest.abs() - penalty).max(0.0) / own;
                let change = new - beta[c];
                if change != 0.0 {
                    fitted.iter_mut().zip(&self.gram[c * n..][..n]).for_each(|(f, g)| *f += change * g);
                    beta[c] = new;
                }
                (moved, largest) = (moved.max(change.abs()), largest.max(new.abs()));
            }
            if moved <= STILL * largest {
                break;
            }
        }
    }

    /// For every unit the number of the last step at which its coefficient was not zero, plus |β| / (1 + |β|) then; the
    /// penalty rises until at most `keep` are left.
    pub fn scores(&self, keep: usize) -> Vec<f32> {
        let most = self.with_output.iter().fold(0.0f64, |most, b| most.max(b.abs()));
        let (mut beta, mut scores) = (vec![0.0; self.units], vec![0.0; self.units]);
        for step in 1..=STEPS {
            let part = (STEPS - step) as f64 / (STEPS - 1) as f64;
            self.descend(&mut beta, most * FIRST.powf(part));
            for (score, beta) in scores.iter_mut().zip(&beta).filter(|(_, beta)| **beta != 0.0) {
                *score = step as f64 + beta.abs() / (1.0 + beta.abs());
            }
            if beta.iter().filter(|beta| **beta != 0.0).count() <= keep {
                break;
            }
        }
        scores.into_iter().map(|score| score as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_contributions_leave_by_the_size_of_their_products() {
        // Soft thresholding: β = (b - λ) / g.
        let mut path = Path::new(3);
        (path.gram, path.with_output) = (vec![2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], vec![4.0, 1.0, 0.0]);
        let mut beta = vec![0.0; 3];
        path.descend(&mut beta, 0.5);
        assert_eq!(beta, [1.75, 0.5, 0.0]);
        let scores = path.scores(1);
        assert!(scores[0] > scores[1] && scores[1] > 0.0 && scores[2] == 0.0, "{scores:?}");
        let all = path.scores(0);
        assert!(all[0] > all[1] && all[1] == scores[1], "the path of the others goes on: {all:?}");
    }
}
