//! TFRecords: a record is its length, the length's checksum, the content, and the content's checksum
//! (`tensorflow/core/lib/io/record_writer`). The content is an `Event` (`tensorflow/core/util/event.proto`) with
//! `wall_time = 1`, `step = 2`, `file_version = 3`, `summary = 5`.

use std::io::{self, Read};

use crate::output::protobuf::{Wire, field, fields};

/// Bytes around the content.
const FRAME: u64 = 16;
/// A record that claims to be larger is none of ours.
const MOST: u64 = 1 << 20;

/// A whole record of this content.
pub fn framed(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), content, &masked(content).to_le_bytes()].concat()
}

/// The record that a file begins with.
pub fn first(seconds: f64) -> Vec<u8> {
    framed(&[field(1, Wire::Double(seconds)), field(3, Wire::Bytes(b"brain.Event:2"))].concat())
}

/// A record of values that belong to one step.
pub fn of_step(seconds: f64, step: u64, values: &[Vec<u8>]) -> Vec<u8> {
    let summary: Vec<u8> = values.iter().flat_map(|value| field(1, Wire::Bytes(value))).collect();
    framed(&[field(1, Wire::Double(seconds)), field(2, Wire::Whole(step)), field(5, Wire::Bytes(&summary))].concat())
}

/// The length of the part of a file that tells of steps before this one: whole records, as they were written, in order.
pub fn length_before(step: u64, mut file: impl Read) -> io::Result<u64> {
    let mut length = 0;
    while let Some(content) = next(&mut file)? {
        if step_of(&content).is_none_or(|found| found >= step) {
            break;
        }
        length += content.len() as u64 + FRAME;
    }
    Ok(length)
}

/// The content of the next record; `None` where there is none that is whole.
fn next(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut read = |count: u64| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let head = read(12)?;
    let Some((length, sum)) = head.split_first_chunk::<8>() else { return Ok(None) };
    let size = u64::from_le_bytes(*length);
    if sum != masked(length).to_le_bytes() || size > MOST {
        return Ok(None);
    }
    let mut content = read(size + 4)?;
    if content.len() as u64 != size + 4 {
        return Ok(None);
    }
    let sum = content.split_off(size as usize);
    Ok((sum == masked(&content).to_le_bytes()).then_some(content))
}

/// The step of an event; 0 where it says none.
fn step_of(content: &[u8]) -> Option<u64> {
    let step =
        fields(content)?.into_iter().find_map(|part| if let (2, Wire::Whole(step)) = part { Some(step) } else { None });
    Some(step.unwrap_or(0))
}

/// The checksum as TFRecords store it: rotated, so that checksums of checksums stay useful.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_what_tensorflow_writes() {
        // crc32c("123456789") is 0xe3069283 (RFC 3720).
        assert_eq!(masked(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
        let file = framed(b"abc");
        assert_eq!((file.len(), &file[..8], &file[12..15]), (19, &[3, 0, 0, 0, 0, 0, 0, 0][..], &b"abc"[..]));
    }

    #[test]
    fn what_is_left_of_a_file_are_whole_records_of_earlier_steps() {
        let value = [field(1, Wire::Bytes(b"a")), field(2, Wire::Float(0.5))].concat();
        let all: Vec<Vec<u8>> = [first(1.0)]
            .into_iter()
            .chain((0..4).map(|step| of_step(1.0, step, std::slice::from_ref(&value))))
            .collect();
        let file = all.concat();
        let left = |step: u64, bytes: &[u8]| length_before(step, bytes).unwrap() as usize;
        assert_eq!(left(9, &file), file.len());
        assert_eq!(left(2, &file), all[..3].concat().len());
        assert_eq!(left(9, &file[..file.len() - 1]), all[..4].concat().len(), "the last one was cut off");
        let mut damaged = file.clone();
        damaged[all[0].len() + 20] ^= 1;
        assert_eq!(left(9, &damaged), all[0].len());
        assert_eq!(left(9, b""), 0);
    }

    #[test]
    fn a_reader_bears_event_files_that_nobody_wrote() {
        let value = [field(1, Wire::Bytes(b"a")), field(2, Wire::Float(0.5))].concat();
        let file = [first(1.0), of_step(2.0, 3, std::slice::from_ref(&value)), of_step(2.0, 300, &[value])].concat();
        secateur_fuzz::bears("tensorboard", &[file], |bytes| length_before(9, bytes).unwrap() as usize);
    }
}
