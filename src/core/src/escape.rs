//! Names that strangers have chosen, fit for a log or a terminal.
//!
//! A path may hold any byte but NUL: escape sequences that a terminal obeys, line breaks that look like other lines of a
//! log, marks that turn the direction of what follows.

use core::fmt::{Display, Formatter, Result, Write as _};

/// Shows bytes as text: what can be printed as it is, other characters as in Rust (`\n`, `\u{1b}`), and bytes that
/// are no UTF-8 as `\xff`. A backslash becomes two, so that nothing is shown like something else.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'b>(pub &'b [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    // Quotation marks are the format's to escape, where it has any.
                    '\'' | '"' => f.write_char(character)?,
                    _ => write!(f, "{}", character.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_be_printed_stays() {
        for text in ["/srv/www/a b.html", "/größe/日本/'x\"", ""] {
            assert_eq!(Escaped(text.as_bytes()).to_string(), text);
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (bytes, shown) in [
            (&b"/a\x1b[2J"[..], "/a\\u{1b}[2J"),
            (b"/a\r\n127.0.0.1 forged", "/a\\r\\n127.0.0.1 forged"),
            (b"/\x7f\x07", "/\\u{7f}\\u{7}"),
            // The one-byte form of the escape sequence, as UTF-8 and not.
            ("/\u{9b}2J".as_bytes(), "/\\u{9b}2J"),
            (b"/\x9b2J", "/\\x9b2J"),
            // Text turned round.
            ("/\u{202e}gpj.exe".as_bytes(), "/\\u{202e}gpj.exe"),
            // A name that was cut in the middle of a character.
            (b"/\xc3", "/\\xc3"),
            (b"/\\x9b", "/\\\\x9b"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), shown);
        }
    }

    proptest! {
        /// Without it, some byte could reach a terminal as it is, or two paths be shown alike.
        #[test]
        fn no_control_character_is_left_and_none_is_mistaken(
            one in prop::collection::vec(any::<u8>(), 0..40),
            other in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let shown = Escaped(&one).to_string();
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            prop_assert_eq!(one == other, shown == Escaped(&other).to_string());
        }
    }
}
