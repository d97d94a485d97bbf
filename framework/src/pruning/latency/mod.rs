//! What inference takes at the widths of a network's unit groups: a table, measured once.
//!
//! The time of a network is read off as an expansion around the dense one (the cut-HDMR of Rabitz & Aliş 1999,
//! up to pairs):
//!
//! `t(k) = t(dense) + sum_g d_g(k_g) + sum_{g,h} d_gh(k_g, k_h)`
//!
//! `d_g` is what a narrower group alone changes, and `d_gh` what two of them that share a weight change beyond that: a
//! layer takes the time of the units that it makes, times that of the units that it reads, so that halving both leaves a
//! quarter of it and not nothing. Between the widths that were measured `d_g` is linear and `d_gh` bilinear; below the
//! smallest one they stay. What three groups of one weight change together is left out.

mod fits;

use crate::error::Result;
use crate::network::layout::{Layout, Sizes};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Times of a forward pass by the units of a network's groups, in whole nanoseconds: text holds these to the last bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyTable {
    /// What was timed, in words for people; nothing goes by it.
    pub measured: String,
    /// `cpu` or `cuda`; for people as well.
    pub device: String,
    /// Threads that computed; for people as well.
    pub threads: usize,
    /// Examples in the batch.
    pub batch: usize,
    /// The network.
    pub network: TimedNetwork,
    /// The time of the dense network.
    pub dense: u64,
    /// Times with one group narrower and all others dense, by group: `[units, nanoseconds]`, units rising.
    pub alone: BTreeMap<String, Vec<(usize, u64)>>,
    /// Times with two groups narrower that share a weight.
    pub together: Vec<Together>,
}

/// Times with two groups narrower, and all others dense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// The groups.
    pub groups: [String; 2],
    /// `[units of the first, units of the second, nanoseconds]`: every width of the first with every one of the second.
    pub times: Vec<(usize, usize, u64)>,
}

/// By what a table knows its network again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedNetwork {
    /// Axes of one example.
    pub input: Vec<usize>,
    /// Parameters of the dense network, running statistics among them.
    pub parameters: usize,
    /// Multiply-accumulate operations of the dense network for one example.
    pub macs: u64,
    /// Units of every group of the dense network.
    pub units: BTreeMap<String, usize>,
}

/// On what a table is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bench {
    /// `cpu` or `cuda`.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
    /// Examples in the batch.
    pub batch: usize,
    /// The time of the dense network in nanoseconds.
    pub dense: u64,
}

impl LatencyTable {
    /// The name of the file that a run leaves of it.
    pub const FILE: &str = "latency.json";

    /// Times the network with each of the groups `names` narrower, and with each two of them that share a weight; `time`
    /// says what a network of these sizes takes, the groups that are not among them being dense.
    ///
    /// A network that takes longer than one that is wider counts as taking as long: times rise with units.
    ///
    /// # Errors
    /// What `time` reports.
    pub fn measure(
        bench: Bench,
        network: TimedNetwork,
        layout: &Layout,
        names: &[String],
        time: &mut dyn FnMut(&Sizes) -> Result<u64>,
    ) -> Result<Self> {
        let Bench { device, threads, batch, dense } = bench;
        let measured = format!(
            "nanoseconds of a forward pass of {batch} examples in evaluation, without loss and gradients: medians"
        );
        let mut table = Self {
            measured,
            device,
            threads,
            batch,
            network,
            dense: dense.max(1),
            alone: BTreeMap::new(),
            together: vec![],
        };
        for name in names {
            let widths = quarters(table.units(name));
            let found = widths.iter().map(|units| time(&Sizes([(name.clone(), *units)].into())));
            let times = rising(&found.collect::<Result<Vec<_>>>()?);
            let times = times.into_iter().map(|t| t.clamp(1, table.dense));
            table.alone.insert(name.clone(), widths.into_iter().zip(times).collect());
        }
        for [a, b] in sharing(layout, names) {
            let (halves_a, halves_b) = (halves(table.units(&a)), halves(table.units(&b)));
            let mut times: Vec<(usize, usize, u64)> = vec![];
            for &units_a in halves_a.iter().rev() {
                for &units_b in halves_b.iter().rev() {
                    let found = time(&Sizes([(a.clone(), units_a), (b.clone(), units_b)].into()))?;
                    let wider = times.iter().filter(|t| t.0 >= units_a && t.1 >= units_b).map(|t| t.2);
                    let most = wider.chain([table.time_alone(&a, units_a), table.time_alone(&b, units_b)]).min();
                    times.push((units_a, units_b, found.clamp(1, most.unwrap_or(table.dense).max(1))));
                }
            }
            times.reverse();
            if !times.is_empty() {
                table.together.push(Together { groups: [a, b], times });
            }
        }
        Ok(table)
    }

    /// Networks that were timed, the dense one among them.
    pub fn networks(&self) -> usize {
        1 + self.alone.values().map(Vec::len).sum::<usize>()
            + self.together.iter().map(|t| t.times.len()).sum::<usize>()
    }

    /// What the network takes whose groups have these units, in nanoseconds; groups that are not listed are dense.
    pub fn nanoseconds<'a>(&self, units: impl IntoIterator<Item = (&'a str, usize)>) -> u64 {
        let units: BTreeMap<&str, usize> = units.into_iter().collect();
        let of = |name: &str| units.get(name).copied().unwrap_or(self.units(name));
        let alone: f64 = self.alone.keys().map(|name| self.change(name, of(name))).sum();
        let together: f64 =
            self.together.iter().map(|t| self.change_beyond(t, t.groups.each_ref().map(|g| of(g)))).sum();
        (self.dense as f64 + alone + together).round().max(1.0) as u64
    }

    fn units(&self, group: &str) -> usize {
        self.network.units.get(group).copied().unwrap_or(1)
    }

    /// d_g: what so many units of a group change where all others are dense.
    fn change(&self, group: &str, units: usize) -> f64 {
        let Some(times) = self.alone.get(group) else { return 0.0 };
        let widths: Vec<usize> = times.iter().map(|t| t.0).chain([self.units(group)]).collect();
        let at = |i: usize| times.get(i).map_or(0.0, |t| t.1 as f64 - self.dense as f64);
        place(&widths, units).into_iter().map(|(i, share)| share * at(i)).sum()
    }

    fn time_alone(&self, group: &str, units: usize) -> u64 {
        (self.dense as f64 + self.change(group, units)).max(1.0) as u64
    }

    /// d_gh: what so many units of two groups change beyond what each of the two changes alone.
    fn change_beyond(&self, Together { groups, times }: &Together, units: [usize; 2]) -> f64 {
        let widths = |of: fn(&(usize, usize, u64)) -> usize, group: &str| -> Vec<usize> {
            let measured: BTreeSet<usize> = times.iter().map(of).collect();
            measured.into_iter().chain([self.units(group)]).collect()
        };
        let (widths_a, widths_b) = (widths(|t| t.0, &groups[0]), widths(|t| t.1, &groups[1]));
        let at = |i: usize, j: usize| {
            let (a, b) = (widths_a[i], widths_b[j]);
            let found = times.iter().find(|t| (t.0, t.1) == (a, b));
            // With one of the two dense there is nothing beyond.
            found.map_or(0.0, |t| {
                t.2 as f64 - self.dense as f64 - self.change(&groups[0], a) - self.change(&groups[1], b)
            })
        };
        let mut sum = 0.0;
        for (i, share_a) in place(&widths_a, units[0]) {
            for (j, share_b) in place(&widths_b, units[1]) {
                sum += share_a * share_b * at(i, j);
            }
        }
        sum
    }
}

/// The two neighbours of `units` among rising widths, and their shares of the value between them.
fn place(widths: &[usize], units: usize) -> [(usize, f64); 2] {
    let above = widths.partition_point(|width| *width < units).min(widths.len().saturating_sub(1));
    let Some(below) = above.checked_sub(1) else { return [(0, 1.0), (0, 0.0)] };
    let step = (widths[above] - widths[below]) as f64;
    let part = (units.min(widths[above]) - widths[below]) as f64 / step;
    [(below, 1.0 - part), (above, part)]
}

/// One unit, and a quarter, a half and three quarters of all of them.
fn quarters(units: usize) -> Vec<usize> {
    narrower(units, [1, units / 4, units / 2, units * 3 / 4])
}

/// One unit, and half of all of them.
fn halves(units: usize) -> Vec<usize> {
    narrower(units, [1, units / 2])
}

fn narrower(units: usize, widths: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let widths: BTreeSet<usize> = widths.into_iter().filter(|n| (1..units).contains(n)).collect();
    widths.into_iter().collect()
}

/// Each two of these groups that have a weight in common.
fn sharing(layout: &Layout, names: &[String]) -> BTreeSet<[String; 2]> {
    let mut pairs = BTreeSet::new();
    for spec in layout.params.iter().filter(|spec| !spec.buffer) {
        let of = |name: &&String| {
            layout.group(name).is_some_and(|group| group.members.iter().any(|member| member.param == spec.name))
        };
        let groups: BTreeSet<&String> = names.iter().filter(of).collect();
        let groups: Vec<&String> = groups.into_iter().collect();
        for (i, a) in groups.iter().enumerate() {
            pairs.extend(groups[i + 1..].iter().map(|b| [(*a).clone(), (*b).clone()]));
        }
    }
    pairs
}

/// The nearest times, by least squares, that never fall from one width to the next wider one (pool adjacent violators,
/// Ayer et al. 1955): a wider network is not faster, and noise must not pull all narrower ones down with it.
fn rising(times: &[u64]) -> Vec<u64> {
    let mut pools: Vec<(u64, u64)> = vec![];
    for time in times {
        let mut pool = (*time, 1);
        while let Some((sum, count)) = pools.pop_if(|before| before.0 * pool.1 > pool.0 * before.1) {
            pool = (sum + pool.0, count + pool.1);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(sum, count)| (0..count).map(move |_| sum / count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout::LayoutBuilder;
    use proptest::prelude::*;

    #[test]
    fn times_never_fall_and_noise_is_shared_by_neighbours() {
        assert_eq!(rising(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(rising(&[3, 1, 2]), [2, 2, 2]);
        assert_eq!(rising(&[1, 5, 3, 4, 9]), [1, 4, 4, 4, 9]);
        assert_eq!(rising(&[]), [0; 0]);
    }

    const UNITS: [(&str, usize); 3] = [("a", 12), ("b", 8), ("c", 5)];

    fn layout() -> Layout {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let [a, b, c] = UNITS.map(|(name, units)| layout.units(name, units));
        layout.linear("a", &20.into(), &a, true);
        layout.linear("b", &a, &b, true);
        layout.linear("c", &b, &c, true);
        layout.linear("out", &c, &3.into(), false);
        layout.build().unwrap()
    }

    fn network() -> TimedNetwork {
        let units = UNITS.map(|(name, units)| (name.to_owned(), units)).into();
        TimedNetwork { input: vec![20], parameters: 427, macs: 391, units }
    }

    fn table(time: impl Fn([usize; 3]) -> u64) -> LatencyTable {
        let names = UNITS.map(|(name, _)| name.to_owned());
        let of = |sizes: &Sizes| UNITS.map(|(name, units)| sizes.0.get(name).copied().unwrap_or(units));
        let dense = time(UNITS.map(|(_, units)| units));
        let bench = Bench { device: "cpu".into(), threads: 1, batch: 32, dense };
        LatencyTable::measure(bench, network(), &layout(), &names, &mut |sizes| Ok(time(of(sizes)))).unwrap()
    }

    /// What layers take that go by the products of their widths, with a part of each that does not.
    fn products([a, b, c]: [usize; 3]) -> u64 {
        (5000 + 20 * a * 7 + a * b * 30 + b * c * 50 + c * 3 * 11 + 13 * (a + b + c)) as u64
    }

    fn read(table: &LatencyTable, [a, b, c]: [usize; 3]) -> u64 {
        table.nanoseconds([("a", a), ("b", b), ("c", c)])
    }

    proptest! {
        #[test]
        fn layers_that_take_the_product_of_their_widths_are_read_off_exactly(
            a in 1usize..=12, b in 1usize..=8, c in 1usize..=5,
        ) {
            prop_assert_eq!(read(&table(products), [a, b, c]), products([a, b, c]));
        }

        #[test]
        fn every_network_that_was_timed_is_read_off_as_it_was(salt in 0u64..1000) {
            // Times that jump, and fall with more units at places: those are taken to be as long as the wider ones.
            let jumpy = |units: [usize; 3]| {
                products(units) + units.iter().fold(salt, |h, n| (h * 31 + *n as u64) % 997)
            };
            let table = table(jumpy);
            prop_assert_eq!(read(&table, [12, 8, 5]), table.dense);
            for (group, times) in &table.alone {
                prop_assert!(times.is_sorted() && times.last().is_none_or(|t| t.1 <= table.dense));
                for (units, time) in times {
                    prop_assert_eq!(table.nanoseconds([(group.as_str(), *units)]), *time);
                }
            }
            for Together { groups: [a, b], times } in &table.together {
                for (units_a, units_b, time) in times {
                    prop_assert_eq!(table.nanoseconds([(a.as_str(), *units_a), (b.as_str(), *units_b)]), *time);
                    prop_assert!(*time <= table.nanoseconds([(a.as_str(), *units_a)]));
                }
            }
        }
    }

    #[test]
    fn groups_are_timed_alone_and_with_those_that_share_a_weight() {
        let table = table(products);
        let widths = |name: &str| table.alone[name].iter().map(|t| t.0).collect::<Vec<_>>();
        assert_eq!((widths("a"), widths("b"), widths("c")), (vec![1, 3, 6, 9], vec![1, 2, 4, 6], vec![1, 2, 3]));
        let pairs: Vec<[&str; 2]> = table.together.iter().map(|t| t.groups.each_ref().map(String::as_str)).collect();
        assert_eq!(pairs, [["a", "b"], ["b", "c"]], "a and c have no weight in common");
        let grid: Vec<(usize, usize)> = table.together[1].times.iter().map(|t| (t.0, t.1)).collect();
        assert_eq!(grid, [(1, 1), (1, 2), (4, 1), (4, 2)]);
        assert_eq!(table.networks(), 1 + 11 + 8);
    }

    #[test]
    fn between_the_widths_times_are_on_straight_lines() {
        let mut table = table(products);
        table.together.clear();
        table.dense = 1000;
        table.alone.insert("a".into(), vec![(2, 400), (6, 600)]);
        let at = [1, 2, 3, 6, 9, 12].map(|units| table.nanoseconds([("a", units)]));
        assert_eq!(at, [400, 400, 450, 600, 800, 1000]);
    }

    #[test]
    fn a_table_survives_being_written_to_the_last_bit() {
        let table = table(products);
        let text = serde_json::to_string_pretty(&table).unwrap();
        assert_eq!(serde_json::from_str::<LatencyTable>(&text).unwrap(), table);
    }
}
