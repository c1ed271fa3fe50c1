//! The documents of a real server's site.

use crate::{docroot, Result};
use std::fmt::Write as _;
use std::path::Path;

/// How many index directories, listings, aliased files and files of the other host there are.
pub const ASIDE: usize = 150;

/// What a document is named and how long it is, by its number.
pub fn document(number: usize) -> (String, usize) {
    // A directory of two thousand names, a name that has to be escaped now and then, mostly small files.
    let name = match number % 16 {
        0 => format!("d{}/a name with spaces {number}.html", number % 7),
        1 => format!("d{}/per%cent&{number}.html", number % 7),
        2 => format!("d{}/deep/er/f{number}.html", number % 7),
        _ => format!("d{}/f{number}.html", number % 7),
    };
    let length = match number % 100 {
        17 => 0,
        18 => 1,
        19 => 300_000,
        // Several windows: its body is held back as well.
        20 if number % 400 == 20 => 1_500_000,
        n => 4096 + 160 * n + number % 13,
    };
    (name, length)
}

/// A path as a request target.
pub(crate) fn escaped(name: &str) -> String {
    let mut target = String::from("/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"/.-_".contains(&byte) {
            target.push(byte as char);
        } else {
            let _ = write!(target, "%{byte:02x}");
        }
    }
    target
}

/// What a site is made of.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// How many documents there are.
    pub documents: usize,
}

impl Site {
    /// Writes it: documents below `main`, another site below `other`, an aliased directory `elsewhere`.
    pub fn write(self, root: &Path) -> Result {
        for number in 0..self.documents {
            let (name, length) = document(number);
            docroot::write(&root.join("main"), &name, length)?;
        }
        for number in 0..ASIDE {
            docroot::write(
                &root.join("other"),
                &format!("o/f{number}.html"),
                5000 + number,
            )?;
            docroot::write(
                &root.join("elsewhere"),
                &format!("images/i{number}.png"),
                7000 + number,
            )?;
            docroot::write(
                &root.join("main"),
                &format!("index{number}/index.html"),
                3000 + number,
            )?;
            for entry in 0..5 {
                docroot::write(
                    &root.join("main"),
                    &format!("list{number}/e{entry}.txt"),
                    100,
                )?;
            }
        }
        docroot::write(&root.join("main"), "warm.html", 9000)
    }
}
