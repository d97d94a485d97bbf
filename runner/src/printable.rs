//! Text of others: what a config, a file's name or a plugin says is shown, and does nothing to whoever shows it.

use std::borrow::Cow;

/// The text with everything that would move a terminal's cursor, change its colours or turn the order of letters
/// written out: `\u{1b}[2J`. Line breaks and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if acts(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown.into()
}

/// So many of these: `1 cell`, `2 cells`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The text in one line.
pub fn in_one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A cell of a CSV file. What a spreadsheet would take for a formula begins with an apostrophe, which it takes for the
/// mark of text; numbers stay numbers.
pub fn csv_cell(text: &str) -> String {
    let text = printable(text);
    let formula = text.starts_with(['=', '+', '-', '@', '\t']) && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}").into() } else { text };
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into_owned() }
}

/// A line of Markdown in which nothing of others becomes a tag, a link or another line.
pub fn markdown_line(text: &str) -> String {
    let text = in_one_line(text).replace("](", "]\\(");
    let mut line = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let tag =
            letter == '<' && letters.peek().is_some_and(|next| next.is_ascii_alphabetic() || "/!?".contains(*next));
        line.extend(tag.then_some('\\'));
        line.push(letter);
    }
    line
}

/// Control characters, and the marks that turn the direction of writing around (Unicode's bidirectional algorithm).
fn acts(letter: char) -> bool {
    let turns =
        matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (letter.is_control() && letter != '\n' && letter != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_acts_is_written_out() {
        let plain = "criterion.name = \"größe\"\n\tset by: mine.toml – 3 µs";
        assert!(matches!(printable(plain), Cow::Borrowed(same) if same == plain));
        assert_eq!(in_one_line("a\nb\tc"), "a\\nb\\tc");
        let found = printable("a\x1b[2Jb\r\u{9b}31m\u{202e}c\x07\n");
        assert_eq!(found, "a\\u{1b}[2Jb\\u{d}\\u{9b}31m\\u{202e}c\\u{7}\n");
    }
    #[test]
    fn a_spreadsheet_calculates_nothing_and_numbers_stay_numbers() {
        let found = ["=1+1", "@SUM(A1)", "+x", "-0.5", "1e-7", "-", "a,b", "say \"x\"", "magnitude"].map(csv_cell);
        let expected = ["'=1+1", "'@SUM(A1)", "'+x", "-0.5", "1e-7", "'-", "\"a,b\"", "\"say \"\"x\"\"\"", "magnitude"];
        assert_eq!(found, expected);
    }

    #[test]
    fn markdown_of_others_is_text() {
        let found = markdown_line("<script>x</script> [a](http://b) p < 0.001, [0.41, 2.39]\n# head");
        assert_eq!(found, "\\<script>x\\</script> [a]\\(http://b) p < 0.001, [0.41, 2.39]\\n# head");
    }
}
