//! The command line, and how long each part takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::plan::Part;

/// Repeats the evaluation of "Lazy Asynchronous I/O for Event-Driven Servers" on this machine.
///
/// All servers of a part take turns in every round; what is printed are medians over the rounds.
#[derive(Clone, Debug, Parser)]
#[command(name = "laio-paper", version)]
pub struct Options {
    /// About three minutes, one round of each: a look, not a measurement.
    #[arg(long)]
    pub quick: bool,

    /// Only this part (may be given several times).
    #[arg(long, value_name = "PART", value_enum)]
    pub only: Vec<Part>,

    /// Only servers whose name contains this, such as "laio" or "nb-b" (may be given several times).
    #[arg(long, value_name = "TEXT")]
    pub just: Vec<String>,

    /// Rounds of each part [default: operations 15, memory 6, disk 3, others 2; quick: operations 5, others 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Seconds that a server is under load with each number of clients [default: 2, in memory 1; quick: 1].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: Option<u32>,

    /// Numbers of clients [default: 1,4,16,64,256; quick: 4,64]. Parts that begin cold have every other one.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=900))]
    pub clients: Vec<u32>,

    /// What one read takes on the slow disks.
    #[arg(long, default_value = "5ms")]
    pub delay: String,

    /// Directories of the set that fits into memory; each has 36 files, 5 MB together.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub small: u32,

    /// Directories of the set that does not.
    #[arg(long, value_name = "NUMBER", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=350))]
    pub large: u32,

    /// MiB of memory that a server of the large set has, page cache included.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub memory: u64,

    /// The library [default: liblaio.so beside this program].
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,

    /// Where the servers of demo-servers/lazy are [default: demo-servers/ in cargo's target directory].
    #[arg(long, value_name = "DIR")]
    pub servers: Option<PathBuf>,

    /// Where the tables, paper.json and the pictures go [default: paper/ in cargo's target directory].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Where disks, files and the servers' directories are made; removed at the end.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub work: PathBuf,
}

impl Options {
    /// Is this part wanted?
    pub fn wants(&self, part: Part) -> bool {
        match self.only.is_empty() {
            true => !(self.quick && part == Part::Deep),
            false => self.only.contains(&part),
        }
    }

    /// Is this server wanted?
    pub fn wants_server(&self, name: &str) -> bool {
        self.just.is_empty() || self.just.iter().any(|text| name.contains(text.as_str()))
    }

    /// How often each server of a part runs.
    pub fn rounds(&self, part: Part) -> u32 {
        let default = match (part, self.quick) {
            (Part::Operations, false) => 15,
            (Part::Operations, true) => 5,
            (_, true) => 1,
            (Part::Deep | Part::MemoryCold | Part::DiskCold, false) => 2,
            (Part::Memory, false) => 6,
            (Part::Disk, false) => 3,
        };
        self.rounds.unwrap_or(default)
    }

    /// How long a server is under load with each number of clients.
    pub fn time(&self, part: Part) -> Duration {
        let default = match (part, self.quick) {
            (Part::Memory, _) | (_, true) => 1,
            (_, false) => 2,
        };
        let seconds = self.seconds.unwrap_or(default);
        Duration::from_secs(seconds.into())
    }

    /// The numbers of clients in a part, the smallest first.
    pub fn clients(&self, part: Part) -> Vec<u32> {
        let mut clients = self.all_clients();
        if part.is_cold() {
            // Each takes a start of its own. The greatest number is one of them.
            clients = clients.into_iter().rev().step_by(2).collect();
            clients.reverse();
        }
        clients
    }

    /// The numbers of clients, the smallest first.
    pub fn all_clients(&self) -> Vec<u32> {
        let mut clients = match (self.clients.is_empty(), self.quick) {
            (false, _) => self.clients.clone(),
            (true, true) => vec![4, 64],
            (true, false) => vec![1, 4, 16, 64, 256],
        };
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The claims are about peaks, which are often at the greatest number of clients.
    #[test]
    fn cold_parts_have_every_other_number_of_clients() {
        let options = Options::parse_from(["laio-paper", "--clients", "64,4,16,4,1"]);
        assert_eq!(options.clients(Part::Disk), [1, 4, 16, 64]);
        assert_eq!(options.clients(Part::DiskCold), [4, 64]);
    }
}
