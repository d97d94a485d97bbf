import os
import re
import signal
import subprocess
import sys

import pytest

import secateur
from secateur import _commands


def test_a_run_gives_its_folder_and_its_results(run, small):
    assert run.folder.is_absolute() and run.folder.parent == small["output.dir"]
    assert run.summary["status"] == "finished" and 0 < run.summary["test_accuracy"] <= 1
    assert run.config["data"]["glyphs"]["train"] == 300
    assert run.report.read_text().startswith("<!DOCTYPE html>")
    again = secateur.run("experiment/quickstart", sets=small)
    assert again.folder == run.folder, "it is not run again"


def test_keys_are_given_by_name_or_as_dotted_text(run, small):
    other = secateur.run("experiment/quickstart", sets=small, seed=3, train__lr=0.05, progress=False)
    assert other.folder != run.folder
    assert (other.config["seed"], other.config["train"]["lr"]) == (3, 0.05)
    with pytest.raises(secateur.ConfigError, match="train.lr: it is given twice"):
        secateur.run("experiment/quickstart", sets={"train.lr": 0.1}, train__lr=0.1)


def test_what_is_wrong_is_said_in_the_programs_words(small):
    with pytest.raises(secateur.ConfigError) as wrong:
        secateur.run("experiment/quickstart", sets=small, train__lrr=1)
    assert str(wrong.value).startswith("train.lrr") and "fix: " in str(wrong.value), str(wrong.value)
    with pytest.raises(secateur.ConfigError, match="did you mean experiment/quickstart"):
        secateur.run("experiment/quikstart")
    with pytest.raises(secateur.ConfigError, match="there is no such folder"):
        secateur.compare("/no/such/folder")


def test_a_run_that_fails_says_why_and_not_how_far_it_was(small):
    with pytest.raises(secateur.SecateurError) as failed:
        secateur.run("experiment/quickstart", sets=small, train__lr=1e30)
    assert not isinstance(failed.value, secateur.ConfigError)
    assert re.match("(the )?(training )?loss", str(failed.value)) and "epoch  1" not in str(failed.value)


class _Impatient:
    """Presses Ctrl-C when the first epoch is over."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)
        if line.startswith("epoch") and sum(line.startswith("epoch") for line in self.lines) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    def end(self):
        pass


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_run_comes(small, tmp_path, monkeypatch):
    long = {**small, "train.epochs": 60}
    expected = secateur.run("experiment/quickstart", sets=long, progress=False)
    monkeypatch.setattr(_commands, "in_sight", _Impatient)
    # What a shell starts in the background is deaf to Ctrl-C; this is about what hears it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(secateur.Interrupted) as stopped:
        secateur.run("experiment/quickstart", sets={**long, "output.dir": tmp_path})
    assert isinstance(stopped.value, KeyboardInterrupt)
    folder = tmp_path / expected.folder.name
    assert str(stopped.value).startswith("stopped at step ") and str(folder) in str(stopped.value)
    assert (folder / "checkpoint").is_dir()
    with pytest.raises(secateur.ConfigError, match="this run was interrupted before"):
        secateur.run("experiment/quickstart", sets={**long, "output.dir": tmp_path}, progress=False)
    resumed = secateur.resume(folder, progress=False)
    model = "model.safetensors"
    assert (resumed.folder / model).read_bytes() == (expected.folder / model).read_bytes()


def test_a_sweep_is_compared(small, tmp_path):
    sets = {**small, "output.dir": tmp_path, "sweep.axes.criterion.name": ["magnitude", "random"]}
    sweep = secateur.sweep("experiment/quickstart", sets=sets, sweep__seeds=2, sweep__controls=[], progress=False)
    assert sweep.folder.parent == tmp_path and len(sweep.runs(frame="rows")) == 4
    comparison = sweep.compare()
    assert "random" in comparison.text and comparison.data["by"] == ["criterion.name"]
    groups = comparison.groups(frame="rows")
    accuracies = [row for row in groups if row["metric"] == "test_accuracy"]
    assert {row["criterion.name"]: row["n"] for row in accuracies} == {"magnitude": 2, "random": 2}
    (pair,) = comparison.pairs(frame="rows")
    assert pair["sentence"] in comparison.text
    assert secateur.compare(sweep.folder, by="criterion.name", metric="seconds").data["metric"] == "seconds"


def test_cells_that_fail_are_told_and_the_others_are_there(small, tmp_path):
    sets = {**small, "output.dir": tmp_path, "sweep.axes.train.lr": [0.1, 1e30]}
    with pytest.raises(secateur.SecateurError, match="1 cell failed"):
        secateur.sweep("experiment/quickstart", sets=sets, sweep__seeds=1, sweep__controls=[], jobs=2)
    rows = secateur.runs(tmp_path, frame="rows")
    assert sorted(row["status"] for row in rows) == ["failed", "finished"]


def test_a_page_is_shown_apart_from_the_notebook(run):
    shown = run._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts"') and shown.count("<iframe") == 1
    assert "<html" not in shown and "&lt;html" in shown


def test_the_module_is_the_program():
    command = [sys.executable, "-m", "secateur"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"secateur \d+\.\d+\.\d+\n", version)
    wrong = subprocess.run([*command, "run"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "no CONFIG was given" in wrong.stderr


def test_a_program_that_is_not_there_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("secateur._program.__file__", str(tmp_path / "lib" / "secateur" / "_program.py"))
    with pytest.raises(secateur.SecateurError, match="neither where this package was installed nor on PATH"):
        secateur.program()


def test_importing_takes_less_than_50_ms_and_no_other_package():
    code = "import sys, secateur; assert not {'numpy', 'pandas', 'polars', 'IPython'} & set(sys.modules)"
    times = []
    for _ in range(5):
        found = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
        )
        (line,) = [line for line in found.stderr.splitlines() if line.endswith("| secateur")]
        times.append(int(line.split("|")[1]) / 1000)
    assert min(times) < 50, times
