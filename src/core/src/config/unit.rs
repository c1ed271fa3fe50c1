//! Numbers with units: `256K`, `2s`.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, which have no unit.
    Things,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

/// Units of bytes, the largest first.
const BYTES: &[(&str, u64)] = &[("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
/// Units of time by microseconds, the largest first.
const TIME: &[(&str, u64)] = &[
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1000),
    ("us", 1),
];

impl Unit {
    /// The units of such a number: their names, and how many of the plain unit they are.
    fn units(self) -> impl Iterator<Item = (&'static str, u64)> {
        let (table, plain): (&[(&str, u64)], u64) = match self {
            Unit::Things => (&[], 1),
            Unit::Bytes => (BYTES, 1),
            Unit::Milliseconds => (TIME, 1000),
            Unit::Microseconds => (TIME, 1),
        };
        let whole = table.iter().filter(move |(_, size)| *size >= plain);
        whole.map(move |(name, size)| (*name, size / plain))
    }

    /// Reads a whole number with or without a unit: without one, in the plain unit.
    pub fn parse(self, text: &str) -> Option<u64> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let number: u64 = number.parse().ok()?;
        if unit.is_empty() {
            return Some(number);
        }
        let unit = unit.trim_start();
        let is_it = |name: &str| match self {
            Unit::Bytes => {
                let rest = unit.strip_suffix("iB").unwrap_or(unit);
                rest.eq_ignore_ascii_case(name)
            }
            _ => unit == name,
        };
        let (_, size) = self.units().find(|(name, _)| is_it(name))?;
        number.checked_mul(size)
    }

    /// Writes a number with the largest unit of which it is a whole multiple.
    pub fn write(self, number: u64) -> String {
        let whole = |(_, size): &(&str, u64)| number > 0 && number.is_multiple_of(*size);
        match self.units().find(whole) {
            Some((name, size)) => format!("{}{name}", number / size),
            None => number.to_string(),
        }
    }

    /// The range of a setting, in words.
    pub fn describe(self, least: u64, most: u64) -> String {
        let (least, most) = (self.write(least), self.write(most));
        match self {
            Unit::Things => format!("a whole number from {least} to {most}"),
            Unit::Bytes => {
                format!("bytes from {least} to {most}, such as `262144`, `256K` or `1M`")
            }
            Unit::Milliseconds => {
                format!("milliseconds, or a time such as `2s`, from {least} to {most}")
            }
            Unit::Microseconds => {
                format!("microseconds, or a time such as `2ms`, from {least} to {most}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Unit::*;

    #[test]
    fn units_are_understood() {
        for (unit, text, number) in [
            (Bytes, "4096", Some(4096)),
            (Bytes, "4K", Some(4096)),
            (Bytes, "4k", Some(4096)),
            (Bytes, " 1 MiB ", Some(1 << 20)),
            (Bytes, "2G", Some(2 << 30)),
            // A thousand or 1024? Nobody knows.
            (Bytes, "1MB", None),
            (Bytes, "1s", None),
            (Bytes, "K", None),
            (Bytes, "-1", None),
            (Bytes, "1.5M", None),
            (Bytes, "99999999999G", None),
            (Milliseconds, "250", Some(250)),
            (Milliseconds, "2s", Some(2000)),
            (Milliseconds, "1h", Some(3_600_000)),
            (Milliseconds, "5us", None),
            (Microseconds, "2ms", Some(2000)),
            (Microseconds, "7us", Some(7)),
            (Things, "8", Some(8)),
            (Things, "8K", None),
            (Things, "", None),
        ] {
            assert_eq!(unit.parse(text), number, "{unit:?} {text:?}");
        }
    }

    /// Without it, a value that `laio` shows could mean another one when it is set.
    #[test]
    fn what_is_written_is_read_as_the_same() {
        for unit in [Things, Bytes, Milliseconds, Microseconds] {
            for number in [0, 1, 999, 1000, 1024, 1500, 4096, 60_000, 65_536, u64::MAX] {
                assert_eq!(unit.parse(&unit.write(number)), Some(number), "{unit:?}");
            }
        }
        assert_eq!(Milliseconds.write(90_000), "90s");
        assert_eq!(Bytes.write(262_144), "256K");
    }
}
