//! The product of the axes, with what `when` adds and `exclude` takes away.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::section::{Pick, Picked, Sections};
use super::spec::{Condition, Spec};
use crate::config::ConfigError;
use crate::config::key::{self, flat};
use crate::experiments::claims::Claim;

/// More cells than this are a slip of the pen.
const MOST: usize = 2_000_000;

/// One cell: the choices that make it, and the config's sections under them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// The values that make the cell, in the order of the axes.
    pub picks: Vec<Pick>,
    /// A fingerprint: equal for cells with equal configs.
    #[serde(skip)]
    pub print: u128,
    /// In a frozen plan, the name of the cell's folder: it must still be the run that was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// What became of the rules of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// How many cells `exclude` took away.
    pub excluded: usize,
    /// For each rule of `when`, whether it applied to a cell.
    pub applied: Vec<bool>,
    /// For each rule of `exclude`, whether it took a cell away.
    pub took: Vec<bool>,
    /// For each claim, whether a cell is on either of its sides.
    pub sides: Vec<[bool; 2]>,
}

/// Calls `visit` with each cell that is not excluded, until it breaks off.
///
/// # Errors
/// The number of cells, where there are too many to plan.
pub fn walk(
    spec: &Spec,
    sections: &mut Sections<'_>,
    mut visit: impl FnMut(Cell, &Picked) -> ControlFlow<()>,
) -> Result<Walked, f64> {
    let length = |dimension: &Vec<usize>| dimension.first().map_or(1, |axis| spec.axes[*axis].values.len());
    let lengths: Vec<usize> = spec.dimensions.iter().map(length).collect();
    let product = lengths.iter().map(|length| *length as f64).product::<f64>();
    if product > MOST as f64 {
        return Err(product);
    }
    let mut walked = Walked {
        applied: vec![false; spec.when.len()],
        took: vec![false; spec.exclude.len()],
        sides: vec![[false; 2]; spec.claims.len()],
        excluded: 0,
    };
    let sides: Vec<[Condition; 2]> = spec.claims.iter().map(sides).collect();
    for number in 0..product as usize {
        let mut picks = Vec::with_capacity(spec.axes.len());
        let mut rest = number;
        // The last dimension varies fastest.
        for (dimension, length) in spec.dimensions.iter().zip(&lengths).rev() {
            picks.extend(dimension.iter().map(|axis| (*axis as u32, (rest % length) as u32)));
            rest /= length;
        }
        picks.sort_unstable();
        for (picks, picked) in ruled(spec, sections, picks, &mut walked.applied) {
            let takes: Vec<bool> = spec.exclude.iter().map(|rule| picked.has(&rule.0, &picks, sections)).collect();
            walked.took.iter_mut().zip(&takes).for_each(|(took, takes)| *took |= takes);
            if takes.contains(&true) {
                walked.excluded += 1;
                continue;
            }
            for (claim, met) in sides.iter().zip(&mut walked.sides) {
                for (side, met) in claim.iter().zip(met) {
                    *met = *met || picked.has(&side.0, &picks, sections);
                }
            }
            if visit(Cell { picks, print: picked.print(), folder: None }, &picked).is_break() {
                return Ok(walked);
            }
        }
    }
    Ok(walked)
}

/// What the rules of `when` make of the picks of all cells: those that hold add their axes, and may make others hold, each
/// at most once.
fn ruled(spec: &Spec, sections: &mut Sections<'_>, picks: Vec<Pick>, applied: &mut [bool]) -> Vec<(Vec<Pick>, Picked)> {
    let mut open = vec![(picks, vec![false; spec.when.len()])];
    let mut whole = Vec::new();
    // The last one first, so that cells come in the order of their axes.
    while let Some((picks, mut done)) = open.pop() {
        let picked = sections.pick(&picks);
        let mut applying: Vec<usize> = Vec::new();
        for (number, when) in spec.when.iter().enumerate().filter(|(number, _)| !done[*number]).collect::<Vec<_>>() {
            if picked.has(&when.condition.0, &picks, sections) {
                (applied[number], done[number]) = (true, true);
                applying.extend(&when.axes);
            }
        }
        if applying.is_empty() {
            whole.push((picks, picked));
            continue;
        }
        let more = product_of(spec, &applying).into_iter().rev();
        open.extend(more.map(|more| ([picks.as_slice(), &more].concat(), done.clone())));
    }
    whole
}

/// What cells on the sides of a claim have; those of the one side, where the other is a control or a number.
fn sides(claim: &Claim) -> [Condition; 2] {
    let than = if claim.is_against_itself() { &claim.of } else { &claim.than };
    [&claim.of, than].map(|side| Condition([flat(side), flat(&claim.within)].concat()))
}

/// All combinations of some axes' values; one empty combination of none.
fn product_of(spec: &Spec, axes: &[usize]) -> Vec<Vec<Pick>> {
    let mut all = vec![Vec::new()];
    for axis in axes {
        let values = 0..spec.axes[*axis].values.len() as u32;
        all = all
            .iter()
            .flat_map(|picks: &Vec<Pick>| {
                values.clone().map(move |value| [picks.as_slice(), &[(*axis as u32, value)]].concat())
            })
            .collect();
    }
    all
}

/// Rules that apply to no cell, and axes that are joined with no other.
pub fn idle(spec: &Spec, walked: &Walked) -> Vec<String> {
    let said = |condition: &Condition| {
        let parts = condition.0.iter().map(|(path, value)| format!("{} = {value}", key::dotted(path)));
        parts.collect::<Vec<_>>().join(", ")
    };
    let when = spec.when.iter().zip(&walked.applied).filter(|(_, applied)| !**applied);
    let when = when.map(|(when, _)| format!("sweep.when does nothing here: no cell has {}.", said(&when.condition)));
    let exclude = spec.exclude.iter().zip(&walked.took).filter(|(_, took)| !**took);
    let exclude = exclude.map(|(rule, _)| format!("sweep.exclude does nothing here: no cell has {}.", said(rule)));
    let alone = spec.alone.iter().map(|key| {
        format!(
            "sweep.zip does nothing here for {key}: it is joined with no other axis, as in [[\"{key}\", \
             \"train.lr\"]]."
        )
    });
    when.chain(exclude).chain(alone).collect()
}

/// A claim of which one side has no cell: it would never be decided.
pub fn without_cells(claim: &Claim, [of, than]: [bool; 2]) -> Option<ConfigError> {
    let (name, side) = if of { ("than", &claim.than) } else { ("of", &claim.of) };
    let all = || flat(side).into_iter().chain(flat(&claim.within));
    let said = || all().map(|(path, value)| format!("{} = {value}", key::dotted(&path))).collect::<Vec<_>>().join(", ");
    (!of || !than).then(|| ConfigError::Sweep {
        key: "sweep.claims".to_owned(),
        origin: None,
        problem: format!("no cell has {}, which `{name}` of {:?} asks for", said(), claim.claim),
        fix: "name values that an axis takes, or add them to it".to_owned(),
    })
}
