//! How a fraction becomes a count.

/// How a fraction becomes a count: our own rules, and those of other libraries by their names, so that a comparison at
/// "the same sparsity" can be one to the last weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// `keep = n - floor(s n)`; NNI counts so too.
    #[default]
    FloorPruned,
    /// `keep = floor((1 - s) n)`; torch-pruning 1.6.1 counts so too.
    FloorKept,
    /// `keep = round((1 - s) n)`, half away from zero.
    Nearest,
    /// `keep = n - round(s n)`, halves to even, as torch.nn.utils.prune.
    Torch,
    /// `keep = max(1, round((1 - s) n))`, halves to even, as JaxPruner and tensorflow-model-optimization.
    Jaxpruner,
    /// `keep = n - ceil(s n)`, as PAT in torchao 0.18.
    Torchao,
    /// `keep = n - floor(s (n - 1)) - 1`, as nncf 3.4: one weight goes even at a sparsity of 0.
    Nncf,
}

impl Rounding {
    /// How many of `n` are kept when the fraction `s` goes.
    pub fn keep(self, n: usize, s: f64) -> usize {
        // Decimal fractions are not exact in binary: 0.1 * 30 must count as 3 by our own rules. Those of others are
        // computed as they compute them, inexact fractions included.
        let (n_f, slack) = (n as f64, 1e-9);
        let keep = match self {
            Self::FloorPruned => n_f - (s * n_f + slack).floor(),
            Self::FloorKept => ((1.0 - s) * n_f + slack).floor(),
            Self::Nearest => ((1.0 - s) * n_f + slack).round(),
            Self::Torch => n_f - (s * n_f).round_ties_even(),
            Self::Jaxpruner => ((1.0 - s) * n_f).round_ties_even().max(1.0),
            Self::Torchao => n_f - (s * n_f).ceil(),
            Self::Nncf => n_f - 1.0 - (s * (n_f - 1.0)).floor(),
        };
        (keep.max(0.0) as usize).min(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_the_declared_rounding() {
        let widths = |r: Rounding| {
            let mut n = 50;
            std::iter::repeat_with(move || {
                n = r.keep(n, 0.1);
                n
            })
            .take(4)
            .collect::<Vec<_>>()
        };
        assert_eq!(widths(Rounding::FloorKept), [45, 40, 36, 32]);
        assert_eq!(widths(Rounding::FloorPruned), [45, 41, 37, 34]);
        assert_eq!(Rounding::Nearest.keep(45, 0.1), 41);
        assert_eq!((Rounding::FloorPruned.keep(30, 0.1), Rounding::FloorKept.keep(30, 0.1)), (27, 27));
        assert_eq!((Rounding::FloorPruned.keep(0, 0.5), Rounding::FloorKept.keep(7, 0.0)), (0, 7));
    }

    #[test]
    fn other_libraries_count_as_they_did_when_they_were_run() {
        // torch 2.15.0: zeros among ten weights. nncf 3.4.0: the same, at 0 and a quarter. torchao 0.18.0: of a hundred.
        let pruned = |r: Rounding, n: usize, s: f64| n - r.keep(n, s);
        assert_eq!([0.05, 0.15, 0.25, 0.35].map(|s| pruned(Rounding::Torch, 10, s)), [0, 2, 2, 4]);
        assert_eq!([0.0, 0.25].map(|s| pruned(Rounding::Nncf, 10, s)), [1, 3]);
        assert_eq!(pruned(Rounding::Torchao, 100, 0.07), 8);
        // tensorflow-model-optimization 0.8.1: a quarter of ten; JaxPruner keeps one.
        assert_eq!(pruned(Rounding::Jaxpruner, 10, 0.25), 2);
        assert_eq!(Rounding::Jaxpruner.keep(10, 0.99), 1);
        assert_eq!(Rounding::Nncf.keep(0, 0.5), 0);
    }
}
