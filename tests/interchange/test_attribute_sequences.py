"""Attributions of FASTA and BED files without a run: values, places along the genome, and faults in one line."""

import keras
import numpy as np
import pyBigWig
import pytest

import simbench_tf as sb
from helpers.program import simbench
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.interchange.attribute_sequences import read_bed, read_fasta

LENGTH = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model's file, a genome, and sequences of it in FASTA and BED."""
    folder = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(2)
    layers = keras.layers
    stack = [layers.Conv1D(4, 5, activation="relu"), layers.GlobalAveragePooling1D(), layers.Dense(2, "sigmoid")]
    keras.Sequential([keras.Input((LENGTH, 4)), *stack]).save(folder / "m.keras")
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 200))
    (folder / "g.fa").write_text(f">chr1\n{letters}\n")
    (folder / "p.bed").write_text("chr1\t30\t50\nchr1\t40\t60\nchr1\t150\t152\n")
    pieces = [(30, letters[30:50]), (40, letters[40:60]), (141, letters[141:161])]
    (folder / "s.fa").write_text("".join(f">chr1:{start}-{start + LENGTH}\n{text}\n" for start, text in pieces))
    (folder / "named.fa").write_text("".join(f">s{start}\n{text}\n" for start, text in pieces))
    return folder


def expected(folder, target=0, method="grad_x_input", **settings):
    letters = (folder / "g.fa").read_text().split("\n")[1]
    x = one_hot([letters[start : start + LENGTH] for start in (30, 40, 141)])
    return sb.attribute(keras.models.load_model(folder / "m.keras"), x, method, target=target, **settings)


def fault(monkeypatch, capsys, *arguments):
    """What one line says of bad input."""
    code, _, said = simbench(monkeypatch, capsys, "attribute", *arguments)
    assert code == 2
    return said


def test_fasta_gives_what_attribute_gives(folder, monkeypatch, capsys):
    simbench(
        monkeypatch, capsys,
        "attribute", "--fasta", folder / "named.fa", "--model", folder / "m.keras", "--method", "integrated_gradients",
        "--references", "zeros", "--set", "n_steps=7", "--target", 1, "--out", folder / "a.npz",
    )  # fmt: skip
    made = expected(folder, 1, "integrated_gradients", references="zeros", n_steps=7)
    with np.load(folder / "a.npz") as arrays:
        assert arrays["seq_id"].tolist() == ["s30", "s40", "s141"]
        np.testing.assert_allclose(arrays["scores"], made.scores, atol=1e-6)
        np.testing.assert_allclose(arrays["contributions"], made.contributions, atol=1e-6)
        np.testing.assert_allclose(arrays["hypothetical"], made.hypothetical, atol=1e-6)


@pytest.mark.parametrize("given", [["--fasta", "s.fa"], ["--bed", "p.bed", "--genome", "g.fa"]])
def test_places_in_a_genome_make_a_track(folder, given, monkeypatch, capsys):
    files = [each if each.startswith("--") else folder / each for each in given]
    out = folder / f"{given[0][2:]}.bw"
    how = ["--model", folder / "m.keras", "--method", "grad_x_input", "--out", out]
    simbench(monkeypatch, capsys, "attribute", *files, *how)
    scores = expected(folder).scores
    with pyBigWig.open(str(out)) as track:
        values = np.array(track.values("chr1", 30, 60))
        assert track.chroms()["chr1"] == (161 if given[0] == "--fasta" else 200)
        last = np.array(track.values("chr1", 141, 161))
    np.testing.assert_allclose(values[:10], scores[0, :10], atol=1e-6)
    np.testing.assert_allclose(values[10:20], (scores[0, 10:] + scores[1, :10]) / 2, atol=1e-6)
    np.testing.assert_allclose(last, scores[2], atol=1e-6)


def test_bed_and_fasta_are_the_same_sequences(folder):
    by_bed = read_bed(folder / "p.bed", folder / "g.fa", LENGTH)
    by_fasta = read_fasta(folder / "s.fa", LENGTH)
    np.testing.assert_array_equal(by_bed.bases, by_fasta.bases)
    assert by_bed.loci.to_numpy().tolist() == by_fasta.loci.to_numpy().tolist()


def test_faults_are_one_line_and_leave_nothing(folder, monkeypatch, capsys):
    model, method = ["--model", folder / "m.keras"], ["--method", "grad_x_input"]
    named, out = folder / "named.fa", folder / "none.npz"

    def said(*arguments):
        return fault(monkeypatch, capsys, *arguments)

    assert "needs a run, or one of --fasta and --bed" in said()
    assert "--model: is missing, and --fasta needs it" in said("--fasta", named, *method, "--out", out)
    assert "--out: is missing" in said("--fasta", named, *model, *method)
    assert "--genome: is missing" in said("--bed", folder / "p.bed", *model, *method, "--out", out)
    assert "is for sequences without a run" in said(folder, "--fasta", named)
    assert "is no file; give a model saved" in said("--fasta", named, "--model", "x.keras", *method, "--out", out)
    assert "unknown attribution method 'grad_input'" in said(
        "--fasta", named, *model, "--method", "grad_input", "--out", out
    )
    assert "'n_steps' is no KEY=VALUE" in said("--fasta", named, *model, *method, "--set", "n_steps", "--out", out)
    assert "has another ending than .npz" in said("--fasta", named, *model, *method, "--out", folder / "a.csv")
    assert "needs sequences with a place" in said("--fasta", named, *model, *method, "--out", folder / "a.bw")
    (folder / "short.fa").write_text(">a\nACGT\n")
    assert "short.fa: a: has 4 bases, the model 20; cut all" in said(
        "--fasta", folder / "short.fa", *model, *method, "--out", out
    )
    (folder / "edge.bed").write_text("chr1\t0\t4\n")
    with pytest.raises(InputError, match=r"edge.bed:1: 20 bases around chr1:2 are not in .*g.fa; leave the line out"):
        read_bed(folder / "edge.bed", folder / "g.fa", LENGTH)
    (folder / "plain.bed").write_text("1\t30\t50\n")
    with pytest.raises(InputError, match=r"plain.bed:1: chromosome '1' is not in .*, which calls it 'chr1' \(1 "):
        read_bed(folder / "plain.bed", folder / "g.fa", LENGTH)
    assert not out.exists()
    assert not list(folder.glob(".partial*"))


def test_code_beside_a_model_is_not_executed_unasked(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "model.keras").write_bytes((folder / "m.keras").read_bytes())
    (tmp_path / "python.json").write_text('{"python": "mine.py:build"}')
    model = ["--model", tmp_path / "model.keras"]
    out = ["--out", tmp_path / "a.npz"]
    said = fault(monkeypatch, capsys, "--fasta", folder / "named.fa", *model, "--method", "grad_x_input", *out)
    assert "names a Python function that built the model, and would be executed" in said
    assert "add --trust-code" in said
