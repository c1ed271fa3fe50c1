//! Reading a block out of another process's memory.

use super::block::{Block, Counters, Row, LOOPS, MAGIC, ROWS, SIZE};
use super::names::Counter;
use super::observation::Observation;
use super::observed::Observed;
use super::snapshot::{LoopNow, Published, Snapshot};
use super::state::{Held, Process, State, Text, SECONDS, STALL_BOUNDS};
use super::texts::PATH;
use crate::escape::Escaped;
use core::mem::{offset_of, size_of};

/// The version of the library that has these bytes for its block, also where it is another format than ours.
pub fn version(bytes: &[u8]) -> Option<String> {
    let text = bytes.get(8..24).filter(|_| bytes.starts_with(b"LAIOST"))?;
    let text = text.split(|&byte| byte == 0).next()?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+".contains(byte);
    let known = !text.is_empty() && text.iter().all(is_plain);
    known.then(|| String::from_utf8_lossy(text).into_owned())
}

impl Snapshot {
    /// Reads a [`Block`] out of another process's memory, given as bytes. `now` is the monotonic clock's time in
    /// milliseconds.
    ///
    /// Returns nothing where the bytes are not a block of this version.
    pub fn decode(bytes: &[u8], pid: u32, program: &str, now: u64) -> Option<Snapshot> {
        if bytes.len() < SIZE || bytes[..8] != MAGIC {
            return None;
        }
        let at = |offset: usize| {
            let field = bytes.get(offset..offset + 8);
            field.map_or(0, |field| {
                u64::from_le_bytes(field.try_into().unwrap_or([0; 8]))
            })
        };
        let place = |number: usize| offset_of!(Block, loops) + number * size_of::<Counters>();
        let counted = |counter: Counter, number: usize| {
            at(place(number) + offset_of!(Counters, counts) + counter as usize * 8)
        };
        let total = |counter: &Counter| {
            let all = (0..LOOPS).map(|number| counted(*counter, number));
            all.fold(0, u64::wrapping_add)
        };
        let totals: Vec<u64> = Counter::ALL.iter().map(total).collect();
        let row = |row: usize| {
            let numbers = [
                offset_of!(Row, count),
                offset_of!(Row, total_ns),
                offset_of!(Row, max_ns),
            ];
            let call = at(row + offset_of!(Row, call)) as u32;
            let length = (at(row + offset_of!(Row, call)) >> 32) as usize;
            let path = row + offset_of!(Row, path);
            let path = bytes.get(path..path + length.min(PATH)).unwrap_or_default();
            (call, numbers.map(|offset| at(row + offset)), path.to_vec())
        };
        let lists = [offset_of!(Block, stalls), offset_of!(Block, ungated_calls)];
        let lists =
            lists.map(|list| (0..ROWS).map(move |number| row(list + number * size_of::<Row>())));
        let loops =
            (0..LOOPS).filter(|number| at(place(*number) + offset_of!(Counters, in_use)) != 0);
        let loops = loops.map(|number| {
            let field = |offset: usize| at(place(number) + offset);
            let held = offset_of!(Counters, held);
            let held = Held::summary((0..SECONDS).map(|second| field(held + 8 * second)));
            let armed_until = field(offset_of!(Counters, armed_until));
            LoopNow::new(number, |counter| counted(counter, number), held, now)
                .armed(now < armed_until, field(offset_of!(Counters, rules)))
        });
        let process = offset_of!(Block, process);
        let text = |offset: usize, size: usize| {
            let text = bytes.get(process + offset..process + offset + size);
            let lines = Text::<0>::lines(text.unwrap_or_default());
            lines.map(|line| Escaped(line).to_string()).collect()
        };
        let times = offset_of!(Block, stall_times);
        let published = Published {
            library: version(bytes).unwrap_or_default(),
            state: State::name_of(at(process + offset_of!(Process, state))).to_owned(),
            settings: text(offset_of!(Process, settings), size_of::<Text<128>>()),
            refused: text(offset_of!(Process, refused), size_of::<Text<32>>()),
            stall_times: (0..=STALL_BOUNDS.len())
                .map(|n| at(times + 8 * n))
                .collect(),
            loops: loops.collect(),
        };
        let mode = match &*published.state {
            "on" | "observe" | "off" => published.state.clone(),
            _ => "unknown".to_owned(),
        };
        let observed = offset_of!(Block, observed);
        let observed = &bytes[observed..observed + size_of::<Observed>()];
        let words = observed.chunks_exact(8).map(|word| {
            let word = word.try_into();
            word.map_or(0, u64::from_le_bytes)
        });
        let observed = Observation::decode(&words.collect::<Vec<_>>());
        let rest = (observed, published);
        Some(Snapshot::new(pid, program, &mode, &totals, lists, rest))
    }
}

const _: () =
    assert!(offset_of!(Row, length) == offset_of!(Row, call) + 4 && cfg!(target_endian = "little"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_block_are_refused() {
        assert_eq!(Snapshot::decode(&[0; size_of::<Block>()], 1, "x", 0), None);
        assert_eq!(Snapshot::decode(b"LAIOST01", 1, "x", 0), None);
    }

    /// What is read from another process may be anything. Without it, one that is being taken apart, or means harm,
    /// could end whoever looks.
    #[test]
    fn any_bytes_behind_the_magic_are_read() {
        for byte in [0xff, 0x80, 1] {
            let mut bytes = vec![byte; SIZE];
            bytes[..8].copy_from_slice(&MAGIC);
            let snapshot = Snapshot::decode(&bytes, 1, "x", 0).unwrap();
            assert_eq!(snapshot.stalls.len(), ROWS);
            assert!(snapshot
                .stalls
                .iter()
                .all(|row| row.path.chars().all(|c| !c.is_control())));
            let sum: Snapshot = [snapshot.clone(), snapshot].into_iter().sum();
            assert_eq!(sum.stalls.len(), 2 * ROWS);
        }
    }

    #[test]
    fn the_version_is_found_whatever_the_format() {
        assert_eq!(
            version(b"LAIOST991.2.3\0\0\0\0\0\0\0\0\0\0\0"),
            Some("1.2.3".to_owned())
        );
        assert_eq!(version(b"LAIOST03\x1b[2J\0\0\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(version(b"LAIOST03"), None);
        assert_eq!(version(&[0; 64]), None);
    }
}
