//! Words of a configuration file, and the files that it includes.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

/// Files that are read for one configuration, at most.
pub const MOST_FILES: usize = 500;

/// Splits a text into words, of which those in `marks` stand alone; quotation marks and comments are taken off.
pub fn words(text: &str, marks: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_quoted = false;
    let mut letters = text.chars().peekable();
    let mut end = |word: &mut String, is_quoted: &mut bool| {
        if !word.is_empty() || *is_quoted {
            words.push(std::mem::take(word));
        }
        *is_quoted = false;
    };
    while let Some(letter) = letters.next() {
        match letter {
            '#' if word.is_empty() => while letters.next_if(|next| *next != '\n').is_some() {},
            '"' | '\'' if word.is_empty() => {
                is_quoted = true;
                while let Some(next) = letters.next().filter(|next| *next != letter) {
                    match next {
                        '\\' => word.extend(letters.next()),
                        _ => word.push(next),
                    }
                }
            }
            _ if letter.is_whitespace() => end(&mut word, &mut is_quoted),
            _ if marks.contains(letter) => {
                end(&mut word, &mut is_quoted);
                word.push(letter);
                end(&mut word, &mut is_quoted);
            }
            _ => word.push(letter),
        }
    }
    end(&mut word, &mut is_quoted);
    words
}

/// The files that a pattern names, beside the file that has it; a `*` stands in the last part only.
pub fn included(pattern: &str, beside: &Path) -> Vec<PathBuf> {
    let path = beside.parent().unwrap_or(Path::new("/")).join(pattern);
    let Some((before, after)) = pattern
        .rsplit('/')
        .next()
        .and_then(|name| name.split_once('*'))
    else {
        return vec![path];
    };
    let entries = path
        .parent()
        .and_then(|directory| fs::read_dir(directory).ok());
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<_> = names
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.')
                && name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        })
        .collect();
    files.sort();
    files
}

/// Reads a file, unless too many were read.
pub fn read(path: &Path, files: &mut usize) -> Result<String> {
    *files += 1;
    if *files > MOST_FILES {
        return Err(Error::other("it includes too many files"));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_the_servers_take_for_words() {
        let text =
            "user www-data; # who\nevents { worker_connections 768; }\nlog 'a \"b' \"c\\\"d\";";
        assert_eq!(
            words(text, ";{}"),
            [
                "user",
                "www-data",
                ";",
                "events",
                "{",
                "worker_connections",
                "768",
                ";",
                "}",
                "log",
                "a \"b",
                "c\"d",
                ";"
            ]
        );
        assert_eq!(words("x = \"\"", "="), ["x", "=", ""]);
    }
}
