//! Line charts as inline SVG; colours and fonts are the page's CSS, so that light and dark follow the reader.

use maud::{Markup, html};
use serde_json::json;

use super::history::Point;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 34.0;

/// With more pruning steps than this, lines across the chart would hide the curves.
const MAX_LINES: usize = 40;

/// Shades from the first layer to the last.
const SHADES: usize = 6;

/// How numbers are written on the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Numbers are written as they are.
    Plain,
    /// 0.5 is written as 50 %.
    Percent,
    /// Equal factors stand at equal distances; zero has no place there.
    Log,
}

/// One curve of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// The curve's name in the legend.
    pub name: String,
    /// The CSS class of its colour: `s1` to `s8`, or `many m0` to `many m5` for one line among too many to tell apart.
    pub class: String,
    /// The points in order of position; a value that is no number leaves a gap.
    pub points: Vec<Point>,
    /// Whether dots are drawn instead of a line.
    pub dots: bool,
    /// Whether the line is dashed.
    pub dashed: bool,
}

impl Series {
    /// A line in the colour `s1` to `s8`.
    pub fn line(name: &str, colour: usize, points: Vec<Point>) -> Self {
        Self { name: name.to_owned(), class: format!("s{colour}"), points, dots: false, dashed: false }
    }

    /// A line among too many to tell apart, in a shade between those of the first and the last layer.
    pub fn of_many(name: &str, index: usize, count: usize, points: Vec<Point>) -> Self {
        let shade = index * (SHADES - 1) / (count - 1).max(1);
        Self { class: format!("many m{shade}"), ..Self::line(name, 1, points) }
    }

    fn is_of_many(&self) -> bool {
        self.class.starts_with("many")
    }
}

/// One chart with its axes.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What the horizontal axis counts.
    pub axis: &'a str,
    /// Where the horizontal axis ends.
    pub end: f64,
    /// How values are written.
    pub scale: Scale,
    /// Whether the vertical axis starts at 0.
    pub from_zero: bool,
    /// Pruning steps: position and tooltip.
    pub marks: &'a [(f64, String)],
    /// What curves are that are too many for a legend.
    pub many: &'a str,
    /// The curves, the last one on top.
    pub series: Vec<Series>,
}

impl Chart<'_> {
    /// The chart with its legend, or nothing where there is nothing to draw.
    pub fn draw(&self) -> Markup {
        let Some((low, high)) = self.range() else {
            return html! { p.empty { "Nothing was recorded." } };
        };
        let ticks = if self.scale == Scale::Log { decades(low, high) } else { ticks(low, high, 5) };
        let (low, high) = (low.min(ticks[0]), high.max(ticks[ticks.len() - 1]));
        let end = if self.end > 0.0 { self.end } else { 1.0 };
        let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
        let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let clip = format!("clip-{:x}", self.fingerprint());
        let decimals = decimals(&ticks, self.scale);
        // Lines are read with as many digits as a tenth of a pixel has.
        let axes = json!({
            "x": [LEFT, right, 0.0, end], "y": [floor, TOP, low, high], "axis": self.axis,
            "percent": self.scale == Scale::Percent, "log": self.scale == Scale::Log, "digits": decimals.max(1),
        });
        html! {
            (self.legend())
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.label()) tabindex="0" data-axes=(axes) {
                clipPath id=(clip) { rect x=(LEFT) y=(TOP - 4.0) width=(right - LEFT) height=(floor - TOP + 8.0) {} }
                @for tick in &ticks {
                    line.grid x1=(LEFT) x2=(right) y1=(px(y(*tick))) y2=(px(y(*tick))) {}
                    text.tick x=(LEFT - 8.0) y=(px(y(*tick) + 4.0)) text-anchor="end" { (self.written(*tick, decimals)) }
                }
                @for tick in self::ticks(0.0, end, 8).iter().filter(|tick| **tick <= end * 1.0001) {
                    text.tick x=(px(x(*tick))) y=(floor + 18.0) text-anchor="middle" { (short(*tick)) }
                }
                text.tick x=(right) y=(HEIGHT - 2.0) text-anchor="end" { (self.axis) }
                @for (at, title) in self.marks {
                    g.mark data-at=(px(x(*at))) data-tip=(title) {
                        @if self.marks.len() <= MAX_LINES {
                            line x1=(px(x(*at))) x2=(px(x(*at))) y1=(TOP) y2=(floor) {}
                        }
                        path d=(format!("M{0} {1}l-3.5 -6h7z", px(x(*at)), TOP)) {}
                    }
                }
                line.base x1=(LEFT) x2=(right) y1=(floor) y2=(floor) {}
                g clip-path=(format!("url(#{clip})")) {
                    @for series in self.series.iter().filter(|series| !series.dots) {
                        path.line.(series.class).dashed[series.dashed] data-name=(series.name)
                            d=(outline(&self.placed(&series.points), x, y)) {}
                    }
                }
                @for series in self.series.iter().filter(|series| series.dots) {
                    @for (at, value) in self.placed(&series.points).iter().filter(|(_, value)| (low..=high).contains(value)) {
                        circle.dot.(series.class) cx=(px(x(*at))) cy=(px(y(*value))) r="4.5"
                            data-tip=(format!("{}: {}", series.name, self.written(*value, decimals + 1))) {}
                    }
                }
            }
            @if let Some(note) = self.cut_off(low, high) { p.note { (note) } }
        }
    }

    fn legend(&self) -> Markup {
        let named = self.series.iter().filter(|series| !series.is_of_many() && !series.points.is_empty());
        html! {
            div.legend {
                @for series in named {
                    span { i.(series.class).round[series.dots].dashed[series.dashed] {} (series.name) }
                }
                @if self.series.iter().any(Series::is_of_many) {
                    span.ramp { @for shade in 0..SHADES { i.(format!("m{shade}")) {} } (self.many) }
                }
                @if !self.marks.is_empty() { span { i.prune {} "pruning step" } }
            }
        }
    }

    /// The values to show. The first twentieth of a run would flatten everything after it, so it may be cut off.
    fn range(&self) -> Option<(f64, f64)> {
        let values = |from: f64| {
            let points = self.series.iter().flat_map(|series| self.placed(&series.points));
            points.filter(move |(at, value)| *at >= from && value.is_finite()).map(|(_, value)| value)
        };
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(None, |bounds: Option<(f64, f64)>, value| {
                Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
            })
        };
        let from_zero = self.from_zero && self.scale != Scale::Log;
        let start = if from_zero { 0.0 } else { self.end * 0.05 };
        let (low, high) = bounds(&mut values(start)).or_else(|| bounds(&mut values(0.0)))?;
        let low = if from_zero { low.min(0.0) } else { low };
        let flat = if high > low { 0.0 } else { 0.5 * high.abs().max(0.01) };
        Some((if from_zero { low } else { low - flat }, high + flat))
    }

    fn cut_off(&self, low: f64, high: f64) -> Option<String> {
        let mut outside = self.series.iter().flat_map(|series| self.placed(&series.points));
        let margin = (high - low) * 0.02;
        let hidden = outside.any(|(_, value)| value < low - margin || value > high + margin);
        hidden.then(|| "The first epochs lie partly outside the picture.".to_owned())
    }

    /// Points where they are drawn: their logarithms, on a scale of factors.
    fn placed(&self, points: &[Point]) -> Vec<Point> {
        let log = |value: f64| if value > 0.0 { value.log10() } else { f64::NAN };
        points.iter().map(|(at, value)| (*at, if self.scale == Scale::Log { log(*value) } else { *value })).collect()
    }

    fn written(&self, value: f64, decimals: usize) -> String {
        match self.scale {
            Scale::Plain if value.abs() >= 1e4 => thousands(value),
            Scale::Plain => format!("{value:.decimals$}"),
            Scale::Log => power(10f64.powf(value)),
            Scale::Percent => format!("{:.decimals$} %", value * 100.0),
        }
    }

    fn label(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        format!("{} by {}", names.join(", "), self.axis)
    }

    /// Ids are global in a page: the clip's must differ from chart to chart, and not from run to run.
    fn fingerprint(&self) -> u32 {
        let bytes = self.series.iter().flat_map(|series| series.name.bytes());
        bytes.fold(2_166_136_261, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
    }
}

/// About `count` round numbers (1, 2 or 5 times a power of ten) that cover a range.
fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low).max(f64::MIN_POSITIVE) / count as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
    (first..=last).map(|number| number as f64 * step).collect()
}

/// Logarithms of powers of ten that cover a range, at most seven; of their double and fivefold too, where there are
/// few.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = ((low + 1e-9).floor() as i32, (high - 1e-9).ceil() as i32);
    let last = last.max(first + 1);
    if last - first > 2 {
        let step = ((last - first) as usize).div_ceil(6);
        let last = first + ((last - first) as usize).next_multiple_of(step) as i32;
        return (first..=last).step_by(step).map(f64::from).collect();
    }
    let within = (first..last).flat_map(|power| [1.0f64, 2.0, 5.0].map(|factor| f64::from(power) + factor.log10()));
    let all: Vec<f64> = within.chain([f64::from(last)]).collect();
    let from = all.iter().rposition(|tick| *tick <= low + 1e-9).unwrap_or(0);
    let to = all.iter().position(|tick| *tick >= high - 1e-9).unwrap_or(all.len() - 1);
    all[from..=to.max(from + 1).min(all.len() - 1)].to_vec()
}

fn decimals(ticks: &[f64], scale: Scale) -> usize {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(1.0);
    let step = if scale == Scale::Percent { step * 100.0 } else { step };
    (-(step + step * 1e-9).log10().floor()).clamp(0.0, 8.0) as usize
}

fn short(value: f64) -> String {
    if value.fract().abs() < 1e-9 { format!("{value:.0}") } else { format!("{value}") }
}

/// A number in thousands or millions: 25 k, 1.5 M.
fn thousands(value: f64) -> String {
    let (scaled, unit) = if value.abs() >= 1e6 { (value / 1e6, "M") } else { (value / 1e3, "k") };
    format!("{} {unit}", (scaled * 100.0).round() / 100.0)
}

/// A number of one digit: 0.02, 5, 20 k, 5e-6.
fn power(value: f64) -> String {
    match value {
        v if v >= 1e4 => thousands(v),
        v if v >= 0.999 => format!("{v:.0}"),
        v if v >= 0.999e-3 => format!("{}", (v * 1e6).round() / 1e6),
        v => format!("{v:.0e}"),
    }
}

/// A tenth of a pixel is more than a reader sees, and a third of the bytes.
fn px(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn outline(points: &[Point], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for (at, value) in points {
        if value.is_finite() {
            path.push_str(&format!("{pen}{} {}", px(x(*at)), px(y(*value))));
            pen = 'L';
        } else {
            pen = 'M';
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        };
        near(ticks(0.0, 1.0, 5), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        near(ticks(0.83, 0.96, 5), &[0.8, 0.85, 0.9, 0.95, 1.0]);
        near(ticks(0.0, 50.0, 5), &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(decimals(&[0.8, 0.85], Scale::Plain), 2);
        assert_eq!(decimals(&[0.8, 0.85], Scale::Percent), 0);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten_and_parts_of_few() {
        let written = |low: f64, high: f64| -> Vec<String> {
            decades(low.log10(), high.log10()).iter().map(|tick| power(10f64.powf(*tick))).collect()
        };
        assert_eq!(written(0.004, 17.6), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(written(0.03, 0.1), ["0.02", "0.05", "0.1"]);
        assert_eq!(written(6.0, 6.0), ["5", "10"]);
        assert_eq!(written(1.0, 190_000.0), ["1", "10", "100", "1000", "10 k", "100 k", "1 M"]);
        assert_eq!(written(1e-9, 1.0), ["1e-9", "1e-7", "1e-5", "0.001", "0.1", "10"]);
    }

    #[test]
    fn zero_has_no_place_on_a_scale_of_factors() {
        let series = vec![Series::of_many("a", 0, 9, vec![(0.0, 0.0), (1.0, 1.0), (2.0, 100.0), (3.0, 0.0)])];
        let chart = Chart { axis: "epoch", end: 3.0, scale: Scale::Log, from_zero: true, marks: &[], many: "", series };
        let drawn = chart.draw().into_string();
        assert!(!drawn.contains("NaN") && drawn.contains("many m0"), "{drawn}");
        assert_eq!(chart.range(), Some((0.0, 2.0)));
    }

    #[test]
    fn a_missing_value_leaves_a_gap() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)];
        assert_eq!(outline(&points, |at| at, |value| value), "M0 1M2 3L3 4");
    }

    #[test]
    fn constant_and_empty_curves_can_be_drawn() {
        let chart = |points| Chart {
            axis: "epoch",
            end: 2.0,
            scale: Scale::Plain,
            from_zero: false,
            marks: &[],
            many: "",
            series: vec![Series::line("loss", 1, points)],
        };
        let flat = chart(vec![(0.0, 0.0), (2.0, 0.0)]).draw().into_string();
        assert!(flat.contains("<path") && !flat.contains("NaN"), "{flat}");
        assert!(chart(vec![]).draw().into_string().contains("Nothing was recorded"));
        assert!(chart(vec![(1.0, f64::NAN)]).draw().into_string().contains("Nothing was recorded"));
    }
}
