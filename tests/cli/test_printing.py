"""What is shown while a command works, and that printing never loses its product."""

import html
import io
import os
import shutil
import subprocess
import sys
import time

import pytest
from rich.console import Console

from helpers.program import simbench
from simbench_tf.cli import app
from simbench_tf.cli.progress import bars


def screen(**options):
    return Console(file=io.StringIO(), width=100, height=24, emoji=False, **options)


# progress


class Clock:
    """Stands in for the module `time` where times are told: it moves by what is slept here, on the busiest machine."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        time.sleep(seconds)  # the screen is drawn ten times per second


@pytest.fixture
def clock(monkeypatch):
    stand_in = Clock()
    monkeypatch.setattr("simbench_tf.cli.progress.time", stand_in)
    return stand_in


def test_of_many_bars_the_running_one_and_one_for_all_are_seen(clock):
    console = screen(force_terminal=True)
    with bars(console) as track:
        for number in range(40):
            with track(f"basset K562 method{number}", 7) as advance:
                advance(3)
                if number == 35:
                    console.file.truncate(0)
                    clock.sleep(0.4)
                    shown = console.file.getvalue()
    assert "method35" in shown
    assert "3/7" in shown
    assert "finished" in shown
    assert "35/?" in shown
    assert "method34" not in shown, "what is finished is a line above"
    lines = [line for line in console.file.getvalue().splitlines() if "method39: 0.0 s" in line]
    assert len(lines) == 1


def test_the_stages_of_a_run_have_one_bar(clock):
    console = screen(force_terminal=True)
    with bars(console, stages=["simulate", "train", "attribute", "score"]) as track:
        for description in ("simulate", "train basset", "basset K562 ism@none"):
            with track(description, 2):
                clock.sleep(0.3)
    shown = console.file.getvalue()
    assert all(f"{done}/4" in shown for done in (0, 1, 2))
    assert "all stages" in shown
    assert "train basset: 0.3 s" in shown


def test_away_from_a_terminal_a_run_prints_a_line_per_stage_with_its_time(clock):
    console = screen()
    with bars(console, stages=["simulate", "train", "attribute"]) as track:
        for description in ("simulate", "train basset", "train train", "train K562 ism@none", "train K562 saliency"):
            with track(description, 2) as advance:
                clock.sleep(0.11)
                advance(2)
    assert console.file.getvalue() == "simulate: 0.1 s\ntrain: 0.2 s\nattribute: 0.2 s\n"


def test_away_from_a_terminal_a_single_command_prints_nothing():
    console = screen()
    with bars(console) as track, track("score", 2) as advance:
        advance(2)
    assert console.file.getvalue() == ""


@pytest.mark.slow
def test_a_run_ends_with_the_answers_of_its_report(monkeypatch, capsys, tiny_config, tmp_path):
    code, out, err = simbench(monkeypatch, capsys, "run", tiny_config, "--out", tmp_path / "run")
    assert code == 0
    *lines, report = out.splitlines()
    assert report == f"report: {tmp_path / 'run' / 'report.html'}"
    page = " ".join(html.unescape((tmp_path / "run" / "report.html").read_text()).split())
    assert len(lines) == 3, "over both tasks, and on each"
    for line in lines:
        sentence = line.partition(" Its lead")[0].partition(" It speaks")[0]
        assert sentence in page
        assert "auROC" in line
    stages = [line.partition(":")[0] for line in err.splitlines() if line.endswith(" s")]
    assert stages == ["simulate", "train", "attribute", "oracle", "score"]


# printing


def test_paths_are_printed_as_they_are(monkeypatch, capsys, tiny_run, tmp_path):
    folder = tmp_path / "out[red]x[bold]" / ":dog:"
    code, out, _ = simbench(monkeypatch, capsys, "export-data", tiny_run, "--out", folder)
    assert code == 0
    assert out.splitlines()[0] == str(folder / "train.fa")


@pytest.mark.slow
def test_a_letter_that_the_output_cannot_show_loses_nothing(tiny_run, tmp_path):
    folder = tmp_path / "Ω out"
    command = [sys.executable, "-m", "simbench_tf.cli", "export-data", str(tiny_run), "--out", str(folder)]
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(command, capture_output=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.decode("latin-1").splitlines()[0] == f"{tmp_path}/\\u03a9 out/train.fa"
    assert (folder / "motifs.meme").is_file()
    command[4] = str(tmp_path / "β")
    ended = subprocess.run(command, capture_output=True, env=environment)
    assert ended.returncode == 2
    assert "\\u03b2" in ended.stderr.decode("latin-1")


@pytest.mark.slow
def test_a_reader_that_goes_away_loses_nothing(tiny_run, tmp_path):
    code = f"""
import sys
from simbench_tf.cli import main
sys.argv = ["simbench", "export-data", {str(tiny_run)!r}, "--out", {str(tmp_path / "data")!r}, "--format", "all"]
main()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
    assert (tmp_path / "data" / "paper.yaml").is_file()


def test_a_comparison_is_written_before_it_is_printed(monkeypatch, capsys, tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "copy")

    def fail(*_args, **_kwargs):
        assert (tmp_path / "c.html").is_file()
        raise RuntimeError("printing")

    monkeypatch.setattr(app.console, "print", fail)
    arguments = ["compare", tiny_run, tmp_path / "copy", "--out", tmp_path / "c.html"]
    assert simbench(monkeypatch, capsys, *arguments)[0] == 1
