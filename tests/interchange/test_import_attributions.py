"""Attributions of other tools: read from every file that is promised, matched by id, scored and reported with ours."""

import gzip
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from helpers.folders import times
from helpers.program import simbench
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import encode, one_hot
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_attributions
from simbench_tf.interchange import import_attributions as others
from simbench_tf.interchange.attribution_readers import OtherArray, read_attribution_file, read_seq_ids, scores_of
from simbench_tf.run import attributions
from simbench_tf.run.attributions import attribution_files, read_attributions

TASK, KEY = "K562", "grad_x_input@none"


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def config(tiny_config):
    return load_config(tiny_config)


def ours(run, task=TASK):
    return read_attributions(run / "attributions" / "basset" / task / f"{KEY}.h5")


def take(config, run, path, **options):
    return others.take_attributions(config, run, path, **{"task": TASK, **options})


def shapes_of(scores, bases):
    """The same attributions as every array that a file may hold."""
    observed = one_hot(bases)
    hypothetical = scores[..., None] * observed + 7.0 * (1 - observed)
    # contributions of methods with references are not zero beside the observed base
    contributions = np.repeat(scores[..., None] / 4, 4, axis=2)
    return {
        "scores": [scores],
        "contributions": [contributions, contributions.transpose(0, 2, 1)],
        "hypothetical": [hypothetical, hypothetical.transpose(0, 2, 1)],
        "arr_0": [scores, hypothetical, hypothetical.transpose(0, 2, 1)],
    }


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("with_ids", [False, True])
def test_every_array_that_is_promised_gives_the_same_scores(config, run, tmp_path, suffix, with_ids):
    scores, seq_ids = ours(run)
    dataset = open_dataset(run / "dataset")
    bases = dataset.bases("test")[pd.Index(dataset.seq_ids("test")).get_indexer(seq_ids)]
    order = np.random.default_rng(0).permutation(len(scores)) if with_ids else np.arange(len(scores))
    for name, arrays in shapes_of(scores, bases).items():
        for values in arrays:
            content = {name: values[order]} | ({"seq_id": np.array(seq_ids)[order].astype("S")} if with_ids else {})
            path = tmp_path / f"made{suffix}"
            if suffix == ".npz":
                np.savez(path, **content)
            else:
                with h5py.File(path, "w") as h5:
                    for key, array in content.items():
                        h5[key] = array
            taken, taken_ids = read_attributions(take(config, run, path).path)
            assert taken_ids == seq_ids
            np.testing.assert_allclose(taken, scores, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["seq_id", "seq_ids", "ids", "names"])
def test_ids_go_by_several_names(config, run, tmp_path, name):
    scores, seq_ids = ours(run)
    np.savez(tmp_path / "a.npz", scores=scores[::-1], **{name: np.array(seq_ids)[::-1]})
    with h5py.File(tmp_path / "b.h5", "w") as h5:
        h5["scores"], h5[name] = scores[::-1], seq_ids[::-1]
    for path in (tmp_path / "a.npz", tmp_path / "b.h5"):
        taken, taken_ids = read_attributions(take(config, run, path).path)
        assert taken_ids == seq_ids
        np.testing.assert_array_equal(taken, scores)


@pytest.mark.parametrize("ordered", [True, False])
def test_an_array_of_its_own_is_taken(config, run, tmp_path, ordered):
    scores, seq_ids = ours(run)
    np.save(tmp_path / "mine.npy", scores if ordered else scores[::-1])
    (tmp_path / "ids.txt").write_text("\n".join(seq_ids[::-1]))
    taken = take(config, run, tmp_path / "mine.npy", **({} if ordered else {"seq_ids": tmp_path / "ids.txt"}))
    assert taken.key == "mine"
    np.testing.assert_array_equal(read_attributions(taken.path)[0], scores)


def test_what_a_file_holds_instead_is_listed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["ig/values"], h5["labels"] = np.ones((3, 5, 4)), np.ones(3)
    with pytest.raises(InputError, match=r"arr_0 \(it holds ig/values \(3, 5, 4\), labels \(3,\)\); name one scores"):
        read_attribution_file(tmp_path / "a.h5", None)
    np.savez(tmp_path / "a.npz", **{f"x{number}": np.ones(1) for number in range(20)})
    with pytest.raises(InputError, match=r"x6 \(1,\), x7 \(1,\), \.\.\.\); name"):
        read_attribution_file(tmp_path / "a.npz", None)


BED3 = "chr1\t16750\t16850\nchr2\t58150\t58250\n"
LOCI = ["chr1:16750-16850", "chr2:58150-58250"]
ID_FILES = {
    "lines": ("a\nb\n", ["a", "b"]),
    "windows": ("\ufeffa\r\n\r\nb\r\n", ["a", "b"]),
    "a comment and a header": ("# mine\nseq_id\na\nb", ["a", "b"]),
    "a table": ("seq_id\tsplit\tHepG2\tK562\na\ttest\t0\t1\nb\ttest\t1\t1\n", ["a", "b"]),
    "BED of 3 columns": (BED3, LOCI),
    "its header": ("#chrom\tstart\tend\n" + BED3, LOCI),
    "its header without a mark": ("chrom\tstart\tend\n" + BED3, LOCI),
    "BED with names": ("#chrom\tstart\tend\tname\nchr1\t0\t9\ta\nchr1\t5\t14\tb\n", ["a", "b"]),
    "BED with dots for names": ("track name=x\nchr1\t16750\t16850\t.\t0\t+\nchr2\t58150\t58250\t.\t0\t-\n", LOCI),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("text", "expected"), ID_FILES.values(), ids=ID_FILES)
def test_files_of_ids_have_several_forms(tmp_path, text, expected, packed):
    content = text.encode()
    (tmp_path / "ids").write_bytes(gzip.compress(content) if packed else content)
    assert read_seq_ids(tmp_path / "ids") == expected


def test_damaged_files_of_ids_say_so(tmp_path):
    for content, told in (
        (gzip.compress(b"a\nb\n")[:-9], "ids:3: the gzip file is cut short or damaged"),
        (b"\xff\xfe\x00", "ids:1: is UTF-16 text, not UTF-8; give a text file with one seq_id per line"),
        (b"a\n\xff\n", "ids:2: is not text; give a text file with one seq_id per line"),
        (b"\x1f\x8bnonsense", "ids:1: the gzip file is cut short or damaged"),
    ):
        (tmp_path / "ids").write_bytes(content)
        with pytest.raises(InputError, match=told):
            read_seq_ids(tmp_path / "ids")


def test_our_own_file_comes_back_the_same(config, run):
    path = run / "attributions" / "basset" / TASK / f"{KEY}.h5"
    taken = take(config, run, path, name="ours")
    np.testing.assert_array_equal(read_attributions(taken.path)[0], ours(run)[0])
    pipeline.score(config, run)
    table = pd.read_csv(run / "scores" / "summary.csv").set_index(["task", "key"])
    metrics = ["auprc", "auroc", "pooled_auprc", "mass_fraction", "chance_auprc", "oracle_auprc", "n_sequences"]
    first, second = table.loc[(TASK, KEY)], table.loc[(TASK, "ours")]
    assert first[metrics].tolist() == second[metrics].tolist()
    assert (second["method"], second["references"], second["settings"]) == ("ours", "-", "{}")
    assert np.isnan(second["seconds_per_sequence"])
    assert (~table["method"].str.startswith("null_")).sum() == 5


@pytest.mark.parametrize("bed", [False, True])
def test_all_sequences_of_the_split_do_with_their_ids(config, run, tmp_path, bed):
    """A tool may explain the whole of test.fa: those that the run explains are taken, whatever the order."""
    dataset = open_dataset(run / "dataset")
    ids = np.asarray(dataset.seq_ids("test"))[::-1]
    values = np.random.default_rng(2).normal(size=(len(ids), 200))
    np.savez(tmp_path / "all.npz", values)
    (tmp_path / "ids").write_text("".join(f"{i}\t0\t200\t{i}\n" if bed else f"{i}\n" for i in ids))
    taken = take(config, run, tmp_path / "all.npz", seq_ids=tmp_path / "ids", name="noise")
    scores, seq_ids = read_attributions(taken.path)
    assert seq_ids == ours(run)[1]
    np.testing.assert_allclose(scores, values[[ids.tolist().index(i) for i in seq_ids]], rtol=1e-6)
    pipeline.score(config, run)
    mask = dataset.mask("test", task=TASK)[[dataset.seq_ids("test").tolist().index(i) for i in seq_ids]]
    mask, scores = mask[:, :168], scores[:, :168]  # of 200 bases the network sees so many
    expected = [average_precision_score(m, np.abs(s)) for m, s in zip(mask, scores, strict=True) if m.any()]
    per_sequence = pd.read_parquet(run / "scores" / "per_sequence.parquet")
    np.testing.assert_allclose(per_sequence[per_sequence.key == "noise"].auprc.dropna(), expected)


def test_later_calls_keep_them_and_the_report_shows_them(config, run, tmp_path):
    np.savez(tmp_path / "captum_ig.npz", scores=np.ones((8, 200)) * np.arange(200))
    take(config, run, tmp_path / "captum_ig.npz", references="zeros")
    pipeline.run(config, run)
    summary = pd.read_csv(run / "scores" / "summary.csv")
    assert summary.loc[summary.key == "captum_ig", ["model", "task", "references"]].to_numpy().tolist() == [
        ["basset", TASK, "zeros"]
    ]
    assert "captum_ig (zeros)" in (run / "report.html").read_text()
    before = times(run)
    pipeline.run(config, run)
    after = times(run)
    assert {name for name in before if after[name] != before[name]} <= {"config.yaml"}, "nothing is made again"
    # deleted, they are gone
    (run / "attributions" / "others" / "basset" / TASK / "captum_ig.h5").unlink()
    pipeline.score(config, run)
    assert "captum_ig" not in pd.read_csv(run / "scores" / "summary.csv")["key"].tolist()


def test_what_was_taken_for_other_sequences_is_left_out_and_told(tiny_config, config, run, tmp_path):
    np.savez(tmp_path / "a.npz", scores=np.ones((8, 200)))
    take(config, run, tmp_path / "a.npz")
    fewer = load_config(tiny_config, ["attribution.n_sequences=5"])
    with pytest.warns(
        UserWarning, match=r"K562/a.h5: left out, it is not of the sequences explained now; take it again"
    ):
        assert attributions.attributions_of_other_tools(fewer, run) == []
    assert [file.key for file in attributions.attributions_of_other_tools(config, run)] == ["a"]


def test_bigwig_is_read_at_the_regions_places(peaks_run, tmp_path):
    config, run, dataset = peaks_run
    export_attributions(config, run, tmp_path / "out", "bigwig")
    ids = np.asarray(dataset.seq_ids("test"))
    for file in attribution_files(config, run):
        scores, _ = read_attributions(file.path)
        # the fixture explains the first seven positives; the run's own draw is what is asked for here
        rows = others.attributed_rows(dataset, config, file.task)
        with h5py.File(file.path, "a") as h5:
            del h5["seq_id"]
            h5["seq_id"] = ids[rows].astype("S")
        written = export_attributions(config, run, tmp_path / "out", "bigwig")
        (path,) = (each for each in written if each.parts[-3:-1] == (file.task, file.model) and file.key in each.name)
        taken = others.take_attributions(config, run, path, name="bw", model=file.model, task=file.task)
        back, back_ids = read_attributions(taken.path)
        assert back_ids == ids[rows].tolist()
        # a base has the mean over the regions that cover it
        sums: dict[tuple[str, int], list[float]] = {}
        spots = [(i.split(":")[0], int(i.split(":")[1].split("-")[0])) for i in back_ids]
        for (chrom, start), row in zip(spots, scores, strict=True):
            for offset, value in enumerate(row):
                sums.setdefault((chrom, start + offset), []).append(value)
        expected = [
            [np.mean(sums[chrom, start + offset]) for offset in range(scores.shape[1])] for chrom, start in spots
        ]
        np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match="has no finite value at base "):
        others.take_attributions(
            config, run, tmp_path / "out" / "HepG2" / "other" / f"{KEY}.bw", name="a", model="other", task="K562"
        )


def test_n_gives_hypothetical_values_nothing():
    array = OtherArray("hypothetical", np.ones((1, 5, 4)), None)
    assert scores_of("f", array, encode("ACNGT")).tolist() == [[1, 1, 0, 1, 1]]


def nan_at(row, base):
    values = np.ones((8, 200))
    values[row, base] = np.nan
    return values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"scores": np.ones((7, 200))}, "has 7 sequences without ids, the run explains 8; add their ids, as seq_id"),
        ({"scores": np.ones((8, 199))}, "scores: has the shape (8, 199) for 8 sequences of 200 bases; give (8, 200)"),
        ({"hypothetical": np.ones((8, 200, 3))}, "hypothetical: has the shape (8, 200, 3)"),
        ({"scores": nan_at(3, 17)}, "has no finite value at base 17 of "),
        ({"scores": np.full((8, 200), np.inf)}, "and at 1599 more bases; give every base"),
        ({"scores": np.ones((8, 200)) > 0}, "scores: holds bool, not numbers"),
        ({"other": np.ones((8, 200))}, "hypothetical or arr_0 (it holds other (8, 200)); name one scores"),
        ({"scores": np.float64(3)}, "has 0 sequences without ids"),
        ({"scores": np.ones((2, 200)), "seq_id": np.array(["x"])}, "names 1 sequences, scores has 2; give one id"),
        ({"scores": np.ones((2, 200)), "seq_id": np.array(["x", "x"])}, "names 'x' twice"),
        ({"scores": np.ones((1, 200)), "seq_id": np.array(["x"])}, "names 'x', which is no sequence of the explained"),
        ({"scores": np.array([{}], object)}, "cannot be read: Object arrays cannot be loaded"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_said_in_one_line(config, run, tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(InputError) as error:
        take(config, run, tmp_path / "a.npz")
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "a.npz"))
    assert "\n" not in str(error.value)
    assert not (run / "attributions" / "others").exists()


def test_a_sequence_that_is_lacking_is_named(config, run, tmp_path):
    scores, seq_ids = ours(run)
    np.savez(tmp_path / "a.npz", scores=scores[1:], seq_id=np.array(seq_ids)[1:])
    with pytest.raises(InputError, match=f"lacks 1 of the 8 explained sequences, '{seq_ids[0]}' the first"):
        take(config, run, tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", None, "is missing"),
        ("a.npz", b"no zip", "cannot be read"),
        ("a.h5", b"no hdf5", "cannot be read"),
        ("a.h5", None, "is missing"),
        ("a.txt", b"1 2 3", "is no attribution file that is read here; give a file of .npz or"),
        ("a.bw", b"no bigwig", "is a bigWig, but the sequences have no place in a genome"),
    ],
)
def test_files_that_are_no_attributions_say_so(config, run, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        take(config, run, tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": None}, "--task: is needed, the run has HepG2, K562; add --task HepG2, or another"),
        ({"task": "k562"}, "--task: 'k562' is none of the run's; did you mean 'K562'?"),
        ({"model": "beluga"}, "--model: 'beluga' is none of the run's; known: basset"),
        ({"name": "../x"}, "--name: '../x' cannot be a file's name"),
        ({"name": "grad_x_input@none"}, "--name: 'grad_x_input@none' cannot be"),
    ],
)
def test_names_that_do_not_fit_say_so(config, run, tmp_path, options, message):
    np.savez(tmp_path / "a.npz", scores=np.ones((8, 200)))
    with pytest.raises(InputError) as error:
        take(config, run, tmp_path / "a.npz", **options)
    assert message in str(error.value)


def test_the_command_takes_and_scores(monkeypatch, capsys, run, tmp_path):
    np.savez(tmp_path / "a.npz", scores=np.ones((8, 200)))
    code, out, err = simbench(monkeypatch, capsys, "score", run, "--attributions", tmp_path / "a.npz", "--task", TASK)
    assert (code, err) == (0, "")
    kept = run / "attributions" / "others" / "basset" / TASK / "a.h5"
    assert out == f"taken: {kept}\nscores: {run / 'scores' / 'summary.csv'}\n"
    assert "a" in pd.read_csv(run / "scores" / "summary.csv").key.tolist()
    code, _, err = simbench(monkeypatch, capsys, "score", run, "--task", TASK)
    assert (code, err) == (2, "error: --attributions: is needed with the other options; add --attributions FILE\n")
