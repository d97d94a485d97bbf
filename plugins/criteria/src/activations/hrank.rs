//! HRank: units whose feature maps have a low rank go first.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

/// Sweeps over all pairs of columns after which singular values have settled; a handful is enough.
const SWEEPS: usize = 60;

options! {
    /// The average rank of a unit's feature maps (Lin et al. 2020, "HRank: Filter Pruning using High-Rank Feature Map"):
    /// every example's map, rows by columns of pixels, is a matrix, and its rank the number of singular values above the
    /// largest one times max(rows, columns) times 2⁻²³, as `torch.linalg.matrix_rank` has it for 32 bits.
    ///
    /// Maps are what a layer gives after batch normalisation and activation, before pooling. Where a unit is no image, in a
    /// linear layer, its values of an example are a matrix of one column, whose rank says whether any is not zero. Units with
    /// several values in a layer (heads) have the mean rank of these, and those that several layers compute the sum over the
    /// layers. Ranks are at most as large as the map: the paper's `prune.scope = "layer"` compares those of one layer.
    pub struct HRank {
        /// Examples of a batch that are looked at; the paper takes 500 in all.
        #[acts(always)]
        pub examples: usize = 128,
        /// Training steps that count: `last-step` (the batch of the pruning step), `epoch`, or `since-prune`.
        #[acts(always)]
        pub window: Window = Window::LastStep,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("examples", self.examples, 1.0..);
    }
}

/// The rank of a matrix of so many columns, row by row, by one-sided Jacobi rotations: columns are turned until every two
/// are orthogonal, and their lengths are the singular values (Golub & Van Loan 2013, section 8.6.3).
fn rank(matrix: &[f32], columns: usize) -> usize {
    let rows = matrix.len() / columns.max(1);
    let mut all: Vec<Vec<f64>> =
        (0..columns).map(|j| (0..rows).map(|i| f64::from(matrix[i * columns + j])).collect()).collect();
    all.retain(|column| column.iter().any(|x| *x != 0.0));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let total: f64 = all.iter().map(|column| dot(column, column)).sum();
    for _ in 0..SWEEPS {
        let mut turned = false;
        for j in 1..all.len() {
            let (before, rest) = all.split_at_mut(j);
            for a in before {
                let b = &mut rest[0];
                let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
                // What is left of a column that depends on others is rounding, with which no angle can be told.
                if ab.abs() <= 1e-14 * (aa * bb).sqrt() || aa.min(bb) <= 1e-20 * total {
                    continue;
                }
                turned = true;
                let zeta = (bb - aa) / (2.0 * ab);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = tangent.hypot(1.0).recip();
                for (x, y) in a.iter_mut().zip(b.iter_mut()) {
                    (*x, *y) = (cosine * (*x - tangent * *y), cosine * (*y + tangent * *x));
                }
            }
        }
        if !turned {
            break;
        }
    }
    let singular: Vec<f64> = all.iter().map(|column| dot(column, column).sqrt()).collect();
    let largest = singular.iter().copied().fold(0.0, f64::max);
    let tolerance = largest * rows.max(columns) as f64 * f64::from(f32::EPSILON);
    singular.iter().filter(|value| **value > tolerance).count()
}

/// For every place along the axis of a layer's units the ranks of its maps, summed over the first examples.
fn ranks<B: Backend>(output: &Tensor<B>, examples: usize, some: usize) -> Result<Vec<f32>> {
    let [channels, columns] = match *output.shape() {
        [_, channels, _, columns] => [channels, columns],
        [rows, features] if rows % examples == 0 => [features, 1],
        _ => {
            let what = format!("gives {} for {examples} examples: neither images nor rows of each", output.shape());
            return Err(Error::shape("hrank", what));
        }
    };
    let per_example = output.count() / examples;
    let values = output.host();
    let map = |example: usize, channel: usize| -> Vec<f32> {
        let values = &values[example * per_example..(example + 1) * per_example];
        match output.shape().len() {
            4 => values[channel * per_example / channels..(channel + 1) * per_example / channels].to_vec(),
            _ => values.iter().skip(channel).step_by(channels).copied().collect(),
        }
    };
    let sum = |channel| (0..examples.min(some)).map(|example| rank(&map(example, channel), columns) as f32).sum();
    Ok((0..channels).map(sum).collect())
}

impl<B: Backend> Gather<B> for HRank {
    fn needs(&self) -> Needs {
        Needs::OUTPUTS
    }

    fn window(&self) -> Window {
        self.window
    }

    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        for group in seen.groups() {
            let mut all = vec![0.0; group.units];
            for member in group.producer_weights(seen.params.layout()) {
                let ranks = ranks(seen.output(member.layer())?, seen.examples.max(1), self.examples)?;
                for (unit, sum) in all.iter_mut().enumerate() {
                    let own: Vec<f32> = member.indices(unit, group.units).map(|i| ranks[i]).collect();
                    *sum += own.iter().sum::<f32>() / own.len().max(1) as f32;
                }
            }
            let all = Tensor::from_vec(seen.params.device(), all, [group.units])?;
            sums.add(&group.name, all, seen.examples.min(self.examples) as u64)?;
        }
        Ok(())
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        let group = target
            .group()
            .ok_or_else(|| Error::Config("hrank scores units: set prune.granularity = \"unit\"".into()))?;
        Ok(Scores::Units(sums.mean(&group.name)?.to_vec()))
    }
}

type HRankCriterion<B> = Gathered<B, HRank>;
register!(Criterion, "hrank", HRankCriterion<B>, "Units by the average rank of their feature maps.", options = HRank);

#[cfg(test)]
mod tests {
    use super::*;

    /// A number without a pattern in (-1, 1).
    fn number(i: usize) -> f32 {
        ((i * 7919 + 104_729) % 10_007) as f32 / 5003.5 - 1.0
    }

    #[test]
    fn ranks_of_products_are_their_inner_width() {
        for inner in 1..6 {
            let product = |i: usize, j: usize| (0..inner).map(|k| number(i * 31 + k) * number(1000 + k * 17 + j)).sum();
            let matrix: Vec<f32> = (0..48).map(|at| product(at / 6, at % 6)).collect();
            assert_eq!(rank(&matrix, 6), inner);
            let turned: Vec<f32> = (0..48).map(|at| product(at % 8, at / 8)).collect();
            assert_eq!(rank(&turned, 8), inner);
        }
        // Of a network: two of the columns are proportional.
        assert_eq!(rank(&[0.1, 0.0, 0.2, 0.05, 0.3, 0.1, 0.6, 0.0, 0.0, 0.2, 0.0, 0.4, 0.25, 0.0, 0.5, 0.1], 4), 3);
        assert_eq!((rank(&[0.0; 12], 4), rank(&[2.0], 1), rank(&[1.0, 0.0, 0.0, 1e-3], 2)), (0, 1, 2));
    }

    #[test]
    fn singular_values_below_the_tolerance_do_not_count() {
        let with = |small: f32| rank(&[1.0, 0.0, 0.0, small], 2);
        assert_eq!((with(2.1 * f32::EPSILON), with(1.9 * f32::EPSILON)), (2, 1));
    }

    #[test]
    fn tokens_of_an_example_are_one_column() {
        let rows = Tensor::from_vec(&Cpu::default(), vec![1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0], [4, 2]).unwrap();
        assert_eq!(ranks(&rows, 2, 2).unwrap(), [1.0, 1.0]);
        assert_eq!(ranks(&rows, 4, 4).unwrap(), [1.0, 2.0]);
        assert_eq!(ranks(&rows, 4, 1).unwrap(), [1.0, 0.0]);
    }
}
