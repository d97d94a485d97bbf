//! Runs of a moment, of every kind of network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};

/// A folder, and what happens in it.
pub struct Scene(tempfile::TempDir);

/// Half of the units goes, and is cut out.
const RUN: [&str; 12] = [
    "run",
    "experiment/quickstart",
    "--quiet",
    "--set=data.glyphs={train=60,test=20}",
    "--set=train.epochs=2",
    "--set=train.batch_size=20",
    "--set=criterion.name=magnitude",
    "--set=prune.granularity=unit",
    "--set=prune.apply=shrink",
    "--set=schedule={name=\"one-shot\",sparsity=0.5,at=0.5}",
    "--set=output.pictures=0",
    "--set=data.validation=0",
];

impl Scene {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit code, standard output, standard error; without a Python that has runtimes.
    pub fn secateur(&self, arguments: &[&str]) -> (i32, String, String) {
        self.with_python("/nonexistent/python", arguments)
    }

    /// The same with this interpreter.
    pub fn with_python(&self, python: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
        command.current_dir(self.path()).args(arguments).env_remove("SECATEUR_DATA").env("HOME", self.path());
        command.env("SECATEUR_PYTHON", python);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// What a command prints that succeeds.
    pub fn done(&self, arguments: &[&str]) -> String {
        let (code, out, log) = self.secateur(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{log}");
        out
    }

    /// What a command says that is refused, with its exit code.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, log) = self.secateur(arguments);
        assert_ne!(code, 0, "{arguments:?}: {out}");
        (code, log)
    }

    /// Carries out a run; its folder, relative to this one.
    pub fn run(&self, more: &[&str]) -> String {
        let before = self.runs();
        self.done(&[&RUN[..], more].concat());
        let run = self.runs().into_iter().find(|run| !before.contains(run)).unwrap();
        format!("runs/{}", run.file_name().unwrap().to_str().unwrap())
    }

    fn runs(&self) -> Vec<PathBuf> {
        let Ok(all) = fs::read_dir(self.path().join("runs")) else { return vec![] };
        all.map(|entry| entry.unwrap().path()).filter(|path| path.join("summary.json").exists()).collect()
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub fn summary(&self, run: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(&format!("{run}/summary.json"))).unwrap()
    }

    /// A folder of images of two classes that a network can tell apart, some of another size.
    pub fn images(&self, folder: &str) {
        for (class, colour) in [("cold", [20, 60, 200]), ("warm", [210, 90, 30])] {
            for part in ["train", "test"] {
                let dir = self.path().join(folder).join(part).join(class);
                fs::create_dir_all(&dir).unwrap();
                for i in 0..8_u8 {
                    let image = RgbImage::from_fn(32, 32, |x, y| {
                        let noise = (x * 7 + y * 13 + u32::from(i) * 29) % 40;
                        Rgb(colour.map(|c: u8| c.saturating_add(noise as u8)))
                    });
                    image.save(dir.join(format!("{i}.png"))).unwrap();
                }
            }
        }
    }
}
