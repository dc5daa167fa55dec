"""AnnData: what anndata reads back is the data set, and genome.fa holds the sequence of each region."""

import importlib.util
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from pyfaidx import Fasta

from helpers.folders import checksums
from helpers.program import simbench
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import decode
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_data
from simbench_tf.tables import UNLABELLED

reason = "anndata is not installed: pip install 'simbench_tf[anndata]'"
needs_anndata = pytest.mark.skipif(importlib.util.find_spec("anndata") is None, reason=reason)


def read_back(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata's own
        import anndata

        return anndata.read_h5ad(path)


@needs_anndata
def test_it_holds_the_data_set(peaks_run, tmp_path):
    _, run, dataset = peaks_run
    files = export_data(run, tmp_path / "out", "anndata")
    assert [file.name for file in files] == ["dataset.h5ad", "genome.fa", "motifs.meme"]
    data = read_back(files[0])
    assert data.obs_names.tolist() == dataset.tasks
    splits = {"train": "train", "test": "test"}
    order = np.concatenate([dataset.seq_ids(split) for split in splits])
    assert data.var["seq_id"].tolist() == order.tolist()
    labels = np.concatenate([dataset.labels(split) for split in splits])
    assert data.X.dtype == np.float32
    np.testing.assert_array_equal(data.X, labels.T)
    assert data.obs["n_open_regions"].tolist() == labels.sum(axis=0).tolist()
    assert data.var["split"].tolist() == [name for split, name in splits.items() for _ in dataset.seq_ids(split)]
    np.testing.assert_array_equal(data.varm["bases"], np.concatenate([dataset.bases(split) for split in splits]))
    places = data.var["locus_chrom"].astype(str) + ":" + data.var["locus_start"].astype(str)
    assert (places + "-" + data.var["locus_end"].astype(str)).tolist() == order.tolist()
    columns = ["seq_id", "motif", "tf", "start", "end", "strand", "matched", "element", "pvalue", "score"]
    sites = data.uns["sites"].reset_index(drop=True)[columns]
    pd.testing.assert_frame_equal(sites, dataset.sites[columns], check_dtype=False, check_categorical=False)
    assert data.uns["motifs"]["motif"].tolist() == dataset.motifs["motif"].tolist()
    assert {name: str(each) for name, each in data.uns["simbench"].items()} == {
        "name": "peaky", "kind": "peaks", "genome": "genome.fa"
    }  # fmt: skip


@needs_anndata
def test_the_sequence_of_a_region_stands_in_the_genome(peaks_run, tmp_path):
    """As CREsted fetches it: contig, start and end of the region's name."""
    _, run, dataset = peaks_run
    data = read_back(export_data(run, tmp_path / "out", "anndata")[0])
    texts = dataset.sequences.set_index("seq_id")["sequence"]
    with Fasta(str(tmp_path / "out" / "genome.fa"), as_raw=True) as genome:
        for region, row in data.var.iterrows():
            contig, place = region.split(":")
            start, end = map(int, place.split("-"))
            assert (contig, start, end) == (row["chrom"], row["start"], row["end"])
            assert row["chr"] == row["chrom"]
            assert genome[contig][start:end] == texts[row["seq_id"]]
            # shifted, it shows Ns and none of the next one
            assert set(genome[contig][start - 100 : start]) == set(genome[contig][end : end + 100]) == {"N"}
        sites = data.uns["sites"]
        for site in sites.itertuples():
            start = data.var.loc[site.region, "start"] + site.start
            assert genome[site.region.split(":")[0]][start : start + len(site.matched)] == site.matched


@needs_anndata
def test_neither_positive_nor_negative_is_no_number(peaks_run, tmp_path, monkeypatch):
    _, run, dataset = peaks_run
    labels = {split: dataset.labels(split).copy() for split in ("train", "test")}
    labels["test"][3, 1] = UNLABELLED
    monkeypatch.setattr(type(dataset), "labels", lambda self, split: labels[split])
    data = read_back(export_data(run, tmp_path / "out", "anndata")[0])
    assert np.argwhere(np.isnan(data.X)).tolist() == [[1, len(labels["train"]) + 3]]
    assert data.obs["n_open_regions"].iloc[1] == sum((each[:, 1] == 1).sum() for each in labels.values())


@needs_anndata
def test_truth_is_that_of_each_task(tiny_run, tmp_path):
    dataset = open_dataset(tiny_run / "dataset")
    data = read_back(export_data(tiny_run, tmp_path / "out", "anndata")[0])
    assert not {"locus_chrom", "locus_start"} & set(data.var)
    assert decode(data.varm["bases"][data.var["split"] == "val"]) == decode(dataset.bases("valid"))
    sites = data.uns["sites"]
    for task in dataset.tasks:
        mask = np.zeros((dataset.counts["test"], dataset.seq_length), bool)
        rows = {seq_id: row for row, seq_id in enumerate(dataset.seq_ids("test"))}
        for site in sites[sites[f"truth_{task}"]].itertuples():
            if site.seq_id in rows:
                mask[rows[site.seq_id], site.start : site.end] = True
        np.testing.assert_array_equal(mask, dataset.mask("test", task=task))


@needs_anndata
def test_the_same_run_gives_the_same_bytes(peaks_run, tmp_path):
    _, run, _ = peaks_run
    for name in ("one", "two"):
        export_data(run, tmp_path / name, "anndata")
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_without_anndata_the_command_says_how_to_install_it(peaks_run, tmp_path, monkeypatch, capsys):
    _, run, _ = peaks_run
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(InputError, match=r"needs anndata, which is not .*; pip install 'simbench_tf\[anndata\]'"):
        export_data(run, tmp_path / "out", "anndata")
    options = ["--out", tmp_path / "out", "--format", "anndata"]
    assert simbench(monkeypatch, capsys, "export-data", run, *options)[0] == 2
    assert not (tmp_path / "out").exists()
