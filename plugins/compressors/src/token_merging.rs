//! Token merging: bipartite soft matching (Bolya et al. 2022, arXiv 2210.09461).

use secateur::prelude::*;

choices! {
    /// Where tokens are merged.
    pub enum Where {
        /// Once, between patch embedding and encoder ("Neural Burden", arXiv 2407.16716).
        BeforeEncoder = "before-encoder",
        /// In every block between attention and MLP, by the similarity of the keys (the authors of token merging).
        Blocks = "blocks",
    }
}

choices! {
    /// What tokens are compared by before the encoder, where there are no keys yet.
    pub enum Similarity {
        /// The tokens as the encoder would get them, with their positions.
        Tokens = "tokens",
        /// What is in the patches: the embedding before positions are added. Patches that look alike are then merged
        /// wherever they lie.
        Content = "content",
    }
}

choices! {
    /// What `ratio` counts.
    pub enum Reading {
        /// The fraction of patch tokens that is removed, by repeated passes of at most half each.
        Removed = "removed",
        /// One pass, of at most half the patch tokens; the fraction of the tokens of set A (every other one) that is
        /// merged into set B.
        OnePass = "one-pass",
        /// The fraction of patch tokens that is kept, by repeated passes; at least one always is.
        Kept = "kept",
    }
}

choices! {
    /// How `r` changes over the blocks.
    pub enum Across {
        /// The same in every block.
        Constant = "constant",
        /// From twice as many in the first block down to none in the last.
        Decreasing = "decreasing",
        /// From none in the first block up to twice as many in the last.
        Increasing = "increasing",
    }
}

options! {
    /// Merges the most similar tokens into their size-weighted means.
    ///
    /// A = even tokens, B = odd tokens; each token of A takes its most similar token of B (cosine of the metric), and
    /// the r tokens of A with the highest similarity are merged. The first `protected` tokens never take part. The
    /// gradient flows through the mean, not through the matching.
    pub struct TokenMerging {
        /// Where tokens are merged: `before-encoder` or `blocks`.
        #[acts(always)]
        pub at: Where = Where::BeforeEncoder,
        /// What tokens are compared by before the encoder: `tokens` (with their positions) or `content` (without).
        /// Blocks compare keys.
        #[acts(|m| m.at == Where::BeforeEncoder, "at = \"before-encoder\"")]
        pub similarity: Similarity = Similarity::Tokens,
        /// How much is merged before the encoder, read as `reading` says; in [0, 1). The count is the nearest whole
        /// number, halves upwards: .2 of 64 is 13.
        #[acts(|m| m.at == Where::BeforeEncoder, "at = \"before-encoder\"")]
        pub ratio: f64 = 0.4,
        /// `removed`, `one-pass` or `kept`. A ratio above 0.5 cannot be removed in one pass, so passes repeat and 0.6
        /// differs from 0.8.
        #[acts(|m| m.at == Where::BeforeEncoder, "at = \"before-encoder\"")]
        pub reading: Reading = Reading::Removed,
        /// Tokens merged in each block, where merging is in the blocks: one number, spread over the blocks as `across`
        /// says, or a list with a number for each block. Blocks after the list's end merge none.
        #[acts(|m| m.at == Where::Blocks, "at = \"blocks\"")]
        pub r: OneOrList<usize> = OneOrList::One(8),
        /// `constant`, `decreasing` (from 2 r to none) or `increasing` (from none to 2 r), where merging is in the
        /// blocks.
        #[acts(|m| m.at == Where::Blocks, "at = \"blocks\"")]
        pub across: Across = Across::Constant,
        /// In place of `across`: a number between -1 (decreasing) and 1 (increasing), 0 for constant. From r (1 -
        /// inflection) to r (1 + inflection) tokens, evenly spaced and rounded down, as the authors do.
        #[acts(|m| m.at == Where::Blocks, "at = \"blocks\"")]
        pub inflection: Option<f64> = None,
        /// Whether to keep track of which original tokens went where, for pictures.
        #[acts(always)]
        pub source: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        let some = self.reading != Reading::Kept || self.ratio > 0.0;
        let text = "must be at least 0 and below 1, and above 0 where it is the fraction kept";
        checks.ensure("ratio", some && (0.0..1.0).contains(&self.ratio), text);
        checks.range("inflection", self.inflection, -1.0..=1.0);
        let once = self.inflection.is_none() || self.across == Across::Constant;
        checks.ensure("inflection", once, format!("`across` is `{}` already: leave one of the two out", self.across));
        if let OneOrList::List(list) = &self.r {
            let text = "has a number for each block already: leave it out, or give one number as `r`";
            checks.ensure("across", self.across == Across::Constant, format!("`r` {text}"));
            checks.ensure("inflection", self.inflection.is_none(), format!("`r` {text}"));
            checks.ensure("r", list.iter().all(|&r| r <= MOST), format!("must be at most {MOST} in every block"));
        }
        if let OneOrList::One(r) = self.r {
            checks.ensure("r", r <= MOST, format!("must be at most {MOST}"));
        }
    }
}

/// More tokens than any network has, and few enough to be counted exactly.
const MOST: usize = 1 << 32;

impl TokenMerging {
    /// Tokens to be merged before the encoder, of `count` of which the first `protected` take no part.
    fn total(&self, count: usize, protected: usize) -> usize {
        let nearest = |of: usize| {
            // Decimal fractions are not exact in binary: 0.145 of 100 must count as half way between 14 and 15.
            (self.ratio * of as f64 + 1e-9).round() as usize
        };
        let patches = count - protected;
        match self.reading {
            Reading::Removed => nearest(patches),
            Reading::Kept => patches - nearest(patches),
            Reading::OnePass => nearest(count.div_ceil(2) - protected.div_ceil(2)).min(patches / 2),
        }
    }

    /// Tokens to be merged in block `index` of `of`, as the authors' `parse_r` counts them: operation by operation, so
    /// that fractions round alike. They have no answer for a single block, which here merges r.
    fn in_block(&self, index: usize, of: usize) -> Result<usize> {
        let r = match &self.r {
            OneOrList::List(list) if list.len() > of => {
                let allowed =
                    format!("lists {} blocks, but the model has {of}: give at most one number each", list.len());
                return Err(OptionError::new("compressor.r", format!("{list:?}"), allowed).into());
            }
            OneOrList::List(list) => return Ok(list.get(index).copied().unwrap_or(0)),
            OneOrList::One(r) if of < 2 => return Ok(*r),
            OneOrList::One(r) => *r as f64,
        };
        let inflection = self.inflection.unwrap_or(match self.across {
            Across::Constant => 0.0,
            Across::Decreasing => -1.0,
            Across::Increasing => 1.0,
        });
        let first = (r * (1.0 - inflection)).trunc();
        let last = 2.0 * r - first;
        let step = (last - first) / (of - 1) as f64;
        Ok((first + step * index as f64) as usize)
    }

    /// What tokens are compared by at this stage, where it is not the tokens themselves.
    fn metric<B: Backend>(&self, offered: Option<Tensor<B>>) -> Result<Option<Tensor<B>>> {
        match (self.at, self.similarity) {
            (Where::Blocks, _) => Ok(offered),
            // A model that cannot ask offers the embedding in any case.
            (Where::BeforeEncoder, Similarity::Tokens) => Ok(None),
            (Where::BeforeEncoder, Similarity::Content) if offered.is_some() => Ok(offered),
            (Where::BeforeEncoder, Similarity::Content) => {
                let allowed = "the model shows no tokens without positions before its encoder: set it to `tokens`";
                Err(OptionError::new("compressor.similarity", self.similarity, allowed).into())
            }
        }
    }
}

/// One pass; the metric is merged along where passes follow.
fn merge_once<B: Backend>(tape: &mut Tape<B>, tokens: Tokens<B>, r: usize, last: bool) -> Result<Tokens<B>> {
    let (batch, count) = (tokens.x.shape()[0], tokens.x.shape()[1]);
    let merge = match &tokens.metric {
        Some(metric) => B::match_tokens(metric, r, tokens.protected)?,
        None => B::match_tokens(&tokens.x.detach(), r, tokens.protected)?,
    };
    let sizes = match tokens.sizes {
        Some(sizes) => sizes,
        None => Tensor::from_vec(tokens.x.device(), vec![1.0; batch * count], [batch, count])?,
    };
    let source = tokens.source.map(|source| {
        let (per_image, target) = (source.len() / batch.max(1), B::host_ints(&merge.target));
        source.iter().enumerate().map(|(i, &s)| target[i / per_image * count + s as usize]).collect()
    });
    let operation = || Operation::MergeTokens { r, protected: tokens.protected };
    let compared = tokens.metric.as_ref().unwrap_or(&tokens.x);
    let metric = match tokens.metric.as_ref().filter(|_| !last) {
        Some(metric) => {
            let (merged, kept) = B::merge_tokens(&merge, metric, &sizes)?;
            tape.write_down(operation(), &[compared, metric, &sizes], &[&merged, &kept]);
            Some(merged)
        }
        None => None,
    };
    let (x, kept) = tape.merge_tokens(merge, &tokens.x, &sizes)?;
    tape.write_down(operation(), &[compared, &tokens.x, &sizes], &[&x, &kept]);
    let sizes = kept;
    Ok(Tokens { x, metric, sizes: Some(sizes), source, protected: tokens.protected })
}

impl<B: Backend> Compressor<B> for TokenMerging {
    fn is_active(&self, at: Stage) -> bool {
        (at == Stage::BeforeEncoder) == (self.at == Where::BeforeEncoder)
    }

    fn needs_metric(&self, at: Stage) -> bool {
        matches!(at, Stage::Block { .. }) || self.similarity == Similarity::Content
    }

    fn compress(&self, tape: &mut Tape<B>, mut tokens: Tokens<B>, at: Stage) -> Result<Tokens<B>> {
        let (batch, count) = match *tokens.x.shape() {
            [batch, count, _] => (batch, count),
            _ => {
                return Err(Error::Other(format!(
                    "token merging needs [batch, tokens, dim], not {}",
                    tokens.x.shape()
                )));
            }
        };
        if self.source && tokens.source.is_none() {
            tokens.source = Some((0..batch).flat_map(|_| 0..count as u32).collect());
        }
        if !<Self as Compressor<B>>::is_active(self, at) {
            return Ok(tokens);
        }
        let mut pending = match at {
            Stage::BeforeEncoder => self.total(count, tokens.protected),
            Stage::Block { index, of } => self.in_block(index, of)?,
        };
        tokens.metric = self.metric(tokens.metric)?;
        while pending > 0 {
            let before = tokens.x.shape()[1];
            let r = pending.min((before - tokens.protected) / 2);
            if r == 0 {
                break;
            }
            // A block merges at most half of its tokens.
            pending = if self.at == Where::Blocks { 0 } else { pending - r };
            tokens = merge_once(tape, tokens, r, pending == 0)?;
        }
        Ok(Tokens { metric: None, ..tokens })
    }
}

register!(Compressor, "token-merging", TokenMerging, "Merges similar tokens into their means (Bolya et al. 2022).",);

#[cfg(test)]
mod tests {
    use super::*;

    fn merging(options: &str) -> TokenMerging {
        secateur::options::parse(&options.parse().expect("TOML")).expect("options")
    }

    fn schedule(options: &str, of: usize) -> Vec<usize> {
        let merging = merging(options);
        (0..of).map(|index| merging.in_block(index, of).expect("a number")).collect()
    }

    /// Made by evaluating the authors' formula in Python, for r from 1 to 40 and L from 2 to 32:
    /// `min_val = int(r * (1.0 - inflect)); max_val = 2 * r - min_val; step = (max_val - min_val) / (L - 1)`, then
    /// `int(min_val + step * i)` for each i below L; every number v in turn enters `h = (h * 31 + v) % 2**64`.
    #[test]
    fn the_schedules_over_the_blocks_are_those_of_the_authors() {
        for (key, expected) in [
            ("inflection = -1.0", 0x3d78_e2e0_c8b5_ece8),
            ("across = \"decreasing\"", 0x3d78_e2e0_c8b5_ece8),
            ("inflection = 0.0", 0x46b7_89b2_4740_4c14),
            ("across = \"constant\"", 0x46b7_89b2_4740_4c14),
            ("inflection = 1.0", 0x757a_ee74_5ad2_2d10),
            ("across = \"increasing\"", 0x757a_ee74_5ad2_2d10),
            ("inflection = -0.5", 0x237d_5828_b6d0_fd78),
            ("inflection = 0.3", 0xe8b4_85b8_ce16_259f_u64),
        ] {
            let all = (1..=40).flat_map(|r| (2..=32).map(move |of| (r, of)));
            let counts = all.flat_map(|(r, of)| schedule(&format!("r = {r}\n{key}"), of));
            let checksum = counts.fold(0u64, |h, v| h.wrapping_mul(31).wrapping_add(v as u64));
            assert_eq!(checksum, expected, "{key}");
        }
        assert_eq!(schedule("r = 13\nacross = \"decreasing\"", 12), [26, 23, 21, 18, 16, 14, 11, 9, 7, 4, 2, 0]);
        assert_eq!(schedule("r = 16\nacross = \"increasing\"", 12), [0, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32]);
        assert_eq!(schedule("r = 5\ninflection = -0.5", 7), [7, 6, 5, 5, 4, 3, 3]);
        assert_eq!(schedule("r = 5\nacross = \"decreasing\"", 1), [5], "the authors' formula divides by zero");
    }

    #[test]
    fn a_list_is_taken_as_it_stands() {
        assert_eq!(schedule("r = [8, 0, 3]", 5), [8, 0, 3, 0, 0]);
        assert_eq!(schedule("r = []", 2), [0, 0]);
        let error = merging("r = [8, 0, 3]").in_block(0, 2).expect_err("three for two blocks").to_string();
        assert!(error.contains("`compressor.r` = [8, 0, 3]: lists 3 blocks, but the model has 2"), "{error}");
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for (options, key) in [
            ("at = \"blocks\"\nr = [1]\nacross = \"decreasing\"", "across"),
            ("at = \"blocks\"\nr = [1]\ninflection = 0.5", "inflection"),
            ("at = \"blocks\"\nacross = \"increasing\"\ninflection = 0.5", "inflection"),
            ("at = \"blocks\"\ninflection = 1.5", "inflection"),
        ] {
            let errors = secateur::options::parse::<TokenMerging>(&options.parse().expect("TOML")).expect_err(options);
            assert_eq!(errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), [key], "{options}");
        }
    }

    #[test]
    fn counts_are_the_nearest_and_halves_go_up() {
        let total = |options: &str, count| merging(options).total(count, 1);
        for (ratio, of_64, of_49) in [(0.2, 13, 10), (0.4, 26, 20), (0.6, 38, 29), (0.8, 51, 39), (0.0, 0, 0)] {
            let found = [65, 50].map(|count| total(&format!("ratio = {ratio}"), count));
            assert_eq!(found, [of_64, of_49], "{ratio}");
        }
        // Halves, of which some are just below in binary: 0.145 x 100.
        assert_eq!(
            [("0.145", 100), ("0.25", 10), ("0.5", 5)].map(|(r, n)| total(&format!("ratio = {r}"), n + 1)),
            [15, 3, 3]
        );
        let kept = |ratio: f64, n: usize| n - total(&format!("ratio = {ratio}\nreading = \"kept\""), n + 1);
        assert_eq!([kept(0.2, 64), kept(0.4, 64), kept(0.6, 49), kept(0.25, 10)], [13, 26, 29, 3]);
        // The class token stands in set A: 64 patches leave it 32 tokens, 49 patches 24.
        let one = |ratio: f64, n: usize| total(&format!("ratio = {ratio}\nreading = \"one-pass\""), n + 1);
        assert_eq!([one(0.8, 64), one(0.8, 49), one(0.4, 49), one(0.99, 49)], [26, 19, 10, 24]);
        // Without it, set A is the larger one, and yet no more than half can be merged.
        assert_eq!(merging("ratio = 0.99\nreading = \"one-pass\"").total(49, 0), 24);
    }
}
