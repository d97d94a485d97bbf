//! `model.safetensors`: values, masks, and in the metadata what is needed to build the network again.

use safetensors::tensor::{Dtype, TensorView};
use secateur::Error;
use secateur::backend::Backend;
use secateur::network::params::ParamStore;
use serde_json::json;

use crate::config::PluginChoice;

/// A tensor ready to be written.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// The pruned network: each parameter in f32 as the forward pass uses it (pruned weights are zero), and `<name>.mask` in
/// u8 (1: kept) for each masked one. The metadata's `secateur` is JSON: the model's config section and the units in use
/// in each group.
///
/// # Errors
/// A value cannot be read back from the device.
pub fn write<B: Backend>(model: &PluginChoice, params: &ParamStore<B>) -> secateur::Result<Vec<u8>> {
    let mut entries = Vec::new();
    for param in params.iter() {
        let (name, value) = (param.spec().name.clone(), param.effective()?);
        let shape: Vec<usize> = value.shape().to_vec();
        if let Some(mask) = param.mask() {
            let bytes = mask.keep().iter().map(|keep| u8::from(*keep)).collect();
            entries.push(Entry { name: format!("{name}.mask"), dtype: Dtype::U8, shape: shape.clone(), bytes });
        }
        let bytes = B::host(&value).iter().flat_map(|value| value.to_le_bytes()).collect();
        entries.push(Entry { name, dtype: Dtype::F32, shape, bytes });
    }
    let units: serde_json::Map<String, serde_json::Value> =
        params.layout().groups.iter().map(|group| (group.name.clone(), json!(params.units(&group.name)))).collect();
    let manifest = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": model.section(),
        "units": units,
    });
    let views = entries.iter().map(|entry| {
        let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes);
        view.map(|view| (entry.name.as_str(), view)).map_err(|error| Error::Other(format!("{}: {error}", entry.name)))
    });
    let views = views.collect::<secateur::Result<Vec<_>>>()?;
    // One key only: several would be written in no fixed order, and the same run must give the same bytes.
    let metadata = [("secateur".to_owned(), manifest.to_string())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|error| Error::Other(format!("model.safetensors: {error}")))
}
