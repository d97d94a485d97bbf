//! The tensors of a file in the place of a network's parameters, and what of both is left over.

use super::config::{GivenMasks, InitConfig};
use super::names::{Found, Names, Target};
use super::order::by_order;
use super::tensor::{Numbers, TensorInFile};
use super::weights::Weights;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::{Layout, ParamSpec, Sizes};
use crate::options::{key_in, keys_for, unknown};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The weights of a file, and how a run takes them.
#[derive(Debug, Clone)]
pub struct Given {
    /// The file's.
    pub weights: Arc<Weights>,
    /// The `[init]` section.
    pub config: InitConfig,
    /// Sizes of the unit groups of a network of ours before anything was removed; without them none counts as removed.
    pub whole: Option<Sizes>,
}

/// What of a file fits a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fitted {
    /// Numbers by parameter, row by row.
    pub values: BTreeMap<String, Vec<f32>>,
    /// Masks by parameter; `true` is kept.
    pub masks: BTreeMap<String, Vec<bool>>,
    /// What a person should know of it, one sentence each, with the key that each is about.
    pub remarks: Vec<(&'static str, String)>,
}

/// How many names of a kind are told; a network has hundreds.
const TOLD: usize = 8;

/// What does not fit.
#[derive(Default)]
struct Left {
    missing: Vec<String>,
    unused: Vec<String>,
    misshaped: Vec<String>,
    /// What nothing was looked for in.
    skipped: Vec<String>,
}

impl Left {
    fn lines(&self) -> Vec<String> {
        let kinds = [
            ("missing in the file", &self.missing),
            ("in the file and not used", &self.unused),
            ("of another shape", &self.misshaped),
            ("in the file and of no fractions", &self.skipped),
        ];
        let told = |(what, all): &(&str, &Vec<String>)| {
            let more = all.len().saturating_sub(TOLD);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{what}: {}{more}", all[..all.len().min(TOLD)].join(", "))
        };
        kinds.iter().filter(|(_, all)| !all.is_empty()).map(told).collect()
    }
}

impl Given {
    /// Sizes of the unit groups of the file's network, where that is a pruned form of one with these sizes, and what it
    /// lost is to be treated so.
    pub fn sizes(&self, masks: GivenMasks, whole: &Sizes) -> Option<&Sizes> {
        let cut = self.weights.about.as_ref().map(|about| &about.sizes).filter(|sizes| *sizes != whole)?;
        (self.config.masks == masks && self.whole.as_ref() == Some(whole)).then_some(cut)
    }

    /// What of the file is what of a network of this layout; `names` are those that the model knows from elsewhere, see
    /// [`Model::known_names`].
    ///
    /// # Errors
    /// What does not fit, both ways, where `init.strict` holds; two tensors that are the same parameter; rules that
    /// speak for nothing, or of a parameter that there is not; numbers that are not finite. Keys are relative to the
    /// section.
    ///
    /// [`Model::known_names`]: crate::network::model::Model::known_names
    pub fn fit(&self, layout: &Layout, names: &[(String, String)]) -> Result<Fitted> {
        let (weights, config) = (self.weights.as_ref(), &self.config);
        let own = layout.params.iter().map(|spec| spec.name.as_str());
        let names = Names::new(&config.names, names, own);
        let fractions: Vec<&TensorInFile> = weights.tensors.iter().filter(|t| t.numbers.are_fractions()).collect();
        let (by, mut found): (Vec<&str>, Vec<Found>) = names.of(&fractions).into_iter().unzip();
        if found.iter().all(|found| *found == Found::Unknown)
            && let Some(ordered) = by_order(&fractions, layout)
        {
            found = ordered;
        }
        self.rules_act(&names, layout, (&by, &found))?;
        let mut left = Left::default();
        let mut parts: BTreeMap<&Target, &TensorInFile> = BTreeMap::new();
        for (tensor, found) in fractions.iter().zip(&found) {
            match found {
                Found::LeftOut => {}
                Found::Is(target) if layout.spec(&target.name).is_some() => {
                    if let Some(other) = parts.insert(target, tensor) {
                        return Err(config.refused(two(target, &other.name, &tensor.name)).into());
                    }
                }
                Found::Is(_) | Found::Unknown => left.unused.push(format!("{} {:?}", tensor.name, tensor.shape)),
            }
        }
        let mut fitted = Fitted::default();
        for spec in &layout.params {
            // The parts of a parameter stand in their order.
            let of_it = parts.iter().filter(|(target, _)| target.name == spec.name);
            let all: Vec<(&Target, &TensorInFile)> = of_it.map(|(target, tensor)| (*target, *tensor)).collect();
            if all.is_empty() {
                left.missing.push(format!("{} {:?}", spec.name, &spec.shape[..]));
            } else if let Some(why) = misfit(spec, &all) {
                left.misshaped.push(why);
            } else {
                let mut values = Vec::with_capacity(spec.shape.count());
                all.iter().for_each(|(_, tensor)| values.extend(weights.values(tensor)));
                if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                    let text = format!("`{}` of it is {} at element {at}", spec.name, values[at]);
                    return Err(config.refused(format!("{text}: no network begins with such weights")).into());
                }
                fitted.values.insert(spec.name.clone(), values);
            }
        }
        if !left.missing.is_empty() {
            let told = |t: &TensorInFile| format!("{} {:?} of {}", t.name, t.shape, t.numbers);
            left.skipped = self.others().map(told).collect();
        }
        self.judge(&left, fitted.values.len(), &mut fitted.remarks)?;
        self.numbers(&parts, &mut fitted.remarks);
        self.masks(layout, &mut fitted)?;
        Ok(fitted)
    }

    /// Refuses what is left over, or says what it is.
    fn judge(&self, left: &Left, fitting: usize, remarks: &mut Vec<(&'static str, String)>) -> Result<()> {
        let lines = left.lines();
        let told = lines.join("; ");
        match (lines.is_empty(), self.config.strict) {
            (true, _) => Ok(()),
            (false, false) if fitting > 0 => {
                remarks.push(("init.strict", format!("init.strict = false: {told}. What is missing is drawn.")));
                Ok(())
            }
            (false, false) => Err(self.config.refused(format!("nothing of it fits this network: {told}")).into()),
            (false, true) => {
                let fix = "choose the model's options so that it is this network, say which names are which in [init.names], \
                           or go on with what fits: init.strict = false";
                Err(self.config.refused(format!("it is not this network: {told}\n  fix: {fix}")).into())
            }
        }
    }

    /// What became of numbers that are no f32.
    fn numbers(&self, parts: &BTreeMap<&Target, &TensorInFile>, remarks: &mut Vec<(&'static str, String)>) {
        let mut converted: BTreeMap<&Numbers, usize> = BTreeMap::new();
        for tensor in parts.values().filter(|tensor| tensor.numbers != Numbers::F32) {
            *converted.entry(&tensor.numbers).or_default() += 1;
        }
        for (numbers, count) in converted {
            let how = if *numbers == Numbers::F64 { "rounded to f32" } else { "made f32" };
            remarks.push(("init.from", format!("init.from: {count} tensors of {numbers} were {how}.")));
        }
        let others: Vec<&str> = self.others().map(|tensor| tensor.name.as_str()).collect();
        if !others.is_empty() {
            let text = format!("init.from: tensors of no fractions were skipped: {}.", others.join(", "));
            remarks.push(("init.from", text));
        }
    }

    /// Tensors that no weights are made of, but for the counters of batches that stand in every state dict with batch
    /// normalisation.
    fn others(&self) -> impl Iterator<Item = &TensorInFile> {
        let all = self.weights.tensors.iter().filter(|tensor| !tensor.numbers.are_fractions());
        all.filter(|tensor| !tensor.name.ends_with("num_batches_tracked"))
    }

    /// The masks of a network of ours, where they are kept.
    fn masks(&self, layout: &Layout, fitted: &mut Fitted) -> Result<()> {
        let config = &self.config;
        if config.masks == GivenMasks::Drop {
            let cut = layout.groups.iter().any(|group| group.units != group.dense_units);
            if !self.weights.has_masks() && !cut {
                let text = "init.masks = \"drop\" does nothing here: nothing of the file is masked or was cut out.";
                fitted.remarks.push(("init.masks", text.into()));
            }
            return Ok(());
        }
        for (name, mask) in self.weights.masks() {
            let Some(spec) = layout.spec(name).filter(|_| fitted.values.contains_key(name)) else { continue };
            if mask.len() != spec.shape.count() {
                return Err(config.refused(format!("the mask of `{name}` has {} elements", mask.len())).into());
            }
            fitted.masks.insert(name.clone(), mask);
        }
        Ok(())
    }

    /// Refuses rules of the config that speak for no tensor, or of no parameter.
    fn rules_act(&self, names: &Names<'_>, layout: &Layout, (by, found): (&[&str], &[Found])) -> Result<()> {
        let mut errors = vec![];
        let there: Vec<&str> = self.weights.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        for pattern in names.idle(there.iter().chain(by).copied()) {
            let text = format!("no tensor of the file has such a name: {}", some(&there));
            errors.push(OptionError::new(key_in("names", pattern), format!("{:?}", self.config.names[pattern]), text));
        }
        for name in by {
            if let [one, other, ..] = keys_for(self.config.names.keys(), name)[..] {
                let text = format!("`{name}` fits it and {other:?}, which is as long: write that name out");
                errors.push(OptionError::new(key_in("names", one), format!("{:?}", self.config.names[one]), text));
                break;
            }
        }
        let known: Vec<&str> = layout.params.iter().map(|spec| spec.name.as_str()).collect();
        for found in found {
            if let Found::Is(target) = found
                && !known.contains(&target.name.as_str())
                && let Some((pattern, to)) = self.config.names.iter().find(|(_, to)| may_be(to, &target.name))
            {
                let text = format!("`{}` is an {}", target.name, unknown("parameter", &target.name, &known));
                errors.push(OptionError::new(key_in("names", pattern), format!("{to:?}"), text));
                break;
            }
        }
        Error::if_any(errors)
    }
}

/// Whether a rule with this right side can have made the name.
fn may_be(to: &str, name: &str) -> bool {
    crate::options::fits(to.split(' ').next().unwrap_or_default(), name)
}

fn two(target: &Target, one: &str, other: &str) -> String {
    let part = if target.part.1 > 1 { format!(" {}/{}", target.part.0 + 1, target.part.1) } else { String::new() };
    format!(
        "`{one}` and `{other}` of it would both be `{}`{part}: leave one out in [init.names], {one:?} = \"\"",
        target.name
    )
}

fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names[..names.len().min(TOLD)].join(", "))
}

/// Why these parts are not a parameter, in words; `None` where they are.
fn misfit(spec: &ParamSpec, parts: &[(&Target, &TensorInFile)]) -> Option<String> {
    let of = parts[0].0.part.1;
    let want = &spec.shape[..];
    let all = || parts.iter().map(|(_, t)| format!("{} {:?}", t.name, t.shape)).collect::<Vec<_>>().join(" and ");
    let whole = parts.len() == of && parts.iter().enumerate().all(|(i, (target, _))| target.part == (i, of));
    if !whole {
        return Some(format!("{} needs {of} parts, and there is {}", spec.name, all()));
    }
    let rows = want.first().filter(|rows| rows.is_multiple_of(of)).map(|rows| rows / of);
    let each: Vec<usize> = match (of, rows) {
        (1, _) => want.to_vec(),
        (_, Some(rows)) => [&[rows], &want[1..]].concat(),
        (_, None) => vec![],
    };
    let fits = parts.iter().all(|(_, tensor)| same(&tensor.shape, &each));
    (!fits).then(|| format!("{} is {want:?} here, and there is {}", spec.name, all()))
}

/// Whether a tensor of one shape has the numbers of another one in the same order: axes of one aside, and with the axes
/// of a kernel as one, as the patches of a vision transformer have them.
pub(super) fn same(found: &[usize], want: &[usize]) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
    let kernel = || match (found, want) {
        ([out, inner @ ..], [rows, columns]) => {
            inner.len() > 1
                && out == rows
                && inner.iter().try_fold(1usize, |all, n| all.checked_mul(*n)) == Some(*columns)
        }
        _ => false,
    };
    long(found) == long(want) || kernel()
}
