//! The binary files of CIFAR-10 and CIFAR-100.
//!
//! Records without a header: the label (CIFAR-100: the coarse label, then the fine one), then 32x32 bytes of red, of
//! green and of blue (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use rayon::prelude::*;
use secateur::data::{FoundFiles, SourceFile};
use secateur::prelude::*;
use std::path::Path;

/// Bytes of one image.
pub(crate) const PIXELS: usize = 3 * 32 * 32;

/// What a file's records hold in front of an image.
#[derive(Clone, Copy)]
pub(crate) struct Labels {
    /// Bytes in front of the image.
    pub count: usize,
    /// Which of them is the class.
    pub at: usize,
    /// Number of classes.
    pub classes: usize,
}

/// Bytes of images, their classes, and the file they come from.
type Read = (Vec<u8>, Vec<u32>, SourceFile);

/// Reads all files; all but the last one are for training.
pub(crate) fn open(name: &str, found: FoundFiles, labels: Labels, class_names: Vec<String>) -> Result<Examples> {
    let read: Vec<Result<Read>> = found.paths.par_iter().map(|path| read(path, labels)).collect();
    let (mut files, mut pools) = (vec![], vec![]);
    for result in read {
        let (pixels, targets, file) = result?;
        files.push(file);
        pools.push((pixels, targets));
    }
    let test = pools.split_off(pools.len().saturating_sub(1));
    let join = |pools: Vec<(Vec<u8>, Vec<u32>)>| {
        let (pixels, targets): (Vec<_>, Vec<_>) = pools.into_iter().unzip();
        Pool::bytes(pixels.concat(), targets.concat())
    };
    Ok(Examples {
        name: name.to_string(),
        shape: vec![3, 32, 32],
        class_names,
        train: join(pools),
        validation: None,
        test: TestExamples::Own(join(test)),
        origin: DataOrigin::Files(files),
        searched: found.searched,
    })
}

fn read(path: &Path, labels: Labels) -> Result<Read> {
    let (bytes, file) = SourceFile::read(path)?;
    let record = labels.count + PIXELS;
    if bytes.is_empty() || bytes.len() % record != 0 {
        let length = bytes.len();
        let message = format!(
            "it is {length} bytes long, which is not a multiple of {record}, the size of a record; it is cut short or \
             of another format: get this file anew"
        );
        return Err(Error::file(path, message));
    }
    let records = bytes.chunks_exact(record);
    let targets: Vec<u32> = records.clone().map(|record| u32::from(record[labels.at])).collect();
    if let Some(i) = targets.iter().position(|&target| target as usize >= labels.classes) {
        let (found, last) = (targets[i], labels.classes - 1);
        let message = format!(
            "the label of record {i} is {found}, but the classes are 0 to {last}; it is damaged or of another format: \
             get this file anew"
        );
        return Err(Error::file(path, message));
    }
    let mut pixels = Vec::with_capacity(targets.len() * PIXELS);
    records.for_each(|record| pixels.extend_from_slice(&record[labels.count..]));
    Ok((pixels, targets, file))
}

#[cfg(test)]
pub(crate) mod tests {
    /// A record whose red, green and blue are `fill`, `fill + 1` and `fill + 2`.
    pub fn record(labels: &[u8], fill: u8) -> Vec<u8> {
        [labels.to_vec(), vec![fill; 1024], vec![fill + 1; 1024], vec![fill + 2; 1024]].concat()
    }
}
