//! What must hold after a pruning step.

use super::super::setting::Setting;
use crate::backend::{Backend, Weight};
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::schedule::Step;
use crate::tensor::Tensor;

/// Examples on which a pruned network is compared with one that has zeros in place of what is gone.
const COMPARED: usize = 16;

/// The output of the network in which the units that go are zero on both sides, on a few examples.
pub fn masked_output<B: Backend>(
    setting: &Setting<'_, B>,
    params: &ParamStore<B>,
    units: &[(String, Vec<bool>)],
    batch: &Batch<B>,
) -> Result<(Batch<B>, Vec<f32>)> {
    let few = batch.first(COMPARED)?;
    let mut masked = params.holding();
    masked.set_alive(units.to_vec())?;
    let output = output(setting, &masked, &few)?;
    Ok((few, output))
}

/// What the network gives for a batch in evaluation.
pub fn output<B: Backend>(setting: &Setting<'_, B>, params: &ParamStore<B>, batch: &Batch<B>) -> Result<Vec<f32>> {
    let mut cx = Forward::evaluation(params).with_compressor(setting.compressor.as_ref());
    let (Output::Logits(t) | Output::Loss { prediction: t, .. }) = setting.model.forward(&mut cx, batch)?;
    Ok(t.to_vec())
}

/// What must hold after every pruning step.
pub fn check<B: Backend>(params: &ParamStore<B>, step: Step) -> Result<()> {
    for p in params.iter() {
        let name = &p.spec().name;
        let fail = |message: String| Err(Error::Invariant { step: step.0, layer: name.clone(), message });
        if let Some(state) = p.state()?.iter().find(|s| s.shape() != p.value().shape()) {
            return fail(format!("optimizer state is {}, the parameter is {}", state.shape(), p.value().shape()));
        }
        let Some(mask) = p.mask() else { continue };
        // What a layer really gets: with held masks the value itself, which must be zero already.
        let Weight { value, mask: applied, .. } = params.weight(name)?;
        // Units that keep learning are kept out on one side alone; the outputs were compared.
        if params.units_learn() {
            continue;
        }
        let entering = applied.map_or(Ok(value.clone()), |applied| value.mul(&applied))?;
        let pruned: Tensor<B> = entering.sub(&entering.mul(mask.tensor())?)?;
        if B::norm_squared(&pruned)? == 0.0 {
            continue;
        }
        let (at, weight) = pruned.host().iter().copied().enumerate().find(|(_, w)| *w != 0.0).unwrap_or_default();
        return fail(format!("weight {at} is masked but enters the forward pass as {weight}"));
    }
    Ok(())
}

/// That two outputs are one.
pub fn same_output(expected: &[f32], found: &[f32], step: Step) -> Result<()> {
    let scale = expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Sums run over fewer terms after a removal, so the last bits differ.
    if expected.len() == found.len() && worst <= 1e-4 * scale {
        return Ok(());
    }
    let message = format!(
        "the output of the pruned network differs by {worst} from that of one with zeros in place of the units that are \
         gone (largest value {scale}): the model's unit groups do not list all that reads them"
    );
    Err(Error::Invariant { step: step.0, layer: "the output".into(), message })
}
