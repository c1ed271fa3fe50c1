//! One line that names a file, as FTP (`RETR pub/file`), Gopher (`/file`) and others have it.

use super::request::{Recogniser, Request, Unrecognised, LINE};
use crate::paths::climbs;

/// The longest line that is looked at, with its end.
const LONGEST: usize = 512;

/// The longest verb.
const MAX_VERB: usize = 8;

/// The recogniser of such lines: what is at hand must be one line and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line;

impl Recogniser for Line {
    fn recognise(&self, bytes: &[u8], request: &mut Request) -> Result<usize, Unrecognised> {
        let line = bytes.strip_suffix(b"\n").ok_or(Unrecognised::Foreign)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_text = |byte: &u8| !byte.is_ascii_control();
        if bytes.len() > LONGEST || !line.iter().all(is_text) {
            return Err(Unrecognised::Foreign);
        }
        let (verb, name) = verb_and_name(line);
        if name.is_empty() || climbs(name) {
            return Err(Unrecognised::Refused);
        }
        let target = &mut request.target;
        target.clear();
        target.push(LINE);
        target.extend(verb.iter().map(u8::to_ascii_uppercase));
        if !name.starts_with(b"/") {
            target.push(b'/');
        }
        target.extend(name.iter().copied());
        request.asks_for_all();
        Ok(bytes.len())
    }
}

/// A word and what follows it, where that is a name; all of the line is one otherwise.
fn verb_and_name(line: &[u8]) -> (&[u8], &[u8]) {
    let space = memchr::memchr(b' ', line).unwrap_or(0);
    let (verb, name) = line.split_at(space);
    let is_verb = (1..=MAX_VERB).contains(&verb.len()) && verb.iter().all(u8::is_ascii_alphabetic);
    match is_verb {
        true => (verb, name.trim_ascii_start()),
        false => (b"", line),
    }
}

const _: () = assert!(LONGEST + 2 <= super::text::MAX_TARGET);

#[cfg(test)]
mod tests {
    use super::*;

    fn target(bytes: &[u8]) -> Result<String, Unrecognised> {
        let mut request = Request::default();
        let taken = Line.recognise(bytes, &mut request)?;
        assert_eq!(taken, bytes.len());
        assert!(request.is_line() && !request.is_of_client());
        Ok(String::from_utf8(request.target.to_vec()).unwrap())
    }

    #[test]
    fn lines_name_files() {
        for (line, expected) in [
            ("RETR pub/file one.bin\r\n", "|RETR/pub/file one.bin"),
            ("retr  /pub/x\n", "|RETR/pub/x"),
            ("/0/docs/x\r\n", "|/0/docs/x"),
            ("docs/x\r\n", "|/docs/x"),
            ("two words.txt/x\r\n", "|TWO/words.txt/x"),
            ("12 34\r\n", "|/12 34"),
        ] {
            assert_eq!(target(line.as_bytes()).unwrap(), expected, "{line:?}");
        }
    }

    #[test]
    fn others_do_not() {
        for line in [
            &b"RETR a"[..],
            b"RETR a\r\nRETR b\r\n",
            b"a\0b\r\n",
            b"a\tb\r\n",
            b"\x16\x03\x01\n",
            b"",
        ] {
            assert_eq!(target(line), Err(Unrecognised::Foreign));
        }
        for line in ["\r\n", "RETR ../x\r\n", "a/../b\r\n", "RETR \r\n"] {
            assert_eq!(
                target(line.as_bytes()),
                Err(Unrecognised::Refused),
                "{line:?}"
            );
        }
        let long = [&[b'a'; LONGEST][..], b"\n"].concat();
        assert_eq!(target(&long), Err(Unrecognised::Foreign));
    }
}
