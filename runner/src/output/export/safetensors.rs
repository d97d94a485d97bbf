//! Weights by name, with masks applied, in the form that readers of PyTorch's weights expect.

use secateur::network::model_file::SavedModel;
use serde_json::{Map, Value, json};

use crate::engine::Exportable;
use crate::failure::Failure;

/// The file: eight bytes with the length of the header, the header in JSON, the values.
///
/// `format = "pt"` is what several loaders look for. The key `secateur` is that of a run's own file, so that this one can
/// be read as such.
pub fn write(network: &Exportable, file: &[u8], metadata: &[(String, String)]) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("the network cannot be written: {error}"));
    let tensors = safetensors::SafeTensors::deserialize(file).map_err(|error| failed(&error))?;
    let about = serde_json::to_string(&network.about).map_err(|error| failed(&error))?;
    let mut all = Map::from_iter([("format".to_owned(), json!("pt")), ("secateur".to_owned(), json!(about))]);
    all.extend(metadata.iter().map(|(key, value)| (key.clone(), json!(value))));
    let layers = serde_json::to_string(&network.about.layers).map_err(|error| failed(&error))?;
    all.insert("structure".to_owned(), json!(layers));
    let (mut header, mut values) = (Map::new(), Vec::new());
    header.insert("__metadata__".to_owned(), Value::Object(all));
    let mut named = tensors.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    // Pruned weights are zero in the file already, so that masks say nothing more.
    for (name, view) in named.into_iter().filter(|(name, _)| !name.ends_with(".mask")) {
        let begin = values.len();
        values.extend_from_slice(view.data());
        let entry = json!({ "dtype": "F32", "shape": view.shape(), "data_offsets": [begin, values.len()] });
        header.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&header).map_err(|error| failed(&error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &values].concat();
    SavedModel::read(&file)?;
    Ok(file)
}
