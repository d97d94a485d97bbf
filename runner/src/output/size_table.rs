//! What a compressed network takes and does, as a table.

use super::share::percent;
use crate::engine::{Sizes, Test};

/// The columns of a row.
const COLUMNS: usize = 9;

/// The table of sizes of Han et al. 2015 (tables 2 to 5), and what the network does at each stage.
pub fn size_table(sizes: &Sizes) -> String {
    let total = &sizes.total;
    let mut rows = vec![
        ["", "", "", "bits of", "bits of", "bytes", "", "", ""],
        ["layer", "weights", "kept", "index", "offset", "pruned", "quantised", "Huffman", "of dense"],
    ]
    .into_iter()
    .map(|row| row.map(str::to_owned))
    .collect::<Vec<_>>();
    for layer in &sizes.layers {
        let size = &layer.size;
        // A layer may be without weights; then nothing of it is left to be a share of anything.
        let share = |part: usize, whole: usize| percent(part as f64 / whole.max(1) as f64);
        rows.push([
            size.name.clone(),
            grouped(layer.weights_dense),
            share(size.kept, layer.weights_dense),
            format!("{} / {:.1}", size.index_bits, size.index_bits_huffman),
            format!("{} / {:.1}", size.offset_bits, size.offset_bits_huffman),
            grouped(size.bytes_pruned),
            grouped(size.bytes_quantised),
            grouped(size.bytes_huffman),
            share(size.bytes_huffman, 4 * layer.weights_dense),
        ]);
    }
    let bytes = |name: &str, bytes: [usize; 3]| {
        let [pruned, quantised, huffman] = bytes.map(|n| if n == 0 { String::new() } else { grouped(n) });
        let none = String::new;
        [name.to_owned(), none(), none(), none(), none(), pruned, quantised, huffman, none()]
    };
    rows.push(bytes("not shared: biases, norms", [total.bytes_raw; 3]));
    rows.push(bytes("description, checksum", [0, 0, total.bytes_description]));
    let mut whole = bytes("whole", [total.bytes_pruned, total.bytes_quantised, total.bytes_file]);
    whole[1] = grouped(total.params_dense);
    whole[COLUMNS - 1] = percent(1.0 / total.compression_rate);
    rows.push(whole);
    let mut text = aligned(&rows);
    let rate = |bytes: usize| total.bytes_dense as f64 / bytes.max(1) as f64;
    text += &format!(
        "compression rate: {:.1} ({} bytes of f32, {} in the file); {:.1} after pruning, {:.1} after quantisation\n",
        total.compression_rate,
        grouped(total.bytes_dense),
        grouped(total.bytes_file),
        rate(total.bytes_pruned),
        rate(total.bytes_quantised),
    );
    let stages =
        [("pruned", sizes.test.pruned), ("quantised", sizes.test.quantised), ("trained on", sizes.test.trained)];
    let trained = stages.len() - usize::from(sizes.epochs == 0);
    let stages: Vec<String> =
        stages[..trained].iter().map(|(stage, test)| format!("{} {stage}", shown(test))).collect();
    let what = if sizes.test.pruned.accuracy.is_some() { "accuracy" } else { "loss" };
    text + &format!("test {what}: {}\n", stages.join(", "))
}

/// The accuracy, or the loss of a network that does not classify.
fn shown(test: &Test) -> String {
    test.accuracy.map_or_else(|| format!("{:.4}", test.loss), |accuracy| format!("{accuracy:.4}"))
}

/// `1,234,567`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Names to the left, numbers to the right.
fn aligned(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells
            .map(|(at, (cell, &width))| if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        let shown = [0, 999, 1000, 266_610, 1_000_000].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "266,610", "1,000,000"]);
    }
}
