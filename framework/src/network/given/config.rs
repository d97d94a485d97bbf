//! The `[init]` section.

use super::names::Rule;
use crate::error::OptionError;
use crate::options::key_in;
use std::collections::BTreeMap;

crate::choices! {
    /// What becomes of what a network of ours has lost.
    pub enum GivenMasks {
        /// The run begins with the pruned network: its masks hold, its removed units are gone and count as pruned.
        Keep = "keep",
        /// What is left is the whole network: pruned weights are zeros that learn again, removed units were never there.
        Drop = "drop",
    }
}

crate::options! {
    /// Where a network's first weights come from.
    pub struct InitConfig {
        /// A file of weights to begin with: `model.safetensors` or the folder of a finished run, any safetensors file,
        /// or a PyTorch state dict (`.pt`, `.pth`). Initial values are drawn where absent. The content of the file is
        /// part of what makes a run that run, not where it lies.
        #[acts(always)]
        pub from: Option<String> = None,
        /// Whether every parameter must be in the file, with its shape, and everything in the file be one; where not,
        /// what is missing keeps its drawn values, and the run says what that is.
        #[acts(|init| init.from.is_some(), "from")]
        pub strict: bool = true,
        /// What becomes of masks and removed units of a network of ours: `keep` or `drop`.
        #[acts(|init| init.from.is_some(), "from")]
        #[acts(run, "a network of ours that was pruned")]
        pub masks: GivenMasks = GivenMasks::Keep,
        /// Names in the file, and what they are here, beside those that are known: `"body.*.conv.*" = "stage1.*.conv1.*"`.
        /// Each `*` stands for any run of characters, the same on both sides; the name with most characters speaks.
        /// `"q.*" = "blocks.*.attn.qkv.weight 1/3"` is the first third of the rows; `""` leaves a tensor out.
        #[acts(|init| init.from.is_some(), "from")]
        pub names: BTreeMap<String, String> = BTreeMap::new(),
    }

    fn check(&self, checks: &mut Checks) {
        checks.ensure("from", self.from.as_deref() != Some(""), "must name a file, or the folder of a run");
        for (pattern, target) in &self.names {
            if let Err(allowed) = Rule::new(pattern, target) {
                checks.ensure(&key_in("names", pattern), false, allowed);
            }
        }
    }
}

impl InitConfig {
    /// The value of `from`, as wrong for this reason.
    pub fn refused(&self, allowed: impl Into<String>) -> OptionError {
        OptionError::new("from", format!("{:?}", self.from.as_deref().unwrap_or_default()), allowed)
    }
}
