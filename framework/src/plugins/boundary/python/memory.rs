//! Memory that a worker maps too: a file without a name, on a file system that lies in memory where there is one.
//!
//! It is written and read as a file. To the worker that is the same memory; here, a file system that is full is an
//! error, where a page that cannot be had would end the process.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Arrays begin at multiples of this many bytes: a cache line.
const ALIGN: u64 = 64;

/// Where the next array goes.
#[derive(Debug, Default)]
pub(super) struct Layout(u64);

impl Layout {
    /// Takes `bytes` bytes; where they begin.
    pub fn take(&mut self, bytes: usize) -> u64 {
        let at = self.0.next_multiple_of(ALIGN);
        self.0 = at + bytes as u64;
        at
    }

    /// Bytes up to the end.
    pub fn size(&self) -> u64 {
        self.0.max(ALIGN)
    }
}

/// The file, as long as it has its name.
#[derive(Debug)]
pub(super) struct Memory {
    file: File,
    size: u64,
    /// Where the worker finds it; nothing once it has.
    path: Option<PathBuf>,
}

impl Memory {
    /// So many bytes, all of them there: in memory, or else where temporary files are.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn new(size: u64) -> Result<Self> {
        let places = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
        let mut last = None;
        for place in places.iter().filter(|place| place.is_dir()) {
            match Self::at(place, size) {
                Ok(memory) => return Ok(memory),
                Err(error) => last = Some(Error::io(place)(error)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Other("there is no folder for temporary files; set TMPDIR to one".into())))
    }

    fn at(folder: &Path, size: u64) -> std::io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        let path = folder.join(format!("secateur-{}-{nth}-{now}", process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let memory = Self { file: options.open(&path)?, size, path: Some(path) };
        // Written, not only promised: what is missing is missing now.
        let zeros = vec![0; 1 << 20];
        let mut left = size;
        while left > 0 {
            let part = left.min(zeros.len() as u64);
            (&memory.file).write_all(&zeros[..part as usize])?;
            left -= part;
        }
        Ok(memory)
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the worker is to find it, where it has not yet.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The worker has mapped it: nobody else can, and it goes with its last user.
    pub fn found(&mut self) {
        if let Some(path) = self.path.take() {
            // A name that stays is in nobody's way.
            _ = std::fs::remove_file(path);
        }
    }

    pub fn write(&self, at: u64, values: &[f32]) -> Result<()> {
        self.write_bytes(at, bytes(values))
    }

    pub fn write_bytes(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).map_err(unusable)
    }

    pub fn read(&self, at: u64, count: usize) -> Result<Vec<f32>> {
        let mut values = vec![0.0; count];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes_mut(&mut values))).map_err(unusable)?;
        Ok(values)
    }

    pub fn read_flags(&self, at: u64, count: usize) -> Result<Vec<bool>> {
        let (mut bytes, mut file) = (vec![0; count], &self.file);
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes)).map_err(unusable)?;
        Ok(bytes.into_iter().map(|byte| byte != 0).collect())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.found();
    }
}

fn unusable(error: std::io::Error) -> Error {
    Error::Other(format!("the memory shared with the worker cannot be used: {error}"))
}

fn bytes(values: &[f32]) -> &[u8] {
    // SAFETY: every byte of a float is one, for as long as the floats are borrowed.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn bytes_mut(values: &mut [f32]) -> &mut [u8] {
    // SAFETY: as above; and any four bytes are a float.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_another_reads_and_the_name_goes() {
        let mut layout = Layout::default();
        let (a, b) = (layout.take(12), layout.take(2));
        assert_eq!((a, b, layout.size()), (0, 64, 66));
        let mut memory = Memory::new(layout.size()).unwrap();
        memory.write(a, &[1.5, -0.0, f32::MIN_POSITIVE]).unwrap();
        memory.write_bytes(b, &[1, 0]).unwrap();
        let path = memory.path().unwrap().to_owned();
        let found = std::fs::read(&path).unwrap();
        assert_eq!((found.len(), &found[..4], &found[64..]), (66, &1.5f32.to_ne_bytes()[..], &[1, 0][..]));
        memory.found();
        assert!(!path.exists());
        let back = memory.read(a, 3).unwrap();
        assert_eq!(
            back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [1.5, -0.0, f32::MIN_POSITIVE].map(f32::to_bits)
        );
        assert_eq!(memory.read_flags(b, 2).unwrap(), [true, false]);
        assert!(memory.read(60, 3).unwrap_err().to_string().contains("cannot be used"));
    }
}
