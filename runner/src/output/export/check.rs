//! Whether what was written computes what the network does.

use rayon::prelude::*;
use secateur::network::graph::Graph;

use super::onnx::{self, Array, OnnxModel};
use super::{python, torch};
use crate::engine::Exportable;
use crate::failure::Failure;

/// How far outputs may be from the network's, as a share of the largest.
const CLOSE: f64 = 1e-5;
/// Examples that are computed together: not one, so that axes of the batch show themselves.
const TOGETHER: usize = 2;

/// How far other outputs are from the network's, in words.
///
/// # Errors
/// Too far.
pub fn agree(how: &str, found: &[f64], expected: &[f32]) -> Result<String, Failure> {
    let refused = |why: String| {
        let fix = "please report this network; nothing was written";
        Err(Failure::Failed(format!("the exported network is another one, {how}: {why}\n  fix: {fix}")))
    };
    if found.len() != expected.len() {
        return refused(format!("{} outputs in the place of {}", found.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.0, |most, &v| f64::max(most, f64::from(v).abs()));
    let off = |(&a, &b): (&f64, &f32)| (a - f64::from(b)).abs();
    let difference = found.iter().zip(expected).map(off).fold(0.0, |most: f64, off| {
        // NaN is no small difference.
        if off > most || off.is_nan() { off } else { most }
    });
    if difference.is_nan() || difference > CLOSE * largest.max(f64::from(f32::MIN_POSITIVE)) {
        return refused(format!("outputs differ by up to {difference:.3e}, where the largest is {largest:.3e}"));
    }
    Ok(format!("{how}: largest difference {difference:.1e}, largest output {largest:.3}"))
}

/// Reads the file again and runs its operators, here and where Python has a runtime for them.
pub fn onnx(network: &Exportable, file: &[u8], inside: bool) -> Result<Vec<String>, Failure> {
    let unread = || Failure::Failed("the exported file cannot be read again; nothing was written".into());
    let model = OnnxModel::read(file).ok_or_else(unread)?;
    let given = if inside { &network.stored } else { &network.inputs };
    let mut checks = vec![agree("its operators run one by one", &run(&model, network, given)?, &network.outputs)?];
    checks.push(match python::onnxruntime(file, given, &batch_dims(network))? {
        Some(found) => agree("onnxruntime", &found, &network.outputs)?,
        None => "no Python with onnxruntime was found (SECATEUR_PYTHON)".into(),
    });
    Ok(checks)
}

/// Reads the weights again by the table in the file, and computes with them; and has PyTorch do it where there is one.
pub fn torch(network: &Exportable, graph: &Graph, written: &torch::Written) -> Result<Vec<String>, Failure> {
    let read = torch::read_back(graph, written).map_err(|why| {
        Failure::Failed(format!("the exported weights are not those of the network: {why}; nothing was written"))
    })?;
    let model = onnx::lower(&read, "output", None);
    let found = run(&model, network, &network.inputs)?;
    let mut checks = vec![agree("its weights, read by its table", &found, &network.outputs)?];
    checks.push(match python::pytorch(written, &network.inputs, &batch_dims(network))? {
        Some(found) => agree("PyTorch", &found, &network.outputs)?,
        None => "no Python with PyTorch was found (SECATEUR_PYTHON): the code of the file was not run".into(),
    });
    Ok(checks)
}

fn batch_dims(network: &Exportable) -> Vec<usize> {
    std::iter::once(network.examples()).chain(network.about.input.shape.iter().copied()).collect()
}

fn run(model: &OnnxModel, network: &Exportable, given: &[f32]) -> Result<Vec<f64>, Failure> {
    let item = network.about.input.features().max(1);
    let some = |values: &[f32]| {
        let dims = std::iter::once(values.len() / item).chain(network.about.input.shape.iter().copied()).collect();
        onnx::run(model, Array { dims, values: values.iter().map(|&v| f64::from(v)).collect() }).map(|y| y.values)
    };
    let found: Result<Vec<Vec<f64>>, String> = given.par_chunks(item * TOGETHER).map(some).collect();
    let found = found.map_err(|why| Failure::Failed(format!("the exported network does not run: {why}")))?;
    Ok(found.concat())
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn outputs_agree_to_a_share_of_the_largest() {
        let expected = [100.0, -0.5];
        assert!(agree("here", &[100.000_9, -0.5], &expected).unwrap().contains("largest difference 9.0e-4"));
        let why = |found: &[f64]| agree("here", found, &expected).unwrap_err().message().to_owned();
        assert!(why(&[100.0, -0.501_1]).contains("differ by up to 1.100e-3, where the largest is 1.000e2"));
        assert!(why(&[100.0, f64::NAN]).contains("differ by up to NaN"), "{}", why(&[100.0, f64::NAN]));
        assert!(why(&[100.0]).contains("1 outputs in the place of 2"));
    }
}
