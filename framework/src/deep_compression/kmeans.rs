//! k-means of the weights of a layer.

/// Lloyd's iterations end long before this; rounding must not be able to go round in circles.
const MOST_ITERATIONS: usize = 100_000;

/// Clusters of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// The mean of each cluster, in rising order; clusters without members are left out.
    pub centroids: Vec<f32>,
    /// The cluster of each number.
    pub labels: Vec<u16>,
    /// Iterations until nothing changed.
    pub iterations: usize,
    /// Clusters that ran empty, if only for a time.
    pub empty: usize,
}

/// Lloyd's algorithm from centroids spread linearly between the smallest and the largest number (Han et al. 2015,
/// section 3.2) until no number changes its cluster. A number half way between two centroids belongs to the lower one.
///
/// A cluster that runs empty keeps its centroid, and may win numbers again; scikit-learn moves it to the number that is
/// farthest from its centroid instead. Where none does, both agree. All is computed in f64.
///
/// # Errors
/// The first number that is not finite.
///
/// # Panics
/// With more than 65,536 clusters, or none.
pub fn cluster(numbers: &[f32], clusters: usize) -> Result<Clusters, f32> {
    assert!((1..=1 << 16).contains(&clusters), "labels have 16 bits");
    if let Some(odd) = numbers.iter().find(|number| !number.is_finite()) {
        return Err(*odd);
    }
    // In one dimension a cluster is a stretch of the sorted numbers, and its sum a difference of two sums.
    let mut sorted: Vec<f64> = numbers.iter().map(|number| f64::from(*number)).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else {
        return Ok(Clusters { centroids: vec![], labels: vec![], iterations: 0, empty: clusters });
    };
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(sorted.iter().scan(0.0, |sum, number| {
            *sum += number;
            Some(*sum)
        }))
        .collect();
    let apart = (high - low) / (clusters - 1).max(1) as f64;
    let mut centroids: Vec<f64> = (0..clusters).map(|k| low + apart * k as f64).collect();
    let (mut ends, mut iterations) = (vec![], 0);
    let mut ran_empty = vec![false; clusters];
    while iterations < MOST_ITERATIONS {
        let now = ends_of(&sorted, &centroids);
        if now == ends {
            break;
        }
        (ends, iterations) = (now, iterations + 1);
        for (k, centroid) in centroids.iter_mut().enumerate() {
            let (from, to) = stretch(&ends, k);
            ran_empty[k] |= from == to;
            if to > from {
                *centroid = (sums[to] - sums[from]) / (to - from) as f64;
            }
        }
    }
    let used: Vec<usize> = (0..clusters).filter(|k| stretch(&ends, *k).0 < stretch(&ends, *k).1).collect();
    let borders = borders(&centroids);
    let mut place = vec![0; clusters];
    used.iter().enumerate().for_each(|(nth, k)| place[*k] = nth as u16);
    let label = |number: &f32| place[borders.partition_point(|border| *border < f64::from(*number))];
    Ok(Clusters {
        labels: numbers.iter().map(label).collect(),
        centroids: used.iter().map(|k| centroids[*k] as f32).collect(),
        iterations,
        empty: ran_empty.iter().filter(|empty| **empty).count(),
    })
}

/// The points half way between neighbours; a number on one belongs to the lower side.
fn borders(centroids: &[f64]) -> Vec<f64> {
    centroids.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect()
}

/// Where the stretch of each cluster ends.
fn ends_of(sorted: &[f64], centroids: &[f64]) -> Vec<usize> {
    let inner = borders(centroids);
    let inner = inner.iter().map(|border| sorted.partition_point(|number| number <= border));
    inner.chain([sorted.len()]).collect()
}

fn stretch(ends: &[usize], k: usize) -> (usize, usize) {
    (if k == 0 { 0 } else { ends[k - 1] }, ends[k])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Vec<Value> {
        let text = include_str!("golden/kmeans.json");
        serde_json::from_str(text).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn clusters_are_those_of_scikit_learn() {
        let mut largest = 0.0_f64;
        for case in golden() {
            let weights: Vec<f32> = numbers(&case["weights"]).iter().map(|w| *w as f32).collect();
            let expected = numbers(&case["centroids"]);
            let found = cluster(&weights, expected.len()).unwrap();
            assert_eq!((found.empty, found.centroids.len()), (0, expected.len()), "{}", case["name"]);
            // Theirs are in no order.
            let mut order: Vec<usize> = (0..expected.len()).collect();
            order.sort_by(|a, b| expected[*a].total_cmp(&expected[*b]));
            for (centroid, k) in found.centroids.iter().zip(&order) {
                largest = largest.max((f64::from(*centroid) / expected[*k] - 1.0).abs());
            }
            let labels: Vec<usize> = found.labels.iter().map(|label| order[usize::from(*label)]).collect();
            let theirs: Vec<usize> = numbers(&case["labels"]).iter().map(|label| *label as usize).collect();
            assert_eq!(labels, theirs, "{}", case["name"]);
        }
        println!("largest relative difference of a centroid: {largest:e}");
        assert!(largest < 1e-6, "{largest}");
    }

    #[test]
    fn two_lumps_are_found_by_hand() {
        // Centroids begin at 0, 4 and 8; the middle one never wins a number.
        let found = cluster(&[0.0, 8.0, 1.0, 7.0, 0.5], 3).unwrap();
        assert_eq!((found.centroids, found.labels), (vec![0.5, 7.5], vec![0, 1, 0, 1, 0]));
        assert_eq!(found.empty, 1);
    }

    #[test]
    fn a_number_half_way_belongs_to_the_lower_centroid() {
        let found = cluster(&[-1.0, 0.0, 1.0], 2).unwrap();
        assert_eq!(found.labels, [0, 0, 1]);
        assert_eq!(found.centroids, [-0.5, 1.0]);
    }

    #[test]
    fn an_empty_cluster_keeps_its_place_and_may_win_numbers_again() {
        // From 0, 5, 10: the middle one has nothing at first; the last one moves up to 9.0, and 5.9 stays nearer to 0.
        let numbers = [0.0, 0.0, 0.0, 10.0, 7.6];
        let found = cluster(&numbers, 3).unwrap();
        assert_eq!((found.centroids, found.empty), (vec![0.0, 8.8], 1));
        // From 0, 10/3, 20/3, 10: the second has nothing until the first has moved to 0.35.
        let found = cluster(&[0.0, 0.0, 1.6, 6.0, 10.0], 4).unwrap();
        assert_eq!(found.labels[3..], [found.labels[3], found.labels[3] + 1]);
    }

    #[test]
    fn few_equal_and_impossible_numbers() {
        let of = |numbers: &[f32]| cluster(numbers, 31).unwrap();
        assert_eq!(of(&[]).centroids, [0.0; 0]);
        assert_eq!((of(&[2.5]).centroids, of(&[2.5; 7]).centroids), (vec![2.5], vec![2.5]));
        let distinct = [3.0, -1.0, 0.125, 9.0];
        let found = of(&distinct);
        assert!(distinct.iter().zip(&found.labels).all(|(x, k)| found.centroids[usize::from(*k)] == *x), "{found:?}");
        assert_eq!(cluster(&[-1.0, f32::INFINITY, 1.0], 3), Err(f32::INFINITY));
        assert!(cluster(&[f32::NAN], 3).is_err_and(f32::is_nan));
        assert_eq!(cluster(&[-1.0, 3.0], 1).unwrap().centroids, [1.0]);
    }

    #[test]
    fn at_the_end_every_number_is_with_the_nearest_mean() {
        let draw = |i: u32| ((i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).powi(3);
        let numbers: Vec<f32> = (0..5000).map(draw).collect();
        let found = cluster(&numbers, 255).unwrap();
        for (number, label) in numbers.iter().zip(&found.labels) {
            let distance = |c: &f32| (f64::from(*c) - f64::from(*number)).abs();
            let least = found.centroids.iter().map(distance).fold(f64::MAX, f64::min);
            assert!(distance(&found.centroids[usize::from(*label)]) <= least + 1e-7);
        }
        for (k, centroid) in found.centroids.iter().enumerate() {
            let members = numbers.iter().zip(&found.labels).filter(|(_, label)| usize::from(**label) == k);
            let members: Vec<f64> = members.map(|(number, _)| f64::from(*number)).collect();
            let mean = members.iter().sum::<f64>() / members.len() as f64;
            assert!((mean - f64::from(*centroid)).abs() < 1e-6, "{mean} {centroid}");
        }
    }
}
