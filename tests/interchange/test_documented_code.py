"""The code of docs/interchange.md runs as it stands there, on a run's own files."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from simbench_tf.dataset import open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.interchange import export_data

PAGE = Path(__file__).parents[2] / "docs" / "interchange.md"


@pytest.fixture
def run_block(tiny_run, tmp_path, monkeypatch):
    """Run the Python block below a heading in a folder that has runs/demo, and data in a format; what it defined."""

    def run(heading, format_=None, needs="numpy"):
        if importlib.util.find_spec(needs) is None:
            pytest.skip(f"{needs} is not installed: pip install 'simbench_tf[{needs}]'")
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "demo").symlink_to(tiny_run)
        if format_ is not None:
            export_data(tiny_run, tmp_path / "data", format_)
        monkeypatch.chdir(tmp_path)
        section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
        defined = {}
        exec(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1], defined)
        return defined, open_dataset(tiny_run / "dataset")

    return run


def test_tf_data_reads_the_records(run_block):
    defined, dataset = run_block("TFRecord, for tf.data", "tfrecord")
    x, y = next(iter(defined["batches"]))
    assert x.shape == (64, dataset.seq_length, 4)
    sequences, labels = one_hot(dataset.bases("train")), dataset.labels("train")
    known = {sequence.tobytes(): label.tolist() for sequence, label in zip(sequences, labels, strict=True)}
    assert [known[each.tobytes()] for each in x.numpy()] == y.numpy().tolist()
    assert x.dtype == y.dtype == np.float32


def test_torch_loads_the_run(run_block):
    defined, dataset = run_block("PyTorch", needs="torch")
    assert tuple(defined["x"].shape) == (64, 4, dataset.seq_length)
    assert tuple(defined["y"].shape) == (64, len(dataset.tasks))


def test_anndata_reads_the_file(run_block):
    defined, dataset = run_block("AnnData, for CREsted", "anndata", needs="anndata")
    assert defined["labelled"].shape == (len(dataset.tasks), sum(dataset.counts.values()))
