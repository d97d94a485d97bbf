//! The `[prune]` section.

mod choices;
mod granularity;
mod idle;
mod names;
mod start;

pub use choices::{Apply, Counted, Disconnected, Normalizer, OnEmptyLayer, Quantity, RegrowFrom, Scope};
pub use granularity::Granularity;

use crate::backend::Reduce;
use crate::network::params::Masking;
use crate::options::{OneOrTable, key_in};
use crate::pruning::criterion::Rounding;
use std::collections::BTreeMap;
use std::path::PathBuf;

crate::options! {
    /// How scores become a pruned network.
    pub struct PruneConfig {
        /// What is removed: single weights (`weight`), whole units (`unit`: neurons, channels, attention heads),
        /// rectangular blocks of a weight matrix (`block`), or all but the best n of every m consecutive weights along
        /// the input axis (`"2:4"` for two of four, any n and m). Under n:m the schedule says only when: the pattern
        /// holds after every pruning step, and is chosen anew at each with `regrow`.
        #[acts(run, "pruning steps")]
        pub granularity: Granularity = Granularity::Weight,
        /// Rows and columns of a block. A weight is seen as a matrix of its first axis (the outputs of a linear layer or
        /// convolution) by all others; blocks at an edge that the size does not divide are smaller.
        #[acts(|p| p.granularity == Granularity::Block, "granularity = \"block\"")]
        pub block: [usize; 2] = [4, 4],
        /// How the sparsity is shared: `global`, `layer`, `erk`, `table` or `counts`.
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        #[acts(run, "pruning steps in which the criterion scores")]
        pub scope: Scope = Scope::Global,
        /// What a schedule's sparsity is a fraction of: `sparsity` (the weights or units that may be pruned), or of the
        /// whole dense network its `params`, its `macs` (multiply-accumulate operations for one example), the `bytes` of
        /// its saved values (for units that are cut) or the `milliseconds` of its forward pass (of units, as
        /// `latency_batch` and `latency_table` say). The lowest scores go until so much is gone. What a layer without
        /// anything to prune costs counts too; more than can go is refused before the run.
        #[acts(|p| p.shares(), "scope = \"global\", \"layer\" or \"erk\"")]
        #[acts(run, "pruning steps in which the criterion scores")]
        pub target: Quantity = Quantity::Sparsity,
        /// Examples in the batch whose forward pass is timed, for `target = "milliseconds"`; `train.batch_size` where
        /// absent. The pass is one in evaluation, without the loss, on the run's device and threads: of the dense
        /// network, of networks with one group at one unit and at a quarter, a half and three quarters of its units, and
        /// with each two groups that share a weight at one unit and at half of them.
        #[acts(|p| p.target == Quantity::Milliseconds, "target = \"milliseconds\"")]
        #[acts(|p| p.shares(), "scope = \"global\", \"layer\" or \"erk\"")]
        #[acts(|p| p.latency_table.is_none(), "no latency_table, which says its own batch")]
        #[acts(run, "pruning steps")]
        pub latency_batch: Option<usize> = None,
        /// A table of times to go by instead of measuring: the `latency.json` that a run of this network left. With it a
        /// run prunes the same units on every machine, whatever its own speed; its summary tells what is measured there.
        #[acts(|p| p.target == Quantity::Milliseconds, "target = \"milliseconds\"")]
        #[acts(|p| p.shares(), "scope = \"global\", \"layer\" or \"erk\"")]
        #[acts(run, "pruning steps")]
        pub latency_table: Option<PathBuf> = None,
        /// Final sparsity by parameter (`fc1.weight`) or unit group (`fc1`), for `scope = "table"`: reached when the
        /// schedule reaches its own largest one, and on the way there in proportion to it. Those not listed are left
        /// alone. A `*` in a name stands for any run of characters (`"blocks.*.attn.*"`, `"*"` for all); the longest
        /// name that fits speaks, a name without `*` before all others.
        #[acts(|p| p.scope == Scope::Table, "scope = \"table\"")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        pub table: BTreeMap<String, f64> = BTreeMap::new(),
        /// Weights or units to keep after the first, second, ... pruning step, by parameter or unit group, for `scope =
        /// "counts"`: what another run did, done again. The last number holds for all later steps; those not listed are
        /// left alone. Names may have a `*`, as in `table`.
        #[acts(|p| p.scope == Scope::Counts, "scope = \"counts\"")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        pub counts: BTreeMap<String, Vec<usize>> = BTreeMap::new(),
        /// Largest sparsity of a layer (a parameter or unit group): one number for each, or a table by name as in
        /// `table`, such as `{ "conv*" = 0.5, "*" = 0.95 }`. What a layer does not give is taken elsewhere; a sparsity
        /// that cannot be had so is refused before the run.
        #[acts(|p| p.shares(), "scope = \"global\", \"layer\" or \"erk\"")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        pub max_sparsity: OneOrTable<f64> = OneOrTable::default(),
        /// Smallest sparsity of a layer, written as `max_sparsity` is: reached when the schedule reaches its own largest
        /// one, and on the way there in proportion to it.
        #[acts(|p| p.shares(), "scope = \"global\", \"layer\" or \"erk\"")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        pub min_sparsity: OneOrTable<f64> = OneOrTable::default(),
        /// Units, weights or blocks are kept in multiples of this number in every layer, or all of a layer's. Counts are
        /// rounded to the nearest, and balanced until their sum is as near to what is asked as that allows; what
        /// remains of the difference is told.
        #[acts(|p| p.scope != Scope::Counts, "another scope than \"counts\", which counts itself")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        pub multiple: usize = 1,
        /// Units of groups at the start, where the network is to begin smaller than the model says; groups not listed
        /// keep theirs. Names may have a `*`, as in `table`.
        #[acts(run, "fewer units than the model says")]
        pub start: BTreeMap<String, usize> = BTreeMap::new(),
        /// Begin with at most this many parameters: all groups get smaller by one factor; instead of `start`.
        #[acts(run, "fewer parameters than the model has")]
        pub start_params: Option<usize> = None,
        /// `mask` keeps shapes and holds zeros; `shrink` removes units physically.
        #[acts(run, "pruning steps")]
        pub apply: Apply = Apply::Mask,
        /// Whether what is pruned keeps receiving the dense gradient and can return. Masked units
        /// start from nothing after every pruning step, train along with the others, and are left out wherever the
        /// network is measured or written (soft filter pruning, He et al. 2018).
        #[acts(run, "pruning steps")]
        pub regrow: bool = false,
        /// What a returning weight starts from: `learned`, what the dense gradient made of it while it was pruned (Lin et
        /// al. 2020), or `zero`, at which it was held until then, without optimizer state (Evci et al. 2020; Peste et al.
        /// 2021).
        #[acts(|p| p.regrow, "regrow = true")]
        #[acts(
            |p| p.granularity != Granularity::Unit,
            "another granularity than \"unit\", since units go on learning until they return"
        )]
        pub regrow_from: RegrowFrom = RegrowFrom::Learned,
        /// How the scores of a unit's or block's weights become one, for a criterion that scores weights: `l1`, `l2`,
        /// `mean`, `max` or `sum`; the criterion's own way where absent, `l1` where it has none.
        #[acts(|p| [Granularity::Unit, Granularity::Block].contains(&p.granularity), "granularity = \"unit\" or \"block\"")]
        #[acts(run, "a criterion that scores weights, not units")]
        pub reduce: Option<Reduce> = None,
        /// How scores of different layers are made comparable, for `scope = "global"`: `none`, `mean` (each layer's
        /// divided by their mean magnitude), `size` (by their number), `l2` (by their L2 norm) or `z-score`. Where
        /// absent as the criterion says (lamp and network-slimming: `none`), and where it says nothing `none` for weights
        /// and blocks and `mean` for units: the norm of a unit grows with its fan-in, so that raw norms empty the layers
        /// with small kernels first.
        #[acts(|p| p.scope == Scope::Global, "scope = \"global\"")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        #[acts(run, "a criterion that scores, and does not decide weight by weight itself")]
        pub normalize: Option<Normalizer> = None,
        /// Parameters or unit groups that are never pruned. Names may have a `*`: `["head*"]`.
        #[acts(run, "something that would be pruned otherwise")]
        pub exempt: Vec<String> = vec![],
        /// Whether the layer that produces the output may be pruned (its weights; it has no units).
        #[acts(|p| p.granularity != Granularity::Unit, "another granularity than \"unit\"")]
        #[acts(run, "a layer that produces the output, and that scope, table and counts do not leave alone")]
        pub include_output: bool = false,
        /// Factor of the fraction that goes of the layer that produces the output: half of it in the lottery-ticket paper
        /// (Frankle & Carbin 2019, section 2).
        #[acts(|p| p.include_output, "include_output = true")]
        #[acts(|p| p.scope == Scope::Layer, "scope = \"layer\"")]
        pub output_rate: f64 = 1.0,
        /// How a fraction becomes a count, whichever the criterion, so that runs that are compared count alike:
        /// `floor-pruned` (n - floor(s n)), `floor-kept` (floor((1 - s) n), as the contribution-rank report counts),
        /// `nearest`, or as another library counts: `torch`, `jaxpruner`, `torchao`, `nncf`.
        #[acts(|p| p.scope != Scope::Counts, "another scope than \"counts\", which counts itself")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which takes the same of every layer")]
        #[acts(|p| p.target == Quantity::Sparsity, "target = \"sparsity\", since costs are met exactly")]
        #[acts(run, "a criterion that scores, and does not decide weight by weight itself")]
        pub rounding: Rounding = Rounding::FloorPruned,
        /// What happens where a pruning step leaves no weight of a layer: `warn` goes on and says so, `stop` ends the
        /// run, `keep-one` keeps the layer's best weight. Of units one of each group always stays.
        #[acts(
            |p| [Granularity::Weight, Granularity::Block].contains(&p.granularity),
            "granularity = \"weight\" or \"block\", since of units one of each group stays, and of n:m n"
        )]
        #[acts(run, "pruning steps")]
        pub on_empty_layer: OnEmptyLayer = OnEmptyLayer::Warn,
        /// Weights that are kept and lie on no path from an input to an output, when the run ends: `keep` leaves them, `unread`
        /// prunes those that lead to no output, which changes nothing that the network computes, and `all` those that no
        /// input reaches too. A unit without inputs still passes on what it makes of its bias, so that `all` can change
        /// outputs; the network is measured and saved after it. Weights of every prunable parameter, the exempt ones too.
        #[acts(|p| p.granularity == Granularity::Weight, "granularity = \"weight\"")]
        #[acts(run, "pruning steps")]
        pub disconnected: Disconnected = Disconnected::Keep,
        /// Rounds of scoring within one pruning step, each to a geometrically larger sparsity (SynFlow uses 100).
        #[acts(|p| p.scope != Scope::Counts, "another scope than \"counts\", which is met in one round")]
        #[acts(|p| !p.granularity.is_pattern(), "another granularity than n:m, which is met in one round")]
        #[acts(run, "a criterion that asks the network anew in each round (Needs::PROBE)")]
        pub rounds: u32 = 1,
    }

    fn check(&self, checks: &mut Checks) {
        let tabled = self.scope != Scope::Table || !self.table.is_empty();
        checks.ensure("scope", tabled, "\"table\" needs prune.table, such as { fc1 = 0.5 }");
        let counted = self.scope != Scope::Counts || !self.counts.is_empty();
        checks.ensure("scope", counted, "\"counts\" needs prune.counts, such as { fc1 = [45, 40, 36] }");
        for (name, fraction) in &self.table {
            checks.sparsity(&key_in("table", name), *fraction);
        }
        for (name, counts) in &self.counts {
            checks.ensure(&key_in("counts", name), !counts.is_empty(), "must list at least one number: [45, 40, 36]");
        }
        for (name, units) in &self.start {
            checks.range(&key_in("start", name), *units, 1.0..);
        }
        checks.range("start_params", self.start_params, 1.0..);
        let one = self.start_params.is_none() || self.start.is_empty();
        checks.ensure("start_params", one, "stands beside prune.start, and only one can say how the network begins");
        for (key, sparsity) in self.max_sparsity.keyed("max_sparsity").chain(self.min_sparsity.keyed("min_sparsity")) {
            checks.sparsity(&key, *sparsity);
        }
        checks.range("multiple", self.multiple, 1.0..);
        let sides = self.block.iter().all(|side| *side > 0);
        checks.ensure("block", sides, "must be two numbers of at least 1, rows and columns: [4, 4]");
        checks.range("latency_batch", self.latency_batch, 1.0..);
        let timed = self.target == Quantity::Milliseconds;
        let text = "can be asked of weights, units and blocks, and n:m makes a sparsity of its own: set prune.granularity, \
                    or prune.target = \"sparsity\"";
        let free = !self.granularity.is_pattern() || self.target == Quantity::Sparsity || timed;
        checks.ensure("target", free || !self.shares(), text);
        let text = "can be asked of units alone: weights and blocks are held at zero and multiplied like all others, so that \
                    no time is gained by them; set prune.granularity = \"unit\", or prune.target = \"macs\" for what they \
                    would save";
        checks.ensure("target", self.granularity == Granularity::Unit || !timed || !self.shares(), text);
        let cut = self.granularity == Granularity::Unit && self.apply == Apply::Shrink;
        let text = "needs a saved model that gets smaller: set prune.granularity = \"unit\" and prune.apply = \"shrink\"";
        checks.ensure("target", cut || self.target != Quantity::Bytes || !self.shares(), text);
        let (shrinks, weights) = (self.apply == Apply::Shrink, self.granularity != Granularity::Unit);
        let text = "removes whole units: set prune.granularity = \"unit\", or prune.apply = \"mask\"";
        checks.ensure("apply", !(shrinks && weights), text);
        let text = "needs the pruned weights, but prune.apply = \"shrink\" removes them: set prune.apply = \"mask\"";
        checks.ensure("regrow", !(shrinks && self.regrow), text);
        checks.range("rounds", self.rounds, 1.0..);
        let part = self.output_rate > 0.0 && self.output_rate <= 1.0;
        checks.ensure("output_rate", part, "must lie above 0 and be at most 1; prune.include_output = false is 0");
        let text = "stands beside prune.min_sparsity or max_sparsity, which bind layers too: leave out one of them";
        checks.ensure("output_rate", self.output_rate == 1.0 || !self.is_bounded(), text);
    }
}

impl PruneConfig {
    /// What pruned weights do between pruning steps.
    pub fn masking(&self) -> Masking {
        match (self.regrow, self.granularity, self.regrow_from) {
            (false, ..) => Masking::Held,
            (true, granularity, RegrowFrom::Zero) if granularity != Granularity::Unit => Masking::Returning,
            (true, ..) => Masking::Dynamic,
        }
    }

    /// Whether the scope shares one sparsity among the layers, and does not say each layer's own.
    pub(super) fn shares(&self) -> bool {
        matches!(self.scope, Scope::Global | Scope::Layer | Scope::Erk)
    }

    /// Whether single layers are bound in how much of them goes.
    pub(super) fn is_bounded(&self) -> bool {
        !self.min_sparsity.is_empty() || !self.max_sparsity.is_empty()
    }

    /// Whether a schedule's sparsity is one of a cost, which a ranking alone can tell.
    pub(crate) fn has_cost(&self) -> bool {
        self.target != Quantity::Sparsity && self.shares() && !self.granularity.is_pattern()
    }

    /// Whether that cost is time.
    pub(crate) fn has_latency(&self) -> bool {
        self.target == Quantity::Milliseconds && self.has_cost()
    }

    /// What a pruning step counts.
    pub fn counted(&self) -> Counted {
        match (self.target, self.granularity) {
            (Quantity::Params, _) if self.has_cost() => Counted::Params,
            (Quantity::Macs, _) if self.has_cost() => Counted::Macs,
            (Quantity::Bytes, _) if self.has_cost() => Counted::Bytes,
            (Quantity::Milliseconds, _) if self.has_cost() => Counted::Milliseconds,
            (_, Granularity::Unit) => Counted::Units,
            (_, Granularity::Block) => Counted::Blocks,
            (_, Granularity::Weight | Granularity::NOfM { .. }) => Counted::Weights,
        }
    }

    /// Whether counts are rounded to multiples.
    pub(super) fn rounds_to_multiples(&self) -> bool {
        self.multiple > 1 && self.scope != Scope::Counts && !self.granularity.is_pattern()
    }

    /// Rounds of scoring within one pruning step.
    pub(crate) fn rounds_in_step(&self) -> u32 {
        if self.granularity.is_pattern() { 1 } else { self.rounds }
    }
}
