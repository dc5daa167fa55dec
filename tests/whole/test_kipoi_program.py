"""What the real `kipoi` program does with an entry that this package wrote."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from Bio import bgzf

from helpers.folders import REPOSITORY
from simbench_tf.dna import one_hot, reverse_complement
from simbench_tf.export import EntryInfo, GroupMember, export_kipoi, export_kipoi_group, publish
from simbench_tf.models import basset

pytestmark = pytest.mark.slow

LENGTH = 200
TASKS = ["HepG2", "K562"]
BIN = Path(sys.executable).parent
#: TensorFlow's own note at every start, which is no warning of the entry's.
ABSL_NOTE = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.strip().splitlines()[-1]

    @property
    def warnings(self) -> list[str]:
        lines = (self.out + self.err).splitlines()
        return [line for line in lines if "WARNING" in line and line != ABSL_NOTE]


Kipoi = Callable[..., Ran]


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """An empty home, so that kipoi's settings and downloads touch nothing of the user's."""
    return {**os.environ, "HOME": str(tmp_path_factory.mktemp("home")), "TF_CPP_MIN_LOG_LEVEL": "2"}


@pytest.fixture(scope="session")
def kipoi(environment, tmp_path_factory):
    """Run ``kipoi ARGUMENTS`` in a folder."""
    outputs = tmp_path_factory.mktemp("outputs")
    script = REPOSITORY / "tests" / "helpers" / "kipoi_forks.py"
    log = (outputs / "forks.log").open("w")
    forks = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
    )

    def run(*arguments: str | Path, folder: Path = outputs) -> Ran:
        output = outputs / "command"
        command = {"arguments": [*map(str, arguments)], "folder": str(folder), "output": str(output)}
        forks.stdin.write(json.dumps(command) + "\n")
        forks.stdin.flush()
        code = int(forks.stdout.readline())
        return Ran(code, *(output.with_suffix(suffix).read_text() for suffix in (".out", ".err")))

    yield run
    forks.stdin.close()
    forks.wait(20)
    forks.stdout.close()
    log.close()


@pytest.fixture(scope="session")
def sequences() -> list[str]:
    return ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (12, LENGTH))]


@pytest.fixture(scope="session")
def model():
    """A small Basset whose answers differ from one sequence to the next by more than rounding."""
    network = basset(seq_length=LENGTH, n_tasks=2, width=0.03, seed=1)
    logits = network.get_layer("logits")
    logits.set_weights([weight * 5 for weight in logits.get_weights()])
    return network


@pytest.fixture(scope="session")
def zoo(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="session")
def entry(zoo, model, sequences) -> Path:
    info = EntryInfo(doc="A small Basset.", authors=("A. Author", "B. Author"), training_procedure="none")
    return export_kipoi(model, zoo / "toy", task_names=TASKS, sequences=sequences, info=info).folder


@pytest.fixture(scope="session")
def group(zoo, entry, model, sequences) -> Path:
    variants = {
        "two_tasks": GroupMember(model, TASKS, "Two tasks: the model's doc # one."),
        "one_task": GroupMember(basset(seq_length=LENGTH, n_tasks=1, width=0.02, seed=2), ["H1"], "One task."),
    }
    info = EntryInfo(doc="A group.", trained_on="nothing: they are <untrained> & 'small'")
    return export_kipoi_group(variants, zoo / "Simbench" / "lines", sequences=sequences, info=info).folder


@pytest.fixture
def genome(tmp_path) -> Path:
    """Two chromosomes with N, lower case and a last interval that ends where its chromosome ends."""
    letters = np.random.default_rng(5).choice(list("ACGT"), 1000)
    letters[250:260] = list("NNNNNNRYNN")
    chr1 = "".join(letters)
    path = tmp_path / "genome.fa"
    lines = [chr1[first : first + 50] for first in range(0, 1000, 50)]
    path.write_text("\n".join([">chr1 a description", *lines, ">chr2", chr1[:600].lower()]) + "\n")
    return path


def sequence_of(genome: Path, chrom: str, start: int, end: int) -> str:
    blocks = genome.read_text().split(">")[1:]
    chromosomes = {block.split()[0]: "".join(block.splitlines()[1:]) for block in blocks}
    return chromosomes[chrom][start:end]


def arguments_of(fasta: Path, bed: Path, **more) -> str:
    return json.dumps({"fasta_file": str(fasta), "intervals_file": str(bed), **more})


def bed_of(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "intervals.bed"
    path.write_text("".join(line.replace(" ", "\t") + "\n" for line in lines))
    return path


INTERVALS = ["chr1 0 200 first 0 +", "chr2 400 600 second 0 -", "chr1 150 350 third 0 .", "chr1 800 1000 last 0 -"]


# test


def test_the_installed_program_tests_the_entry_where_it_lies(entry, environment):
    """The way the README tells it, without any help of ours."""
    ran = subprocess.run(
        [BIN / "kipoi", "test", ".", "--source=dir"], cwd=entry, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Successfully ran test_predict" in ran.stdout.splitlines()[-1]
    assert not Ran(0, ran.stdout, ran.stderr).warnings


def test_expected_predictions_are_met_and_a_wrong_one_is_found(kipoi, entry, tmp_path):
    expected = entry / "example_files" / "predictions.h5"
    ran = kipoi("test", entry, "--source=dir", "-e", expected)
    assert ran.code == 0, ran.err
    assert "Successfully ran test_predict" in ran.last_line
    assert "All predictions match" in ran.out
    assert not ran.warnings
    wrong = tmp_path / "wrong.h5"
    shutil.copyfile(expected, wrong)
    with h5py.File(wrong, "r+") as h5:
        h5["preds"][2, 1] += 0.01
    ran = kipoi("test", entry, "--source=dir", "-e", wrong)
    assert ran.code == 1
    assert "Model predictions don't match the expected predictions" in ran.out


def moved_to_the_web(uploads, web):
    web.mkdir()
    for upload in uploads:
        assert upload.url.startswith(web.as_uri())
        shutil.move(upload.path, web / upload.url.rpartition("/")[2])


def test_everything_by_url_and_md5(kipoi, entry, tmp_path):
    """Weights, example and expected predictions: nothing but descriptions and code stays in the entry."""
    copy = shutil.copytree(entry, tmp_path / "published")
    moved_to_the_web(publish(copy, tmp_path.as_uri() + "/web/"), tmp_path / "web")
    assert sorted(path.name for path in (tmp_path / "web").iterdir()) == [
        "published-genome.fa",
        "published-intervals.bed",
        "published-predictions.h5",
        "published.keras",
    ]
    assert sorted(path.name for path in copy.rglob("*") if path.is_file() and path.suffix != ".fai") == [
        "dataloader.py",
        "dataloader.yaml",
        "model.py",
        "model.yaml",
    ]
    ran = kipoi("test", copy, "--source=dir")
    assert ran.code == 0, ran.err
    assert "All predictions match" in ran.out
    assert "Successfully ran test_predict" in ran.last_line
    assert not ran.warnings
    # a prediction that is not the expected one is found, of its own accord
    shutil.rmtree(copy / "downloaded")
    with h5py.File(tmp_path / "web" / "published-predictions.h5", "r+") as h5:
        h5["preds"][2, 1] += 0.01
    description = yaml.safe_load((copy / "model.yaml").read_text())
    changed = hashlib.md5((tmp_path / "web" / "published-predictions.h5").read_bytes(), usedforsecurity=False)
    description["test"]["expect"]["md5"] = changed.hexdigest()
    (copy / "model.yaml").write_text(yaml.safe_dump(description))
    ran = kipoi("test", copy, "--source=dir")
    assert ran.code == 1
    assert "Model predictions don't match the expected predictions" in ran.out
    shutil.rmtree(copy / "downloaded")
    (tmp_path / "web" / "published.keras").write_bytes(b"something else")
    assert kipoi("test", copy, "--source=dir").code == 1


def test_models_of_a_group(kipoi, group, zoo, tmp_path):
    for name in ("two_tasks", "one_task"):
        expected = group / "example_files" / f"{name}.h5"
        ran = kipoi("test", f"Simbench/lines/{name}", "--source=dir", "-e", expected, folder=zoo)
        assert ran.code == 0, ran.err
        assert "All predictions match" in ran.out
        assert not ran.warnings
    copy = shutil.copytree(group, tmp_path / "zoo" / "lines")
    moved_to_the_web(publish(copy, (tmp_path / "web").as_uri()), tmp_path / "web")
    assert sorted(path.name for path in (tmp_path / "web").iterdir()) == [
        "lines-genome.fa",
        "lines-intervals.bed",
        "lines-one_task-predictions.h5",
        "lines-one_task.keras",
        "lines-two_tasks-predictions.h5",
        "lines-two_tasks.keras",
    ]
    ran = kipoi("test", "lines/one_task", "--source=dir", folder=tmp_path / "zoo")
    assert ran.code == 0, ran.err
    assert "All predictions match" in ran.out
    assert not ran.warnings


MODEL_ZOO = REPOSITORY / "model_zoo"
TRAINED = sorted(path.name for path in MODEL_ZOO.iterdir() if path.is_dir())


def test_there_are_trained_entries():
    assert {"five_lines_basset", "five_lines_beluga"} <= set(TRAINED)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_entries_of_the_model_zoo(kipoi, tmp_path, name):
    """They give what is expected of them, load sequences of their own, and tell labels apart."""
    trained = shutil.copytree(MODEL_ZOO / name, tmp_path / name)
    ran = kipoi("test", trained, "--source=dir", "-e", trained / "example_files" / "predictions.h5")
    assert ran.code == 0, ran.err
    assert "All predictions match" in ran.out
    assert not ran.warnings
    arguments = arguments_of(trained / "example_files" / "genome.fa", trained / "example_files" / "intervals.bed")
    ran = kipoi("predict", trained, "--source=dir", f"--dataloader_args={arguments}", "-o", tmp_path / "out.tsv")
    assert ran.code == 0, ran.err
    predictions = pd.read_csv(tmp_path / "out.tsv", sep="\t").filter(like="preds").to_numpy()
    assert predictions.shape[1] == 5
    with h5py.File(trained / "example_files" / "predictions.h5") as h5:
        np.testing.assert_allclose(predictions, h5["preds"][:], atol=1e-3)
    assert np.ptp(predictions, axis=0).min() > 0.05


def test_test_source_over_a_zoo(entry, group, zoo, environment, tmp_path):
    """With a stand-in for conda, whose only environment is the one these tests run in; trained entries among them."""
    for name in TRAINED:
        shutil.copytree(MODEL_ZOO / name, zoo / name)
    n_models = 3 + len(TRAINED)
    (tmp_path / "tested").symlink_to(BIN.parent)
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(f"#!/bin/sh\necho '{json.dumps({'envs': [str(tmp_path / 'tested')]})}'\n")
    conda.chmod(0o755)
    settings = Path(environment["HOME"]) / ".kipoi" / "config.yaml"
    settings.parent.mkdir(exist_ok=True)
    before = settings.read_text() if settings.exists() else None
    settings.write_text(yaml.safe_dump({"model_sources": {"zoo": {"type": "local", "local_path": str(zoo)}}}))
    shared = zoo / "shared" / "envs"
    shared.mkdir(parents=True)
    (shared / "models.yaml").write_text(yaml.safe_dump({"tested": ["toy", "Simbench", *TRAINED]}))
    try:
        ran = subprocess.run(
            [BIN / "kipoi", "test-source", "zoo", "--all", "--common_env"],
            env={**environment, "PATH": f"{conda.parent}:{environment['PATH']}"}, capture_output=True, text=True,
        )  # fmt: skip
    finally:
        for name in ["shared", *TRAINED]:
            shutil.rmtree(zoo / name)
        settings.unlink()
        if before is not None:
            settings.write_text(before)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"All tests ({n_models}) passed" in ran.stdout.splitlines()[-1]
    assert ran.stdout.count("Successfully ran test_predict") == n_models


# predict, preproc, info, get-example


def test_predictions_to_every_format_are_one_row_an_interval_in_order(kipoi, entry, model, genome, tmp_path):
    bed = bed_of(tmp_path, "track name=x", "# a comment", *INTERVALS[:2], "", *INTERVALS[2:])
    outputs = [tmp_path / f"o.{suffix}" for suffix in ("tsv", "h5", "parquet")]
    ran = kipoi(
        "predict", entry, "--source=dir", f"--dataloader_args={arguments_of(genome, bed)}", "--num_workers", "2",
        "--batch_size", "3", "-k", "-m", "-o", *outputs[1:],
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "Done! Predictions stored in" in ran.last_line
    assert not ran.warnings
    ran = kipoi(
        "predict", entry, "--source=dir", f"--dataloader_args={arguments_of(genome, bed)}", "-m", "-o", outputs[0]
    )
    assert ran.code == 0, ran.err
    texts = [
        sequence_of(genome, *(int(part) if part.isdigit() else part for part in line.split()[:3])) for line in INTERVALS
    ]
    strands = [line.split()[5] for line in INTERVALS]
    x = one_hot(
        [reverse_complement(text) if strand == "-" else text for text, strand in zip(texts, strands, strict=True)]
    )
    expected = model.predict(x, verbose=0)
    assert np.ptp(expected, axis=0).min() > 1e-3
    table = pd.read_csv(outputs[0], sep="\t")
    np.testing.assert_allclose(table[["preds/0", "preds/1"]], expected, atol=1e-6)
    assert table["metadata/ranges/chr"].tolist() == ["chr1", "chr2", "chr1", "chr1"]
    assert table["metadata/ranges/start"].tolist() == [0, 400, 150, 800]
    assert table["metadata/ranges/id"].tolist() == ["first", "second", "third", "last"]
    assert table["metadata/ranges/strand"].tolist() == strands
    parquet = pd.read_parquet(outputs[2])
    np.testing.assert_allclose(parquet[["preds/0", "preds/1"]], expected, atol=1e-6)
    assert parquet["metadata/ranges/end"].tolist() == [200, 600, 350, 1000]
    with h5py.File(outputs[1]) as h5:
        np.testing.assert_array_equal(h5["inputs"][:], x)
        np.testing.assert_allclose(h5["preds"][:], expected, atol=1e-6)
        assert h5["metadata/ranges/chr"].asstr()[:].tolist() == ["chr1", "chr2", "chr1", "chr1"]
    # N and other ambiguity codes are rows of zeros, here bases 250 to 260
    assert not x[2, 100:110].any()
    assert x[2].sum() == 190


def test_preproc_gives_the_inputs_that_the_expected_predictions_were_made_from(kipoi, entry, tmp_path):
    """The expect check replays stored inputs; this one goes through the data loader."""
    example = entry / "example_files"
    arguments = arguments_of(example / "genome.fa", example / "intervals.bed")
    ran = kipoi("preproc", entry, "--source=dir", f"--dataloader_args={arguments}", "-m", "-o", tmp_path / "p.h5")
    assert ran.code == 0, ran.err
    assert "Done!" in ran.last_line
    with h5py.File(tmp_path / "p.h5") as made, h5py.File(example / "predictions.h5") as expected:
        np.testing.assert_array_equal(made["inputs"][:], expected["inputs"][:])
        for name in ("chr", "start", "end", "id", "strand"):
            assert made[f"metadata/ranges/{name}"][:].tolist() == expected[f"metadata/ranges/{name}"][:].tolist()


def test_info_and_get_example(kipoi, entry, tmp_path):
    ran = kipoi("info", entry, "--source=dir")
    assert ran.code == 0, ran.err
    for words in ("A small Basset.", "B. Author", "fasta_file:", "intervals_file:", "resize:"):
        assert words in ran.out


@pytest.mark.parametrize("published", [False, True])
def test_the_arguments_of_get_example_work_wherever_one_stands(kipoi, entry, tmp_path, published):
    copy = shutil.copytree(entry, tmp_path / "toy")
    if published:
        moved_to_the_web(publish(copy, (tmp_path / "web").as_uri()), tmp_path / "web")
    (tmp_path / "here").mkdir()
    ran = kipoi("get-example", copy, "--source=dir", "-o", "example", folder=tmp_path / "here")
    assert ran.code == 0, ran.err
    arguments = ran.last_line
    downloaded = sorted(path.name for path in (tmp_path / "here").rglob("*") if path.is_file())
    assert downloaded == (["genome.fa", "intervals.bed"] if published else [])
    output = tmp_path / "o.tsv"
    ran = kipoi(
        "predict", copy, "--source=dir", f"--dataloader_args={arguments}", "-o", output, folder=tmp_path / "here"
    )
    assert ran.code == 0, ran.err
    with h5py.File(entry / "example_files" / "predictions.h5") as h5:
        np.testing.assert_allclose(
            pd.read_csv(output, sep="\t")[["preds/0", "preds/1"]], h5["preds"][:], atol=1e-5, rtol=0
        )


def test_a_script_that_predicts_prints_no_warning_of_autograph(entry, environment, tmp_path):
    code = """
        import sys, kipoi
        arguments = {"fasta_file": "example_files/genome.fa", "intervals_file": "example_files/intervals.bed"}
        print(kipoi.get_model(sys.argv[1], source="dir").pipeline.predict(arguments).shape)
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    ran = subprocess.run([sys.executable, script, entry], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "(8, 2)"), ran.stderr
    assert "AutoGraph" not in ran.stderr
    assert not Ran(0, ran.stdout, ran.stderr).warnings


def test_activations_of_a_layer(kipoi, entry, model, genome, tmp_path):
    arguments = arguments_of(genome, bed_of(tmp_path, *INTERVALS[:1]))
    x = one_hot(sequence_of(genome, "chr1", 0, 200))
    for layer in ("dense1_relu", str([known.name for known in model.layers].index("dense1_relu"))):
        output = tmp_path / f"{layer}.h5"
        ran = kipoi("predict", entry, "--source=dir", f"--dataloader_args={arguments}", "-l", layer, "-o", output)
        assert ran.code == 0, ran.err
        assert "Warning" not in ran.err
        activations = keras.Model(model.inputs[0], model.get_layer("dense1_relu").output)(x, training=False)
        with h5py.File(output) as h5:
            np.testing.assert_allclose(h5["preds"][:], activations, atol=1e-6)


def test_a_bgzip_genome_and_a_gzipped_bed_in_a_read_only_folder(kipoi, entry, genome, tmp_path):
    folder = tmp_path / "read_only"
    folder.mkdir()
    with bgzf.BgzfWriter(folder / "genome.fa.gz") as packed:
        packed.write(genome.read_bytes())
    shutil.copyfile(genome, folder / "plain.fa")
    bed = bed_of(tmp_path, *INTERVALS)
    (folder / "intervals.bed.gz").write_bytes(gzip.compress(bed.read_bytes()))
    folder.chmod(0o555)
    try:
        for name in ("plain.fa", "genome.fa.gz"):
            arguments = arguments_of(folder / name, folder / "intervals.bed.gz")
            output = tmp_path / f"{name}.tsv"
            ran = kipoi(
                "predict", entry, "--source=dir", f"--dataloader_args={arguments}", "-n", "2", "--batch_size", "1",
                "-o", output,
            )  # fmt: skip
            assert ran.code == 0, ran.err
            assert len(pd.read_csv(output, sep="\t")) == 4
        assert sorted(path.name for path in folder.iterdir()) == ["genome.fa.gz", "intervals.bed.gz", "plain.fa"]
    finally:
        folder.chmod(0o755)
    plain, packed = (pd.read_csv(tmp_path / f"{name}.tsv", sep="\t") for name in ("plain.fa", "genome.fa.gz"))
    pd.testing.assert_frame_equal(plain, packed)


# bad input


BAD_INTERVALS = [
    ("chr1 900 1100", "end 1100 is past the end of chr1, which has 1000 bases"),
    ("chr1 -10 190", "start -10 is negative"),
    ("chr3 0 200", "unknown chromosome 'chr3'"),
    ("chr1 300 300", "start 300 is not below end 300"),
    ("chr1 0 two", "start and end must be whole numbers, not 'two'"),
    ("chr1 0 200 x 0 forward", "strand must be +, - or a dot, not 'forward'"),
    ("chr1 0 300", 'the interval has 300 bases, the model takes 200; give "resize": true'),
]


@pytest.mark.parametrize(("line", "reason"), BAD_INTERVALS)
def test_a_bad_interval_is_told_by_file_and_line_and_nothing_is_written(kipoi, entry, genome, tmp_path, line, reason):
    bed = bed_of(tmp_path, *INTERVALS, line)
    _fails(kipoi, entry, arguments_of(genome, bed), tmp_path, f"ValueError: {bed}:5: {reason}")


def test_an_empty_or_space_separated_bed(kipoi, entry, genome, tmp_path):
    bed = tmp_path / "intervals.bed"
    bed.write_text("# nothing\n")
    _fails(kipoi, entry, arguments_of(genome, bed), tmp_path, f"ValueError: {bed}:1: the file holds no interval")
    bed.write_text("chr1 0 200\n")
    told = f"ValueError: {bed}:1: needs chrom, start and end with tabs between them, has 1 column(s): 'chr1 0 200'"
    _fails(kipoi, entry, arguments_of(genome, bed), tmp_path, told)


def test_a_byte_order_mark_is_dropped_and_what_is_no_utf8_is_refused(kipoi, entry, genome, tmp_path):
    bed = bed_of(tmp_path, "chr1 0 200 é")
    bed.write_bytes(b"\xef\xbb\xbf" + bed.read_bytes())
    output = tmp_path / "marked.tsv"
    ran = kipoi("predict", entry, "--source=dir", f"--dataloader_args={arguments_of(genome, bed)}", "-m", "-o", output)
    assert ran.code == 0, ran.err
    table = pd.read_csv(output, sep="\t")
    assert table[["metadata/ranges/chr", "metadata/ranges/id"]].to_numpy().tolist() == [["chr1", "é"]]
    bed.write_text("chr1\t0\t200\té\n", encoding="latin-1")
    _fails(kipoi, entry, arguments_of(genome, bed), tmp_path, f"ValueError: {bed}: is no UTF-8 text: ")


def test_missing_and_damaged_files(kipoi, entry, genome, tmp_path):
    bed = bed_of(tmp_path, *INTERVALS)
    gone = tmp_path / "gone"
    told = "FileNotFoundError: {}: no such file: " + str(gone)
    _fails(kipoi, entry, arguments_of(gone, bed), tmp_path, told.format("fasta_file"))
    _fails(kipoi, entry, arguments_of(genome, gone), tmp_path, told.format("intervals_file"))
    packed = tmp_path / "genome.fa.gz"
    packed.write_bytes(gzip.compress(genome.read_bytes()))
    told = f"ValueError: fasta_file: {packed} is no FASTA file that can be indexed"
    _fails(kipoi, entry, arguments_of(packed, bed), tmp_path, told)


def test_resize_takes_the_middle_and_is_parsed_as_true_or_false(kipoi, entry, genome, tmp_path):
    bed = bed_of(tmp_path, "chr1 300 700", "chr1 499 500")
    for value in (True, "True"):
        output = tmp_path / f"{value!r}.tsv"
        arguments = f"--dataloader_args={arguments_of(genome, bed, resize=value)}"
        ran = kipoi("predict", entry, "--source=dir", arguments, "-m", "-o", output)
        assert ran.code == 0, ran.err
        table = pd.read_csv(output, sep="\t")
        assert table["metadata/ranges/start"].tolist() == [400, 399]
        assert table["metadata/ranges/end"].tolist() == [600, 599]
    for value in (False, "False"):
        arguments = arguments_of(genome, bed, resize=value)
        _fails(kipoi, entry, arguments, tmp_path, f"ValueError: {bed}:1: the interval has 400 bases")
    arguments = arguments_of(genome, bed, resize="maybe")
    _fails(kipoi, entry, arguments, tmp_path, "ValueError: resize: must be true or false, not 'maybe'")
    edge = bed_of(tmp_path, "chr1 0 100")
    arguments = arguments_of(genome, edge, resize=True)
    _fails(kipoi, entry, arguments, tmp_path, f"ValueError: {edge}:1: start -50 is negative")


def _fails(kipoi: Kipoi, entry: Path, arguments: str, tmp_path: Path, told: str) -> None:
    outputs = [tmp_path / name for name in ("fails.tsv", "fails.h5", "fails.parquet")]
    ran = kipoi("predict", entry, "--source=dir", f"--dataloader_args={arguments}", "-o", *outputs)
    assert ran.code == 1
    assert told in ran.err.strip().splitlines()[-1]
    assert not [path for path in outputs if path.exists()]


# in Python


def in_python(code: str, folder: Path, environment: dict[str, str], *arguments: str | Path) -> str:
    """Run a script in a process of its own; what it prints."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    ran = subprocess.run(
        [sys.executable, script, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_predictions_gradients_and_activations_equal_those_of_the_network(entry, environment, tmp_path):
    code = """
    import sys
    import keras, kipoi, numpy as np, tensorflow as tf
    from simbench_tf.dna import one_hot
    entry = sys.argv[1]
    loaded = kipoi.get_model(entry, source="dir")
    network = keras.saving.load_model(entry + "/model_files/model.keras", compile=False)
    x = one_hot(np.random.default_rng(1).integers(0, 5, (6, 200)).astype(np.uint8))
    np.testing.assert_allclose(loaded.predict_on_batch(x), network.predict(x, verbose=0), atol=1e-6)

    def gradient(of, end):
        part, tensor = keras.Model(network.inputs[0], end), tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = of(part(tensor, training=False))
        return tape.gradient(value, tensor).numpy()

    output, logits = network.output, network.get_layer("logits").output
    conv = network.get_layer("conv1_relu").output
    cases = [
        (dict(filter_idx=1), gradient(lambda y: y[:, 1], output)),
        (dict(avg_func="sum"), gradient(lambda y: y, output)),
        (dict(filter_idx=0, pre_nonlinearity=True), gradient(lambda y: y[:, 0], logits)),
        (dict(layer="logits", final_layer=False, filter_idx=slice(0, 2), avg_func="max"),
         gradient(lambda y: tf.reduce_max(y, axis=1), logits)),
        (dict(layer="conv1_relu", final_layer=False, filter_idx=(slice(None), slice(None), 3)),
         gradient(lambda y: y[:, :, 3], conv)),
        (dict(layer="conv1_relu", final_layer=False, avg_func="absmax"),
         gradient(lambda y: tf.reduce_max(tf.abs(y), axis=(1, 2)), conv)),
        (dict(layer="conv1_relu", final_layer=False, avg_func="min", pre_nonlinearity=True),
         gradient(lambda y: tf.reduce_min(y, axis=(1, 2)), network.get_layer("conv1_bn").output)),
    ]
    for arguments, expected in cases:
        result = loaded.input_grad(x, **arguments)
        assert result.shape == (6, 200, 4) and result.dtype == np.float32
        assert np.abs(expected).max() > 1e-6, arguments
        np.testing.assert_allclose(result, expected, atol=1e-6 * np.abs(expected).max() + 1e-9, err_msg=str(arguments))
    for wrong in (dict(), dict(avg_func="median"), dict(layer="conv1", filter_idx=0), dict(final_layer=False)):
        try:
            loaded.input_grad(x, **wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)
    piped = loaded.pipeline.input_grad(loaded.default_dataloader.example_kwargs, filter_idx=0)
    assert piped["grads"].shape == (8, 200, 4)
    before = loaded.predict_activation_on_batch(x, "probabilities", pre_nonlinearity=True)
    np.testing.assert_allclose(before, keras.Model(network.inputs[0], logits)(x), atol=1e-6)
    print("done", sorted(set(loaded.schema.targets.column_labels)))
    """
    # the pipeline reads the example's files from within the entry
    assert in_python(code, entry, environment, entry).strip().endswith("done ['HepG2', 'K562']")
    (entry / "script.py").unlink()


def test_two_entries_in_one_process_and_a_foreign_model_py_on_the_path(entry, environment, zoo, tmp_path):
    """The script's own folder holds a model.py and a dataloader.py, and stands first on the path."""
    layers = [keras.Input((50, 4)), keras.layers.Flatten(), keras.layers.Dense(3, "sigmoid", name="only")]
    info = EntryInfo(doc="Another.")
    other = export_kipoi(
        keras.Sequential(layers), tmp_path / "other", task_names=list("abc"), sequences=["ACGTA" * 10] * 2, info=info
    ).folder
    work = tmp_path / "work"
    work.mkdir()
    (work / "model.py").write_text("raise RuntimeError('the wrong model.py')\n")
    (work / "dataloader.py").write_text("raise RuntimeError('the wrong dataloader.py')\n")
    code = """
    import sys
    import kipoi, numpy as np
    sys.path.insert(0, "")  # as in an interactive session: the working directory comes first
    first, second = (kipoi.get_model(entry, source="dir") for entry in sys.argv[1:])
    for model, length, tasks in ((first, 200, 2), (second, 50, 3), (first, 200, 2)):
        batch = next(iter(model.default_dataloader.init_example().batch_iter(batch_size=2)))
        assert batch["inputs"].shape == (2, length, 4), batch["inputs"].shape
        assert model.predict_on_batch(batch["inputs"]).shape == (2, tasks)
        assert model.default_dataloader.output_schema.inputs.shape == (length, 4)
    pre = second.predict_activation_on_batch(batch["inputs"][:, :50], "only", pre_nonlinearity=True)
    post = second.predict_on_batch(batch["inputs"][:, :50])
    np.testing.assert_allclose(1 / (1 + np.exp(-pre)), post, atol=1e-6)
    print("done")
    """
    assert in_python(code, work, environment, entry, other).strip().endswith("done")


def test_batch_train_iter_gives_the_targets_of_a_file_and_samples_have_none_without(
    entry, genome, environment, tmp_path
):
    bed = bed_of(tmp_path, "chr1 0 200", "chr1 200 400", "chr1 400 600")
    (tmp_path / "labels.tsv").write_text("HepG2\tK562\n0\t1\n1\t0\n1\t1\n")
    (tmp_path / "bare.tsv").write_text("0\t1\n1\t0\n1\t1\n")
    (tmp_path / "short.tsv").write_text("0\t1\n1\t0\n")
    (tmp_path / "ragged.tsv").write_text("0\t1\n1\n1\t1\n")
    (tmp_path / "words.tsv").write_text("0\t1\nyes\tno\n1\t1\n")
    code = """
    import sys
    from pathlib import Path
    import kipoi, numpy as np
    entry, fasta, bed, folder = sys.argv[1:]
    loader = kipoi.get_dataloader_factory(entry, source="dir")
    for name in ("labels.tsv", "bare.tsv"):
        given = loader(fasta_file=fasta, intervals_file=bed, targets_file=str(Path(folder, name)))
        (x, y), (x2, y2) = given.batch_train_iter(cycle=False, batch_size=2)
        assert y.dtype == np.float32 and y.tolist() == [[0, 1], [1, 0]] and y2.tolist() == [[1, 1]]
        assert x.shape == (2, 200, 4) and x2.shape == (1, 200, 4)
        assert loader.output_schema.compatible_with_batch(next(given.batch_iter(batch_size=2)))
    without = loader(fasta_file=fasta, intervals_file=bed)
    assert set(next(without.batch_iter(batch_size=2))) == {"inputs", "metadata"}
    assert loader.output_schema.compatible_with_batch(next(without.batch_iter(batch_size=2)))
    for name, told in (
        ("short.tsv", ": holds 2 rows of targets, the intervals are 3"),
        ("ragged.tsv", ":2: needs 2 finite numbers, as the line above: '1'"),
        ("words.tsv", ":2: targets must be numbers with tabs between them: 'yes\\\\tno'"),
    ):
        path = str(Path(folder, name))
        try:
            loader(fasta_file=fasta, intervals_file=bed, targets_file=path)
            raise AssertionError(name)
        except ValueError as error:
            assert path + told in str(error), error
    print("done")
    """
    assert in_python(code, tmp_path, environment, entry, genome, bed, tmp_path).strip().endswith("done")


def test_ism_of_kipoi_interpret(entry, environment, tmp_path):
    pytest.importorskip("kipoi_interpret", reason="kipoi_interpret is an extra")
    code = """
    import sys
    import kipoi, numpy as np
    from kipoi_interpret.importance_scores.ism import Mutation
    from simbench_tf.attribution import attribute
    from simbench_tf.models.kipoi import load_kipoi_model
    model = kipoi.get_model(sys.argv[1], source="dir")
    batch = next(iter(model.default_dataloader.init_example().batch_iter(batch_size=1)))
    ism = Mutation(model, "seq", scores=["diff"], output_sel_fn=lambda y: y[1], batch_size=64)
    changes = np.array([[[float(np.ravel(cell)[0]) if cell is not None else 0.0 for cell in row] for row in sequence]
                        for sequence in ism.score(batch["inputs"])])
    entry = load_kipoi_model(sys.argv[1])
    assert entry.is_keras and entry.task_names == ["HepG2", "K562"] and entry.seq_length == 200
    ours = attribute(entry.model, batch["inputs"], method="ism", target=1, output="probability")
    np.testing.assert_allclose(ours.scores, -changes.sum(axis=-1) / 3, atol=1e-6)
    assert np.abs(ours.scores).max() > 1e-4
    print("done")
    """
    assert in_python(code, tmp_path, environment, entry).strip().endswith("done")


def test_any_kipoi_model_is_taken_by_what_lies_underneath(entry, group, environment, tmp_path):
    """Kipoi's own Keras class, a class without Keras, a model of a group, and what is no model."""
    keras_entry = shutil.copytree(entry, tmp_path / "kipoi_keras")
    plain_entry = counting_entry(entry, tmp_path / "plain")
    description = yaml.safe_load((keras_entry / "model.yaml").read_text())
    description.update(defined_as="kipoi.model.KerasModel", args={"weights": "model_files/model.keras"})
    (keras_entry / "model.yaml").write_text(yaml.safe_dump(description))
    code = """
    import sys
    import numpy as np
    from simbench_tf import InputError
    from simbench_tf.attribution import attribute
    from simbench_tf.dna import one_hot
    from simbench_tf.models.kipoi import load_kipoi_model
    keras_entry, plain_entry, of_a_group, vcf, fasta = sys.argv[1:]
    x = one_hot(np.random.default_rng(1).integers(0, 4, (2, 200)).astype(np.uint8))
    loaded = load_kipoi_model(keras_entry)
    assert loaded.is_keras and attribute(loaded.model, x, method="grad_x_input").scores.shape == (2, 200)
    assert load_kipoi_model(of_a_group)[0:1] + load_kipoi_model(of_a_group)[2:] == ("one_task", True, 200, ["H1"])
    plain = load_kipoi_model(plain_entry)
    assert not plain.is_keras and plain.task_names == ["HepG2", "K562"] and plain.name == "plain"
    ism = attribute(plain.model, x, method="ism", target=1, output="probability")  # the share of C
    np.testing.assert_allclose(ism.scores, np.where(x[:, :, 1] == 1, 1 / 200, -1 / 600), atol=1e-7)
    for arguments, told in ((dict(method="saliency", output="probability"), "no gradients"),
                            (dict(method="ism"), "no logit can be told")):
        try:
            attribute(plain.model, x, **arguments)
        except Exception as error:
            assert told in str(error), error
        else:
            raise AssertionError(arguments)
    for nothing, told in (("nowhere/at/all", "nowhere is no source of kipoi"), ("nowhere", "is no Kipoi entry")):
        try:
            load_kipoi_model(nothing)
        except InputError as error:
            assert told in str(error), error
        else:
            raise AssertionError(nothing)
    from simbench_tf.variants import score_variants
    print(score_variants(of_a_group, vcf, fasta, "scores.tsv"))
    """
    fasta = entry / "example_files" / "genome.fa"
    base = sequence_of(fasta, "example", 300, 301)
    vcf = tmp_path / "in.vcf"
    vcf.write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"example\t301\trs1\t{base}\t{'A' if base != 'A' else 'C'}\t.\t.\t.\n"
    )
    out = in_python(code, tmp_path, environment, keras_entry, plain_entry, group / "one_task", vcf, fasta)
    assert out.strip().endswith("VariantScores(n_records=1, n_scored=1, rejected=[])")
    assert list(pd.read_csv(tmp_path / "scores.tsv", sep="\t"))[5:] == ["H1_ref", "H1_alt", "H1_diff", "H1_logit_diff"]


def counting_entry(entry, folder):
    """A copy of an entry whose model has no Keras underneath: it gives the shares of A and C."""
    plain = shutil.copytree(entry, folder)
    description = yaml.safe_load((plain / "model.yaml").read_text())
    description.update(defined_as="counter.Counter", args={})
    (plain / "model.yaml").write_text(yaml.safe_dump(description))
    (plain / "counter.py").write_text(
        "from kipoi.model import BaseModel\n"
        "class Counter(BaseModel):\n"
        "    def predict_on_batch(self, x):\n"
        "        return x.mean(axis=1)[:, :2]\n"
    )
    return plain


@pytest.mark.slow
def test_a_run_explains_kipoi_models_as_they_are(entry, model, tiny_config, environment, tmp_path):
    """One with Keras underneath by any method; one without by in-silico mutagenesis, its outputs in another order."""
    plain = counting_entry(entry, tmp_path / "counting")
    code = """
    import json, sys
    import keras, numpy as np, pandas as pd
    from pathlib import Path
    from simbench_tf import InputError, attribute, one_hot, open_dataset, pipeline
    from simbench_tf.config import load_config
    from simbench_tf.score import without_nulls
    config, entry, plain = sys.argv[1:]

    def run(name, source, tasks, *more):
        overrides = [f"models=[{{name: {name}, kipoi: {source}}}]", "simulation.n_sequences=300", *more]
        elements = f"simulation.elements=[{{motif: HNF4A, rate: .5, enriched: {{{tasks[0]}: 1.0}}}}]"
        names = ", ".join(f"{task}: {{fraction: .4}}" for task in tasks)
        settings = load_config(config, [*overrides, elements, f"simulation.tasks={{{names}}}"])
        pipeline.run(settings, Path(name))
        return open_dataset(f"{name}/dataset"), without_nulls(pd.read_csv(f"{name}/scores/summary.csv"))

    methods = "attribution.methods=[{method: grad_x_input}, {method: ism}]"
    ds, summary = run("under", entry, ["HepG2", "K562"], methods, "attribution.n_sequences=4")
    assert list(summary.key) == ["grad_x_input@none", "ism@none"] * 2 and (summary.model == "under").all()
    network = keras.saving.load_model("under/models/under/model.keras", compile=False)
    x = one_hot(ds.bases("test"))
    import sklearn.metrics
    metrics = json.loads(Path("under/models/under/metrics.json").read_text())
    expected = sklearn.metrics.roc_auc_score(ds.labels("test")[:, 1], network(x)[:, 1])
    np.testing.assert_allclose(metrics["K562"]["auroc"], expected, atol=1e-6)

    # K562 is the second output, the share of C, though it is the first task
    only_ism = ["attribution.methods=[{method: ism}]", "attribution.output=probability", "attribution.n_sequences=4"]
    ds, summary = run("plain", plain, ["K562", "HepG2"], *only_ism, 'attribution.tasks=["K562"]')
    assert len(summary) == 1 and not Path("plain/models/plain/model.keras").exists()
    import h5py
    with h5py.File("plain/attributions/plain/K562/ism@none.h5") as file:
        ids, scores = list(file["seq_id"].asstr()[:]), file["scores"][:]
    rows = [list(ds.seq_ids("test")).index(seq_id) for seq_id in ids]
    is_c = ds.bases("test")[rows] == 1
    np.testing.assert_allclose(scores, np.where(is_c, 1 / 200, -1 / 600), atol=1e-6)

    for tasks, more, told in ((["H1", "K562"], [], "has the outputs HepG2, K562"),
                              (["HepG2", "K562"], ["simulation.seq_length=210"], "takes 200 bases")):
        try:
            run("wrong", entry, tasks, *more)
        except InputError as error:
            assert told in str(error), error
        else:
            raise AssertionError(tasks)
        assert not Path("wrong/models/wrong/metrics.json").exists()
    print("done")
    """
    assert in_python(code, tmp_path, environment, tiny_config, entry, plain).strip().endswith("done")
