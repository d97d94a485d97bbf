//! Which parameters a network has, and which of their axes shrink together.
//!
//! A model declares this once with a [`LayoutBuilder`]; nothing is traced. Every axis of a parameter is a [`Width`]: a
//! fixed number, or units of a named group, possibly repeated. Removing unit `u` of a group removes its slice from
//! every parameter that has the group in an axis: the layer that produces it (weight row, bias, norm) and the layers
//! that consume it (weight columns).

use crate::network::init::Init;
use crate::tensor::Shape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod builder;

pub use builder::{LayoutBuilder, Width};

/// One parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// Dotted name, `blocks.0.attn.qkv.weight`.
    pub name: String,
    /// Extent of every axis.
    pub shape: Shape,
    /// Initial values.
    pub init: Init,
    /// Whether single weights of it may be pruned.
    pub prunable: bool,
    /// Whether it belongs to the layer that produces the output, which is exempt unless asked for.
    pub output: bool,
    /// Whether weight decay applies (weights yes; biases, norms and positions no).
    pub decay: bool,
    /// Whether the optimizer leaves it alone (running statistics).
    pub buffer: bool,
    /// Of a convolution's weight `[out, in / groups, rows, columns]`: in how many equal runs the channels of its input
    /// and its output lie, each run of outputs seeing its run of inputs alone. 1 for every other parameter.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
}

fn one() -> usize {
    1
}

fn is_one(groups: &usize) -> bool {
    *groups == 1
}

impl ParamSpec {
    /// A weight: prunable, with weight decay.
    pub fn weight(name: String, shape: Shape, init: Init) -> Self {
        Self { name, shape, init, prunable: true, output: false, decay: true, buffer: false, groups: 1 }
    }

    /// A bias, scale or position: trained, but neither prunable nor decayed.
    pub fn plain(name: String, shape: Shape, init: Init) -> Self {
        Self { prunable: false, decay: false, ..Self::weight(name, shape, init) }
    }

    /// Whether it is the weight of a layer whose products can go over nonzeros alone: a fully connected one, or a
    /// convolution in one group.
    pub(crate) fn multiplies_nonzeros(&self) -> bool {
        self.shape.len() == 2 || self.shape.len() == 4 && self.groups == 1
    }
}

/// What a slice of a parameter does for the units of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It computes the units: weight rows, bias, normalisation.
    Producer,
    /// It reads the units: weight columns.
    Consumer,
}

/// The slice of one axis of one parameter that belongs to a group.
///
/// Unit `u` holds the indices `offset + (o * units + u) * inner + i` for `o < outer`, `i < inner`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Parameter name.
    pub param: String,
    /// Axis of the parameter.
    pub axis: usize,
    /// First index of the group's region.
    pub offset: usize,
    /// Repetitions of the whole group (3 for q, k and v in one matrix).
    pub outer: usize,
    /// Consecutive indices of one unit (height * width after a flatten, the head dimension of a head).
    pub inner: usize,
    /// Producer or consumer.
    pub role: Role,
}

impl Member {
    /// Indices of unit `unit` along the axis, when the group has `units` units.
    pub fn indices(&self, unit: usize, units: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.outer).flat_map(move |o| {
            let start = self.offset + (o * units + unit) * self.inner;
            start..start + self.inner
        })
    }

    /// Name of the layer the parameter belongs to: everything before the last dot.
    pub fn layer(&self) -> &str {
        self.param.rsplit_once('.').map_or(self.param.as_str(), |(layer, _)| layer)
    }
}

/// Units that are removed together: neurons, channels, heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitGroup {
    /// Usually the name of the layer that produces the units.
    pub name: String,
    /// Number of units now.
    pub units: usize,
    /// Number of units before anything was removed.
    pub dense_units: usize,
    /// Every slice that belongs to it.
    pub members: Vec<Member>,
    /// Whether an operation without weights reads the units as well (attention its queries and keys): a masked unit
    /// must then be zero where it is computed, not only where a weight reads it.
    #[serde(default)]
    pub read_inside: bool,
}

impl UnitGroup {
    /// Weights that compute the units: producers with at least two axes, or all producers where there is none.
    pub fn producer_weights<'a>(&'a self, layout: &'a Layout) -> Vec<&'a Member> {
        let weights: Vec<_> =
            self.by_role(Role::Producer).filter(|m| layout.spec(&m.param).is_some_and(|s| s.shape.len() > 1)).collect();
        if weights.is_empty() { self.by_role(Role::Producer).collect() } else { weights }
    }

    /// Whether an evaluation masks this member while masked units keep learning: one side is enough to keep them out.
    pub(crate) fn masks_entering(&self, member: &Member) -> bool {
        member.role == Role::Consumer || self.read_inside || self.by_role(Role::Consumer).next().is_none()
    }

    /// Members of one role.
    pub fn by_role(&self, role: Role) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |m| m.role == role)
    }
}

/// Parameters and unit groups of a network at its current size.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Layout {
    /// In the order in which the model declares them.
    pub params: Vec<ParamSpec>,
    /// In the order in which the model declares them.
    pub groups: Vec<UnitGroup>,
}

impl Layout {
    /// The parameter of that name.
    pub fn spec(&self, name: &str) -> Option<&ParamSpec> {
        self.params.iter().find(|p| p.name == name)
    }

    /// The group of that name.
    pub fn group(&self, name: &str) -> Option<&UnitGroup> {
        self.groups.iter().find(|g| g.name == name)
    }

    /// Units left in every group.
    pub fn sizes(&self) -> Sizes {
        Sizes(self.groups.iter().map(|g| (g.name.clone(), g.units)).collect())
    }
}

/// Units left in the groups of a shrunk network; groups not listed have their dense size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sizes(pub BTreeMap<String, usize>);
