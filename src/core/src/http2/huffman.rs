//! The Huffman code of HPACK (RFC 7541, 5.2 and appendix B).
//!
//! It is canonical: codes of one length follow each other in the order of their symbols, shorter ones before longer ones. So the
//! lengths say all.

/// Bits of the code of each byte, and of the end of a string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The symbol that is never sent: the end of a string is padded with the beginning of its code.
const END: u16 = 256;

/// The longest code.
const LONGEST: usize = 30;

/// Bits that are looked up at once: nearly all that is sent has no longer codes.
const SHORT: u32 = 8;

/// The code, for those who decode.
struct Code {
    /// The symbol that some bits begin with and the length of its code; 0 where it is longer.
    short: [(u8, u8); 1 << SHORT],
    /// The first code of each length, the number of those before it, and how many there are.
    first: [u32; LONGEST + 1],
    before: [u16; LONGEST + 1],
    count: [u16; LONGEST + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; 257],
}

static CODE: Code = Code::new();

impl Code {
    const fn new() -> Code {
        let mut code = Code {
            short: [(0, 0); 1 << SHORT],
            first: [0; LONGEST + 1],
            before: [0; LONGEST + 1],
            count: [0; LONGEST + 1],
            symbols: [0; 257],
        };
        let (mut next, mut placed, mut length) = (0, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            code.first[length] = next;
            code.before[length] = placed as u16;
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[placed] = symbol as u16;
                    code.keep_short(symbol, length as u32, next);
                    (next, placed) = (next + 1, placed + 1);
                }
                symbol += 1;
            }
            code.count[length] = placed as u16 - code.before[length];
            length += 1;
        }
        code
    }

    const fn keep_short(&mut self, symbol: usize, length: u32, code: u32) {
        if length > SHORT {
            return;
        }
        let mut at = code << (SHORT - length);
        let end = (code + 1) << (SHORT - length);
        while at < end {
            self.short[at as usize] = (symbol as u8, length as u8);
            at += 1;
        }
    }

    /// The symbol that some bits begin with, the first of them the highest, and the length of its code.
    #[inline]
    fn symbol(&self, bits: u64) -> (u16, u32) {
        let (symbol, length) = self.short[(bits >> (u64::BITS - SHORT)) as usize];
        if length > 0 {
            return (u16::from(symbol), u32::from(length));
        }
        self.long(bits)
    }

    fn long(&self, bits: u64) -> (u16, u32) {
        for length in SHORT as usize + 1..=LONGEST {
            let code = (bits >> (u64::BITS as usize - length)) as u32;
            let nth = code.wrapping_sub(self.first[length]);
            if nth < u32::from(self.count[length]) {
                let at = usize::from(self.before[length]) + nth as usize;
                return (self.symbols.get(at).copied().unwrap_or(END), length as u32);
            }
        }
        (END, LONGEST as u32)
    }
}

/// The bytes that a string stands for. What breaks the rules ends it with a zero, which no text has: see [`Bytes::is_broken`].
#[derive(Clone, Debug)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    /// The next bits, the first of them the highest, and how many they are; behind them are zeros.
    bits: u64,
    count: u32,
    is_broken: bool,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(string: &'a [u8]) -> Bytes<'a> {
        Bytes {
            rest: string,
            bits: 0,
            count: 0,
            is_broken: false,
        }
    }

    /// Whether what was decoded so far is no right code.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn fill(&mut self) {
        if let Some(word) = self.rest.first_chunk() {
            let taken = (u64::BITS - 1 - self.count) / 8;
            // The bits of a byte that is only partly taken are those that come there later.
            self.bits |= u64::from_be_bytes(*word) >> self.count;
            self.count += taken * 8;
            self.rest = &self.rest[taken as usize..];
            self.bits &= !(u64::MAX >> self.count);
            return;
        }
        while let ([byte, rest @ ..], true) = (self.rest, self.count <= u64::BITS - 8) {
            self.bits |= u64::from(*byte) << (u64::BITS - 8 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    /// Less is left than a code. Right is a padding of less than a byte, with ones (RFC 7541, 5.2).
    fn end(&mut self) -> Option<u8> {
        let is_padding = self.count < 8 && self.bits.leading_ones() >= self.count;
        (self.bits, self.count, self.rest) = (0, 0, &[]);
        let is_broken = !is_padding && !self.is_broken;
        self.is_broken |= is_broken;
        is_broken.then_some(0)
    }
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        if self.count < LONGEST as u32 {
            self.fill();
        }
        let (symbol, length) = CODE.symbol(self.bits);
        if length > self.count {
            return self.end();
        }
        if symbol == END {
            (self.bits, self.count, self.rest) = (0, 8, &[]);
            return self.end();
        }
        self.bits <<= length;
        self.count -= length;
        Some(symbol as u8)
    }
}
