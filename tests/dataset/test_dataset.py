"""Data sets on disk: written in parts, whole or not there, read back the same, batched once an epoch."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.folders import checksums
from simbench_tf import dataset as module
from simbench_tf.dataset import covered, finish_dataset, open_dataset, write_dataset, write_part
from simbench_tf.dataset.batches import BatchOrder, epoch_batches
from simbench_tf.dataset.files import description_checksum
from simbench_tf.dna import one_hot
from simbench_tf.dna.arrow import text_column
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.motifs import Motif, read_motifs, scan
from simbench_tf.tables import SITES_SCHEMA, check_sites, sequence_schema

TASKS = ["HepG2", "K562"]
LENGTH = 30
ELEMENTS = {"liver": ["HepG2"], "blood": ["K562"], "liver+blood": ["HepG2", "K562"], "any": []}
MOTIFS = [
    Motif("M1", "HNF4A", np.eye(4)[[1, 0, 2, 3, 1, 0, 2, 3]], 100.0),
    Motif("M2", "GATA1", np.eye(4)[[2, 0, 3, 0, 0, 2, 1, 1]], 100.0),
    Motif("M3", "CTCF", np.eye(4)[[1, 1, 2, 1, 2, 2, 3, 0]], 100.0),
]
MOTIF_OF = {"liver": MOTIFS[:1], "blood": MOTIFS[1:2], "liver+blood": MOTIFS[:2], "any": MOTIFS[2:]}
NAMES = {"name": "tiny", "kind": "grammar", "tasks": TASKS, "motifs": MOTIFS, "notes": {"elements": ELEMENTS}}


def make_part(first, n, random):
    """`n` sequences from number `first` on: random bases, a random element in each, sites told in no order."""
    bases = random.integers(4, size=(n, LENGTH)).astype(np.uint8)
    bases[random.random((n, LENGTH)) < 0.02] = 4
    sites = []
    for row in range(n):
        element = list(ELEMENTS)[random.integers(len(ELEMENTS))]
        start = int(random.integers(0, LENGTH - 16))
        for motif in MOTIF_OF[element]:
            word = motif.ppm.argmax(axis=1).astype(np.uint8)
            end = start + len(word)
            bases[row, start:end] = word
            text = text_column(word[None]).to_pylist()[0]
            names = {"seq_id": f"s{first + row}", "motif": motif.motif_id, "tf": motif.tf, "element": element}
            place = {"start": start, "end": end, "strand": "+", "matched": text}
            sites.append({**names, **place, "score": 16.0, "pvalue": 1e-5})
            start = end
    random.shuffle(sites)
    columns = {
        "seq_id": [f"s{first + row}" for row in range(n)],
        "chrom": ["chr2"] * n,
        "start": np.arange(n),
        "end": np.arange(n) + LENGTH,
        "split": random.choice(["train", "valid", "test"], size=n, p=[0.7, 0.1, 0.2]),
        "sequence": text_column(bases),
        **{task: random.integers(2, size=n).astype(np.uint8) for task in TASKS},
    }
    return pa.table(columns, schema=sequence_schema(TASKS)), pa.Table.from_pylist(sites, SITES_SCHEMA)


def make_parts(sizes=(40, 25, 35), seed=1):
    random = np.random.default_rng(seed)
    firsts = np.cumsum([0, *sizes[:-1]])
    return [make_part(int(first), size, random) for first, size in zip(firsts, sizes, strict=True)]


@pytest.fixture(scope="module")
def parts():
    return make_parts()


@pytest.fixture
def folder(parts, tmp_path):
    write_dataset(tmp_path / "dataset", parts=parts, **NAMES)
    return tmp_path / "dataset"


@pytest.fixture
def ds(folder):
    return open_dataset(folder)


def rewrite_json(folder, **changes):
    path = folder / "dataset.json"
    # as an earlier version wrote it, whose description guards nothing
    description = {**json.loads(path.read_text()), "checksums": None, "checksum": None, **changes}
    path.write_text(json.dumps({key: value for key, value in description.items() if value is not None}))


# writing


def test_what_was_written_is_read(ds, parts):
    sequences = pa.concat_tables([sequences for sequences, _ in parts]).to_pandas()
    pd.testing.assert_frame_equal(ds.sequences, sequences)
    sites = pa.concat_tables([sites for _, sites in parts]).to_pandas()
    order = sites.assign(number=sites["seq_id"].str[1:].astype(int)).sort_values(["number", "start"]).index
    pd.testing.assert_frame_equal(ds.sites, sites.loc[order].reset_index(drop=True))
    check_sites(ds.sites, ds.sequences.set_index("seq_id")["sequence"])
    assert ds.motifs.to_dict("list") == {
        "motif": ["M1", "M2", "M3"],
        "tf": ["HNF4A", "GATA1", "CTCF"],
        "width": [8, 8, 8],
        "n_sites": [100.0] * 3,
        "bits": [16.0] * 3,
    }


def test_the_description(folder, ds):
    description = json.loads((folder / "dataset.json").read_text())
    names = ["sites.parquet", "motifs.meme", *(f"sequences/part-0000{number}.parquet" for number in range(3))]
    assert description.pop("checksum") == description_checksum(description)
    assert description.pop("checksums") == {name: checksum(folder / name) for name in names}
    assert not {"checksum", "checksums"} & set(ds.notes)
    table = ds.sequences
    assert description == {
        "name": "tiny",
        "kind": "grammar",
        "tasks": TASKS,
        "seq_length": LENGTH,
        "counts": {split: int((table["split"] == split).sum()) for split in ("train", "valid", "test")},
        "positive_fraction": {task: table[task].mean() for task in TASKS},
        "parts": [40, 25, 35],
        "elements": ELEMENTS,
        "background": [0.25] * 4,
        "scan_pvalue": 1e-4,
    }
    assert (ds.name, ds.kind, ds.tasks, ds.seq_length) == ("tiny", "grammar", TASKS, LENGTH)
    assert ds.notes["elements"] == ELEMENTS


def test_the_folder_of_a_run_does_as_well(folder, ds):
    assert open_dataset(folder.parent) == ds
    assert open_dataset(str(folder.parent)).path == folder


def test_the_same_bytes_in_any_order_of_writing(folder, parts, tmp_path):
    other = tmp_path / "other"
    for number in (2, 0, 1):
        write_part(other, number, *parts[number])
    finish_dataset(other, n_parts=3, **NAMES)
    assert checksums(other) == checksums(folder)
    names = [f"sequences/part-{number:05d}.parquet" for number in range(3)]
    assert list(checksums(folder)) == ["dataset.json", "motifs.meme", *names, "sites.parquet"]


def test_parts_are_taken_one_at_a_time(parts, tmp_path):
    written = []

    def stream():
        for number, part in enumerate(parts):
            assert len(list(tmp_path.glob("sequences/*.parquet"))) == number
            written.append(number)
            yield part

    write_dataset(tmp_path, parts=stream(), **NAMES)
    assert written == [0, 1, 2]
    assert pq.ParquetFile(tmp_path / "sites.parquet").num_row_groups == 3


def test_what_finish_returns_is_what_is_there(parts, tmp_path):
    log = pd.DataFrame({"motif": ["M1"], "kept": [True]})
    files = write_dataset(tmp_path, parts=parts, motif_log=log, **NAMES)
    assert {path.relative_to(tmp_path).as_posix() for path in files} == set(checksums(tmp_path))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "motif_log.csv"), log)


def test_parts_beyond_the_last_are_removed(folder, parts, ds):
    write_part(folder, 3, *parts[0])
    finish_dataset(folder, n_parts=1, **NAMES) if False else None
    for number in range(3):
        write_part(folder, number, *parts[number])
    finish_dataset(folder, n_parts=3, **NAMES)
    pd.testing.assert_frame_equal(open_dataset(folder).sequences, ds.sequences)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 3, "end": 11}, "does not read"),
        ({"start": 25, "end": 33}, "does not read"),
        ({"start": -1, "end": 7}, "does not read"),
        ({"matched": "CAGT"}, "does not read"),
        ({"seq_id": "s9"}, "s9, which is not among"),
        ({"strand": "."}, "strand"),
    ],
)
def test_sites_that_break_their_promise_are_refused(tmp_path, change, message):
    bases = np.array([[0, 0, 1, 0, 2, 3, 1, 0, 2, 3] + [0] * 20], np.uint8)
    row = {"seq_id": "s0", "split": "test", "sequence": text_column(bases).to_pylist()[0], "HepG2": 1, "K562": 0}
    site = {"seq_id": "s0", "motif": "M1", "tf": "HNF4A", "start": 2, "end": 10, "strand": "+", "score": 16.0}
    site |= {"pvalue": 1e-5, "matched": "CAGTCAGT", "element": "liver"}
    sequences = pa.Table.from_pylist([row], sequence_schema(TASKS))
    write_part(tmp_path / "right", 0, sequences, pa.Table.from_pylist([site], SITES_SCHEMA))
    with pytest.raises(ValueError, match=message):
        write_part(tmp_path / "wrong", 0, sequences, pa.Table.from_pylist([site, {**site, **change}], SITES_SCHEMA))
    assert not (tmp_path / "wrong").exists()


def test_a_part_without_sites_and_a_site_less_data_set(parts, tmp_path):
    sequences, sites = parts[0]
    write_dataset(tmp_path, parts=[(sequences, sites.slice(0, 0))], **NAMES)
    ds = open_dataset(tmp_path)
    assert len(ds.sites) == 0
    assert not ds.mask("train").any()
    assert not ds.mask("train", task="K562").any()


def test_parts_that_do_not_fit_each_other(parts, tmp_path):
    shorter = parts[1][0].set_column(
        5, "sequence", pa.array([text[:-1] for text in parts[1][0]["sequence"].to_pylist()])
    )
    write_part(tmp_path, 0, *parts[0])
    write_part(tmp_path, 1, shorter.cast(sequence_schema(TASKS)), parts[1][1].slice(0, 0))
    with pytest.raises(ValueError, match=r"lengths \[29, 30\]"):
        finish_dataset(tmp_path, **NAMES)
    with pytest.raises(ValueError, match="H1"):
        finish_dataset(tmp_path, **{**NAMES, "tasks": ["H1"]})
    with pytest.raises(ValueError, match="counts"):
        finish_dataset(tmp_path, **{**NAMES, "notes": {"elements": {}, "counts": 1}})
    with pytest.raises(ValueError, match="elements"):
        finish_dataset(tmp_path, **{**NAMES, "notes": {}})
    with pytest.raises(InputError, match="part-00002"):
        finish_dataset(tmp_path, n_parts=3, **NAMES)
    with pytest.raises(ValueError, match="at least one part"):
        write_dataset(tmp_path / "none", parts=[], **NAMES)
    with pytest.raises(InputError, match="half-written"):
        open_dataset(tmp_path)


# opening


def test_a_half_written_data_set_does_not_open(folder, parts, monkeypatch):
    write_part(folder, 1, *parts[1])
    with pytest.raises(InputError, match="half-written"):
        open_dataset(folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(InputError, match="No space left"):
        write_part(folder, 0, *parts[0])
    monkeypatch.undo()
    for number in (0, 2):
        write_part(folder, number, *parts[number])
    finish_dataset(folder, **NAMES)
    assert open_dataset(folder).counts
    assert not list(folder.rglob(".partial-*"))


def test_opening_reads_no_sequences_and_no_tensorflow(folder):
    code = (
        "import sys\n"
        "import pyarrow.parquet as pq\n"
        "def fail(*_, **__): raise AssertionError('read')\n"
        "pq.read_table = pq.ParquetFile.read = fail\n"
        "from simbench_tf.dataset import open_dataset\n"
        f"assert open_dataset({str(folder)!r}).tasks == ['HepG2', 'K562']\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def damage_missing_part(folder):
    (folder / "sequences" / "part-00001.parquet").unlink()


def damage_foreign_part(folder):
    path = folder / "sequences" / "part-00001.parquet"
    path.with_name("part-00003.parquet").write_bytes(path.read_bytes())


def damage_other_part(folder):
    path = folder / "sequences" / "part-00001.parquet"
    path.write_bytes((folder / "sequences" / "part-00000.parquet").read_bytes())


def damage_cut_part(folder):
    path = folder / "sequences" / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def damage_sites(folder):
    (folder / "sites.parquet").write_bytes((folder / "sequences" / "part-00000.parquet").read_bytes())


def damage_description(folder):
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace("0.25", "0.24", 1))


def flip(path):
    """Change one bit in the middle of a file: of a part or sites among the values, which no footer guards."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = [
    (damage_missing_part, "part-00001.parquet: is missing"),
    (damage_foreign_part, "part-00003.parquet: belongs to no part"),
    (damage_other_part, "part-00001.parquet: has 40 rows, dataset.json says 25"),
    (damage_cut_part, "part-00001.parquet: cannot be read"),
    (damage_sites, "sites.parquet: has the columns"),
    (lambda folder: (folder / "sites.parquet").unlink(), "sites.parquet: is missing"),
    (lambda folder: (folder / "motifs.meme").unlink(), "motifs.meme: is missing"),
    (lambda folder: flip(folder / "sequences" / "part-00002.parquet"), "part-00002.parquet: is not what was written"),
    (lambda folder: flip(folder / "sites.parquet"), "sites.parquet: is not what was written"),
    (lambda folder: flip(folder / "motifs.meme"), "motifs.meme: is not what was written"),
    (damage_description, "dataset.json: is not what was written"),
    (lambda folder: (folder / "dataset.json").unlink(), "half-written"),
    (lambda folder: (folder / "dataset.json").write_text("{"), "dataset.json: is not JSON"),
    (lambda folder: (folder / "dataset.json").write_text("[]"), "lacks the key name"),
    (lambda folder: rewrite_json(folder, counts=None), "lacks the key counts"),
    (lambda folder: rewrite_json(folder, seq_length="30"), "lacks the key seq_length"),
    (lambda folder: rewrite_json(folder, tasks=["K562", "HepG2"]), "part-00000.parquet: has the columns"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[message for _, message in DAMAGES])
def test_a_damaged_data_set_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        open_dataset(folder)


def test_no_data_set(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no data set"):
        open_dataset(tmp_path)


# reading


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_arrays_of_a_split(ds, split):
    rows = ds.sequences[ds.sequences["split"] == split]
    assert ds.seq_ids(split).tolist() == rows["seq_id"].tolist()
    bases = ds.bases(split)
    assert bases.dtype == np.uint8
    assert text_column(bases).to_pylist() == rows["sequence"].tolist()
    labels = ds.labels(split)
    assert labels.dtype == np.uint8
    assert labels.tolist() == rows[TASKS].to_numpy().tolist()


def test_a_split_without_sequences(parts, tmp_path):
    sequences, sites = parts[0]
    only_test = sequences.set_column(4, "split", pa.array(["test"] * len(sequences))).cast(sequence_schema(TASKS))
    write_dataset(tmp_path, parts=[(only_test, sites)], **NAMES)
    ds = open_dataset(tmp_path)
    assert ds.counts == {"train": 0, "valid": 0, "test": 40}
    assert ds.bases("valid").shape == ds.mask("valid").shape == (0, LENGTH)
    assert ds.mask("valid", truth="rescanned").shape == (0, LENGTH)
    assert ds.labels("valid").shape == (0, 2)
    assert ds.seq_ids("valid").shape == (0,)
    with pytest.raises(ValueError, match="from the 0 sequences of train"):
        ds.tf_data("train")


def naive_mask(ds, split, keep):
    ids = ds.seq_ids(split).tolist()
    mask = np.zeros((len(ids), LENGTH), bool)
    for site in ds.sites.itertuples():
        if site.seq_id in ids and keep(site.element):
            mask[ids.index(site.seq_id), site.start : site.end] = True
    return mask


def test_mask_of_all_sites(ds):
    expected = naive_mask(ds, "train", lambda _: True)
    assert expected.any(axis=1).all()
    np.testing.assert_array_equal(ds.mask("train"), expected)
    np.testing.assert_array_equal(ds.mask("train", task="K562", motifs="all"), expected)


@pytest.mark.parametrize("task", TASKS)
def test_mask_of_a_task_holds_the_elements_that_depend_on_it(ds, task):
    expected = naive_mask(ds, "test", lambda element: task in ELEMENTS[element])
    assert 0 < expected.sum() < ds.mask("test").sum()
    np.testing.assert_array_equal(ds.mask("test", task=task), expected)


def test_true_sites_are_those_of_the_mask(ds):
    sites = ds.true_sites("test", task="HepG2")
    of_task = ds.sites["element"].isin([element for element, tasks in ELEMENTS.items() if "HepG2" in tasks])
    expected = ds.sites[of_task & ds.sites["seq_id"].isin(ds.seq_ids("test"))]
    assert list(sites) == ["row", "motif", "start", "end", "strand"]
    assert ds.seq_ids("test")[sites["row"]].tolist() == expected["seq_id"].tolist()
    for column in ("motif", "start", "end", "strand"):
        assert sites[column].tolist() == expected[column].tolist()
    again = ds.true_sites("test", task="HepG2", truth="rescanned")
    np.testing.assert_array_equal(
        covered(again, (ds.counts["test"], LENGTH)), ds.mask("test", task="HepG2", truth="rescanned")
    )


def test_the_truth_of_a_task_of_peaks_holds_the_motifs_that_passed_for_it(parts, tmp_path):
    # M1 passes for one task, M2 for both, M3 is not in the log's kept ones: kept for none
    lines = [("M1", "HepG2", True), ("M1", "K562", False), ("M2", "HepG2", True), ("M2", "K562", True)]
    log = pd.DataFrame([*lines, ("M3", "HepG2", False), ("M3", "K562", False)], columns=["motif", "task", "passes"])
    parts = [(sequences, by_motif(sites)) for sequences, sites in parts]
    write_dataset(tmp_path, parts=parts, **{**NAMES, "kind": "peaks", "notes": {}}, motif_log=log)
    ds = open_dataset(tmp_path)
    assert ds.element_tasks == {"M1": ["HepG2"], "M2": ["HepG2", "K562"], "M3": []}
    for task, motifs in {"HepG2": ["M1", "M2"], "K562": ["M2"]}.items():
        np.testing.assert_array_equal(ds.mask("train", task=task), naive_mask(ds, "train", motifs.__contains__))
        assert set(ds.true_sites("train", task=task)["motif"]) == set(motifs)
        again = ds.true_sites("train", task=task, truth="rescanned")
        expected = scan(ds.bases("train"), [m for m in MOTIFS if m.motif_id in motifs], 1e-4, [0.25] * 4)
        assert again[["row", "start", "motif"]].values.tolist() == expected[["row", "start", "motif"]].values.tolist()
    for every in ({"task": None}, {"task": "K562", "motifs": "all"}):
        np.testing.assert_array_equal(ds.mask("train", **every), naive_mask(ds, "train", lambda _: True))


def by_motif(sites):
    """As the peaks simulator names elements."""
    return sites.set_column(sites.schema.get_field_index("element"), "element", sites["motif"])


def test_mask_of_peaks_without_a_log_holds_every_site(parts, tmp_path):
    write_dataset(tmp_path, parts=parts, **{**NAMES, "kind": "peaks", "notes": {}})
    ds = open_dataset(tmp_path)
    np.testing.assert_array_equal(ds.mask("train", task="K562"), naive_mask(ds, "train", lambda _: True))


@pytest.mark.parametrize(("task", "ids"), [(None, ["M1", "M2", "M3"]), ("HepG2", ["M1", "M2"]), ("K562", ["M1", "M2"])])
def test_mask_of_a_new_scan(ds, folder, task, ids):
    motifs = [motif for motif in read_motifs(folder / "motifs.meme") if motif.motif_id in ids]
    expected = np.zeros((len(ds.seq_ids("train")), LENGTH), bool)
    for hit in scan(ds.bases("train"), motifs, 1e-4, [0.25] * 4).itertuples():
        expected[hit.row, hit.start : hit.end] = True
    got = ds.mask("train", task=task, truth="rescanned")
    np.testing.assert_array_equal(got, expected)
    assert (got & ds.mask("train", task=task)).any()


def test_a_new_scan_takes_the_p_value_and_background_of_the_data_set(parts, tmp_path):
    background = [0.4, 0.1, 0.1, 0.4]
    notes = {"elements": ELEMENTS, "scan_pvalue": 1e-6, "background": background}
    write_dataset(tmp_path, parts=parts, **{**NAMES, "notes": notes})
    ds = open_dataset(tmp_path)
    expected = np.zeros((len(ds.seq_ids("train")), LENGTH), bool)
    for hit in scan(ds.bases("train"), MOTIFS, 1e-6, background).itertuples():
        expected[hit.row, hit.start : hit.end] = True
    assert 0 < expected.sum() < ds.mask("train").sum()
    np.testing.assert_array_equal(ds.mask("train", truth="rescanned"), expected)
    assert "A 0.4 C 0.1 G 0.1 T 0.4" in (tmp_path / "motifs.meme").read_text()


def test_names_that_are_unknown(ds):
    with pytest.raises(ValueError, match="no task 'H1'"):
        ds.mask("test", task="H1")
    with pytest.raises(ValueError, match="no split 'tests'"):
        ds.bases("tests")
    with pytest.raises(ValueError, match="'each'"):
        ds.mask("test", motifs="each")
    with pytest.raises(ValueError, match="'true'"):
        ds.mask("test", truth="true")


# batches: a plain reference of what an epoch holds is the split itself

STREAMED = {"in_memory_bytes": 400}  # a part at a time
MEMORIES = pytest.mark.parametrize("memory", [{}, STREAMED, {"in_memory_bytes": 7_000}], ids=["kept", "parts", "pairs"])


def examples(batches):
    """The multiset of (sequence, labels) in some batches."""
    return Counter(
        (sequence.tobytes(), labels.tobytes()) for x, y in batches for sequence, labels in zip(x, y, strict=True)
    )


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True)
    )


@MEMORIES
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_epoch_holds_each_example_once(ds, memory, shuffle):
    data = ds.tf_data("train", batch_size=7, shuffle=shuffle, **memory)
    n = ds.counts["train"]
    expected = examples([(one_hot(ds.bases("train")), ds.labels("train").astype(np.float32))])
    assert data.cardinality().numpy() == -(-n // 7)
    for _ in range(2):
        batches = list(data.as_numpy_iterator())
        assert [len(x) for x, _ in batches] == [7] * (n // 7) + [n % 7]
        assert examples(batches) == expected


@MEMORIES
def test_the_seed_gives_the_batches(ds, memory):
    def epochs(seed):
        data = ds.tf_data("train", batch_size=8, seed=seed, **memory)
        return [list(data.as_numpy_iterator()) for _ in range(2)]

    first, again, other = epochs(1), epochs(1), epochs(2)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0], first[1]), "a new order each epoch"
    assert not same(first[0], other[0])
    in_order = list(ds.tf_data("train", batch_size=8, shuffle=False).as_numpy_iterator())
    assert not same(first[0], in_order)


@MEMORIES
def test_unshuffled_batches_are_the_split_in_order(ds, memory):
    batches = list(ds.tf_data("test", batch_size=4, **memory).as_numpy_iterator())
    x, y = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x, one_hot(ds.bases("test")))
    assert (x.sum(axis=2) == 0).any(), "N is a row of zeros"
    np.testing.assert_array_equal(y, ds.labels("test"))


@MEMORIES
def test_repeated_data_go_on_with_the_next_epoch(ds, memory):
    once = ds.tf_data("train", batch_size=9, seed=3, **memory)
    epochs = [batch for _ in range(3) for batch in once.as_numpy_iterator()]
    repeated = ds.tf_data("train", batch_size=9, seed=3, repeat=True, **memory)
    assert repeated.cardinality().numpy() == -1
    assert same(list(islice(repeated.as_numpy_iterator(), len(epochs))), epochs)


def test_streamed_parts_are_drawn_and_mixed(ds):
    """With a part in memory at a time, an epoch takes part after part; with two, both are mixed."""
    part_of = {}
    for number in range(3):
        bases, labels = ds._arrays("train", number)
        part_of |= {(x.tobytes(), y.tobytes()): number for x, y in zip(bases, labels, strict=True)}

    def parts_seen(memory, epoch_count):
        one_epoch = epoch_batches(
            lambda number: ds._arrays("train", number),
            [rows * (LENGTH + 2) for rows in ds._part_counts("train")],
            BatchOrder(batch_size=1, seed=5, shuffle=True),
            memory,
        )
        return [[part_of[x[0].tobytes(), y[0].tobytes()] for x, y in one_epoch()] for _ in range(epoch_count)]

    epochs = parts_seen(400, 8)
    orders = {tuple(dict.fromkeys(epoch)) for epoch in epochs}
    assert len(orders) > 1
    for epoch in epochs:
        assert sum(a != b for a, b in itertools.pairwise(epoch)) == 2, "each part is a run"
    whole = parts_seen(10**6, 1)[0]
    assert sum(a != b for a, b in itertools.pairwise(whole)) > 10


def test_memory_bounds_how_many_parts_are_read_together():
    held = []
    sizes = [100] * 10

    def read(number):
        held.append(number)
        return np.full((50, 1), number, np.uint8), np.zeros((50, 1), np.uint8)

    one_epoch = epoch_batches(read, sizes, BatchOrder(batch_size=50, seed=0, shuffle=True), 800)
    together = [len(held) for _ in one_epoch()]
    assert together == [2, 2, 4, 4, 6, 6, 8, 8, 10, 10], "two parts, a quarter of the memory, at a time"
    assert sorted(held) == list(range(10))


def test_a_kept_split_is_read_once():
    read = []

    def read_part(number):
        read.append(number)
        return np.zeros((5, 1), np.uint8), np.zeros((5, 1), np.uint8)

    one_epoch = epoch_batches(read_part, [10, 0, 10], BatchOrder(batch_size=4, seed=0, shuffle=True), 20)
    assert [len(list(one_epoch())) for _ in range(3)] == [3, 3, 3]
    assert read == [0, 2], "and empty parts never"


def test_every_order_of_a_small_split_is_drawn_alike():
    """6,000 epochs of three examples: each of the 6 orders 1,000 times, chi-square of 5 degrees below 20.5 (p .001)."""
    column = np.arange(3, dtype=np.uint8)[:, None]
    one_epoch = epoch_batches(lambda _: (column, column), [6], BatchOrder(batch_size=3, seed=11, shuffle=True), 6)
    orders = Counter(tuple(next(iter(one_epoch()))[0].ravel()) for _ in range(6_000))
    assert len(orders) == 6
    assert sum((count - 1_000) ** 2 / 1_000 for count in orders.values()) < 20.5


@pytest.mark.parametrize("as_bases", [True, False])
def test_no_thread_tunes_the_pipeline_which_deleting_it_would_wait_for(ds, as_bases):
    """It looks once a minute at last: a run stood still for 49 s in the middle of its attributions."""
    assert ds.tf_data("train", as_bases=as_bases).options().autotune.enabled is False


def test_keras_fits_on_the_batches_without_a_warning(ds):
    import keras

    model = keras.Sequential([keras.Input((LENGTH, 4)), keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    history = model.fit(ds.tf_data("train", batch_size=16), epochs=2, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 2


def test_public_names():
    assert set(module.__all__) == {
        "Dataset",
        "covered",
        "finish_dataset",
        "leakage",
        "open_dataset",
        "write_dataset",
        "write_part",
    }
