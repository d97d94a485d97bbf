//! How steep networks may be by their weights, beside what No Free Prune asks of them.

use secateur::information::PEff;
use serde::Serialize;

/// How steep networks may be, and how steep they must be to fit noise with as many effective parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lipschitz {
    /// Products of the spectral norms of a network's weights: the least.
    pub least: f64,
    /// Their geometric mean.
    pub mean: f64,
    /// The most.
    pub most: f64,
    /// Training examples, `n`; none where the runs' events do not say it, or not alike.
    pub examples: Option<u64>,
    /// Numbers in an input, `d`.
    pub features: usize,
    /// `sqrt(n d / p_eff)` with the most and with the least effective parameters; of the paper up to a constant factor.
    pub needed: Option<(f64, f64)>,
}

impl Lipschitz {
    /// Of networks with these bounds and this count of effective parameters.
    pub fn of(bounds: &[f64], examples: Option<u64>, features: usize, p_eff: PEff) -> Option<Self> {
        let n = bounds.len() as f64;
        let (least, most) = bounds.iter().fold((f64::INFINITY, 0.0f64), |(l, m), b| (l.min(*b), m.max(*b)));
        let mean = (bounds.iter().map(|bound| bound.ln()).sum::<f64>() / n).exp();
        let steep = |examples: u64, p_eff: f64| (examples as f64 * features as f64 / p_eff.max(1.0)).sqrt();
        let needed = examples.map(|n| (steep(n, p_eff.at_most), steep(n, p_eff.at_least)));
        (!bounds.is_empty()).then_some(Self { least, mean, most, examples, features, needed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_a_geometric_mean_and_what_is_needed_falls_with_the_parameters() {
        let p_eff = PEff { at_least: 25.0, at_most: 100.0 };
        let found = Lipschitz::of(&[1.0, 16.0, 4.0], Some(10), 40, p_eff).unwrap();
        assert_eq!((found.least, found.most, found.needed), (1.0, 16.0, Some((2.0, 4.0))));
        assert!((found.mean - 4.0).abs() < 1e-12);
        assert_eq!(Lipschitz::of(&[1.0], None, 40, p_eff).unwrap().needed, None);
        assert_eq!(Lipschitz::of(&[0.0, 2.0], None, 40, p_eff).unwrap().mean, 0.0, "a network without weights");
        assert_eq!(Lipschitz::of(&[], Some(10), 40, p_eff), None);
    }
}
