import json
import shutil

import pytest

import secateur

FRAMES = ["pandas", "polars", "rows"]


def columns(table):
    return (
        list(table.columns) if hasattr(table, "columns") else list(dict.fromkeys(key for row in table for key in row))
    )


def column(table, key):
    return [row.get(key) for row in table] if isinstance(table, list) else list(table[key])


@pytest.fixture(params=FRAMES)
def frame(request):
    if request.param != "rows":
        pytest.importorskip(request.param)
    return request.param


def test_every_run_is_a_row_with_its_config_and_its_results(run, masked, out, frame):
    table = secateur.runs(out, frame=frame)
    at = column(table, "folder").index(str(run.folder))
    found = {
        key: column(table, key)[at] for key in ("status", "criterion.name", "train.lr", "test_accuracy", "units.fc1")
    }
    config, summary = run.config, run.summary
    assert found == {
        "status": "finished",
        "criterion.name": config["criterion"]["name"],
        "train.lr": config["train"]["lr"],
        "test_accuracy": summary["test_accuracy"],
        "units.fc1": summary["units"]["fc1"],
    }
    assert str(masked.folder) in column(table, "folder")
    assert secateur.runs(run.folder, frame="rows")[0]["folder"] == str(run.folder)


def test_a_table_is_of_what_is_installed(run, monkeypatch):
    monkeypatch.setattr("secateur._frames.find_spec", lambda name: None)
    assert isinstance(secateur.events(run.folder), list)
    with pytest.raises(ValueError, match='must be "pandas", "polars" or "rows"'):
        secateur.events(run.folder, frame="excel")


@pytest.mark.parametrize("file", ["summary.json", "config.toml"])
def test_nothing_is_taken_from_a_run_that_was_changed(run, tmp_path, file):
    shutil.copytree(run.folder, tmp_path / "changed")
    path = tmp_path / "changed" / file
    text = path.read_text()
    path.write_text(text.replace("0.", "1.", 1))
    assert path.read_text() != text
    (row,) = secateur.runs(tmp_path, frame="rows")
    assert row["status"] == "damaged" and file in row["error"] and "test_accuracy" not in row
    with pytest.raises(secateur.SecateurError, match="checksum"):
        secateur.Run(tmp_path / "changed").summary
    path.write_text(text + "\n")
    statuses = {"summary.json": "finished", "config.toml": "damaged"}
    assert secateur.runs(tmp_path, frame="rows")[0]["status"] == statuses[file]


@pytest.mark.parametrize("text", ["[]", "{}", "1", '{"status": ""}', '{"status": ["finished"]}', '{"status": "fine"}'])
def test_a_summary_says_what_became_of_its_run(tmp_path, text):
    (tmp_path / "config.toml").write_text("seed = 1\n")
    (tmp_path / "summary.json").write_text(text)
    (row,) = secateur.runs(tmp_path, frame="rows")
    assert row["status"] == "damaged" and "must be one of finished, failed" in row["error"]


def test_a_log_that_was_changed_is_refused(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "changed")
    path = tmp_path / "changed" / "events.jsonl"
    path.write_text(path.read_text().replace('"loss":', '"loss":1', 1))
    with pytest.raises(secateur.SecateurError, match="events.jsonl: it is not the log of this run"):
        secateur.events(tmp_path / "changed")
    assert "events_sha256" not in run.summary


def test_a_run_without_results_is_unfinished(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "begun")
    (tmp_path / "begun" / "summary.json").unlink()
    (row,) = secateur.runs(tmp_path, frame="rows")
    assert row["status"] == "unfinished" and row["seed"] == 0
    assert secateur.Run(tmp_path / "begun").summary == {}


def test_folders_that_hold_no_run_are_named(tmp_path):
    with pytest.raises(secateur.SecateurError, match="not the folder of a run"):
        secateur.Run(tmp_path)
    with pytest.raises(secateur.SecateurError, match="there is no such folder"):
        secateur.runs(tmp_path / "absent")
    with pytest.raises(secateur.SecateurError, match="events.jsonl: No such file"):
        secateur.events(tmp_path)
    assert secateur.runs(tmp_path, frame="rows") == []


def test_every_key_of_every_event_is_there(tmp_path, frame):
    steps = [{"event": "step", "step": step, "loss": 1 if step < 100 else 0.5} for step in range(200)]
    late = {
        "event": "prune",
        "step": 200,
        "units": {"fc1": 3},
        "layers": [{"name": "fc1"}, {"kept": 2}],
        "words": ["a"],
    }
    lines = [json.dumps(event) for event in [*steps, late, {"event": "note", "layers": "none"}]]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + '\n{"event":"cut o')
    table = secateur.events(tmp_path, frame=frame)
    assert columns(table) == ["event", "step", "loss", "units.fc1", "layers", "words"]
    assert len(table) == 202, "the line that is being written is none yet"
    assert column(table, "loss")[99:101] == [1.0, 0.5] and column(table, "units.fc1")[200] == 3
    assert list(column(table, "layers")[200]) == late["layers"] and column(table, "layers")[201] == "none"
    only = secateur.events(tmp_path, "prune", frame=frame)
    assert len(only) == 1 and "loss" not in columns(only) and list(column(only, "words")[0]) == ["a"]


def test_a_damaged_event_is_named(tmp_path):
    (tmp_path / "events.jsonl").write_text('{"event":"step"}\n{"event"\n{"event":"step"}\n')
    with pytest.raises(secateur.SecateurError, match="events.jsonl: line 2 is damaged"):
        secateur.events(tmp_path)


def test_the_events_of_a_run_say_what_it_did(run):
    prunes = run.events("prune", frame="rows")
    assert prunes[-1]["units.fc1"] == run.summary["units"]["fc1"]
    epochs = run.events("epoch", frame="rows")
    assert [row["epoch"] for row in epochs] == list(range(1, run.config["train"]["epochs"] + 1))
