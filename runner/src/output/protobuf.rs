//! Protocol buffers, as far as event files of TensorBoard and networks in ONNX need them.

/// The value of a field.
pub enum Wire<'a> {
    /// A whole number; negative ones as two's complement.
    Whole(u64),
    /// A double.
    Double(f64),
    /// A float.
    Float(f32),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

/// One field of a message.
pub fn field(number: u64, value: Wire<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut key = |wire: u64| varint(&mut bytes, number << 3 | wire);
    match value {
        Wire::Whole(whole) => {
            key(0);
            varint(&mut bytes, whole);
        }
        Wire::Double(double) => {
            key(1);
            bytes.extend(double.to_le_bytes());
        }
        Wire::Bytes(content) => {
            key(2);
            varint(&mut bytes, content.len() as u64);
            bytes.extend(content);
        }
        Wire::Float(float) => {
            key(5);
            bytes.extend(float.to_le_bytes());
        }
    }
    bytes
}

/// The fields of a message, in order; `None` where it is cut short or of a kind that is not read.
pub fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = take_varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Wire::Whole(take_varint(&mut bytes)?),
            1 => Wire::Double(f64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                Wire::Bytes(take(&mut bytes, length)?)
            }
            5 => Wire::Float(f32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?)),
            _ => return None,
        };
        all.push((key >> 3, value));
    }
    Some(all)
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let inner = field(2, Wire::Float(0.5));
        let message =
            [field(1, Wire::Whole(300)), field(3, Wire::Bytes(&inner)), field(9, Wire::Whole(-1_i64 as u64))].concat();
        assert_eq!(message[..3], [0x08, 0xac, 0x02]);
        let found = fields(&message).unwrap();
        assert!(matches!(found[0], (1, Wire::Whole(300))) && matches!(found[2], (9, Wire::Whole(u64::MAX))));
        let (3, Wire::Bytes(bytes)) = found[1] else { panic!("a message") };
        assert!(matches!(fields(bytes).unwrap()[..], [(2, Wire::Float(0.5))]));
        assert!(fields(&message[..message.len() - 1]).is_none(), "cut short");
    }
}
