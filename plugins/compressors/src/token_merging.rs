//! Token merging: bipartite soft matching (Bolya et al. 2022, arXiv 2210.09461).

use secateur::prelude::*;

choices! {
    /// Where tokens are merged.
    pub enum Where {
        /// Once, between patch embedding and encoder, by the similarity of the tokens ("Neural Burden", arXiv
        /// 2407.16716).
        BeforeEncoder = "before-encoder",
        /// In every block between attention and MLP, by the similarity of the keys (the authors of token merging).
        Blocks = "blocks",
    }
}

choices! {
    /// What `ratio` counts.
    pub enum Reading {
        /// The fraction of patch tokens that is removed, by repeated passes of at most half each.
        Removed = "removed",
        /// One pass; the fraction of the tokens of set A (every other one) that is merged into set B.
        OnePass = "one-pass",
        /// The fraction of patch tokens that is kept, by repeated passes.
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
        /// How much is merged before the encoder, read as `reading` says; in [0, 1).
        #[acts(|m| m.at == Where::BeforeEncoder, "at = \"before-encoder\"")]
        pub ratio: f64 = 0.4,
        /// `removed`, `one-pass` or `kept`. A ratio above 0.5 cannot be removed in one pass, so passes repeat and 0.6
        /// differs from 0.8.
        #[acts(|m| m.at == Where::BeforeEncoder, "at = \"before-encoder\"")]
        pub reading: Reading = Reading::Removed,
        /// Tokens merged in each block, where merging is in the blocks.
        #[acts(|m| m.at == Where::Blocks, "at = \"blocks\"")]
        pub r: usize = 8,
        /// `constant` or `decreasing`, where merging is in the blocks.
        #[acts(|m| m.at == Where::Blocks, "at = \"blocks\"")]
        pub across: Across = Across::Constant,
        /// Whether to keep track of which original tokens went where, for pictures.
        #[acts(always)]
        pub source: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        let some = self.reading != Reading::Kept || self.ratio > 0.0;
        let text = "must be at least 0 and below 1, and above 0 where it is the fraction kept";
        checks.ensure("ratio", some && (0.0..1.0).contains(&self.ratio), text);
    }
}

impl TokenMerging {
    /// Tokens to be merged before the encoder, of `patches` that are not protected.
    fn total(&self, patches: usize) -> usize {
        let n = patches as f64;
        // Decimal fractions are not exact in binary: 0.6 of 50 must count as 30.
        match self.reading {
            Reading::Removed => (self.ratio * n + 1e-9).floor() as usize,
            Reading::Kept => patches - (self.ratio * n - 1e-9).ceil() as usize,
            Reading::OnePass => (self.ratio * patches.div_ceil(2) as f64 + 1e-9).floor() as usize,
        }
    }

    /// Tokens to be merged in block `index` of `of`.
    fn in_block(&self, index: usize, of: usize) -> usize {
        match self.across {
            Across::Constant => self.r,
            Across::Decreasing if of < 2 => self.r,
            // min + l (max - min) / (L - 1) with inflection -1: max = 2 r first, 0 last.
            Across::Decreasing => (2.0 * self.r as f64 * (1.0 - index as f64 / (of - 1) as f64)) as usize,
        }
    }
}

fn merge_once<B: Backend>(tape: &mut Tape<B>, tokens: Tokens<B>, r: usize) -> Result<Tokens<B>> {
    let (batch, count) = (tokens.x.shape()[0], tokens.x.shape()[1]);
    let metric = tokens.metric.clone().unwrap_or_else(|| tokens.x.detach());
    let merge = B::match_tokens(&metric, r, tokens.protected)?;
    let sizes = match tokens.sizes {
        Some(sizes) => sizes,
        None => Tensor::from_vec(tokens.x.device(), vec![1.0; batch * count], [batch, count])?,
    };
    let source = tokens.source.map(|source| {
        let (per_image, target) = (source.len() / batch.max(1), B::host_ints(&merge.target));
        source.iter().enumerate().map(|(i, &s)| target[i / per_image * count + s as usize]).collect()
    });
    let (x, sizes) = tape.merge_tokens(merge, &tokens.x, &sizes)?;
    Ok(Tokens { x, metric: None, sizes: Some(sizes), source, protected: tokens.protected })
}

impl<B: Backend> Compressor<B> for TokenMerging {
    fn is_active(&self, at: Stage) -> bool {
        (at == Stage::BeforeEncoder) == (self.at == Where::BeforeEncoder)
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
        let mut pending = match (at, self.at) {
            (Stage::BeforeEncoder, Where::BeforeEncoder) => self.total(count - tokens.protected),
            (Stage::Block { index, of }, Where::Blocks) => self.in_block(index, of),
            _ => 0,
        };
        while pending > 0 {
            let before = tokens.x.shape()[1];
            let r = pending.min((before - tokens.protected) / 2);
            if r == 0 {
                break;
            }
            tokens = merge_once(tape, tokens, r)?;
            pending -= r;
            if self.at == Where::Blocks {
                break;
            }
        }
        Ok(tokens)
    }
}

register!(Compressor, "token-merging", TokenMerging, "Merges similar tokens into their means (Bolya et al. 2022).",);
