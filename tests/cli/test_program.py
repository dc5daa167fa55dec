"""The command line: what each command prints, and that errors are one line with the right exit code."""

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
import tensorflow as tf
import typer

from helpers.folders import REPOSITORY
from helpers.program import simbench
from simbench_tf.cli import exchange, lists, stages
from simbench_tf.cli import program as cli
from simbench_tf.config import RECORDED_PACKAGES
from simbench_tf.dataset import open_dataset
from simbench_tf.genome import sources
from simbench_tf.interchange.attribution_readers import READERS
from simbench_tf.interchange.export_attributions import WRITERS as ATTRIBUTION_WRITERS
from simbench_tf.interchange.export_data import ALL, WRITERS
from simbench_tf.interchange.export_results import WRITERS as RESULT_WRITERS
from simbench_tf.stages.export import PLACES


def test_presets_are_listed_a_line_each(monkeypatch, capsys):
    code, out, _ = simbench(monkeypatch, capsys, "presets")
    assert code == 0
    lines = out.splitlines()
    assert any(line.startswith("demo  Two tasks") for line in lines)
    (at,) = (number for number, line in enumerate(lines) if line.startswith("five_lines  Five cell lines"))
    assert lines[at + 1].startswith("  five_lines:small  60,000 sequences")
    assert lines[at + 2].startswith("  five_lines:full  three trainings of each network")


def test_tab_completes_presets_and_their_variants(tmp_path):
    words = {"COMP_WORDS": "simbench run five_lines", "COMP_CWORD": "2", "_SIMBENCH_COMPLETE": "complete_bash"}
    program = Path(sys.executable).with_name("simbench")
    ran = subprocess.run([program], capture_output=True, text=True, env={**os.environ, **words}, cwd=tmp_path)
    assert ran.stdout.split() == ["five_lines", "five_lines:small", "five_lines:full"]


def test_the_short_help_is_the_help_and_commands_stand_in_groups(monkeypatch, capsys):
    for command in ((), ("score",)):
        short, long = (simbench(monkeypatch, capsys, *command, each) for each in ("-h", "--help"))
        assert short == long
        assert short[0] == 0
    _, out, _ = simbench(monkeypatch, capsys, "--help")
    groups = ["A run and its stages", "Configurations", "Look, and change nothing", "Other tools and other people"]
    assert all(group in out for group in groups)


def test_methods_are_listed_with_settings_and_references(monkeypatch, capsys):
    code, out, _ = simbench(monkeypatch, capsys, "methods")
    assert code == 0
    for name in ("ism", "saliency", "grad_x_input", "integrated_gradients"):
        assert name in out
    assert "n_steps" in out


def test_the_help_of_methods_shows_a_sweep(monkeypatch, capsys):
    _, out, _ = simbench(monkeypatch, capsys, "methods", "--help")
    shown = " ".join(out.split())
    assert '{method: integrated_gradients, references: [zeros, "shuffle:20"], n_steps: [5, 20]}' in shown
    assert "{architecture: basset, kernel_size: [7, 19], width: [0.5, 1]}" in shown


def test_doctor_shows_versions_and_devices(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = simbench(monkeypatch, capsys, "doctor")
    assert (code, err) == (0, "")
    shown = dict(line.strip().split(maxsplit=1) for line in out.splitlines())
    assert shown["python"] == platform.python_version()
    assert {name: shown[name] for name in RECORDED_PACKAGES} == {
        name: metadata.version(name) for name in RECORDED_PACKAGES
    }
    assert shown["cpu"].split() == ["cores", str(len(os.sched_getaffinity(0)))]
    assert shown["gpu"].startswith("none; ") == (not tf.config.list_physical_devices("GPU"))


def test_doctor_counts_cores_where_the_system_lists_none(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    code, out, _ = simbench(monkeypatch, capsys, "doctor")
    assert code == 0
    assert "7" in next(line for line in out.splitlines() if "cpu cores" in line).split()


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert simbench(monkeypatch, capsys, "--version")[:2] == (0, f"simbench {metadata.version('simbench_tf')}\n")


@pytest.mark.parametrize(("name", "code"), [("scipy", 1), ("tensorboard", 0)])
def test_doctor_says_what_is_missing_and_fails_where_it_is_needed(monkeypatch, capsys, name, code):
    def version(asked):
        if asked == name:
            raise metadata.PackageNotFoundError(asked)
        return "1.2.3"

    find_spec = importlib.util.find_spec
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == name else find_spec(module))
    ended, out, _ = simbench(monkeypatch, capsys, "doctor")
    (line,) = (line for line in out.splitlines() if line.split()[0] == name)
    assert "missing" in line
    assert "pip install" in line
    assert ended == code


COMMANDS = typer.main.get_command(cli.app).commands


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_what_each_of_its_options_is(monkeypatch, capsys, command):
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = simbench(monkeypatch, capsys, command, "--help")
    assert code == 0
    shown = words(out)
    assert words(COMMANDS[command].help.split("\n\n")[0]) in shown
    for parameter in COMMANDS[command].params:
        assert words(parameter.help or "") not in ("", "."), f"{parameter.name} is not explained"
        assert words(parameter.help) in shown
        assert set(parameter.opts) <= set(out.split()) or parameter.param_type_name == "argument"


def words(text):
    """Without frames, emphasis and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", re.sub(r"\[/?(bold)?\]", "", text)).split())


def test_every_command_of_the_design_is_there(monkeypatch, capsys):
    _, out, _ = simbench(monkeypatch, capsys, "--help")
    stages = ["run", "simulate", "fit", "train", "dynamics", "attribute", "oracle", "score", "report", "export"]
    for command in [*stages, "presets", "methods", "doctor"]:
        assert f" {command} " in out


def test_the_single_stages_rebuild_what_is_missing(monkeypatch, capsys, tiny_config, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    shutil.rmtree(run / "scores")
    shutil.rmtree(run / "oracle")
    (run / "report.html").unlink()
    for stage in ("train", "attribute", "oracle", "score", "report"):
        code, _, err = simbench(monkeypatch, capsys, stage, run)
        assert code == 0
        assert all(line.endswith("is missing; it is made again") for line in err.splitlines())
    assert (run / "report.html").read_bytes() == (tiny_run / "report.html").read_bytes()
    code, out, _ = simbench(monkeypatch, capsys, "simulate", tiny_config, "--out", run)
    assert code == 0
    assert "dataset" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "dmo", "--out", "x"], "dmo: is neither a file nor a preset; did you mean 'demo'"),
        (["simulate", "five_lines:ful", "--out", "x"], "'ful' is no variant of it; did you mean 'full'"),
        (["run", "rules:full", "--out", "x"], "rules:full: 'full' is no variant of it, it has none"),
        (["run", "demo", "--out", "x", "--set", "sed=1"], "unknown key 'sed'; did you mean 'seed'"),
        (["run", "demo", "--out", "x", "--set", "attribution.methods.0.method=izm"], "ism"),
        (["train", "nowhere"], "nowhere: is not a run"),
        (["simulate", "demo", "--out", "x", "--dask", "tcp://127.0.0.1:9"], "no scheduler answers"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    if "--dask" in arguments:
        monkeypatch.setattr("simbench_tf.parallel.SCHEDULER_TIMEOUT", "1s")
    code, out, err = simbench(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir()), "nothing half-written stays"


@pytest.mark.slow
def test_exports_to_a_folder_to_a_group_and_with_weights_elsewhere(monkeypatch, capsys, tiny_run, tmp_path):
    code, out, _ = simbench(monkeypatch, capsys, "export", tiny_run, "--out", tmp_path / "one", "--float16")
    assert code == 0
    assert out.startswith(f"entry: {tmp_path / 'one'}, no prediction changed by more than 0.0")
    assert (tmp_path / "one" / "model_files" / "model.keras").is_file()
    url = "https://example.org/weights"
    code, out, _ = simbench(monkeypatch, capsys, "export", tiny_run, "--out", tmp_path / "two", "--url", url)
    assert code == 0
    assert f"upload: {tmp_path / 'two'}" in out
    assert url in (tmp_path / "two" / "model.yaml").read_text()
    code, _, err = simbench(monkeypatch, capsys, "export", tiny_run, "--group")
    assert code == 2
    assert "--out" in err
    code, _, _ = simbench(monkeypatch, capsys, "export", tiny_run, "--group", "--out", tmp_path / "group")
    assert code == 0
    assert (tmp_path / "group" / "models.tsv").read_text().splitlines()[1].startswith("basset")


def test_commands_of_the_page_on_sharing_have_the_options_that_it_names():
    page = (REPOSITORY / "docs" / "sharing.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^ *simbench (.+)$", page, re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        name, *arguments = shlex.split(command)
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {each for each in arguments if each.startswith("--")} <= known, command


@pytest.mark.slow
def test_a_run_is_exported_to_where_models_are_shared(monkeypatch, capsys, copied_run):
    who = ["--author", "Lovelace, Ada @ada", "--doi", "10.5281/zenodo.123", "--license", "CC-BY-4.0"]
    for place, file in (("huggingface", "README.md"), ("zenodo", "CITATION.cff")):
        code, out, _ = simbench(monkeypatch, capsys, "export", copied_run, "--to", place, *who)
        folder = copied_run / place / "basset"
        assert (code, out) == (0, f"folder: {folder}\n")
        text = (folder / file).read_text(encoding="utf-8")
        assert all(
            told in text for told in ("Lovelace", "10.5281/zenodo.123", "cc-by-4.0" if file == "README.md" else "CC-BY")
        )
    assert simbench(monkeypatch, capsys, "verify", copied_run)[0] == 0, "the manifest knows the files"
    code, out, _ = simbench(monkeypatch, capsys, "export", copied_run)
    assert code == 0
    code, out, _ = simbench(monkeypatch, capsys, "export", copied_run, "--check")
    assert code == 1
    assert f"must be mended: {copied_run / 'kipoi' / 'basset' / 'model.yaml'}: info.authors names nobody" in out
    for option in (["--url", "https://a.org"], ["--group", "--out", "x"]):
        code, _, err = simbench(monkeypatch, capsys, "export", copied_run, "--to", "zenodo", *option)
        assert code == 2
        assert "is of Kipoi entries; add --to kipoi" in err
    code, _, err = simbench(monkeypatch, capsys, "export", copied_run, "--to", "hugingface")
    assert code == 2
    assert "did you mean 'huggingface'" in words(err)


def test_a_warning_is_one_line(monkeypatch, capsys, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("simulation: {kind: grammar, n_sequences: 20, elements: [{motif: SOX2, enriched: {H1: .4}}]}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = simbench(monkeypatch, capsys, "simulate", config, "--out", tmp_path / "run")
    assert code == 0
    (line,) = (line for line in err.splitlines() if "H1" in line)
    assert line.startswith("warning: elements.0.enriched names 'H1', which is no task; that rate is ignored")


def test_a_variant_is_simulated(monkeypatch, capsys, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("simulation: {kind: grammar, n_sequences: 20}\nvariants: {less: {simulation: {n_sequences: 10}}}")
    assert simbench(monkeypatch, capsys, "simulate", f"{config}:less", "--out", tmp_path / "run")[0] == 0
    assert sum(open_dataset(tmp_path / "run" / "dataset").counts.values()) == 10


def test_usage_errors_end_with_2(monkeypatch, capsys):
    assert simbench(monkeypatch, capsys, "run", "demo")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "example"),
    [(("run",), "simbench run demo --out runs/demo"), (("run", "demo"), "simbench run demo --out runs/demo"),
     (("score",), "simbench score runs/demo")],
)  # fmt: skip
def test_who_leaves_something_out_is_shown_an_example(monkeypatch, capsys, arguments, example):
    code, _, err = simbench(monkeypatch, capsys, *arguments)
    assert code == 2
    assert example in " ".join(re.sub("[│╭╮╰╯─]", " ", err).split())


def test_a_fault_is_one_line_and_exit_code_1_and_debug_shows_where(monkeypatch, capsys):
    def fault():
        raise RuntimeError("of its own\nmaking")

    monkeypatch.setattr(lists, "presets", fault)
    code, _, err = simbench(monkeypatch, capsys, "presets")
    assert code == 1
    assert err == "fault: RuntimeError: of its own making; --debug shows where\n"
    code, _, err = simbench(monkeypatch, capsys, "presets", "--debug")
    assert code == 1
    assert "Traceback" in err


def test_variants_scores_a_keras_file(monkeypatch, capsys, tmp_path):
    import keras

    flat = [keras.Input((4, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid", kernel_initializer="ones")]
    keras.Sequential(flat).save(tmp_path / "m.keras")
    (tmp_path / "g.fa").write_text(">chr1\nACGRACGT\n")
    (tmp_path / "in.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t4\t.\tA\tN\t.\t.\t.\n")
    options = ["--vcf", tmp_path / "in.vcf", "--fasta", tmp_path / "g.fa", "--out", tmp_path / "o.tsv"]
    code, out, _ = simbench(monkeypatch, capsys, "variants", tmp_path / "m.keras", *options)
    assert (code, out) == (0, f"{tmp_path}/o.tsv: 1 alleles of 1 records\n")
    # each known base of the window adds 1 to the logit: four of them, and three without the one that is N
    head, values = (tmp_path / "o.tsv").read_text().splitlines()
    row = dict(zip(head.split("\t"), values.split("\t"), strict=True))
    assert float(row["0_logit_diff"]) == pytest.approx(-1, abs=1e-5)
    assert float(row["0_ref"]) == pytest.approx(1 / (1 + 2.718281828**-4), abs=1e-6)
    code, _, err = simbench(monkeypatch, capsys, "variants", tmp_path / "none.keras", *options)
    assert code == 2
    assert "none.keras: no such model file; check the path" in err


def test_quiet_says_nothing_but_what_was_asked_for(copied_run, monkeypatch, capsys):
    config = copied_run / "config.yaml"
    for options, told in (((), True), (("-q",), False), (("--quiet",), False)):
        (copied_run / "scores" / "motif_recall.csv").unlink()
        code, out, err = simbench(monkeypatch, capsys, *options, "run", config, "--out", copied_run, "--overwrite")
        assert code == 0
        assert out.endswith(f"report: {copied_run / 'report.html'}\n")
        assert ("score: " in err) == told, "the seconds of the stage"
    assert simbench(monkeypatch, capsys, "-q", "show", "dmo")[2].startswith("error: dmo: is neither")


def test_verbose_names_every_step_and_the_log_file_holds_all(tiny_run, tmp_path, monkeypatch, capsys):
    config, log = tiny_run / "config.yaml", tmp_path / "a.log"
    _, _, err = simbench(monkeypatch, capsys, "run", config, "--out", tiny_run, "--log-file", log)
    assert "up to date" not in err
    _, _, err = simbench(monkeypatch, capsys, "run", "-v", config, "--out", tiny_run)
    assert {"up to date: attribute", "up to date: score"} <= set(err.splitlines())
    code, _, said = simbench(monkeypatch, capsys, "show", f"--log-file={log}", "dmo")
    lines = [line.split(" ", 2)[2] for line in log.read_text().splitlines()]
    assert code == 2
    assert lines[0] == f"INFO $ simbench run {config} --out {tiny_run}"
    assert "DEBUG up to date: attribute" in lines
    assert lines[-1] == f"ERROR {said.rstrip()}"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--log-file",), "error: --log-file: names no file; write --log-file FILE\n"),
        (("-q", "--verbose"), "error: --quiet: and --verbose cannot both be; leave one of them out\n"),
        (
            ("--log-file", "no/a.log"),
            "error: no/a.log: cannot be written: No such file or directory; name another file\n",
        ),
    ],
)
def test_options_of_every_command_that_cannot_be_are_one_line(monkeypatch, capsys, options, line):
    assert simbench(monkeypatch, capsys, "presets", *options) == (2, "", line)


def test_formats_that_the_help_names_are_those_that_there_are():
    assert (*WRITERS, ALL) == exchange.DATA_FORMATS
    assert tuple(ATTRIBUTION_WRITERS) == exchange.ATTRIBUTION_FORMATS
    assert tuple(RESULT_WRITERS) == exchange.RESULT_FORMATS
    assert exchange.DATA_FOLDER == sources.DATA_FOLDER
    assert exchange.PLACES == PLACES
    options = typer.main.get_command(stages.app).commands["score"].params
    (attributions,) = (each.help for each in options if each.name == "attributions")
    assert attributions.endswith(f": {', '.join(READERS)}.")
