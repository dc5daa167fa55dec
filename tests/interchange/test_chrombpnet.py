"""ChromBPNet's contribution files: written as its tools read them, and read back by their own sequences."""

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest

from helpers.peaks_run import LENGTH
from helpers.program import simbench
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_attributions
from simbench_tf.interchange.chrombpnet import write_contributions
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.run.attributions import attributed_rows, attribution_files, read_attributions

TASK, KEY = "K562", "grad_x_input@none"


def explained(config, run, task=TASK):
    """Ids and bases of the sequences that a run explains."""
    dataset = open_dataset(run / "dataset")
    rows = attributed_rows(dataset, config, task)
    return dataset.seq_ids("test")[rows], dataset.bases("test")[rows]


def as_chrombpnet_writes(path, bases, scores):
    """A file as ``generate_shap_dict`` of its interpret.py makes it: float16, compressed by Blosc as PyTables does."""
    seqs = one_hot(bases)
    values = scores[..., None] * seqs + 0.25 * (1 - seqs)
    arrays = {"raw": seqs.astype(np.int8), "shap": values.astype(np.float16)}
    arrays["projected_shap"] = (seqs * values).astype(np.float16)
    with h5py.File(path, "w") as h5:
        for name, array in arrays.items():
            h5.create_dataset(f"{name}/seq", data=array.transpose(0, 2, 1), chunks=True, **hdf5plugin.Blosc())
    return path


def test_files_are_as_its_tools_read_them(peaks_run, tmp_path):
    config, run, dataset = peaks_run
    written = export_attributions(config, run, tmp_path / "out", "chrombpnet")
    assert len(written) == 2 * 2 * 2 + 2
    texts = dataset.sequences.set_index("seq_id")["sequence"]
    for file in attribution_files(config, run):
        with h5py.File(file.path) as h5:
            hypothetical, scores, seq_ids = h5["hypothetical"][:], h5["scores"][:], list(h5["seq_id"].asstr()[:])
        with h5py.File(tmp_path / "out" / file.task / file.model / f"{file.key}.h5") as h5:
            raw, shap, projected = (h5[f"{name}/seq"][:] for name in ("raw", "shap", "projected_shap"))
        assert raw.shape == shap.shape == projected.shape == (7, 4, LENGTH)
        assert raw.dtype == np.int8
        np.testing.assert_array_equal(raw.transpose(0, 2, 1), one_hot(texts.loc[seq_ids].tolist()))
        np.testing.assert_array_equal(shap.transpose(0, 2, 1), hypothetical)
        np.testing.assert_array_equal(projected.sum(axis=1), scores)
        assert ((projected != 0) <= (raw == 1)).all()
        # 10 columns; a sequence reaches from start + summit - L // 2 to start + summit + L // 2
        path = tmp_path / "out" / file.task / "interpreted_regions.bed"
        columns = ["chr", "start", "end", "1", "2", "3", "4", "5", "6", "summit"]
        regions = pd.read_csv(path, sep="\t", names=columns)
        first = regions["start"] + regions["summit"] - LENGTH // 2
        assert [f"{chrom}:{at}-{at + LENGTH}" for chrom, at in zip(regions["chr"], first, strict=True)] == seq_ids


def test_what_goes_out_comes_back_the_same(tiny_config, copied_run, tmp_path, monkeypatch, capsys):
    options = ["--out", tmp_path / "out", "--format", "chrombpnet"]
    code, out, _ = simbench(monkeypatch, capsys, "export-attributions", copied_run, *options)
    assert code == 0
    path = tmp_path / "out" / TASK / "basset" / f"{KEY}.h5"
    assert str(path) in out.splitlines()
    with h5py.File(path) as h5:
        assert "shap" not in h5  # this run keeps no hypothetical contributions
    command = ["score", copied_run, "--attributions", path, "--task", TASK, "--name", "back"]
    code, out, err = simbench(monkeypatch, capsys, *command)
    assert (code, err) == (0, "")
    ours = copied_run / "attributions" / "basset" / TASK / f"{KEY}.h5"
    back = copied_run / "attributions" / "others" / "basset" / TASK / "back.h5"
    np.testing.assert_array_equal(read_attributions(back)[0], read_attributions(ours)[0])
    table = pd.read_csv(copied_run / "scores" / "summary.csv").set_index(["task", "key"])
    assert table.loc[(TASK, "back"), "auprc"] == table.loc[(TASK, KEY), "auprc"]


def test_rows_are_found_by_their_sequences(tiny_config, copied_run, tmp_path):
    config = load_config(tiny_config)
    dataset = open_dataset(copied_run / "dataset")
    order = np.random.default_rng(0).permutation(dataset.counts["test"])
    scores = np.random.default_rng(1).normal(size=(len(order), 200)).astype(np.float16).astype(np.float32)
    path = as_chrombpnet_writes(tmp_path / "counts_scores.h5", dataset.bases("test")[order], scores)
    taken = take_attributions(config, copied_run, path, task=TASK)
    back, seq_ids = read_attributions(taken.path)
    assert seq_ids == explained(config, copied_run)[0].tolist()
    at = [order.tolist().index(row) for row in attributed_rows(dataset, config, TASK)]
    np.testing.assert_array_equal(back, scores[at])
    # ids of the rows do as well, and must then be those of these sequences
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(dataset.seq_ids("test")[order]))
    by_id = take_attributions(config, copied_run, path, task=TASK, name="by_id", seq_ids=ids)
    np.testing.assert_array_equal(read_attributions(by_id.path)[0], scores[at])
    ids.write_text("\n".join(dataset.seq_ids("test")[np.roll(order, 1)]))
    with pytest.raises(InputError, match=r"ids.txt: names '.*' where .*counts_scores.h5 holds another sequence"):
        take_attributions(config, copied_run, path, task=TASK, name="shifted", seq_ids=ids)


def test_an_n_has_no_base(tiny_config, copied_run, tmp_path):
    config = load_config(tiny_config)
    bases = explained(config, copied_run)[1].copy()
    bases[0, 7] = 4
    write_contributions(tmp_path / "a.h5", bases, np.ones(bases.shape, np.float32), None)
    with h5py.File(tmp_path / "a.h5") as h5:
        assert not h5["raw/seq"][0, :, 7].any()
        assert not h5["projected_shap/seq"][0, :, 7].any()
    with pytest.raises(InputError, match="explains in row 0 a sequence that the explained split lacks"):
        take_attributions(config, copied_run, tmp_path / "a.h5", task=TASK)


def changed(path, **arrays):
    with h5py.File(path, "a") as h5:
        for name, array in arrays.items():
            del h5[f"{name}/seq"]
            if array is not None:
                h5[f"{name}/seq"] = array


def test_files_that_do_not_fit_say_so(tiny_config, copied_run, tmp_path):
    config = load_config(tiny_config)
    ids, bases = explained(config, copied_run)
    path = tmp_path / "a.h5"

    def message(bases=bases, **arrays):
        write_contributions(path, bases, np.ones(bases.shape, np.float32), np.ones((*bases.shape, 4), np.float32))
        changed(path, **arrays)
        with pytest.raises(InputError) as error:
            take_attributions(config, copied_run, path, task=TASK)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert message(bases[:, :150]).startswith(
        f"{path}: explains sequences of 150 bases, those of the data set have 200; explain the run's own: `simbench exp"
    )
    assert message(bases[1:]) == (
        f"{path}: lacks 1 of the 8 explained sequences, '{ids[0]}' the first; "
        "explain all that the run's own files explain"
    )
    assert message(3 - bases) == (
        f"{path}: explains in row 0 a sequence that the explained split lacks; explain the run's own: "
        "`simbench export-data RUN --out DIR --explained`"
    )
    assert message(raw=np.full((8, 4, 200), 2)).startswith(f"{path}: raw/seq: is not one-hot; give one 1 for each base")
    assert message(raw=np.ones((8, 4, 200))).startswith(f"{path}: raw/seq: is not one-hot")
    assert message(raw=np.ones((8, 200, 4))).startswith(f"{path}: raw/seq: is float64 (8, 200, 4); give one-hot")
    assert message(shap=np.ones((8, 200, 4))) == (
        f"{path}: shap/seq: has the shape (8, 200, 4), raw/seq holds 8 sequences of 200 bases; give (8, 4, 200)"
    )
    assert message(shap=np.full((8, 4, 200), "a", "S1")) == f"{path}: shap/seq: holds |S1, not numbers; write float32"
    assert "has no array scores" in message(shap=None, projected_shap=None)
    assert not (copied_run / "attributions" / "others").exists()


def test_a_filter_that_is_lacking_is_named(tiny_config, copied_run, tmp_path, monkeypatch):
    path = as_chrombpnet_writes(tmp_path / "a.h5", np.zeros((2, 200), np.uint8), np.ones((2, 200)))
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    with pytest.raises(
        InputError, match="keeps raw/seq compressed by blosc, which HDF5 lacks here; pip install hdf5pl"
    ):
        take_attributions(load_config(tiny_config), copied_run, path, task=TASK)
