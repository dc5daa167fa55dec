"""TFRecord: what tf.data reads is the data set, by features.json alone."""

import json

import numpy as np
import pytest

from helpers.folders import checksums
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_data

KINDS = {"bytes": "string", "int64": "int64"}


def examples(folder, split, suffix=""):
    """Every example of a split, read as docs/interchange.md says."""
    import tensorflow as tf

    about = json.loads((folder / "features.json").read_text())
    features = {
        name: tf.io.VarLenFeature(KINDS[each["type"]])
        if each["values"] is None
        else tf.io.FixedLenFeature([each["values"]], KINDS[each["type"]])
        for name, each in about["features"].items()
    }
    path = str(folder / f"{split}.tfrecord{suffix}")
    records = tf.data.TFRecordDataset(path, compression_type="GZIP" if suffix else "")
    for parsed in records.map(lambda record: tf.io.parse_single_example(record, features)):
        dense = {name: tf.sparse.to_dense(v) if isinstance(v, tf.SparseTensor) else v for name, v in parsed.items()}
        yield {name: value.numpy() for name, value in dense.items()}


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_tf_data_reads_is_the_data_set(peaks_run, tmp_path, suffix):
    _, run, dataset = peaks_run
    files = export_data(run, tmp_path / "out", "tfrecord", compress=bool(suffix))
    names = [f"train.tfrecord{suffix}", f"test.tfrecord{suffix}", "features.json", "motifs.meme"]
    assert [file.name for file in files] == names
    assert json.loads((tmp_path / "out" / "features.json").read_text())["tasks"] == dataset.tasks
    n_sites = 0
    for split in ("train", "test"):
        read = list(examples(tmp_path / "out", split, suffix))
        assert [each["seq_id"][0].decode() for each in read] == dataset.seq_ids(split).tolist()
        np.testing.assert_array_equal([each["labels"] for each in read], dataset.labels(split))
        texts = [each["sequence"][0].decode() for each in read]
        np.testing.assert_array_equal(one_hot(texts), one_hot(dataset.bases(split)))
        loci = [f"{e['chrom'][0].decode()}:{e['start'][0]}-{e['end'][0]}" for e in read]
        assert loci == dataset.seq_ids(split).tolist()
        for each in read:
            own = dataset.sites[dataset.sites["seq_id"] == each["seq_id"][0].decode()]
            for column in ("motif", "start", "end", "strand", "element"):
                values = [v.decode() if isinstance(v, bytes) else v for v in each[f"site_{column}"].tolist()]
                assert values == own[column].tolist()
            n_sites += len(own)
    assert n_sites == len(dataset.sites) > 20


def test_the_same_run_gives_the_same_bytes(peaks_run, tmp_path):
    _, run, _ = peaks_run
    for name in ("one", "two"):
        export_data(run, tmp_path / name, "tfrecord", compress=True)
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_nothing_is_left_where_it_cannot_be_written(peaks_run, tmp_path):
    _, run, _ = peaks_run
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        export_data(run, tmp_path / "out", "tfrecord")
    assert (tmp_path / "out").read_text() == "a file"
