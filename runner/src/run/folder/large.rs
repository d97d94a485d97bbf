//! Files of many megabytes, written past the page cache where the system can: copying a gigabyte into it takes longer than
//! the disk does, and drives out of it what others read.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};

/// Bytes that are written at once.
const BLOCK: usize = 8 << 20;

/// Where blocks begin in memory and in the file: a multiple of every disk's sectors.
const ALIGNED: usize = 4096;

/// Blocks in all: one is filled while others are written.
const BLOCKS: usize = 3;

/// A file that is written from its beginning to its end, by a thread of its own where it is longer than a block; after a
/// `seek`, which waits for that thread, bytes in it can be changed.
pub struct LargeFile<'a> {
    file: &'a File,
    path: &'a Path,
    /// What comes next, until the end.
    block: Option<Block>,
    /// Where `block` begins in the file.
    at: u64,
    writing: Option<Writing>,
}

/// The thread, what it is given (blocks and where they begin), and what it gives back.
struct Writing {
    full: Sender<(Block, u64)>,
    empty: Receiver<Block>,
    thread: JoinHandle<io::Result<()>>,
}

impl<'a> LargeFile<'a> {
    /// Fills an empty file that is open for writing.
    pub fn new(file: &'a File, path: &'a Path) -> Self {
        Self { file, path, block: Some(Block::new()), at: 0, writing: None }
    }

    /// Waits until the system has everything.
    ///
    /// # Errors
    /// It could not be written.
    pub fn finish(&mut self) -> io::Result<()> {
        let Some(block) = self.block.take() else { return Ok(()) };
        let Some(Writing { full, thread, .. }) = self.writing.take() else {
            return write_at(self.file, block.filled(), self.at);
        };
        // Where the thread is gone it met an error, which it returns.
        _ = full.send((block, self.at));
        drop(full);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that wrote the file panicked")))
    }

    fn begin(&self) -> io::Result<Writing> {
        let (full, blocks) = channel::<(Block, u64)>();
        let (back, empty) = channel();
        (1..BLOCKS).for_each(|_| _ = back.send(Block::new()));
        let mut target = Target { file: self.file.try_clone()?, direct: past_the_cache(self.path) };
        let thread = spawn(move || {
            for (mut block, at) in blocks {
                target.write(block.filled(), at)?;
                block.length = 0;
                _ = back.send(block);
            }
            Ok(())
        });
        Ok(Writing { full, empty, thread })
    }

    /// Hands a filled block on and takes an empty one.
    fn hand_on(&mut self) -> io::Result<()> {
        if self.writing.is_none() {
            self.writing = Some(self.begin()?);
        }
        let Some(empty) = self.writing.as_ref().and_then(|writing| writing.empty.recv().ok()) else {
            return self.finish().and(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if let (Some(block), Some(writing)) = (self.block.replace(empty), &self.writing) {
            let at = self.at;
            self.at += block.length as u64;
            _ = writing.full.send((block, at));
        }
        Ok(())
    }
}

impl Write for LargeFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.as_ref().is_some_and(|block| block.length == BLOCK) {
            self.hand_on()?;
        }
        match &mut self.block {
            Some(block) => Ok(block.fill(bytes)),
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for LargeFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.finish()?;
        self.file.seek(to)
    }
}

/// Bytes that begin at a multiple of [`ALIGNED`] in memory.
struct Block {
    bytes: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Block {
    fn new() -> Self {
        let bytes = vec![0; BLOCK + ALIGNED];
        let begin = bytes.as_ptr().align_offset(ALIGNED);
        Self { bytes, begin, length: 0 }
    }

    /// Takes as many bytes as fit, and says how many.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BLOCK - self.length);
        let begin = self.begin + self.length;
        self.bytes[begin..begin + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        taken
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[self.begin..self.begin + self.length]
    }
}

/// The file, and the same past the page cache as long as the system takes that.
struct Target {
    file: File,
    direct: Option<File>,
}

impl Target {
    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        // Past the cache go whole sectors alone; the last block seldom is one.
        if let Some(direct) = self.direct.as_ref().filter(|_| bytes.len().is_multiple_of(ALIGNED)) {
            match write_at(direct, bytes, at) {
                // A file system may refuse it only now, or may write less than it was given.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = None,
                written => return written,
            }
        }
        write_at(&self.file, bytes, at)
    }
}

fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// A handle that writes past the page cache, where file system and system have that.
fn past_the_cache(path: &Path) -> Option<File> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        File::options().write(true).custom_flags(libc::O_DIRECT).open(path).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        _ = path;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bytes, none of which tells where it stands by itself.
    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i % 251) as u8).collect()
    }

    /// What is in a file that was written in pieces of this size, its bytes from 5 on being changed at the end.
    fn written(length: usize, piece: usize, direct: bool) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        // No file of this name can be opened past the cache, as on systems that have no such thing.
        let elsewhere = folder.path().join("none").join("file");
        let mut large = LargeFile::new(&file, if direct { &path } else { &elsewhere });
        content(length).chunks(piece).for_each(|piece| large.write_all(piece).unwrap());
        large.seek(SeekFrom::Start(5)).unwrap();
        large.write_all(b"changed").unwrap();
        large.finish().unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn every_byte_is_where_it_was_put() {
        for (length, piece) in [(12, 12), (BLOCK, BLOCK), (2 * BLOCK + 4096, BLOCK / 3), (4 * BLOCK + 17, 5 * BLOCK)] {
            for direct in [true, false] {
                let mut expected = content(length);
                expected[5..12].copy_from_slice(b"changed");
                assert!(written(length, piece, direct) == expected, "{length} {piece} {direct}");
            }
        }
    }

    #[test]
    fn a_file_that_takes_nothing_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap();
        // Open for reading alone: every write fails.
        let (file, elsewhere) = (File::open(&path).unwrap(), folder.path().join("none"));
        let mut large = LargeFile::new(&file, &elsewhere);
        let bytes = content(BLOCK);
        assert!((0..2 * BLOCKS).any(|_| large.write_all(&bytes).is_err()), "it is told before all of it was taken");
        let mut large = LargeFile::new(&file, &elsewhere);
        large.write_all(b"few").unwrap();
        assert!(large.finish().is_err());
    }
}
