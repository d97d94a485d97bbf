//! Comparisons for papers: figures as SVG and PDF, tables as LaTeX.

mod draw;
mod latex;
mod pdf;
mod plot;
mod svg;

use std::path::Path;

use crate::experiments::compare::Comparison;

pub use latex::latex;
pub use plot::Kind;

/// A figure as the bytes of a file, of the kind that the file's name ends in.
///
/// # Errors
/// The name ends in neither `.svg` nor `.pdf`; the comparison has nothing that could be drawn in this way: what to do.
pub fn figure(comparison: &Comparison, kind: Option<Kind>, file: &Path) -> Result<Vec<u8>, String> {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let write: fn(&draw::Drawing) -> Vec<u8> = match ending.as_str() {
        "svg" => svg::written,
        "pdf" => pdf::written,
        _ => return Err("a figure is SVG or PDF\n  fix: give a name that ends in .svg or .pdf".to_owned()),
    };
    Ok(write(&plot::drawn(comparison, kind)?))
}
