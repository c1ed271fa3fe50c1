//! An answer that a server has coded on its way: in chunks, and by gzip. It is compared as it arrives.

use std::io::{self, Write};

use flate2::write::GzDecoder;

/// The longest line that tells the length of a chunk.
const MAX_LINE: usize = 32;

/// Where in the chunks the next byte stands.
enum Place {
    /// In the line that tells a chunk's length: its first bytes.
    Line(Vec<u8>),
    /// So many bytes before the end of a chunk.
    Chunk(usize),
    /// In the line behind a chunk, or behind all of them.
    End { is_last: bool },
}

/// The body of such an answer.
pub struct Coded {
    place: Place,
    decoder: GzDecoder<Compared>,
}

/// What the answer should be, and how far it was.
struct Compared {
    right: &'static [u8],
    position: usize,
}

impl Write for Compared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.position + bytes.len();
        if self.right.get(self.position..end) != Some(bytes) {
            return Err(io::Error::other("a wrong body"));
        }
        self.position = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Coded {
    /// One that is to become this.
    pub fn new(right: &'static [u8]) -> Self {
        let position = 0;
        Self {
            place: Place::Line(Vec::new()),
            decoder: GzDecoder::new(Compared { right, position }),
        }
    }

    /// Takes the next bytes; true once it is complete, and right.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<bool, String> {
        while let Some(&first) = bytes.first() {
            let taken = match &mut self.place {
                Place::Chunk(rest) => {
                    let length = bytes.len().min(*rest);
                    let decoded = self.decoder.write_all(&bytes[..length]);
                    decoded.map_err(|error| error.to_string())?;
                    *rest -= length;
                    if *rest == 0 {
                        self.place = Place::End { is_last: false };
                    }
                    length
                }
                Place::Line(line) if first != b'\n' => {
                    if line.len() == MAX_LINE {
                        return Err("no length of a chunk".into());
                    }
                    line.push(first);
                    1
                }
                Place::Line(line) => {
                    let text = std::str::from_utf8(line).unwrap_or_default().trim();
                    let length = usize::from_str_radix(text, 16);
                    self.place = match length.map_err(|error| error.to_string())? {
                        0 => Place::End { is_last: true },
                        length => Place::Chunk(length),
                    };
                    1
                }
                Place::End { .. } if first == b'\r' => 1,
                Place::End { is_last } if first == b'\n' => {
                    if *is_last {
                        return self.finish(bytes.len());
                    }
                    self.place = Place::Line(Vec::new());
                    1
                }
                Place::End { .. } => return Err("a chunk does not end where it says".into()),
            };
            bytes = &bytes[taken..];
        }
        Ok(false)
    }

    fn finish(&mut self, left: usize) -> Result<bool, String> {
        self.decoder
            .try_finish()
            .map_err(|error| error.to_string())?;
        let compared = self.decoder.get_ref();
        match compared.position == compared.right.len() && left == 1 {
            true => Ok(true),
            false => Err("a wrong end".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use flate2::Compression;

    const RIGHT: &[u8] = b"what is right, and long enough to be cut";

    fn answer(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        let coded = encoder.finish().unwrap();
        let (first, second) = coded.split_at(coded.len() / 2);
        let mut answer = Vec::new();
        for chunk in [first, second, b""] {
            write!(answer, "{:X}\r\n", chunk.len()).unwrap();
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer
    }

    /// A comparison that passes a wrong body would make every other figure worthless.
    #[test]
    fn only_the_right_one_passes_wherever_it_is_cut() {
        let right = answer(RIGHT);
        for cut in 1..right.len() {
            let mut coded = Coded::new(RIGHT);
            assert_eq!(coded.take(&right[..cut]), Ok(false));
            assert_eq!(coded.take(&right[cut..]), Ok(true), "cut at {cut}");
        }
        assert!(Coded::new(RIGHT).take(&answer(&RIGHT[1..])).is_err());
        assert!(Coded::new(RIGHT)
            .take(&answer(&[RIGHT, b"x"].concat()))
            .is_err());
        assert!(Coded::new(RIGHT)
            .take(&[&right[..], b"x"].concat())
            .is_err());
        assert!(Coded::new(RIGHT).take(b"x\r\n").is_err());
    }
}
