//! How many bits the layers of a compressed network get.

use std::str::FromStr;

use secateur::deep_compression::{Bits, is_conv};
use secateur::network::layout::ParamSpec;

/// Bits for some of the layers: `4` for all, `conv=8` or `fc=5` for those of a kind, `blocks.*=6` for those of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitsOf {
    layers: String,
    bits: u32,
}

impl FromStr for BitsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (layers, bits) = text.rsplit_once('=').unwrap_or(("*", text));
        let allowed =
            || format!("must be a number from 1 to {}, or LAYERS=NUMBER such as conv=8 or 'fc*=4'", Bits::MOST);
        let bits = bits.trim().parse().ok().filter(|bits| (1..=Bits::MOST).contains(bits)).ok_or_else(allowed)?;
        let layers = Some(layers.trim()).filter(|layers| !layers.is_empty()).ok_or_else(allowed)?;
        Ok(Self { layers: layers.to_owned(), bits })
    }
}

impl BitsOf {
    /// Whether the layer of this parameter is one of them.
    fn is_for(&self, spec: &ParamSpec) -> bool {
        let layer = spec.name.rsplit_once('.').map_or(spec.name.as_str(), |(layer, _)| layer);
        match self.layers.as_str() {
            "conv" => is_conv(spec),
            "fc" => !is_conv(spec),
            pattern => fits(pattern, layer) || fits(pattern, &spec.name),
        }
    }

    /// What the last of these that is for a parameter says.
    pub fn last(all: &[Self], spec: &ParamSpec) -> Option<u32> {
        all.iter().rev().find(|of| of.is_for(spec)).map(|of| of.bits)
    }

    /// The layers of the first of these that is for none of the parameters.
    pub fn for_none<'a>(all: &'a [Self], specs: &[&ParamSpec]) -> Option<&'a str> {
        all.iter().find(|of| !specs.iter().any(|spec| of.is_for(spec))).map(|of| of.layers.as_str())
    }
}

/// Whether a name is as a pattern says, in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|left| (0..=left.len()).filter_map(|at| left.get(at..)).any(|left| fits(rest, left))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::network::init::Init;

    fn of(text: &str) -> Result<BitsOf, String> {
        text.parse()
    }

    #[test]
    fn a_pattern_fits_names_with_anything_for_its_stars() {
        let fitting = |pattern| ["fc1", "fc2", "blocks.0.attn.qkv"].map(|name| fits(pattern, name));
        assert_eq!(fitting("*"), [true; 3]);
        assert_eq!(fitting("fc1"), [true, false, false]);
        assert_eq!(fitting("fc*"), [true, true, false]);
        assert_eq!(fitting("b*.attn*v"), [false, false, true]);
        assert_eq!(fitting("b*.attn"), [false; 3]);
    }

    #[test]
    fn the_last_word_on_a_layer_holds() {
        let spec = |name: &str, axes: &[usize]| ParamSpec::weight(name.into(), axes.into(), Init::Zeros);
        let (conv, fc) = (spec("conv1.weight", &[4, 3, 5, 5]), spec("fc1.weight", &[4, 3]));
        let all = ["6", "conv=8", "fc1=3"].map(|text| of(text).unwrap());
        let bits = |all: &[BitsOf]| [&conv, &fc].map(|spec| BitsOf::last(all, spec));
        assert_eq!(bits(&all), [Some(8), Some(3)]);
        assert_eq!(bits(&[of("conv1.weight=2").unwrap()]), [Some(2), None]);
        assert_eq!(BitsOf::for_none(&all, &[&fc]), Some("conv"));
        assert_eq!(BitsOf::for_none(&all, &[&fc, &conv]), None);
    }

    #[test]
    fn what_is_no_number_of_bits_is_refused() {
        for text in ["", "0", "13", "conv=", "=5", "five", "conv=-1"] {
            assert!(of(text).unwrap_err().contains("a number from 1 to 12"), "{text}");
        }
    }
}
