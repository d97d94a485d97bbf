//! Relevance on its way back through a pass.

use super::rule::{Rule, Shares};
use secateur::prelude::*;
use secateur::tensor::TensorId;
use std::collections::{HashMap, HashSet};

/// Sends `relevance`, that of the output of the pass, back to the network's inputs; `visit` sees every operation that
/// some of it comes by, last first, with the relevance of its output and what became of that.
///
/// # Errors
/// If a value comes from an operation that the trace does not hold; what `visit` reports.
pub fn flow<B: Backend>(
    trace: &Trace<B>,
    rule: &Rule,
    (output, relevance): (&Tensor<B>, Tensor<B>),
    mut visit: impl FnMut(&Call<B>, &Tensor<B>, &Shares<B>) -> Result<()>,
) -> Result<()> {
    let made: HashSet<TensorId> = trace.calls.iter().map(|call| call.output.id()).collect();
    let mut waiting = HashMap::from([(output.id(), relevance)]);
    for call in trace.calls.iter().rev() {
        let Some(relevance) = waiting.remove(&call.output.id()) else { continue };
        let relevance = relevance.reshape(call.output.shape())?;
        let shares = rule.share(call, &relevance)?;
        visit(call, &relevance, &shares)?;
        for (x, share) in call.inputs.iter().zip(shares.inputs) {
            if made.contains(&x.id()) {
                let share = match waiting.remove(&x.id()) {
                    Some(there) => there.add(&share.reshape(there.shape())?)?,
                    None => share,
                };
                waiting.insert(x.id(), share);
            } else if x.is_tracked() {
                return Err(unknown(x.shape()));
            }
        }
    }
    match waiting.is_empty() {
        true => Ok(()),
        false => Err(unknown(output.shape())),
    }
}

/// Relevance that nobody can send on.
fn unknown(shape: Shape) -> Error {
    Error::Config(format!(
        "relevance cannot go on at a value {shape}: the network computed it past the operations of the tape (or in a \
         compressor of another library), so that nothing says what it came from; compute it with `Forward` and `Tape`"
    ))
}
