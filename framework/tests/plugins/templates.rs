//! What `secateur plugins new` writes, compiled as it stands: the first thing that a plugin's author builds.

use secateur::options::Table;
use secateur::plugins::conformance;
use secateur::plugins::registry::{Kind, Registry};

#[path = "../../../runner/templates/plugin/compressor.rs.tmpl"]
mod compressor;
#[path = "../../../runner/templates/plugin/criterion.rs.tmpl"]
mod criterion;
#[path = "../../../runner/templates/plugin/model.rs.tmpl"]
mod model;
#[path = "../../../runner/templates/plugin/schedule.rs.tmpl"]
mod schedule;

#[test]
fn templates_of_plugins_pass_the_conformance_kit() {
    let registry = Registry::linked().unwrap();
    for kind in [Kind::Criterion, Kind::Schedule, Kind::Compressor, Kind::Model] {
        let rows = conformance::check(&registry, kind, "template-name", &Table::new()).unwrap();
        assert!(!rows.is_empty(), "{kind}");
        for row in rows {
            assert!(row.passed, "{kind}, {}: {}", row.name, row.detail);
        }
    }
}
