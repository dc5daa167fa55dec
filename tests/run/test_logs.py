"""The log of a run says what was made, kept and mended, and a run that is up to date writes none."""

import json
import re

import pytest

from helpers.program import simbench
from simbench_tf.errors import InputError
from simbench_tf.run import logs
from simbench_tf.run.logs import read_logs
from simbench_tf.run.manifest import read_manifest


def test_every_step_is_logged_once(tiny_run):
    begun, *events = read_logs(tiny_run)
    assert begun["event"] == "begun"
    assert {"numpy", "tensorflow", "simbench_tf"} <= set(begun["versions"])
    made = [event for event in events if event["event"] == "made"]
    recorded = read_manifest(tiny_run)
    of_steps = {name for event in made for name in event["files"] if not name.startswith("dataset/sites/")}
    assert of_steps == set(recorded) - {"config.yaml"}
    for event in made:
        assert event["mended"] == []
        assert event["peak_memory_mb"] > 100
    (score,) = (event for event in made if "scores/summary.csv" in event["files"])
    assert (score["stage"], score["seconds"]) == ("score", recorded["scores/summary.csv"]["seconds"])


def test_what_was_mended_and_kept_is_said(copied_run, monkeypatch, capsys):
    config = copied_run / "config.yaml"
    before = {path.name: path.read_bytes() for path in (copied_run / "logs").iterdir()}
    assert simbench(monkeypatch, capsys, "run", config, "--out", copied_run)[0] == 0
    assert {path.name: path.read_bytes() for path in (copied_run / "logs").iterdir()} == before, "all was up to date"
    for path in (copied_run / "logs").iterdir():
        path.unlink()
    (copied_run / "oracle" / "ceilings.csv").unlink()
    monkeypatch.setattr(logs, "_kept", {})
    assert simbench(monkeypatch, capsys, "run", config, "--out", copied_run)[0] == 0
    events = list(read_logs(copied_run))
    assert [event["event"] for event in events[:3]] == ["begun", "kept", "made"]
    # the shuffles, and of two tasks two methods with their nulls
    assert (events[1]["stage"], events[1]["steps"]) == ("attribute", 9)
    assert events[2]["mended"] == ["oracle/ceilings.csv"]
    code, out, _ = simbench(monkeypatch, capsys, "log", copied_run)
    assert code == 0
    first, second, third = out.splitlines()
    assert first.endswith(f"Z  $ simbench run {config} --out {copied_run}")
    assert second.endswith("Z    attribute: 9 up to date")
    assert re.search(r"Z    oracle: 4 files, [\d.]+ s, \d+ MB at most; made again: oracle/ceilings\.csv$", third)


def test_a_line_that_is_cut_short_or_hostile_does_no_harm(copied_run, monkeypatch, capsys):
    (log,) = (copied_run / "logs").iterdir()
    event = {"time": "\x1b[31m", "event": "made", "stage": "[bold]", "files": ["[red]\x1b"], "mended": None}
    log.write_text(json.dumps(event) + "\n[1]\n" + "[" * 100_000 + '\n{"time": "2026')
    assert len(list(read_logs(copied_run))) == 1
    code, out, _ = simbench(monkeypatch, capsys, "log", copied_run)
    assert code == 0
    assert "\x1b" not in out
    log.unlink()
    with pytest.raises(InputError, match="has no log"):
        list(read_logs(copied_run))
