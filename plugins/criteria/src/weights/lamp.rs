//! LAMP: magnitudes as shares, so that one ranking over all layers finds each layer's part.

use crate::ascending::ascending;
use crate::axes::unit_rows;
use secateur::prelude::*;

options! {
    /// Layer-adaptive magnitude (Lee et al. 2021, "Layer-adaptive Sparsity for the Magnitude-based Pruning", equation 4):
    /// w² over the sum of itself and all larger squares of its layer. The largest weight of every layer scores 1, so that
    /// one ranking over all layers (`prune.scope = "global"`, as in the paper) empties none; within a layer the order is
    /// that of |w|. Scores are ranked without a normaliser, unless `prune.normalize` says otherwise.
    ///
    /// Of units, the squared L2 norm of a unit's weights stands for w², as in torch-pruning's `LAMPImportance`. Among
    /// equal weights each counts those after it as larger, as the authors' code does. Masked weights that may return
    /// take part with what they have become.
    pub struct Lamp {}
}

impl<B: Backend> Criterion<B> for Lamp {
    /// Nothing but the weights as they are counts.
    fn window(&self) -> Window {
        Window::LastStep
    }

    fn normalizer(&self) -> Option<Normalizer> {
        Some(Normalizer::None)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let Some(group) = target.group() else {
            let weight = target.weight()?;
            let values = weight.host();
            // The order of absolute values is that of their squares.
            let order = ascending(values.iter().map(|w| w.abs()));
            let shares = shares(order, |i| f64::from(values[i]).powi(2), values.len());
            return Ok(Tensor::from_vec(weight.device(), shares, weight.shape())?.into());
        };
        let mut squares = vec![0.0; group.units];
        for member in group.producer_weights(target.params().layout()) {
            let rows = unit_rows(target.params().get(&member.param)?.value(), member, group.units)?;
            let norms = rows.reduce(Reduce::L2, 1)?;
            squares.iter_mut().zip(norms.host().iter()).for_each(|(sum, norm)| *sum += f64::from(*norm).powi(2));
        }
        let mut order: Vec<usize> = (0..squares.len()).collect();
        order.sort_by(|&a, &b| squares[a].total_cmp(&squares[b]));
        Ok(Scores::Units(shares(order.into_iter(), |i| squares[i], squares.len())))
    }
}

/// Each of `count` numbers over the sum of itself and all that come after it in `order`, the ascending one; zero where all
/// of these are zero.
fn shares(order: impl DoubleEndedIterator<Item = usize>, number: impl Fn(usize) -> f64, count: usize) -> Vec<f32> {
    let (mut larger, mut shares) = (0.0, vec![0.0; count]);
    for i in order.rev() {
        larger += number(i);
        shares[i] = if larger > 0.0 { (number(i) / larger) as f32 } else { 0.0 };
    }
    shares
}

register!(
    Criterion,
    "lamp",
    Lamp,
    "Magnitudes as shares of all that is larger in their layer, for one ranking over all layers."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_what_is_larger() {
        let shares = |squares: &[f32]| shares(ascending(squares.to_vec()), |i| squares[i].into(), squares.len());
        assert_eq!(shares(&[4.0, 1.0, 5.0]), [4.0 / 9.0, 0.1, 1.0]);
        assert_eq!(shares(&[2.0, 2.0]), [0.5, 1.0], "of equal ones the later is the larger");
        assert_eq!(shares(&[0.0, 0.0]), [0.0, 0.0]);
    }
}
