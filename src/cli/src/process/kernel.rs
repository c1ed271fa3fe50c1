//! What the kernel tells of a process.

use laio_core::escape::Escaped;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// A process by its number, asked anew each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(pub u32);

impl Kernel {
    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    /// Its program's file name.
    pub fn program(self) -> String {
        let link = fs::read_link(self.file("exe")).unwrap_or_default();
        let name = link.file_name().unwrap_or_default().as_bytes();
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        Escaped(name).to_string()
    }

    /// The names by which somebody may know it: its program, what it was started as, and what it calls itself.
    pub fn names(self) -> Vec<String> {
        let comm = fs::read_to_string(self.file("comm")).unwrap_or_default();
        let command = fs::read(self.file("cmdline")).unwrap_or_default();
        let words: Vec<_> = command
            .split(|&byte| byte == 0 || byte == b' ')
            .take(2)
            .collect();
        let base = |word: &[u8]| {
            let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            String::from_utf8_lossy(name)
                .trim_end_matches(':')
                .to_owned()
        };
        let mut names = vec![self.program(), comm.trim_end().to_owned()];
        // The second as well: of a script it is the script's name.
        names.extend(words.into_iter().map(base));
        names.retain(|name| !name.is_empty());
        names
    }

    /// The name by which it was started, or calls itself: of a program that is a link to another, that of the link.
    pub fn started_as(self) -> String {
        let names = self.names();
        let name = names.get(2).or(names.first());
        let name = name.map(|name| name.trim_start_matches('-').as_bytes());
        Escaped(name.unwrap_or_default()).to_string()
    }

    /// What it calls itself where that tells more than its program's name: `worker process`.
    pub fn role(self) -> Option<String> {
        let command = fs::read(self.file("cmdline")).ok()?;
        let title = command.split(|&byte| byte == 0).next()?;
        let title = Escaped(title).to_string();
        let role = title.strip_prefix(&format!("{}: ", self.program()))?;
        let role = role
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        Some(role).filter(|role| !role.is_empty())
    }

    /// How long it has run.
    pub fn uptime(self) -> Option<Duration> {
        let stat = fs::read_to_string(self.file("stat")).ok()?;
        // Behind the program's name, which may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let ticks: u64 = fields.nth(19)?.parse().ok()?;
        let started =
            Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32);
        now.checked_sub(started)
    }

    /// A line of `status`.
    pub fn status(self, name: &str) -> Option<String> {
        let status = fs::read_to_string(self.file("status")).ok()?;
        let lines = status.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(found, _)| *found == name);
        values.next().map(|(_, value)| value.trim().to_owned())
    }

    /// Whether it runs in secure execution.
    pub fn is_secure(self) -> Option<bool> {
        let vector = fs::read(self.file("auxv")).ok()?;
        let words: Vec<u64> = vector
            .chunks_exact(8)
            .map(|word| word.try_into().map_or(0, u64::from_ne_bytes))
            .collect();
        let mut pairs = words.chunks_exact(2);
        let secure = pairs.find(|pair| pair[0] == libc::AT_SECURE)?;
        Some(secure[1] != 0)
    }

    /// Its soft limit of this name.
    pub fn limit(self, name: &str) -> Option<u64> {
        let limits = fs::read_to_string(self.file("limits")).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// How many descriptors it has open.
    pub fn descriptors(self) -> Option<usize> {
        Some(fs::read_dir(self.file("fd")).ok()?.count())
    }

    /// Its threads by name.
    pub fn threads(self) -> BTreeMap<String, usize> {
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(self.file("task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            *threads.entry(name.trim_end().to_owned()).or_insert(0) += 1;
        }
        threads
    }

    /// The library's helpers that run in it now.
    pub fn helpers(self) -> usize {
        self.threads().get("laio-helper").copied().unwrap_or(0)
    }

    /// The environment with which it was started, where that can be read and was not written over.
    pub fn environment(self) -> Vec<(String, String)> {
        let bytes = fs::read(self.file("environ")).unwrap_or_default();
        let each = bytes.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        each.filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let this = Kernel(std::process::id());
        assert!(this.uptime().unwrap() < Duration::from_secs(86400));
        assert_eq!(this.is_secure(), Some(false));
        assert!(this.limit("Max open files").unwrap() > 3);
        assert!(this.descriptors().unwrap() > 2);
        assert!(this.names().contains(&this.program()));
        assert_eq!(this.helpers(), 0);
        let none = Kernel(u32::MAX);
        assert_eq!((none.uptime(), none.role()), (None, None));
    }
}
