//! Folders of JPEG and PNG images.
//!
//! `train/<class>/*` with `test/<class>/*` and `validation/<class>/*` where they exist; else `<class>/*`; else the
//! images themselves, as one class (CelebA). What has no test folder is split by seed.

mod cache;
mod decode;
mod scan;

use self::decode::Form;
use self::scan::{Image, Listing};
use rayon::prelude::*;
use secateur::data::{FoundInDir, Holdout, SearchedDir};
use secateur::options::{Idle, OptionSet as _};
use secateur::prelude::*;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// Images between two reports of progress.
const REPORT_EVERY: usize = 1024;
/// Part of the cache's key: changes whenever decoding or scaling gives other pixels.
const VERSION: &[u8] = b"secateur images 1";

options! {
    /// The images of a folder of one's own.
    pub struct ImageFolder {
        /// Height and width that images are brought to: the shorter side is scaled to it, the middle is cut out. Where
        /// absent, images stay as they are and must all have one size.
        #[acts(always)]
        pub size: Option<usize> = None,
        /// One channel instead of red, green and blue.
        #[acts(always)]
        pub grayscale: bool = false,
        /// How many images become the test split where there is no folder `test`: a fraction below 1, or a count.
        #[acts(run, "a folder without one of its own for test")]
        pub test: Holdout = Holdout::Fraction(0.1),
    }

    fn check(&self, checks: &mut Checks) {
        let fits = self.size.is_none_or(|size| (1..=2048).contains(&size));
        checks.ensure("size", fits, "1 to 2048 pixels are allowed");
        let allowed = "a set without test images cannot be judged; give a fraction below 1 or a count";
        checks.ensure("test", self.test != Holdout::Count(0), allowed);
    }
}

impl DataSource for ImageFolder {
    fn files(&self) -> Option<DataFiles> {
        let files = ["train/<class>/*.jpg", "test/<class>/*.jpg"].map(|name| vec![name.to_string()]).to_vec();
        let get = "Give your own folder: --set data.dir=DIR (without a folder test, or without class folders, \
                   it is split by seed)";
        Some(DataFiles { name: "image-folder", folders: &[], files, get })
    }

    fn needs_dir(&self) -> bool {
        true
    }

    fn idle(&self, examples: &Examples) -> Vec<Idle> {
        let asked = self.changed().into_iter().find(|(key, _)| *key == "test");
        let own = matches!(examples.test, TestExamples::Own(_));
        let idle = |(key, found): (&str, String)| Idle {
            key: key.to_owned(),
            found,
            needs: "a folder in which there is no folder test".to_owned(),
            because: vec![],
        };
        asked.filter(|_| own).map(idle).into_iter().collect()
    }

    fn open(&self, folders: &Folders, progress: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let root =
            folders.named().ok_or_else(|| OptionError::new("data.dir", "(not set)", "must be the images' folder"))?;
        let Listing { classes, splits, passed } = scan::scan(&root)?;
        if passed.any() {
            tracing::warn!("{}: {passed}", root.display());
        }
        let images: Vec<&Image> = splits.iter().flatten().collect();
        let (content, bytes) = hash(&root, &images, progress)?;
        let form = match (self.size, images.first()) {
            (None, Some(first)) => Form::of(&first.path, self.grayscale)?,
            (size, _) => Form::square(size.unwrap_or_default(), self.grayscale),
        };
        let key = Sha256::new_with_prefix(VERSION).chain_update(content).chain_update(form.key()).finalize();
        let at = folders.cache.as_ref().map(|dir| dir.join("images").join(hex(&key)));
        let mut pixels = pixels(&root, at.as_deref(), form, &images, progress)?;
        let origin = DataOrigin::Folder { path: root.clone(), files: images.len(), bytes, sha256: hex(&content) };

        let [train, validation, test] = splits;
        let mut last = |images: &[Image]| {
            let own = pixels.split_off(pixels.len() - images.len() * form.item());
            (!images.is_empty()).then(|| Pool::bytes(own, targets(images)).named(names(&root, images)))
        };
        let drawn = TestExamples::Drawn { size: self.test, key: "data.image-folder.test" };
        let test = last(&test).map_or(drawn, TestExamples::Own);
        let validation = last(&validation);
        Ok(Examples {
            name: "image-folder".to_string(),
            shape: vec![form.channels(), form.height, form.width],
            class_names: classes,
            train: Pool::bytes(pixels, targets(&train)).named(names(&root, &train)),
            validation,
            test,
            origin,
            searched: vec![SearchedDir { path: root, found: FoundInDir::All }],
        })
    }
}

secateur::register!(
    Data,
    "image-folder",
    ImageFolder,
    "JPEG and PNG images of any size in data.dir, decoded once and kept"
);

fn targets(images: &[Image]) -> Vec<u32> {
    images.iter().map(|image| image.class).collect()
}

/// The files of the images, relative to the folder.
fn names(root: &Path, images: &[Image]) -> Vec<String> {
    let name = |image: &Image| image.path.strip_prefix(root).unwrap_or(&image.path).to_string_lossy().into_owned();
    images.iter().map(name).collect()
}

/// SHA-256 over the relative paths and the contents, and the size of everything.
fn hash(root: &Path, images: &[&Image], progress: &mut dyn FnMut(LoadProgress)) -> Result<([u8; 32], u64)> {
    let (mut all, mut size) = (Sha256::new(), 0);
    for (piece, some) in images.chunks(REPORT_EVERY).enumerate() {
        let read: Vec<Result<_>> = some.par_iter().map(|image| digest(&image.path)).collect();
        for (image, result) in some.iter().zip(read) {
            let (digest, bytes) = result?;
            let name = image.path.strip_prefix(root).unwrap_or(&image.path).as_os_str().as_encoded_bytes();
            all.update((name.len() as u64).to_le_bytes());
            all.update(name);
            all.update(digest);
            size += bytes;
        }
        progress(LoadProgress {
            stage: "reading images",
            done: piece * REPORT_EVERY + some.len(),
            total: images.len(),
        });
    }
    Ok((all.finalize().into(), size))
}

fn digest(path: &Path) -> Result<([u8; 32], u64)> {
    let bytes = std::fs::read(path).map_err(|reason| Error::file(path, format!("cannot read it: {reason}")))?;
    Ok((Sha256::digest(&bytes).into(), bytes.len() as u64))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The images' pixels, from the cache if it holds them.
fn pixels(
    root: &Path,
    cached: Option<&Path>,
    form: Form,
    images: &[&Image],
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Vec<u8>> {
    let (count, item) = (images.len(), form.item());
    let mut pixels = Vec::new();
    let length = count.checked_mul(item).filter(|length| pixels.try_reserve_exact(*length).is_ok());
    let length = length.ok_or_else(|| {
        let needed = count as f64 * item as f64 / 1e9;
        let message = format!("its {count} images of {item} bytes each need {needed:.0} GB of memory");
        Error::file(root, format!("{message}; make them smaller: set data.image-folder.size"))
    })?;
    pixels.resize(length, 0);
    if cached.is_some_and(|at| cache::read(at, &mut pixels)) {
        return Ok(pixels);
    }
    let pieces = images.chunks(REPORT_EVERY).zip(pixels.chunks_mut(REPORT_EVERY * form.item()));
    for (piece, (some, pixels)) in pieces.enumerate() {
        let decode = |(image, pixels): (&&Image, &mut [u8])| decode::decode(&image.path, form, pixels);
        let results: Vec<_> = some.par_iter().zip(pixels.par_chunks_mut(form.item())).map(decode).collect();
        results.into_iter().collect::<Result<(), _>>()?;
        progress(LoadProgress {
            stage: "decoding images",
            done: piece * REPORT_EVERY + some.len(),
            total: images.len(),
        });
    }
    if let Some(at) = cached
        && let Err(error) = cache::write(at, &pixels)
    {
        tracing::warn!("{}: cannot keep the decoded images: {error}; they are decoded again next time", at.display());
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{Rgb, RgbImage};
    use secateur::data::{DataConfig, Dataset, Split, Values};
    use secateur::options::parse;
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// Single-coloured PNGs: `red` tells them apart.
    fn picture(path: &Path, width: u32, height: u32, red: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(width, height, Rgb([red, 100, 200])).save(path).unwrap();
    }

    fn labelled() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, red) in
            [("train/cat/b.png", 2), ("train/cat/a.png", 1), ("train/ant/x.PNG", 3), ("test/ant/y.png", 4)]
        {
            picture(&dir.path().join(name), 8, 8, red);
        }
        picture(&dir.path().join("test/cat/z.png"), 12, 10, 5);
        dir
    }

    fn open(dir: &Path, cache: &Path, size: impl Into<Option<usize>>) -> Result<(Dataset, Vec<LoadProgress>)> {
        let folder = ImageFolder { size: size.into(), ..ImageFolder::default() };
        let folders = Folders { dir: Some(dir.to_owned()), cache: Some(cache.to_owned()), ..Folders::default() };
        let mut seen = vec![];
        let examples = folder.open(&folders, &mut |p| seen.push(p))?;
        Ok((examples.dataset(&DataConfig::default(), 7)?, seen))
    }

    fn reds(split: &Split) -> Vec<u8> {
        let Values::U8(values) = split.values() else { panic!("images are bytes") };
        split.indices().iter().map(|&i| values[i as usize * split.item()]).collect()
    }

    fn cache_files(cache: &Path) -> Vec<PathBuf> {
        fs::read_dir(cache.join("images")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn class_folders_become_classes_in_the_order_of_names() {
        let (dir, cache) = (labelled(), tempfile::tempdir().unwrap());
        let (set, _) = open(dir.path(), cache.path(), 4).unwrap();
        assert_eq!(
            (set.shape.as_slice(), set.class_names.as_slice()),
            (&[3, 4, 4][..], &["ant", "cat"].map(String::from)[..])
        );
        assert_eq!(reds(&set.train), [3, 1, 2]);
        assert_eq!(set.train.targets().collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!(reds(&set.test), [4, 5]);
        assert_eq!([0, 1].map(|i| set.test.name_at(i)), [Some("test/ant/y.png"), Some("test/cat/z.png")]);
        assert!(matches!(set.origin, DataOrigin::Folder { files: 5, .. }), "{:?}", set.origin);
    }

    #[test]
    fn second_load_decodes_nothing_and_gives_the_same() {
        let (dir, cache) = (labelled(), tempfile::tempdir().unwrap());
        let decoded = |seen: &[LoadProgress]| seen.iter().any(|p| p.stage == "decoding images");
        let (first, seen) = open(dir.path(), cache.path(), 4).unwrap();
        assert!(decoded(&seen));
        let (second, seen) = open(dir.path(), cache.path(), 4).unwrap();
        assert!(!decoded(&seen));
        assert_eq!(reds(&first.train), reds(&second.train));
        // Another size, or another image, is another entry.
        assert!(decoded(&open(dir.path(), cache.path(), 6).unwrap().1));
        picture(&dir.path().join("train/cat/a.png"), 8, 8, 77);
        let (changed, seen) = open(dir.path(), cache.path(), 4).unwrap();
        assert!(decoded(&seen));
        assert_eq!(reds(&changed.train), [3, 77, 2]);
    }

    #[test]
    fn damaged_cache_is_built_again() {
        let (dir, cache) = (labelled(), tempfile::tempdir().unwrap());
        let expected = reds(&open(dir.path(), cache.path(), 4).unwrap().0.train);
        let [entry] = &cache_files(cache.path())[..] else { panic!("one entry") };
        let good = fs::read(entry).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [&good[..good.len() - 1], &flipped, b"", &[&good[..], b"x"].concat()] {
            fs::write(entry, bad).unwrap();
            let (set, seen) = open(dir.path(), cache.path(), 4).unwrap();
            assert!(seen.iter().any(|p| p.stage == "decoding images"));
            assert_eq!(reds(&set.train), expected);
            assert!(fs::read(entry).unwrap() == good, "the entry is whole again");
        }
        assert_eq!(cache_files(cache.path()).len(), 1, "no temporary file is left");
    }

    #[test]
    fn a_cache_that_cannot_be_written_does_not_stop_the_run() {
        let (dir, cache) = (labelled(), tempfile::tempdir().unwrap());
        fs::write(cache.path().join("images"), "in the way").unwrap();
        assert_eq!(reds(&open(dir.path(), cache.path(), 4).unwrap().0.test), [4, 5]);
    }

    #[test]
    fn images_without_folders_are_one_class_split_by_seed() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        (0..20).for_each(|i| picture(&dir.path().join(format!("{i:03}.png")), 5, 5, i));
        let (set, _) = open(dir.path(), cache.path(), 4).unwrap();
        assert_eq!((set.classes(), set.train.len(), set.test.len()), (1, 18, 2));
        let mut all = [reds(&set.train), reds(&set.test)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<u8>>());
    }

    #[test]
    fn without_a_size_images_stay_as_they_are_and_one_of_another_size_is_named() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        (0..20).for_each(|i| picture(&dir.path().join(format!("{i:03}.png")), 6, 4, i));
        let (set, _) = open(dir.path(), cache.path(), None).unwrap();
        assert_eq!((set.shape.as_slice(), set.train.len()), (&[3, 4, 6][..], 18));
        picture(&dir.path().join("007.png"), 4, 6, 7);
        let text = open(dir.path(), cache.path(), None).unwrap_err().to_string();
        assert!(text.contains("007.png: it has 6x4 pixels (height x width)") && text.contains("4x6"), "{text}");
        assert!(text.contains("data.image-folder.size"), "{text}");
        assert_eq!(open(dir.path(), cache.path(), 5).unwrap().0.shape, [3, 5, 5], "with a size any image will do");
    }

    #[test]
    fn undecodable_image_is_named() {
        let (dir, cache) = (labelled(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("train/cat/c.jpg"), "no image").unwrap();
        let text = open(dir.path(), cache.path(), 4).unwrap_err().to_string();
        assert!(text.contains("c.jpg") && text.contains("cannot be decoded"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!cache.path().join("images").exists(), "nothing half-done is kept");
    }

    #[test]
    fn without_a_folder_the_key_is_named() {
        let folder = ImageFolder::default();
        assert!(folder.needs_dir());
        let text = folder.open(&Folders::default(), &mut |_| ()).unwrap_err().to_string();
        assert!(text.contains("data.dir"), "{text}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let errors = parse::<ImageFolder>(&"size = 0\ntest = 0".parse().unwrap()).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(text[0].contains("`size` = 0: 1 to 2048 pixels") && text[1].contains("`test` = 0"), "{text:?}");
    }
}
