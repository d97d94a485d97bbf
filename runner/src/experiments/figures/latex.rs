//! The tables of a comparison as LaTeX, for the package booktabs.

use crate::experiments::compare::{Comparison, Table, tables};

/// The comparison's tables, each with its caption and label.
pub fn latex(comparison: &Comparison) -> String {
    let mut text = "% Needs \\usepackage{booktabs}.\n".to_owned();
    for (number, (title, table)) in tables(comparison).into_iter().enumerate() {
        text += &written(&title, &table, number + 1);
    }
    text
}

fn written(title: &str, table: &Table, number: usize) -> String {
    let row = |cells: &[String]| cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" & ") + " \\\\\n";
    let columns = "l".to_owned() + &"r".repeat(table.head.len().saturating_sub(1));
    let rows: String = table.rows.iter().map(|cells| row(cells)).collect();
    format!(
        "\n\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\label{{tab:comparison-{number}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n\
         {}\\midrule\n{rows}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n",
        escaped(title),
        row(&table.head),
    )
}

/// A text with what means something to LaTeX written out.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' | '>' | '|' => {
                escaped += &format!(
                    "\\ensuremath{{{}}}",
                    if letter == '|' {
                        "\\vert"
                    } else if letter == '<' {
                        "<"
                    } else {
                        ">"
                    }
                )
            }
            '±' => escaped += "\\ensuremath{\\pm}",
            '−' => escaped += "\\ensuremath{-}",
            '–' => escaped += "--",
            '×' => escaped += "\\ensuremath{\\times}",
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_latex_is_written_out() {
        assert_eq!(
            escaped("92.1 % ±0.3 & a_b {x} ~^\\ −1 – <"),
            "92.1 \\% \\ensuremath{\\pm}0.3 \\& a\\_b \\{x\\} \\textasciitilde{}\\textasciicircum{}\\textbackslash{} \\ensuremath{-}1 -- \\ensuremath{<}"
        );
    }

    #[test]
    fn a_table_has_a_head_and_rows() {
        let table =
            Table { head: vec!["group".into(), "test accuracy".into()], rows: vec![vec!["a_1".into(), "9 %".into()]] };
        let text = written("Groups", &table, 1);
        assert!(text.contains("\\begin{tabular}{lr}\n\\toprule\ngroup & test accuracy \\\\\n\\midrule\na\\_1 & 9 \\% \\\\\n\\bottomrule"), "{text}");
    }
}
