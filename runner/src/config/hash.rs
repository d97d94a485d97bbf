//! The hash that names a run's folder.

use sha2::{Digest, Sha256};
use toml::{Table, Value};

/// Keys that cannot change a result: what the run is called, where it is written, how many threads compute it.
const WITHOUT_EFFECT: [&str; 3] = ["name", "output", "threads"];

/// SHA-256 of the config's canonical TOML (keys sorted), in hexadecimal, without the keys that cannot change a result.
pub fn of(config: &Table) -> String {
    let mut effective = config.clone();
    effective.retain(|key, _| !WITHOUT_EFFECT.contains(&key));
    // What a library holds can change a result, where it lies cannot.
    if let Some(Value::Array(plugins)) = effective.get_mut("plugins") {
        plugins.iter_mut().filter_map(Value::as_table_mut).for_each(|plugin| _ = plugin.remove("path"));
        plugins.sort_by_key(Value::to_string);
    }
    let digest = Sha256::digest(effective.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn hash(text: &str) -> String {
        of(&text.parse().unwrap())
    }

    #[test]
    fn order_name_output_and_threads_do_not_count() {
        let one = hash("name = 'a'\nseed = 1\nthreads = 4\n[train]\nlr = 0.1\nepochs = 3\n[output]\nreport = true");
        assert_eq!(one, hash("seed = 1\n[train]\nepochs = 3\nlr = 0.1"));
        let plugin = |path, hash| format!("plugins = [{{ path = '{path}', sha256 = '{hash}' }}]");
        assert_eq!(hash(&plugin("a.so", "1")), hash(&plugin("b.so", "1")));
        assert_ne!(hash(&plugin("a.so", "1")), hash(&plugin("a.so", "2")));
        assert_ne!(one, hash("seed = 2\n[train]\nepochs = 3\nlr = 0.1"));
    }
}
