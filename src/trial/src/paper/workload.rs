//! The static mix of SPECweb99: which files there are, and which of them is asked for next.
//!
//! A directory has 36 files, nine in each of four classes. A request is for a directory by Zipf's law (the n-th is asked for
//! 1/n as often as the first), for a class by its share, and for a file of the class by Zipf's law again, in an order of their
//! own: the middle sizes are the popular ones. Shares and sizes are those of SPEC's own description; the order within a class
//! is the one that the load generator of Haboob (SOSP 2001) has.

use rand::distr::weighted::WeightedIndex;
use rand::distr::Distribution;
use rand::rngs::Xoshiro256PlusPlus;
use rand::SeedableRng;

use crate::files::{FileSet, Sizes};
use crate::load::Request;

/// Files of a class.
const PER_CLASS: usize = 9;

/// How many of all requests are for each class.
const SHARES: [f64; 4] = [0.35, 0.50, 0.14, 0.01];

/// The files of a class, the one that is asked for most first: by their place in the order of their sizes, from 0.
const POPULAR: [usize; PER_CLASS] = [4, 3, 5, 2, 6, 1, 7, 8, 0];

/// Files in a directory.
pub const PER_DIRECTORY: usize = SHARES.len() * PER_CLASS;

/// Their sizes: from a tenth of a kilobyte to nine tenths, and from class to class ten times as large.
static SIZES: [usize; PER_DIRECTORY] = sizes();

const fn sizes() -> [usize; PER_DIRECTORY] {
    let mut sizes = [0; PER_DIRECTORY];
    let mut file = 0;
    while file < PER_DIRECTORY {
        let tenths = (file % PER_CLASS + 1) * 10usize.pow((file / PER_CLASS) as u32);
        sizes[file] = tenths * 1024 / 10;
        file += 1;
    }
    sizes
}

/// Bytes in a directory.
pub fn bytes_per_directory() -> usize {
    SIZES.iter().sum()
}

/// So many directories.
pub fn files(directories: u32) -> FileSet {
    let files = directories * PER_DIRECTORY as u32;
    FileSet::new("mix", 0..files, Sizes::Directory(&SIZES))
}

/// Requests without end, the same for the same seed.
#[derive(Clone)]
pub struct Mix<'a> {
    set: &'a FileSet,
    choice: WeightedIndex<f64>,
    random: Xoshiro256PlusPlus,
}

impl<'a> Mix<'a> {
    /// Requests for the files of a set that [`files`] made.
    pub fn new(set: &'a FileSet) -> Self {
        let weights = (0..set.len() as usize).map(weight);
        Self {
            set,
            choice: WeightedIndex::new(weights).expect("there is a file, and all have a weight"),
            random: Xoshiro256PlusPlus::seed_from_u64(0),
        }
    }

    /// The files that are asked for.
    pub fn set(&self) -> &'a FileSet {
        self.set
    }

    /// The same distribution, other requests.
    pub fn seeded(&self, seed: u64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            ..self.clone()
        }
    }
}

impl Iterator for Mix<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let index = self.choice.sample(&mut self.random);
        Some(Request::whole(self.set.file(index as u32)))
    }
}

/// How often a file is asked for, in relation to others.
fn weight(index: usize) -> f64 {
    let (directory, file) = (index / PER_DIRECTORY, index % PER_DIRECTORY);
    let (class, place) = (file / PER_CLASS, file % PER_CLASS);
    let rank = POPULAR.iter().position(|popular| *popular == place);
    let rank = rank.expect("every place has a rank");
    SHARES[class] / (rank + 1) as f64 / (directory + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often `is_meant` is true of a hundred thousand requests, in relation.
    fn share(set: &FileSet, is_meant: impl Fn(usize) -> bool) -> f64 {
        const REQUESTS: usize = 100_000;
        let requests = Mix::new(set).seeded(1).take(REQUESTS);
        let meant = requests.filter(|request| is_meant(request.file as usize));
        meant.count() as f64 / REQUESTS as f64
    }

    fn assert_close(is: f64, should_be: f64) {
        assert!((is - should_be).abs() < 0.005, "{is} for {should_be}");
    }

    /// Other sizes would be another benchmark.
    #[test]
    fn sizes_are_those_of_the_benchmark() {
        assert_eq!(SIZES[..3], [102, 204, 307]);
        assert_eq!(SIZES[9..11], [1024, 2048]);
        assert_eq!(SIZES[18..20], [10_240, 20_480]);
        assert_eq!(SIZES[27..29], [102_400, 204_800]);
        assert_eq!(SIZES[35], 921_600);
        assert_eq!(bytes_per_directory(), 5_119_484);
        let set = files(2);
        assert_eq!(set.content(36).len(), 102);
        assert_eq!(set.content(71).len(), 921_600);
    }

    /// A mix with more large files would be limited by other things.
    #[test]
    fn classes_have_their_shares() {
        let set = files(5);
        for (class, wanted) in SHARES.into_iter().enumerate() {
            let of_class = |file: usize| file % PER_DIRECTORY / PER_CLASS == class;
            assert_close(share(&set, of_class), wanted);
        }
    }

    /// An even distribution would have no working set.
    #[test]
    fn directories_and_files_follow_zipf() {
        let set = files(10);
        let harmonic = |count: usize| (1..=count).map(|n| 1.0 / n as f64).sum::<f64>();
        for directory in [0, 1, 9] {
            let in_directory = |file: usize| file / PER_DIRECTORY == directory;
            let wanted = 1.0 / (directory + 1) as f64 / harmonic(10);
            assert_close(share(&set, in_directory), wanted);
        }
        for (place, rank) in [(4, 1), (3, 2), (0, 9)] {
            let at_place = |file: usize| file % PER_CLASS == place;
            assert_close(share(&set, at_place), 1.0 / rank as f64 / harmonic(9));
        }
    }

    /// Servers are compared on the same requests.
    #[test]
    fn a_seed_is_a_sequence() {
        let set = files(3);
        let mix = Mix::new(&set);
        let of = |seed| -> Vec<u32> {
            let requests = mix.seeded(seed).take(50);
            requests.map(|request| request.file).collect()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }
}
