"""Sequences neither positive nor negative of a task: in no loss, measure or count of it, but in the others'."""

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf.config import Training
from simbench_tf.dataset import open_dataset, write_dataset
from simbench_tf.dna import one_hot
from simbench_tf.dna.arrow import text_column
from simbench_tf.interchange import export_data
from simbench_tf.motifs import Motif
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.tables import SITES_SCHEMA, UNLABELLED, check_sequences, sequence_schema
from simbench_tf.training import train
from simbench_tf.training.evaluate import split_metrics, validation_metrics
from simbench_tf.training.wrapper import label_weights

TASKS, LENGTH, N = ["A", "B"], 12, 60


def sequence_table(labels, split):
    bases = np.random.default_rng(2).integers(4, size=(N, LENGTH)).astype(np.uint8)
    columns = {
        "seq_id": [f"s{row}" for row in range(N)],
        **dict.fromkeys(("chrom", "start", "end"), [None] * N),
        "split": split,
        "sequence": text_column(bases),
        **{task: labels[:, number] for number, task in enumerate(TASKS)},
    }
    return pa.table(columns, schema=sequence_schema(TASKS))


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    """40 sequences to train on and 20 to test; a quarter of those is neither for A, and the next ones for B."""
    labels = np.random.default_rng(1).integers(2, size=(N, 2)).astype(np.uint8)
    labels[::4, 0], labels[1::8, 1] = UNLABELLED, UNLABELLED
    folder = tmp_path_factory.mktemp("unlabelled")
    write_dataset(
        folder,
        name="neither",
        kind="peaks",
        tasks=TASKS,
        motifs=[Motif("M1", "T", np.full((4, 4), 0.25), 10.0)],
        parts=[(sequence_table(labels, np.where(np.arange(N) < 40, "train", "test")), SITES_SCHEMA.empty_table())],
    )
    return open_dataset(folder)


def network():
    inputs = keras.Input((LENGTH, 4))
    start = keras.initializers.GlorotUniform(seed=3)
    outputs = keras.layers.Dense(2, "sigmoid", kernel_initializer=start)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


def losses(ds, model, split):
    """Binary cross-entropy of each sequence and task, and which of them count."""
    labels, p = ds.labels(split), model.predict(one_hot(ds.bases(split)), verbose=0).astype(float)
    return -np.where(labels == 1, np.log(p), np.log1p(-p)), labels


@pytest.mark.parametrize("class_weight", [None, "balanced", {"B": 3.0}])
def test_the_loss_of_a_task_is_the_mean_over_those_it_labels(ds, class_weight):
    model = network()
    values, labels = losses(ds, model, "train")
    expected = []
    for number, task in enumerate(TASKS):
        known = labels[:, number] != UNLABELLED
        assert 0 < known.sum() < len(known)
        value, label = values[known, number], labels[known, number]
        weight = np.ones(len(label))
        if class_weight == "balanced":
            weight = len(label) / (2 * np.where(label == 1, (label == 1).sum(), (label == 0).sum()))
        elif class_weight:
            weight = np.where(label == 1, class_weight.get(task, 1.0), 1.0)
        expected.append((weight * value).mean())
    training = Training(
        batch_size=20, learning_rate=1e-12, max_batches=2, class_weight=class_weight, precision="float32", xla=False
    )
    assert train(model, ds, training).history["loss"].item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_no_gradient_flows_from_a_label_that_is_none(ds):
    weights = label_weights(None, ds)
    assert weights is not None
    from simbench_tf.training.wrapper import _cross_entropy

    loss = _cross_entropy(weights)
    p = keras.ops.convert_to_tensor([[0.9, 0.2]])
    first, second = (
        float(loss(np.array([[UNLABELLED, 1]]), p)[0]),
        float(loss(np.array([[UNLABELLED, 1]]), p * [[0.1, 1]])[0]),
    )
    assert first == second == pytest.approx(-np.log(0.2) * weights.positives[1] / 2)


def test_metrics_are_those_of_the_labelled_alone(ds):
    model = network()
    labels, p = ds.labels("test"), model.predict(one_hot(ds.bases("test")), verbose=0)
    metrics = split_metrics(labels, p, TASKS)
    means = []
    for number, task in enumerate(TASKS):
        known = labels[:, number] != UNLABELLED
        truth, score = labels[known, number], p[known, number]
        assert metrics[task]["auroc"] == pytest.approx(roc_auc_score(truth, score))
        assert metrics[task]["auprc"] == pytest.approx(average_precision_score(truth, score))
        assert metrics[task]["positive_fraction"] == pytest.approx(truth.mean())
        means.append(losses(ds, model, "test")[0][known, number].mean())
    history = validation_metrics(model, (ds.bases("test"), labels), TASKS)
    assert history["valid_loss"] == pytest.approx(np.mean(means), rel=1e-5)
    assert history["valid_auprc"] == pytest.approx(np.mean([metrics[task]["auprc"] for task in TASKS]))


def test_counts_and_choices_are_of_positives_alone(ds, tmp_path):
    table = ds.sequences
    for task in TASKS:
        known = table[task][table[task] != UNLABELLED]
        assert ds.positive_fraction[task] == pytest.approx(known.mean())
    assert label_weights({"A": 1.0}, ds).negatives == pytest.approx(
        [40 / (ds.labels("train")[:, number] != UNLABELLED).sum() for number in range(2)]
    )

    class Settings:
        class attribution:  # noqa: N801
            split, n_sequences = "test", 100

        seed = 1

    chosen = attributed_rows(ds, Settings, "A")
    assert chosen.tolist() == np.flatnonzero(ds.labels("test")[:, 0] == 1).tolist()


def test_the_papers_text_has_no_line_for_them(ds, tmp_path):
    export_data(_as_run(ds, tmp_path), tmp_path / "out", "paper")
    for task in TASKS:
        for label, name in ((0, "negatives"), (1, "positives")):
            written = pd.read_csv(tmp_path / "out" / f"{task}.{name}.txt", sep="\t")["seqid"]
            assert set(written) == set(ds.sequences["seq_id"][ds.sequences[task] == label])


def _as_run(ds, folder):
    (folder / "run").mkdir()
    (folder / "run" / "dataset").symlink_to(ds.path)
    return folder / "run"


def test_other_labels_are_refused():
    labels = np.zeros((N, 2), np.uint8)
    labels[3, 1] = UNLABELLED
    check_sequences(sequence_table(labels, ["train"] * N), TASKS)
    labels[4, 1] = 7
    with pytest.raises(ValueError, match=r"column B holds labels other than 0, 1 and 255 \(neither\)"):
        check_sequences(sequence_table(labels, ["train"] * N), TASKS)
