//! What a comparison's figures show: lines over sparsity, maps of two axes, means of groups with their intervals.

use clap::ValueEnum;

use super::draw::{Anchor, COLOURS, Colour, Drawing, INK, Mark, RULE, SOFT, pale, shape, width_of};
use crate::experiments::compare::{Comparison, Maps, Metric, Over, Unit, maps, over_sparsity};

/// What a figure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The metric over sparsity: a line for each criterion, its 95 % interval as a band
    OverSparsity,
    /// The metric's mean for every combination of two axes
    HeatMap,
    /// Each group's mean with its 95 % interval
    Groups,
}

/// Sizes in points: a panel is as wide as a column of a paper.
const PANEL: [f64; 2] = [240.0, 160.0];
const LEFT: f64 = 46.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 34.0;
const SMALL: f64 = 7.5;
const TEXT: f64 = 8.5;

/// The figure of a comparison: of the kind asked for, or of the first that it has.
///
/// # Errors
/// It has none of that kind: why, and what to do.
pub fn drawn(comparison: &Comparison, kind: Option<Kind>) -> Result<Drawing, String> {
    let over = || over_sparsity(comparison).map(|over| lines(comparison, &over));
    let map = || maps(comparison).map(|maps| heat(comparison, &maps));
    let none = |what: &str, fix: &str| format!("{what}\n  fix: {fix}");
    match kind {
        Some(Kind::OverSparsity) => over().ok_or_else(|| {
            let what = "no figure over sparsity: no group was run at several sparsities";
            none(what, "name the key that changes it: --by criterion.name --by schedule.sparsity; or --plot groups")
        }),
        Some(Kind::HeatMap) => map().ok_or_else(|| {
            none("no map: the groups do not differ in two keys", "name two: --by train.lr --by train.momentum")
        }),
        Some(Kind::Groups) => Ok(groups(comparison)),
        None => Ok(over().or_else(map).unwrap_or_else(|| groups(comparison))),
    }
}

/// The values of an axis, and where they lie.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis for these values, with room beside them, between two points of the page.
    fn of(values: impl Iterator<Item = f64>, [from, to]: [f64; 2], percent: bool) -> Self {
        let all = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (low, high) = values.filter(|value| value.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), all);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let size = low.abs().max(high.abs());
        let room = if high - low > size * 1e-6 { (high - low) * 0.06 } else { (size * 0.1).max(0.1) };
        // No percentage lies outside 0 to 100.
        let (least, most) = if percent { (low.min(0.0), high.max(1.0)) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        Self { low: (low - room).max(least), high: (high + room).min(most), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers along it.
    fn ticks(&self, count: f64) -> Vec<f64> {
        let raw = (self.high - self.low) / count;
        let power = 10f64.powf(raw.log10().floor());
        let step =
            [1.0, 2.0, 5.0].into_iter().map(|f| f * power).find(|step| *step >= raw * 0.999).unwrap_or(10.0 * power);
        let first = (self.low / step - 1e-9).ceil();
        let last = ((self.high / step + 1e-9).floor() - first).clamp(0.0, 100.0) as usize;
        (0..=last).map(|at| (first + at as f64) * step).collect()
    }
}

/// A number beside an axis.
fn short(value: f64, percent: bool) -> String {
    let (value, unit) = match value.abs() {
        _ if percent => (value * 100.0, " %"),
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = format!("{value:.4}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{}{unit}", if text == "-0" { "0" } else { text })
}

fn text(words: &str, at: [f64; 2], anchor: Anchor, size: f64, colour: Colour) -> Mark {
    Mark::Text { at, text: words.to_owned(), size, anchor, colour, upwards: false }
}

fn line(points: Vec<[f64; 2]>, colour: Colour, width: f64, dashed: bool) -> Mark {
    Mark::Line { points, colour, width, dashed }
}

/// Cuts a text where it is wider than there is room.
fn fitted(words: &str, room: f64, size: f64) -> String {
    if width_of(words, size) <= room {
        return words.to_owned();
    }
    let mut kept = words.to_owned();
    while kept.pop().is_some() && width_of(&kept, size) + width_of("…", size) > room {}
    kept + "…"
}

/// Where the panels of a figure stand, and how large it is without its legend.
fn laid_out(count: usize) -> (Vec<[f64; 2]>, [f64; 2]) {
    let columns = count.clamp(1, 3);
    let place = |at: usize| [(at % columns) as f64 * PANEL[0], (at / columns) as f64 * PANEL[1]];
    ((0..count).map(place).collect(), [columns as f64 * PANEL[0], count.div_ceil(columns) as f64 * PANEL[1]])
}

fn frame(marks: &mut Vec<Mark>, [left, top]: [f64; 2], [x, y]: [&Axis; 2], [x_percent, y_percent]: [bool; 2]) {
    for tick in y.ticks(4.0) {
        let at = y.at(tick);
        marks.push(line(vec![[left + LEFT, at], [left + PANEL[0] - RIGHT, at]], RULE, 0.5, false));
        marks.push(text(&short(tick, y_percent), [left + LEFT - 5.0, at + 2.6], Anchor::End, SMALL, SOFT));
    }
    let floor = top + PANEL[1] - BOTTOM;
    for tick in x.ticks(5.0) {
        marks.push(line(vec![[x.at(tick), floor], [x.at(tick), floor + 2.5]], SOFT, 0.5, false));
        marks.push(text(&short(tick, x_percent), [x.at(tick), floor + 11.0], Anchor::Middle, SMALL, SOFT));
    }
    marks.push(line(vec![[left + LEFT, floor], [left + PANEL[0] - RIGHT, floor]], SOFT, 0.5, false));
}

/// `room` is what stands free on the left.
fn labels(marks: &mut Vec<Mark>, [left, top]: [f64; 2], room: f64, title: &str, x: &str, y: &str) {
    let middle = left + (room + PANEL[0] - RIGHT) / 2.0;
    marks.push(text(&fitted(title, PANEL[0] - room - RIGHT, TEXT), [middle, top + 11.0], Anchor::Middle, TEXT, INK));
    marks.push(text(x, [middle, top + PANEL[1] - 9.0], Anchor::Middle, TEXT, INK));
    let at = [left + 9.0, top + TOP + (PANEL[1] - TOP - BOTTOM) / 2.0];
    marks.push(Mark::Text { at, text: y.to_owned(), size: TEXT, anchor: Anchor::Middle, colour: INK, upwards: true });
}

fn lines(comparison: &Comparison, over: &Over) -> Drawing {
    let metric = &comparison.metric;
    let sample = |group: usize, key: &str| comparison.groups[group].metrics.get(key);
    let mean = |group: usize, key: &str| sample(group, key).map_or(f64::NAN, |sample| sample.mean);
    let ends = |group: usize| {
        let found = sample(group, &metric.key);
        found.map_or([f64::NAN; 2], |s| s.interval.map_or([s.mean; 2], |i| [i.low, i.high]))
    };
    let (places, [width, height]) = laid_out(over.panels.len());
    let mut marks = Vec::new();
    let percent = [&over.x, metric].map(|metric| metric.unit == Unit::Percent);
    // One scale for all panels: they are there to be compared.
    let all = || over.panels.iter().flat_map(|panel| panel.lines.iter().flatten().copied());
    let dense = || over.panels.iter().filter_map(|panel| panel.dense);
    for (panel, place) in over.panels.iter().zip(&places) {
        let [left, top] = *place;
        let x = Axis::of(all().map(|g| mean(g, &over.x.key)), [left + LEFT, left + PANEL[0] - RIGHT], percent[0]);
        let values = all().flat_map(ends).chain(dense().map(|group| mean(group, &metric.key)));
        let y = Axis::of(values, [top + PANEL[1] - BOTTOM, top + TOP], percent[1]);
        frame(&mut marks, *place, [&x, &y], percent);
        labels(&mut marks, *place, LEFT, &panel.title, &over.x.label, &metric.label);
        if let Some(dense) = panel.dense {
            let at = y.at(mean(dense, &metric.key));
            marks.push(line(vec![[left + LEFT, at], [left + PANEL[0] - RIGHT, at]], SOFT, 0.8, true));
        }
        let at = |group: usize| [x.at(mean(group, &over.x.key)), y.at(mean(group, &metric.key))];
        for (number, groups) in panel.lines.iter().enumerate().filter(|(_, groups)| groups.len() > 1) {
            let colour = pale(COLOURS[number % COLOURS.len()], 0.18);
            let edge = |side: usize| -> Vec<[f64; 2]> {
                groups.iter().map(|group| [at(*group)[0], y.at(ends(*group)[side])]).collect()
            };
            let mut points = edge(1);
            points.extend(edge(0).into_iter().rev());
            marks.push(Mark::Area { points, colour, outlined: false });
        }
        for (number, groups) in panel.lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            if groups.len() > 1 {
                marks.push(line(groups.iter().map(|group| at(*group)).collect(), colour, 1.2, false));
            }
            for group in groups {
                marks.push(Mark::Area { points: shape(number, at(*group), 2.4), colour, outlined: true });
            }
        }
    }
    let mut entries: Vec<(String, Option<usize>)> =
        over.names.iter().enumerate().map(|(number, name)| (name.clone(), Some(number))).collect();
    entries.retain(|(name, _)| !name.is_empty());
    entries.extend(dense().next().map(|_| ("never pruned".to_owned(), None)));
    let legend = legend(&mut marks, &entries, width, height + 4.0);
    Drawing { width, height: height + legend, marks }
}

/// Names beside their marks, in rows; returns how high they are.
fn legend(marks: &mut Vec<Mark>, entries: &[(String, Option<usize>)], width: f64, top: f64) -> f64 {
    let (mut x, mut y) = (LEFT, top);
    for (name, number) in entries {
        let wide = 18.0 + width_of(name, TEXT) + 10.0;
        if x > LEFT && x + wide > width - RIGHT {
            (x, y) = (LEFT, y + 12.0);
        }
        let colour = number.map_or(SOFT, |number| COLOURS[number % COLOURS.len()]);
        marks.push(line(vec![[x, y + 3.0], [x + 13.0, y + 3.0]], colour, 1.2, number.is_none()));
        if let Some(number) = number {
            marks.push(Mark::Area { points: shape(*number, [x + 6.5, y + 3.0], 2.4), colour, outlined: true });
        }
        marks.push(text(name, [x + 17.0, y + 6.0], Anchor::Start, TEXT, INK));
        x += wide;
    }
    if entries.is_empty() { 0.0 } else { y - top + 18.0 }
}

/// The colours of a map: one hue, so that its order shows in grey too.
fn shade(part: f64) -> Colour {
    pale([0x1f, 0x4e, 0x9c], 0.08 + 0.84 * part.clamp(0.0, 1.0))
}

fn heat(comparison: &Comparison, maps: &Maps) -> Drawing {
    let metric = &comparison.metric;
    let mean = |group: usize| comparison.groups[group].mean(&metric.key);
    let all = || maps.maps.iter().flat_map(|(_, map)| map.iter().flatten().flatten().filter_map(|group| mean(*group)));
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (places, [width, height]) = laid_out(maps.maps.len());
    let mut marks = Vec::new();
    let [rows, columns] = &maps.values;
    let longest = rows.iter().map(|name| width_of(name, SMALL)).fold(0.0f64, f64::max);
    let room = (longest + 19.0).clamp(LEFT, PANEL[0] / 2.0);
    for ((title, map), place) in maps.maps.iter().zip(places) {
        let [left, top] = place;
        labels(&mut marks, place, room, title, &maps.keys[1], &maps.keys[0]);
        let wide = (PANEL[0] - room - RIGHT) / columns.len() as f64;
        let tall = (PANEL[1] - TOP - BOTTOM) / rows.len() as f64;
        for (row, (name, cells)) in rows.iter().zip(map).enumerate() {
            let y = top + TOP + tall * row as f64;
            let name = fitted(name, room - 18.0, SMALL);
            marks.push(text(&name, [left + room - 4.0, y + tall / 2.0 + 2.6], Anchor::End, SMALL, SOFT));
            for (column, group) in cells.iter().enumerate() {
                let x = left + room + wide * column as f64;
                let corners = vec![[x, y], [x + wide, y], [x + wide, y + tall], [x, y + tall]];
                let Some(value) = group.and_then(mean) else {
                    marks.push(line([&corners[..], &corners[..1]].concat(), RULE, 0.5, false));
                    continue;
                };
                let part = if high > low { (value - low) / (high - low) } else { 0.5 };
                marks.push(Mark::Area { points: corners, colour: shade(part), outlined: true });
                let words = metric.bare(value);
                let size = SMALL.min(SMALL * (wide - 2.0) / width_of(&words, SMALL));
                let ink = if part > 0.45 { [255; 3] } else { INK };
                if size >= 3.5 && tall > size {
                    marks.push(text(&words, [x + wide / 2.0, y + tall / 2.0 + size * 0.36], Anchor::Middle, size, ink));
                }
            }
        }
        for (column, name) in columns.iter().enumerate() {
            let x = left + room + wide * (column as f64 + 0.5);
            let name = fitted(name, wide, SMALL);
            marks.push(text(&name, [x, top + PANEL[1] - BOTTOM + 10.0], Anchor::Middle, SMALL, SOFT));
        }
    }
    let unit = if metric.unit == Unit::Percent { ", %" } else { "" };
    marks.push(text(&format!("{}{unit}", metric.label), [LEFT, height + 8.0], Anchor::Start, TEXT, SOFT));
    Drawing { width, height: height + 14.0, marks }
}

fn groups(comparison: &Comparison) -> Drawing {
    let metric: &Metric = &comparison.metric;
    let shown: Vec<_> =
        comparison.groups.iter().filter_map(|group| Some((group, group.metrics.get(&*metric.key)?))).collect();
    let room = shown.iter().map(|(group, _)| width_of(&group.label, TEXT)).fold(0.0f64, f64::max).min(220.0);
    let (left, tall) = (room + 14.0, 14.0);
    let (width, floor) = (left + 220.0 + RIGHT, 8.0 + tall * shown.len() as f64);
    let percent = metric.unit == Unit::Percent;
    let ends = |sample: &crate::experiments::statistics::Sample| {
        sample.interval.map_or([sample.mean; 2], |interval| [interval.low, interval.high])
    };
    let x = Axis::of(shown.iter().flat_map(|(_, sample)| ends(sample)), [left, width - RIGHT], percent);
    let mut marks = Vec::new();
    for tick in x.ticks(5.0) {
        marks.push(line(vec![[x.at(tick), 4.0], [x.at(tick), floor]], RULE, 0.5, false));
        marks.push(text(&short(tick, percent), [x.at(tick), floor + 10.0], Anchor::Middle, SMALL, SOFT));
    }
    for (number, (group, sample)) in shown.iter().enumerate() {
        let y = 8.0 + tall * (number as f64 + 0.5);
        let (colour, ink) = if group.control.is_some() { (SOFT, SOFT) } else { (COLOURS[0], INK) };
        marks.push(text(&fitted(&group.label, room, TEXT), [left - 8.0, y + 3.0], Anchor::End, TEXT, ink));
        let [low, high] = ends(sample);
        marks.push(line(vec![[x.at(low), y], [x.at(high), y]], colour, 1.2, false));
        marks.push(Mark::Area { points: shape(0, [x.at(sample.mean), y], 2.6), colour, outlined: true });
    }
    marks.push(text(&metric.label, [(left + width - RIGHT) / 2.0, floor + 22.0], Anchor::Middle, TEXT, INK));
    Drawing { width, height: floor + 30.0, marks }
}
