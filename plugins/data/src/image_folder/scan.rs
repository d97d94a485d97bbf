//! Which images a folder holds, and of which class.

use secateur::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];
/// Pictures that are not read.
const OTHERS: [&str; 10] = ["webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jxl", "jp2"];

/// An image file and its class.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub path: PathBuf,
    pub class: u32,
}

/// The images of a folder, by name within each class.
#[derive(Debug)]
pub(super) struct Listing {
    pub classes: Vec<String>,
    /// Train, validation and test; all but train may be empty.
    pub splits: [Vec<Image>; 3],
    /// Pictures that are there and are not read.
    pub passed: Passed,
}

/// How many pictures were passed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Of formats that are not read, by extension.
    pub formats: BTreeMap<String, usize>,
    /// In folders below those of the classes.
    pub below: usize,
}

/// What lies in one folder, sorted by name; hidden entries and other files are passed over.
struct Entries {
    folders: Vec<PathBuf>,
    images: Vec<PathBuf>,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.formats.iter().map(|(format, count)| format!("{count} .{format}")).collect();
        if self.below > 0 {
            parts.push(format!("{} in folders below those of the classes", self.below));
        }
        write!(
            f,
            "pictures that are not read: {} (.jpg, .jpeg and .png are, right in their class's folder)",
            parts.join(", ")
        )
    }
}

impl Passed {
    /// Whether any were.
    pub(super) fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Lists the images under `root`.
///
/// # Errors
/// A folder that cannot be read, a class without images, class folders that differ between the parts.
pub(super) fn scan(root: &Path) -> Result<Listing> {
    let train_dir = root.join("train");
    let mut passed = Passed::default();
    let (classes, train) = classes_of(if train_dir.is_dir() { &train_dir } else { root }, &mut passed)?;
    let mut splits = [train, vec![], vec![]];
    if train_dir.is_dir() {
        for (split, names) in [(1, &["validation", "val"][..]), (2, &["test"])] {
            let Some(dir) = names.iter().map(|name| root.join(name)).find(|dir| dir.is_dir()) else { continue };
            let (own, images) = classes_of(&dir, &mut passed)?;
            if let Some((name, has, lacks)) = difference(&classes, &train_dir, &own, &dir) {
                let has = has.display();
                let message = format!(
                    "the class folder \"{name}\" is in {has} only; give all parts of the set the same class folders"
                );
                return Err(Error::file(lacks, message));
            }
            splits[split] = images;
        }
    }
    Ok(Listing { classes, splits, passed })
}

/// The classes of one part and their images.
fn classes_of(dir: &Path, passed: &mut Passed) -> Result<(Vec<String>, Vec<Image>)> {
    let Entries { folders, images } = entries(dir, passed)?;
    let no_images = |dir: &Path, passed: &Passed| {
        let others = if passed.any() { format!(", only {passed}") } else { String::new() };
        let fix = "put .jpg, .jpeg or .png files into it, or remove it";
        Err(Error::file(dir, format!("it holds no images{others}; {fix}")))
    };
    if folders.is_empty() {
        if images.is_empty() {
            return no_images(dir, passed);
        }
        return Ok((vec!["image".to_string()], of_class(images, 0).collect()));
    }
    // Beside folders of classes, images belong to none.
    passed.below += images.len();
    let mut all = vec![];
    for (class, folder) in folders.iter().enumerate() {
        let mut own = Passed::default();
        let Entries { folders: below, images } = entries(folder, &mut own)?;
        own.below += below.iter().map(|folder| pictures_under(folder)).sum::<usize>();
        if images.is_empty() {
            return no_images(folder, &own);
        }
        passed.below += own.below;
        own.formats.into_iter().for_each(|(format, count)| *passed.formats.entry(format).or_default() += count);
        all.extend(of_class(images, class as u32));
    }
    Ok((folders.iter().map(|folder| name(folder)).collect(), all))
}

/// How many pictures of any format a folder holds, and those below it; links are not followed.
fn pictures_under(folder: &Path) -> usize {
    let of = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => pictures_under(&entry.path()),
        Ok(kind) if kind.is_file() => {
            usize::from(extension(&entry.path()).is_some_and(|e| EXTENSIONS.contains(&&*e) || OTHERS.contains(&&*e)))
        }
        _ => 0,
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(of).sum()
}

fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase)
}

fn of_class(images: Vec<PathBuf>, class: u32) -> impl Iterator<Item = Image> {
    images.into_iter().map(move |path| Image { path, class })
}

fn entries(dir: &Path, passed: &mut Passed) -> Result<Entries> {
    let refused = |reason: std::io::Error| {
        Error::file(
            dir,
            format!(
                "cannot list the folder: {reason}\n  fix: set data.dir to the folder of the pictures (--set data.dir=DIR)"
            ),
        )
    };
    let mut found = Entries { folders: vec![], images: vec![] };
    for entry in fs::read_dir(dir).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let path = entry.path();
        if name(&path).starts_with('.') {
            continue;
        }
        // Asking the entry costs no system call, which counts with 200,000 images; links are followed.
        let kind = entry.file_type().map_err(refused)?;
        let is_dir = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        let extension = extension(&path).unwrap_or_default();
        if is_dir {
            found.folders.push(path);
        } else if EXTENSIONS.contains(&&*extension) {
            // Whoever opens a pipe waits for somebody to write into it.
            let is_file = kind.is_file() || (kind.is_symlink() && path.is_file());
            if !is_file {
                let message =
                    "it has the name of an image but is no regular file; remove it, or the link that leads nowhere";
                return Err(Error::file(&path, message));
            }
            found.images.push(path);
        } else if OTHERS.contains(&&*extension) {
            *passed.formats.entry(extension).or_default() += 1;
        }
    }
    found.folders.sort_unstable();
    found.images.sort_unstable();
    Ok(found)
}

/// The first class that only one of two parts has: its name, the part that has it and the part that lacks it.
fn difference<'a>(
    one: &'a [String],
    one_dir: &'a Path,
    two: &'a [String],
    two_dir: &'a Path,
) -> Option<(&'a str, &'a Path, &'a Path)> {
    let only = |from: &'a [String], not: &'a [String]| from.iter().find(|name| !not.contains(name));
    only(one, two)
        .map(|name| (name.as_str(), one_dir, two_dir))
        .or_else(|| only(two, one).map(|name| (name.as_str(), two_dir, one_dir)))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder(files: &[&str]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn relative(dir: &TempDir, images: &[Image]) -> Vec<(String, u32)> {
        let short = |path: &Path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
        images.iter().map(|image| (short(&image.path), image.class)).collect()
    }

    fn refused(files: &[&str]) -> String {
        let dir = folder(files);
        scan(dir.path()).unwrap_err().to_string()
    }

    #[test]
    fn three_parts_with_the_same_classes() {
        let dir = folder(&["train/b/1.jpg", "train/a/2.JPEG", "train/a/1.png", "test/a/1.jpg", "test/b/1.jpg"]);
        let found = scan(dir.path()).unwrap();
        assert_eq!(found.classes, ["a", "b"]);
        let [train, validation, test] = &found.splits;
        let expected = [("train/a/1.png", 0), ("train/a/2.JPEG", 0), ("train/b/1.jpg", 1)];
        assert_eq!(relative(&dir, train), expected.map(|(path, class)| (path.to_owned(), class)));
        assert_eq!((validation.len(), test.len()), (0, 2));
    }

    #[test]
    fn hidden_and_other_files_are_passed_over() {
        let dir = folder(&["train/a/1.jpg", "train/a/._1.jpg", "train/a/list.txt", "train/.git/x.png", "readme.md"]);
        let found = scan(dir.path()).unwrap();
        assert_eq!((found.classes.as_slice(), found.splits[0].len()), (&["a".to_string()][..], 1));
    }

    #[test]
    fn pictures_that_are_not_read_are_counted() {
        let dir = folder(&[
            "train/a/1.jpg",
            "train/a/2.webp",
            "train/a/3.WebP",
            "train/a/more/4.png",
            "train/a/more/5/6.gif",
        ]);
        let passed = scan(dir.path()).unwrap().passed;
        let text = passed.to_string();
        assert!(text.contains("2 .webp") && text.contains("2 in folders below those of the classes"), "{text}");
        assert!(!scan(folder(&["a/1.jpg"]).path()).unwrap().passed.any());
        let text = refused(&["train/a/1.jpg", "train/b/1.webp", "train/b/2.webp"]);
        assert!(text.contains("train/b: it holds no images, only pictures that are not read: 2 .webp"), "{text}");
        assert_eq!(scan(folder(&["a/1.jpg", "b/1.jpg", "2.png"]).path()).unwrap().passed.below, 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_named_and_not_waited_for() {
        let dir = folder(&["a/1.jpg"]);
        let pipe = dir.path().join("a/2.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let text = scan(dir.path()).unwrap_err().to_string();
        assert!(text.contains("2.png: it has the name of an image but is no regular file"), "{text}");
        fs::remove_file(&pipe).unwrap();
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &pipe).unwrap();
        assert!(scan(dir.path()).unwrap_err().to_string().contains("2.png"));
    }

    #[test]
    fn class_folders_need_no_train_folder() {
        let dir = folder(&["dogs/1.jpg", "cats/1.jpg"]);
        let found = scan(dir.path()).unwrap();
        assert_eq!(found.classes, ["cats", "dogs"]);
        assert!(found.splits[2].is_empty());
    }

    #[test]
    fn a_class_without_images_is_named() {
        let text = refused(&["train/a/1.jpg", "train/b/note.txt"]);
        assert!(text.contains("train/b: it holds no images"), "{text}");
        assert!(refused(&["note.txt"]).contains("holds no images"));
    }

    #[test]
    fn classes_must_be_the_same_in_all_parts() {
        let text = refused(&["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg"]);
        assert!(text.contains("\"b\" is in") && text.contains("train only"), "{text}");
        let text = refused(&["train/a/1.jpg", "test/a/1.jpg", "test/c/1.jpg"]);
        assert!(text.contains("\"c\" is in") && text.contains("test only"), "{text}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let text = scan(&dir.path().join("nowhere")).unwrap_err().to_string();
        assert!(text.contains("nowhere") && text.contains("cannot list the folder"), "{text}");
    }
}
