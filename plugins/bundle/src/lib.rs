//! Links the built-in plugins into a program.
//!
//! A crate that is only listed in Cargo.toml is not linked, and its registrations vanish without a word: each is named
//! here.

use secateur_compressors as _;
use secateur_criteria as _;
use secateur_data as _;
use secateur_models as _;
use secateur_schedules as _;

// What `secateur fit` learns by.
pub use secateur_criteria::autosparse;

use secateur::error::Result;
use secateur::plugins::registry::Registry;

/// Every built-in plugin.
///
/// # Errors
/// If two plugins share a kind and a name.
pub fn registry() -> Result<Registry> {
    Registry::linked()
}

#[cfg(test)]
mod tests {
    use secateur::plugins::registry::Kind;

    #[test]
    fn every_built_in_plugin_is_linked() {
        let registry = super::registry().unwrap();
        let names = |kind| registry.of_kind(kind).map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(
            names(Kind::Criterion),
            [
                "autosparse",
                "awsc",
                "contribution-rank",
                "fpgm",
                "gradient",
                "grasp",
                "group-lasso",
                "hrank",
                "lamp",
                "lasso-channel",
                "lrp",
                "magnitude",
                "movement",
                "network-slimming",
                "obd",
                "random",
                "random-redrawn",
                "ria",
                "shuffled",
                "shuffled-redrawn",
                "snip",
                "surgery",
                "synflow",
                "taylor",
                "wanda",
                "worst"
            ]
        );
        assert_eq!(
            names(Kind::Schedule),
            [
                "ac-dc",
                "agp",
                "burden-guided",
                "constant",
                "cubic",
                "cyclic",
                "exponential",
                "linear",
                "lottery",
                "never",
                "one-shot",
                "periodic",
                "soft-filter"
            ]
        );
        assert_eq!(names(Kind::Compressor), ["none", "token-merging"]);
        assert_eq!(names(Kind::Model), ["cnn", "mlp", "mobilenet-v2", "resnet", "vae", "vgg", "vit", "wide-resnet"]);
        assert_eq!(
            names(Kind::Data),
            [
                "cifar10",
                "cifar100",
                "cubist-spiral",
                "fashion-mnist",
                "gaussian-memorisation",
                "glyphs",
                "image-folder",
                "index-model",
                "mnist",
                "teacher-student"
            ]
        );
    }

    #[test]
    fn every_option_is_documented() {
        let registry = super::registry().unwrap();
        for kind in Kind::ALL {
            for (name, item) in registry.of_kind(kind) {
                assert!(item.docs().iter().all(|d| !d.doc.is_empty()), "{kind} {name}");
                assert!(item.check(&toml_defaults(&item.docs())).is_ok(), "the defaults of {kind} {name} are refused");
            }
        }
    }

    fn toml_defaults(docs: &[secateur::options::OptionDoc]) -> secateur::options::Table {
        docs.iter().filter_map(|d| Some((d.name.to_string(), d.default.clone()?))).collect()
    }
}
