//! Fashion-MNIST: pictures of clothing in the form of MNIST, but harder to tell apart.

use crate::mnist::Family;
use secateur::prelude::*;

const FASHION: Family = Family {
    name: "fashion-mnist",
    folders: &["fashion-mnist"],
    classes: ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"],
    get: "Install Debian's package dataset-fashion-mnist, or download the four files from \
          https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
};

options! {
    /// There is nothing to choose.
    pub struct FashionMnist {}
}

impl DataSource for FashionMnist {
    fn files(&self) -> Option<DataFiles> {
        Some(FASHION.files())
    }

    fn open(&self, folders: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        FASHION.open(folders)
    }
}

secateur::register!(Data, "fashion-mnist", FashionMnist, "pictures of clothing, 28x28 grey, 10 classes, 60000 + 10000");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_folder, real};
    use secateur::data::DataConfig;

    #[test]
    fn the_real_set_is_balanced() {
        let Some(dir) = real("fashion-mnist") else { return };
        let examples = in_folder(&FashionMnist {}, &dir).unwrap();
        let found = examples.statistics().unwrap();
        assert!((found.mean[0] - 0.2860).abs() < 5e-5, "{found:?}");
        assert!((found.std[0] - 0.3530).abs() < 5e-5, "{found:?}");
        assert_eq!(examples.dataset(&DataConfig::default(), 0).unwrap().train.class_counts(10), [6000; 10]);
    }

    #[test]
    fn a_missing_set_says_how_to_get_it() {
        let text = FashionMnist {}.open(&Folders::default(), &mut |_| ()).unwrap_err().to_string();
        assert!(text.contains("\"fashion-mnist\" was not found") && text.contains(FASHION.get), "{text}");
    }
}
