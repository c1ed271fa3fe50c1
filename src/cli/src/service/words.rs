//! Words of a unit file, and how they are quoted (`systemd.syntax`(7)).

/// Splits a value into words; quotation marks and backslashes are taken off, specifiers stay as they are.
pub fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut mark = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let escaped = letters.next().map_or('\\', |next| match next {
                    'n' => '\n',
                    't' => '\t',
                    's' => ' ',
                    other => other,
                });
                word.get_or_insert_default().push(escaped);
            }
            _ if mark == Some(letter) => mark = None,
            _ if mark.is_some() => word.get_or_insert_default().push(letter),
            '"' | '\'' => {
                mark = Some(letter);
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A word as one that is split again; specifiers stay as they are.
pub fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/=:._,-+@%".contains(letter);
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Text in which nothing is a specifier.
pub fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_those_of_systemd() {
        assert_eq!(
            split(r#"/bin/x -g 'daemon on;' "a \"b\"" c\sd "" e"f g""#),
            ["/bin/x", "-g", "daemon on;", "a \"b\"", "c d", "", "ef g"]
        );
        assert_eq!(quoted("A=/lib/%%p"), "A=/lib/%%p");
        assert_eq!(quoted(r#"A=b "c" \"#), r#""A=b \"c\" \\""#);
    }

    proptest! {
        /// Without it, a setting's value could be read as several, or as another one.
        #[test]
        fn what_is_quoted_is_one_word(word in "[^\\p{C}]{0,20}") {
            prop_assert_eq!(split(&quoted(&word)), [word]);
        }
    }
}
