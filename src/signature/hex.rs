//! Encoding and decoding of bytes as hexadecimal digits.

pub(super) fn encode(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes pairs of digits in either case. Returns `None` for any other text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?));
    odd.is_empty().then(|| bytes.collect())?
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_convert_both_ways_in_pairs_alone() {
        let bytes: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 8).expect("small"));
        assert_eq!(decode(&encode(&bytes)).as_deref(), Some(bytes.as_slice()));
        assert_eq!(decode("fF"), Some(vec![0xff]));
        for text in ["f", "fff", "0x", "+1", "é", " 1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
