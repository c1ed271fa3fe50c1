//! Which codings a client takes (`Accept-Encoding`, RFC 9110, 12.5.3): a server may send it a file that is coded already, and lies beside
//! the plain one under a longer name.

/// A coding of such files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    const ALL: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

    /// Its name in a header.
    fn name(self) -> &'static [u8] {
        match self {
            Coding::Gzip => b"gzip",
            Coding::Brotli => b"br",
            Coding::Zstd => b"zstd",
        }
    }

    /// What follows the plain file's name.
    pub fn suffix(self) -> &'static [u8] {
        match self {
            Coding::Gzip => b".gz",
            Coding::Brotli => b".br",
            Coding::Zstd => b".zst",
        }
    }

    /// The coding of a file whose name ends so.
    pub fn of(name: &[u8]) -> Option<Coding> {
        let mut all = Coding::ALL.into_iter();
        all.find(|coding| name.ends_with(coding.suffix()))
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The codings that a client takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings(u8);

/// It may take others as well, or servers may send it none.
const UNCERTAIN: u8 = 1 << 7;

impl Codings {
    /// It has not been heard what it takes.
    pub const UNKNOWN: Codings = Codings(u8::MAX);

    /// Those of a header.
    pub(crate) fn of(value: &[u8]) -> Codings {
        let mut codings = Codings::default();
        for part in value.split(|&byte| byte == b',') {
            let mut words = part.split(|&byte| byte == b';');
            let name = words.next().unwrap_or_default().trim_ascii();
            if words.any(is_refusal) {
                continue;
            }
            if name == b"*" {
                return Codings::UNKNOWN;
            }
            let known = Coding::ALL
                .into_iter()
                .find(|coding| name.eq_ignore_ascii_case(coding.name()));
            codings.0 |= known.map_or(0, Coding::bit);
        }
        codings
    }

    /// The number from which [`Codings::from_bits`] makes the same.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Codings {
        Codings(bits)
    }

    /// What another header says as well.
    pub(crate) fn and(self, other: Codings) -> Codings {
        Codings(self.0 | other.0)
    }

    /// Servers may send plain files all the same: to a proxy, or by an old version of the protocol.
    pub(crate) fn are_uncertain(self) -> Codings {
        match self.0 {
            0 => self,
            bits => Codings(bits | UNCERTAIN),
        }
    }

    /// Whether it may be sent files of this coding.
    pub fn have(self, coding: Coding) -> bool {
        self.0 & coding.bit() != 0
    }

    /// Whether it will be, where there is one.
    pub fn surely_have(self, coding: Coding) -> bool {
        self.have(coding) && self.0 & UNCERTAIN == 0
    }
}

/// Whether a parameter says that something is not taken: `q=0`, or `q=0.000`.
fn is_refusal(parameter: &[u8]) -> bool {
    let parameter = parameter.trim_ascii();
    let quality = parameter
        .strip_prefix(b"q=")
        .or(parameter.strip_prefix(b"Q="));
    quality.is_some_and(|it| it.starts_with(b"0") && it.iter().all(|byte| b"0.".contains(byte)))
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    fn taken(value: &str) -> Vec<Coding> {
        let codings = Codings::of(value.as_bytes());
        let all = Coding::ALL.into_iter();
        all.filter(|coding| codings.surely_have(*coding)).collect()
    }

    #[test]
    fn a_header_names_them() {
        assert_eq!(taken("gzip, deflate, br, zstd"), [Gzip, Brotli, Zstd]);
        assert_eq!(taken("GZIP;q=0.5 , br;q=0"), [Gzip]);
        assert_eq!(taken("gzip; q=0.001"), [Gzip]);
        for none in [
            "",
            "identity",
            "x-gzip",
            "gzip;q=0",
            "gzip; q=0.000",
            "deflate",
        ] {
            assert_eq!(Codings::of(none.as_bytes()), Codings::default(), "{none}");
        }
    }

    #[test]
    fn what_is_not_certain_may_be() {
        for codings in [
            Codings::of(b"*"),
            Codings::UNKNOWN,
            Codings::of(b"gzip").are_uncertain(),
        ] {
            assert!(codings.have(Gzip) && !codings.surely_have(Gzip));
        }
        assert_eq!(Codings::default().are_uncertain(), Codings::default());
        assert_eq!(
            Codings::from_bits(Codings::of(b"br").bits()),
            Codings::of(b"br")
        );
    }

    #[test]
    fn names_tell_them() {
        assert_eq!(Coding::of(b"index.html.gz"), Some(Gzip));
        assert_eq!(Coding::of(b".br"), Some(Brotli));
        assert_eq!(Coding::of(b".zst"), Some(Zstd));
        assert_eq!(Coding::of(b".gzip"), None);
    }
}
