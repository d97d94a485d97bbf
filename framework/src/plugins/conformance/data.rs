//! What a data source must hold. Files that are not on this machine are no fault of the plugin: it must then say what
//! it lacks.

use super::{CheckRow, ensure};
use crate::data::{DataConfig, Examples, Folders, Pool, TestExamples, Values};
use crate::error::{Error, Result};
use crate::options::Table;
use crate::plugins::registry::Registry;
use sha2::{Digest as _, Sha256};

const NOT_HERE: &str = "its files are not here, so nothing was read";

pub(super) fn check(registry: &Registry, name: &str, options: &Table) -> Vec<CheckRow> {
    let build = || registry.data(name, options);
    // Opened twice for all rows together: some sets take a while.
    let opened = [(); 2].map(|()| open(registry, name, options));
    let examples = || match &opened[0] {
        Ok(found) => Ok(found.as_ref()),
        Err(error) => Err(Error::Other(error.to_string())),
    };
    vec![
        CheckRow::of("it says which files it needs and how to get them", || match build()?.files() {
            None => Ok("it makes its examples in memory".into()),
            Some(files) => {
                ensure(files.files.iter().all(|names| !names.is_empty()), || "a file without a name".into())?;
                ensure(!files.get.is_empty(), || "it does not say how to get its files".into())?;
                Ok(files.names().join(", "))
            }
        }),
        CheckRow::of("its examples fit their shape and classes", || {
            let Some(examples) = examples()? else { return Ok(NOT_HERE.into()) };
            examples.check()?;
            let (count, shape, classes) = (examples.train.targets.len(), &examples.shape, examples.class_names.len());
            Ok(format!("{count} training examples of {shape:?}, {classes} classes"))
        }),
        CheckRow::of("its examples are known by its name", || {
            let Some(examples) = examples()? else { return Ok(NOT_HERE.into()) };
            ensure(examples.name == name, || format!("they call themselves `{}`", examples.name))?;
            Ok(examples.name.clone())
        }),
        CheckRow::of("opened again, it gives the same examples", || {
            let (Some(first), Ok(Some(second))) = (examples()?, &opened[1]) else { return Ok(NOT_HERE.into()) };
            ensure(digest(first) == digest(second), || "they are others the second time".into())?;
            Ok(digest(first).iter().take(6).map(|byte| format!("{byte:02x}")).collect())
        }),
        CheckRow::of("its splits can be drawn", || {
            let Some(examples) = examples()? else { return Ok(NOT_HERE.into()) };
            let data = examples.dataset(&DataConfig::default(), 1)?;
            ensure(!data.test.is_empty(), || "it has no test examples to judge a network on".into())?;
            Ok(format!("{} training examples, {} test examples", data.train.len(), data.test.len()))
        }),
    ]
}

/// The examples; `None` where the files are not on this machine.
fn open(registry: &Registry, name: &str, options: &Table) -> Result<Option<Examples>> {
    let source = registry.data(name, options)?;
    if source.needs_dir() {
        return Ok(None);
    }
    match source.open(&Folders::from_env(None), &mut |_| ()) {
        Ok(examples) => Ok(Some(examples)),
        Err(Error::Missing(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn digest(examples: &Examples) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |pool: &Pool| {
        match &pool.values {
            Values::U8(values) => hash.update(&values[..]),
            Values::F32(values) => values.iter().for_each(|value| hash.update(value.to_le_bytes())),
        }
        pool.targets.iter().for_each(|target| hash.update(target.to_le_bytes()));
        let responses = pool.responses.iter().flat_map(|all| &all.values);
        responses.for_each(|value| hash.update(value.to_le_bytes()));
    };
    add(&examples.train);
    examples.validation.iter().for_each(&mut add);
    if let TestExamples::Own(pool) = &examples.test {
        add(pool);
    }
    hash.finalize().into()
}
