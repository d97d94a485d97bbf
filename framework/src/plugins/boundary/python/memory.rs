//! Memory that a worker maps too: a file without a name, on a file system that lies in memory where there is one.
//!
//! Both map it once and keep it. All of its pages are there when it is mapped: a file system that is full is an error
//! then, where a page that cannot be had later would end the process; and a page fault costs more than copying the page.
//! What the worker is shown lies in one, which it maps for reading alone; what it answers lies in another.

use crate::error::{Error, Result};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Arrays begin at multiples of this many bytes: a cache line.
const ALIGN: u64 = 64;

/// Where the next array goes: behind the first line, which says how much is there.
#[derive(Debug)]
pub(super) struct Layout(u64);

impl Default for Layout {
    fn default() -> Self {
        Self(ALIGN)
    }
}

impl Layout {
    /// Takes `bytes` bytes; where they begin.
    pub fn take(&mut self, bytes: usize) -> u64 {
        let at = self.0.next_multiple_of(ALIGN);
        self.0 = at + bytes as u64;
        at
    }

    /// Bytes up to the end.
    pub fn size(&self) -> u64 {
        self.0
    }
}

/// The memory, and the name of its file as long as it has one.
#[derive(Debug)]
pub(super) struct Memory {
    map: MmapRaw,
    /// Where the worker finds it; nothing once it has.
    named: Named,
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
        let mut file = options.open(&path)?;
        let named = Named(Some(path));
        // Written, not only promised: what is missing is missing now.
        let zeros = vec![0; 1 << 20];
        let mut left = size;
        while left > 0 {
            let part = left.min(zeros.len() as u64);
            file.write_all(&zeros[..part as usize])?;
            left -= part;
        }
        let map = MmapOptions::new().populate().map_raw(&file)?;
        Ok(Self { map, named })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// Where the worker is to find it, where it has not yet.
    pub fn path(&self) -> Option<&Path> {
        self.named.0.as_deref()
    }

    /// The worker has mapped it: nobody else can, and it goes with its last user.
    pub fn found(&mut self) {
        self.named.remove();
    }

    /// Says that the arrays of so many targets are there, to a worker that reads them while others are written.
    pub fn publish(&self, targets: usize) {
        // SAFETY: the first eight bytes of the map, which begins at a page, are in no array, and are read and written as
        // one number alone.
        let there = unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast()) };
        there.store(targets as u64, Ordering::Release);
    }

    /// Writes numbers.
    ///
    /// # Errors
    /// They do not lie within the memory; so for all of these.
    pub fn write(&mut self, at: u64, values: &[f32]) -> Result<()> {
        self.part_mut::<f32>(at, values.len()).map(|to| to.copy_from_slice(values))
    }

    /// Has so many flags written, each a one where it is set and a zero else.
    pub fn write_flags(&mut self, at: u64, count: usize, flags: impl FnOnce(&mut [u8])) -> Result<()> {
        self.part_mut::<u8>(at, count).map(flags)
    }

    /// The numbers that the worker left.
    pub fn read(&self, at: u64, count: usize) -> Result<&[f32]> {
        self.part(at, count)
    }

    pub fn read_flags(&self, at: u64, count: usize) -> Result<Vec<bool>> {
        Ok(self.part::<u8>(at, count)?.iter().map(|&byte| byte != 0).collect())
    }

    /// Where so many numbers lie, as bytes of the memory.
    fn place<T: bytemuck::Pod>(&self, at: u64, count: usize) -> Result<Range<usize>> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let end = size_of::<T>().checked_mul(count).and_then(|bytes| start.checked_add(bytes));
        end.filter(|&end| end <= self.map.len() && start.is_multiple_of(align_of::<T>()))
            .map(|end| start..end)
            .ok_or_else(|| {
                let all = self.map.len();
                Error::Other(format!("{count} numbers at byte {at} of the {all} bytes shared with the worker"))
            })
    }

    fn part<T: bytemuck::Pod>(&self, at: u64, count: usize) -> Result<&[T]> {
        let place = self.place::<T>(at, count)?;
        // SAFETY: the bytes lie within the map, which lives as long as `self`, begins at a page, and takes any values.
        // The worker writes scores alone, and those only while the program waits for its answer.
        Ok(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(place.start).cast(), count) })
    }

    fn part_mut<T: bytemuck::Pod>(&mut self, at: u64, count: usize) -> Result<&mut [T]> {
        let place = self.place::<T>(at, count)?;
        // SAFETY: as in `part`; `self` is borrowed for this alone, and the worker reads only what it was told of behind
        // the writing.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(place.start).cast(), count) })
    }
}

/// Numbers that the worker left, for as long as somebody reads them.
#[derive(Debug)]
pub(super) struct Lasting {
    memory: Arc<Memory>,
    at: u64,
    count: usize,
}

impl Lasting {
    /// So many numbers; the memory is not written to as long as there are any.
    ///
    /// # Errors
    /// They do not lie within the memory.
    pub fn of(memory: &Arc<Memory>, at: u64, count: usize) -> Result<Self> {
        memory.read(at, count).map(|_| Self { memory: Arc::clone(memory), at, count })
    }
}

impl AsRef<[f32]> for Lasting {
    fn as_ref(&self) -> &[f32] {
        self.memory.read(self.at, self.count).unwrap_or_default()
    }
}

/// The name of a file, which goes with this value.
#[derive(Debug)]
struct Named(Option<PathBuf>);

impl Named {
    fn remove(&mut self) {
        if let Some(path) = self.0.take() {
            // A name that stays is in nobody's way.
            _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_another_reads_and_the_name_goes() {
        let mut layout = Layout::default();
        let (a, b) = (layout.take(12), layout.take(2));
        assert_eq!((a, b, layout.size()), (64, 128, 130));
        let mut memory = Memory::new(layout.size()).unwrap();
        memory.write(a, &[1.5, -0.0, f32::MIN_POSITIVE]).unwrap();
        memory.write_flags(b, 2, |to| to.copy_from_slice(&[1, 0])).unwrap();
        memory.publish(258);
        let path = memory.path().unwrap().to_owned();
        let found = std::fs::read(&path).unwrap();
        assert_eq!((found.len(), &found[64..68], &found[128..]), (130, &1.5f32.to_ne_bytes()[..], &[1, 0][..]));
        assert_eq!(found[..8], 258_u64.to_ne_bytes());
        memory.found();
        assert!(!path.exists());
        let back = memory.read(a, 3).unwrap();
        assert_eq!(
            back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [1.5, -0.0, f32::MIN_POSITIVE].map(f32::to_bits)
        );
        assert_eq!(memory.read_flags(b, 2).unwrap(), [true, false]);
        for (at, count) in [(124, 2), (2, 1), (u64::MAX, 1), (0, usize::MAX)] {
            assert!(memory.read(at, count).unwrap_err().to_string().contains("of the 130 bytes shared"));
        }
        let memory = Arc::new(memory);
        assert!(Lasting::of(&memory, 124, 2).is_err());
        let lasting = Lasting::of(&memory, a, 2).unwrap();
        assert_eq!(lasting.as_ref(), [1.5, -0.0]);
        assert!(Arc::into_inner(memory).is_none(), "it goes with its last reader");
    }
}
