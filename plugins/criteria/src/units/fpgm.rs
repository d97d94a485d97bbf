//! FPGM: filters near the geometric median are those that the others can replace.

use crate::axes::unit_rows;
use secateur::prelude::*;

options! {
    /// Filter pruning via geometric median (He et al. 2019, equations 5 and 7): a filter's score is the sum of its
    /// Euclidean distances to all other filters of its layer. The lowest are near the geometric median, where the others
    /// can stand in for them. Distances are those between the filters themselves (torch-pruning's `FPGMImportance`
    /// squares the weights first, and so takes opposite filters for equal).
    ///
    /// A unit is all that computes it in a layer: a neuron's row, a filter, a head's rows of queries, keys and values. Of
    /// units that several layers compute the sums are added up. Units that are masked for good are no part of the layer;
    /// those that may return (`prune.regrow`, as in the paper, which prunes softly) are. Distances grow with the filters'
    /// size and number, so that `prune.scope = "layer"` is the paper's; with `global`, `prune.normalize` makes them
    /// comparable.
    pub struct Fpgm {}
}

impl<B: Backend> Criterion<B> for Fpgm {
    /// Nothing but the weights as they are counts.
    fn window(&self) -> Window {
        Window::LastStep
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let group = target
            .group()
            .ok_or_else(|| Error::Config("fpgm scores units: set prune.granularity = \"unit\"".into()))?;
        let params = target.params();
        let held = params.masking() == Masking::Held;
        let alive = params.alive(&group.name).filter(|_| held);
        let there: Vec<usize> = (0..group.units).filter(|&unit| alive.is_none_or(|alive| alive[unit])).collect();
        let mut scores = vec![0.0; group.units];
        for member in group.producer_weights(params.layout()) {
            let rows = unit_rows(params.get(&member.param)?.value(), member, group.units)?;
            let rows = if there.len() == group.units { rows } else { rows.select(0, &there)? };
            there.iter().zip(distances(&rows)?).for_each(|(&unit, sum)| scores[unit] += sum);
        }
        Ok(Scores::Units(scores.into_iter().map(|s| s as f32).collect()))
    }
}

/// Sum of each row's Euclidean distances to all others, from the products of rows: `|a - b|² = a² + b² - 2ab`. The mean
/// is taken off first, which changes no distance and leaves the squares no larger than they must be.
fn distances<B: Backend>(rows: &Tensor<B>) -> Result<Vec<f64>> {
    let n = rows.shape()[0];
    let mean = 1.0 / n.max(1) as f32;
    let centring = (0..n * n).map(|i| if i / n == i % n { 1.0 - mean } else { -mean }).collect();
    let rows = Tensor::from_vec(rows.device(), centring, [n, n])?.matmul(false, rows, false)?;
    let products = rows.matmul(false, &rows, true)?;
    let products = products.host();
    let of = |i: usize, j: usize| f64::from(products[i * n + j]);
    let distance =
        |i: usize, j: usize| if i == j { 0.0 } else { (of(i, i) + of(j, j) - 2.0 * of(i, j)).max(0.0).sqrt() };
    Ok((0..n).map(|i| (0..n).map(|j| distance(i, j)).sum()).collect())
}

register!(
    Criterion,
    "fpgm",
    Fpgm,
    "Units by their distances to all others of their layer: those near the geometric median go first."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_summed_row_by_row() {
        let rows = Tensor::from_vec(&Cpu::default(), vec![0.0, 0.0, 3.0, 4.0, -3.0, -4.0], [3, 2]).unwrap();
        let found = distances(&rows).unwrap();
        assert!(found.iter().zip([10.0, 15.0, 15.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }
}
