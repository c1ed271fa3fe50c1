//! Any bytes.

use super::super::huffman;
use super::recorded::Recorded;
use super::*;
use crate::paths::climbs;
use proptest::prelude::*;

/// Frames of any content, most of them right by their headers.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let content = prop::collection::vec(any::<u8>(), 0..40);
    let kind = prop_oneof![4 => Just(1_u8), 1 => Just(9), 1 => 0_u8..12];
    let flags = prop_oneof![3 => Just(5_u8), 1 => any::<u8>()];
    let one = (kind, flags, 0_u32..8, content);
    prop::collection::vec(one, 1..8).prop_map(|frames| {
        let frames = frames.iter();
        frames
            .flat_map(|(kind, flags, stream, content)| frame(*kind, *flags, *stream, content))
            .collect()
    })
}

/// What a client sent, with some bytes changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 1..6);
    (0_usize..4, changes).prop_map(|(which, changes)| {
        let mut bytes = Recorded::all()[which].records.concat();
        bytes.truncate(4000);
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        bytes
    })
}

proptest! {
    /// A panic would end the server.
    #[test]
    fn any_bytes_are_read(
        is_late in any::<bool>(),
        has_preface in any::<bool>(),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            frames(),
            damaged(),
        ],
        lengths in prop::collection::vec(1_usize..200, 1..20),
    ) {
        let bytes = if has_preface { [&PREFACE[..], &bytes].concat() } else { bytes };
        let mut connection = if is_late { Connection::late() } else { Connection::new() };
        let mut rest = &bytes[..];
        for length in lengths.iter().cycle() {
            let (part, behind) = rest.split_at(rest.len().min(*length));
            for (_, request) in told(&mut connection, [part]) {
                let Some(request) = request else { continue };
                prop_assert!(request.target.starts_with(b"/") && !climbs(&request.target));
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
    }

    /// As long as frames are right, it does not matter how they are read.
    #[test]
    fn parts_of_any_frames_make_no_difference(bytes in frames(), cut in any::<prop::sample::Index>()) {
        let bytes = [&PREFACE[..], &bytes].concat();
        let mut whole = Connection::new();
        let expected = told(&mut whole, [&bytes[..]]);
        let (first, second) = bytes.split_at(cut.index(bytes.len()));
        let mut parts = Connection::new();
        let mut seen = told(&mut parts, [first]);
        if parts.is_in_step() {
            seen.extend(told(&mut parts, [second]));
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(parts.is_in_step(), whole.is_in_step());
        }
    }

    /// The code against that of an independent implementation.
    #[test]
    fn any_code_is_decoded_as_elsewhere(code in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut bytes = huffman::Bytes::new(&code);
        let decoded: Vec<u8> = bytes.by_ref().collect();
        let other = loona_hpack::huffman::HuffmanDecoder::new().decode(&code);
        prop_assert_eq!((!bytes.is_broken()).then_some(decoded), other.ok());
    }

    #[test]
    fn any_text_is_decoded(text in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut encoder = httlib_hpack::Encoder::default();
        let mut block = Vec::new();
        let flags = httlib_hpack::Encoder::HUFFMAN_VALUE;
        encoder.encode((text.clone(), text.clone(), flags), &mut block).unwrap();
        // The name, which is plain, and two lengths come first.
        let code = &block[2 + text.len()..];
        let code = &code[1 + usize::from(code[0] == 0xff)..];
        prop_assert!(huffman::Bytes::new(code).eq(text));
    }
}
