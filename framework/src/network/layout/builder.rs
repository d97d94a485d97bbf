//! How a model declares its layout: widths of axes, and parameters by layer.

use super::{Layout, Member, ParamSpec, Role, Sizes, UnitGroup};
use crate::error::{Error, Result};
use crate::network::init::Init;

/// Extent of an axis: fixed numbers and units of groups, nested (a head's dimensions) or one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Width(Vec<Part>);

/// Nested factors, the outermost first: three times (heads times (dimensions of a head)).
type Part = Vec<Factor>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Factor {
    group: Option<String>,
    count: usize,
}

fn product(factors: &[Factor]) -> usize {
    factors.iter().map(|f| f.count).product()
}

impl Width {
    /// Number of indices.
    pub fn count(&self) -> usize {
        self.0.iter().map(|p| product(p)).sum()
    }

    /// Every index becomes `n` consecutive ones: a channel's pixels after a flatten.
    pub fn each(mut self, n: usize) -> Self {
        self.0.iter_mut().for_each(|p| p.push(Factor { group: None, count: n }));
        self
    }

    /// Every index becomes as many consecutive ones as `inner` has: heads times the dimensions of a head.
    ///
    /// # Panics
    /// If `inner` is of several parts.
    pub fn times(mut self, inner: &Self) -> Self {
        assert_eq!(inner.0.len(), 1, "only a width of one part can be nested");
        self.0.iter_mut().for_each(|p| p.extend(inner.0[0].iter().cloned()));
        self
    }

    /// The whole width `n` times in a row.
    ///
    /// # Panics
    /// For a width of several parts; join copies with [`Width::then`] instead.
    pub fn repeated(mut self, n: usize) -> Self {
        assert_eq!(self.0.len(), 1, "only a width of one part can be repeated");
        self.0[0].insert(0, Factor { group: None, count: n });
        self
    }

    /// This width followed by another one.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl From<usize> for Width {
    fn from(units: usize) -> Self {
        Self(vec![vec![Factor { group: None, count: units }]])
    }
}

/// Collects a network's parameters and derives its unit groups from their axes.
#[derive(Debug)]
pub struct LayoutBuilder<'a> {
    layout: Layout,
    sizes: &'a Sizes,
    errors: Vec<String>,
}

impl<'a> LayoutBuilder<'a> {
    /// Starts a layout of a network whose groups have these sizes.
    pub fn new(sizes: &'a Sizes) -> Self {
        Self { layout: Layout::default(), sizes, errors: vec![] }
    }

    /// Declares a group of `dense` units; the width has as many as are left of them.
    pub fn units(&mut self, group: &str, dense: usize) -> Width {
        let units = self.sizes.0.get(group).copied().unwrap_or(dense);
        if units == 0 || units > dense {
            self.errors.push(format!("group `{group}` cannot have {units} units: it has between 1 and {dense}"));
        }
        if self.layout.group(group).is_some() {
            self.errors.push(format!("group `{group}` is declared twice"));
        }
        let members = vec![];
        let name = group.into();
        self.layout.groups.push(UnitGroup { name, units, dense_units: dense, members, read_inside: false });
        Width(vec![vec![Factor { group: Some(group.into()), count: units }]])
    }

    /// [`LayoutBuilder::units`] that an operation without weights reads too: dimensions of a head, which attention
    /// multiplies with each other.
    pub fn units_read_inside(&mut self, group: &str, dense: usize) -> Width {
        let width = self.units(group, dense);
        self.layout.groups.iter_mut().filter(|g| g.name == group).for_each(|g| g.read_inside = true);
        width
    }

    /// Adds a parameter whose axis `i` has width `axes[i].0` and plays role `axes[i].1` for the groups in it.
    pub fn param(&mut self, spec: ParamSpec, axes: &[(&Width, Role)]) {
        if self.layout.spec(&spec.name).is_some() {
            self.errors.push(format!("parameter `{}` is declared twice", spec.name));
        }
        for (axis, (width, role)) in axes.iter().enumerate() {
            let mut offset = 0;
            for part in &width.0 {
                for (i, factor) in part.iter().enumerate() {
                    let group =
                        factor.group.as_ref().and_then(|g| self.layout.groups.iter_mut().find(|x| x.name == *g));
                    if let Some(group) = group {
                        let (outer, inner) = (product(&part[..i]), product(&part[i + 1..]));
                        group.members.push(Member {
                            param: spec.name.clone(),
                            axis,
                            offset,
                            outer,
                            inner,
                            role: *role,
                        });
                    }
                }
                offset += product(part);
            }
        }
        self.layout.params.push(spec);
    }

    /// A linear layer `name`: `name.weight [out, in]` and, where `bias`, `name.bias [out]`, with PyTorch's initial
    /// distribution.
    pub fn linear(&mut self, name: &str, input: &Width, output: &Width, bias: bool) {
        let fan_in = input.count();
        let init = Init::FanInUniform { fan_in };
        let weight = ParamSpec::weight(format!("{name}.weight"), [output.count(), fan_in].into(), init);
        self.param(weight, &[(output, Role::Producer), (input, Role::Consumer)]);
        if bias {
            let spec = ParamSpec::plain(format!("{name}.bias"), [output.count()].into(), init);
            self.param(spec, &[(output, Role::Producer)]);
        }
    }

    /// A convolution `name`: `name.weight [out, in, rows, columns]` and, where `bias`, `name.bias [out]`.
    pub fn conv2d(&mut self, name: &str, input: &Width, output: &Width, kernel: usize, bias: bool) {
        let init = Init::FanInUniform { fan_in: input.count() * kernel * kernel };
        let shape = [output.count(), input.count(), kernel, kernel].into();
        let weight = ParamSpec::weight(format!("{name}.weight"), shape, init);
        self.param(weight, &[(output, Role::Producer), (input, Role::Consumer)]);
        if bias {
            let spec = ParamSpec::plain(format!("{name}.bias"), [output.count()].into(), init);
            self.param(spec, &[(output, Role::Producer)]);
        }
    }

    /// A grouped convolution `name`, with PyTorch's initial distribution: `name.weight [groups * outputs, inputs, rows,
    /// columns]` and, where `bias`, `name.bias [groups * outputs]`, over `groups.times(inputs)` channels.
    ///
    /// A unit in `groups` is a whole group: all channels that its filters read and make, in this layer and in those around
    /// it whose widths are of the same unit. One in `inputs` or `outputs` is a channel of every group at once. Single
    /// channels of single groups cannot be removed, since the groups would differ in size.
    ///
    /// # Panics
    /// If `inputs` or `outputs` is of several parts.
    pub fn grouped_conv2d(
        &mut self,
        name: &str,
        groups: &Width,
        (inputs, outputs): (&Width, &Width),
        kernel: usize,
        bias: bool,
    ) {
        let init = Init::FanInUniform { fan_in: inputs.count() * kernel * kernel };
        self.grouped_weight(name, groups, (inputs, outputs), kernel, init);
        if bias {
            let all = groups.clone().times(outputs);
            let spec = ParamSpec::plain(format!("{name}.bias"), [all.count()].into(), init);
            self.param(spec, &[(&all, Role::Producer)]);
        }
    }

    /// The weight of [`LayoutBuilder::grouped_conv2d`] with another initial distribution.
    ///
    /// # Panics
    /// If `inputs` or `outputs` is of several parts.
    pub fn grouped_weight(
        &mut self,
        name: &str,
        groups: &Width,
        (inputs, outputs): (&Width, &Width),
        kernel: usize,
        init: Init,
    ) {
        let all = groups.clone().times(outputs);
        let shape = [all.count(), inputs.count(), kernel, kernel].into();
        let weight = ParamSpec::weight(format!("{name}.weight"), shape, init);
        let weight = ParamSpec { groups: groups.count(), ..weight };
        self.param(weight, &[(&all, Role::Producer), (inputs, Role::Consumer)]);
    }

    /// A depthwise convolution `name`: every channel is a group of its own, and its filter goes with it.
    pub fn depthwise_conv2d(&mut self, name: &str, channels: &Width, kernel: usize, bias: bool) {
        let one = Width::from(1);
        self.grouped_conv2d(name, channels, (&one, &one), kernel, bias);
    }

    /// A normalisation `name` over `width` features: `name.weight` (ones) and `name.bias` (zeros).
    pub fn norm(&mut self, name: &str, width: &Width) {
        for (part, init) in [("weight", Init::Ones), ("bias", Init::Zeros)] {
            let spec = ParamSpec::plain(format!("{name}.{part}"), [width.count()].into(), init);
            self.param(spec, &[(width, Role::Producer)]);
        }
    }

    /// A transposed convolution `name`: `name.weight [in, out, rows, columns]` and, where `bias`, `name.bias [out]`,
    /// with PyTorch's initial distribution, which takes the output channels for the inputs of a unit.
    pub fn conv_transpose2d(&mut self, name: &str, input: &Width, output: &Width, kernel: usize, bias: bool) {
        let init = Init::FanInUniform { fan_in: output.count() * kernel * kernel };
        let shape = [input.count(), output.count(), kernel, kernel].into();
        let weight = ParamSpec::weight(format!("{name}.weight"), shape, init);
        self.param(weight, &[(input, Role::Consumer), (output, Role::Producer)]);
        if bias {
            let spec = ParamSpec::plain(format!("{name}.bias"), [output.count()].into(), init);
            self.param(spec, &[(output, Role::Producer)]);
        }
    }

    /// A batch normalisation `name`: [`LayoutBuilder::norm`] and the buffers `name.running_mean` and
    /// `name.running_var`.
    pub fn batch_norm(&mut self, name: &str, width: &Width) {
        self.norm(name, width);
        for (part, init) in [("running_mean", Init::Zeros), ("running_var", Init::Ones)] {
            let spec = ParamSpec::plain(format!("{name}.{part}"), [width.count()].into(), init);
            self.param(ParamSpec { buffer: true, ..spec }, &[(width, Role::Producer)]);
        }
    }

    /// Marks the parameters of layer `name` as those that produce the network's output.
    pub fn output(&mut self, name: &str) {
        let prefix = format!("{name}.");
        self.layout.params.iter_mut().filter(|p| p.name.starts_with(&prefix)).for_each(|p| p.output = true);
    }

    /// The finished layout.
    ///
    /// # Errors
    /// Names declared twice; sizes that no group can have.
    pub fn build(self) -> Result<Layout> {
        let mut errors = self.errors;
        let known = |g: &String| self.layout.group(g).is_some();
        errors.extend(self.sizes.0.keys().filter(|g| !known(g)).map(|g| format!("there is no group `{g}`")));
        if errors.is_empty() { Ok(self.layout) } else { Err(Error::Config(errors.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_and_producers_follow_from_the_axes() {
        let sizes = Sizes::default();
        let mut b = LayoutBuilder::new(&sizes);
        let hidden = b.units("fc1", 4);
        b.linear("fc1", &3.into(), &hidden, true);
        b.linear("fc2", &hidden.clone().each(2), &5.into(), false);
        let layout = b.build().unwrap();
        let group = layout.group("fc1").unwrap();
        let seen: Vec<_> = group.members.iter().map(|m| (m.param.as_str(), m.axis, m.inner, m.role)).collect();
        assert_eq!(
            seen,
            [
                ("fc1.weight", 0, 1, Role::Producer),
                ("fc1.bias", 0, 1, Role::Producer),
                ("fc2.weight", 1, 2, Role::Consumer)
            ]
        );
        assert_eq!(group.members[2].indices(1, 4).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn joined_widths_give_offsets() {
        let sizes = Sizes::default();
        let mut b = LayoutBuilder::new(&sizes);
        let heads = b.units("heads", 2);
        b.linear("qkv", &6.into(), &heads.each(3).repeated(3), false);
        let layout = b.build().unwrap();
        let indices: Vec<_> = layout.groups[0].members[0].indices(1, 2).collect();
        assert_eq!(indices, [3, 4, 5, 9, 10, 11, 15, 16, 17]);
    }

    #[test]
    fn nested_groups_each_know_their_indices() {
        let sizes = Sizes::default();
        let mut b = LayoutBuilder::new(&sizes);
        let (heads, dims) = (b.units("heads", 2), b.units("dims", 3));
        b.linear("qkv", &6.into(), &heads.times(&dims).repeated(3), false);
        let layout = b.build().unwrap();
        let indices = |g: &str, u, n| layout.group(g).unwrap().members[0].indices(u, n).collect::<Vec<_>>();
        assert_eq!(indices("heads", 1, 2), [3, 4, 5, 9, 10, 11, 15, 16, 17]);
        assert_eq!(indices("dims", 1, 3), [1, 4, 7, 10, 13, 16]);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let sizes = Sizes([("fc1".to_string(), 9), ("fc7".to_string(), 1)].into());
        let mut b = LayoutBuilder::new(&sizes);
        b.units("fc1", 4);
        let text = b.build().unwrap_err().to_string();
        assert!(text.contains("`fc1` cannot have 9 units") && text.contains("no group `fc7`"), "{text}");
    }
}
