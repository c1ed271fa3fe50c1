//! Numbers as a person reads them.

use laio_core::escape::Escaped;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// `31,840`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `250 us`, `1.5 ms`, `2.1 s`, `4m07s`, `3h05m`, `2d04h`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match time.as_micros() {
        us @ 0..1_000 => format!("{us} us"),
        us @ 1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        us @ 10_000..1_000_000 => format!("{} ms", us / 1000),
        us if seconds < 10 => format!("{:.1} s", us as f64 / 1e6),
        _ if seconds < 60 => format!("{seconds} s"),
        _ if seconds < 3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// `640 B`, `3.1 MiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in units {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ if size < 10.0 => format!("{size:.1} {unit}"),
        _ => format!("{size:.0} {unit}"),
    }
}

/// A rate: `0`, `0.4`, `12`, `12,000`.
pub fn rate(rate: f64) -> String {
    match rate {
        _ if rate < 0.05 => "0".to_owned(),
        _ if rate < 9.95 => format!("{rate:.1}"),
        _ => count(rate.round() as u64),
    }
}

/// A share of the time: `0 %`, `0.3 %`, `41 %`.
pub fn share(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        _ if percent < 0.05 => "0 %".to_owned(),
        _ if percent < 9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// `1 stall`, `2 stalls`.
pub fn many(number: u64, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {more}", count(number)),
    }
}

/// A path, whatever it holds.
pub fn path(path: &Path) -> String {
    Escaped(path.as_os_str().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        let shown = |micros| time(Duration::from_micros(micros));
        let all = [
            7,
            1_500,
            79_000,
            2_140_000,
            42_000_000,
            247_000_000,
            11_100_000_000,
            187_200_000_000,
        ];
        let all = all.map(shown);
        assert_eq!(
            all,
            ["7 us", "1.5 ms", "79 ms", "2.1 s", "42 s", "4m07s", "3h05m", "2d04h"]
        );
        assert_eq!(
            [640, 3_250_000, 1 << 40].map(bytes),
            ["640 B", "3.1 MiB", "1.0 TiB"]
        );
        assert_eq!(
            [0.01, 0.44, 12.3, 12_000.0].map(rate),
            ["0", "0.4", "12", "12,000"]
        );
        assert_eq!([0.0, 0.0031, 0.41].map(share), ["0 %", "0.3 %", "41 %"]);
        assert_eq!(
            (many(1, "stall", "stalls"), many(2, "stall", "stalls")),
            ("1 stall".into(), "2 stalls".into())
        );
    }
}
