"""Predictions of a model and its metrics: on the test split, and between rounds on part of the validation split."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf.dataset import Dataset
from simbench_tf.dna import one_hot
from simbench_tf.files import whole_file
from simbench_tf.tables import UNLABELLED

Metrics = dict[str, dict[str, float]]
Split = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def predict(model: keras.Model, bases: npt.NDArray[np.uint8], batch_size: int = 500) -> npt.NDArray[np.float32]:
    """A model's output, float32 (N, T), for bases, uint8 (N, L); one-hot is made a batch at a time.

    A model whose input is bases, as that of the training wrapper, gets them unencoded.
    """
    encoded = one_hot if len(model.input_shape) == 3 else np.asarray
    batch_size = max(1, min(batch_size, len(bases)))
    outputs = [np.empty((0, model.output_shape[-1]), np.float32)]
    for first in range(0, len(bases), batch_size):
        # the last batch is filled up with copies, since TensorFlow compiles again for another size
        rows = np.arange(first, first + batch_size).clip(max=len(bases) - 1)
        outputs.append(model.predict_on_batch(encoded(bases[rows]))[: len(bases) - first].astype(np.float32))
    return np.concatenate(outputs)


def split_metrics(
    labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32], tasks: Sequence[str]
) -> Metrics:
    """auROC, auPRC (average precision) and positive fraction of each task.

    Parameters
    ----------
    labels : uint8, shape (N, T)
        0, 1, or `tables.UNLABELLED` for a sequence that is left out of a task's metrics.
    probabilities : float32, shape (N, T)
    tasks : sequence of T str

    Returns
    -------
    dict
        task -> {auroc, auprc, positive_fraction}; auroc and auprc are nan where one class is absent.

    Examples
    --------
    >>> labels, probabilities = np.array([[0, 1], [1, 1], [0, 1]], np.uint8), np.array([[0.1, 0], [0.2, 0], [0.3, 0]])
    >>> split_metrics(labels, probabilities, ["K562", "H1"])["K562"]["auprc"]
    0.5
    """
    return {task: _metrics(labels[:, number], probabilities[:, number]) for number, task in enumerate(tasks)}


def _metrics(labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    labelled = labels != UNLABELLED
    labels, probabilities = labels[labelled], probabilities[labelled]
    both = len(np.unique(labels)) == 2
    return {
        "auroc": float(roc_auc_score(labels, probabilities)) if both else math.nan,
        "auprc": float(average_precision_score(labels, probabilities)) if both else math.nan,
        "positive_fraction": float(labels.mean()) if len(labels) else math.nan,
    }


def validation_set(dataset: Dataset, n_sequences: int) -> Split | None:
    """Bases and labels of the validation split, or of evenly spaced rows of a larger one; None where it is empty."""
    n = dataset.counts["valid"]
    if not n:
        return None
    rows = np.linspace(0, n - 1, min(n, n_sequences)).round().astype(np.int64)
    return dataset.bases("valid")[rows], dataset.labels("valid")[rows]


def _both_classes(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """For each task, whether it has positives and negatives."""
    return np.asarray((labels == 0).any(axis=0) & (labels == 1).any(axis=0))


def _cross_entropy(labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32]) -> float:
    """Binary cross-entropy, the mean over tasks of the means over the sequences that each task labels."""
    # clipped as Keras clips, so that it compares with the training loss
    clipped = probabilities.astype(np.float64).clip(1e-7, 1 - 1e-7)
    likelihood = np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
    labelled = labels != UNLABELLED
    if labelled.all():
        return -float(likelihood.mean())
    of_tasks = [column[known].mean() for column, known in zip(likelihood.T, labelled.T, strict=True) if known.any()]
    return -float(np.mean(of_tasks)) if of_tasks else math.nan


def validation_metrics(model: keras.Model, validation: Split, tasks: Sequence[str]) -> dict[str, float]:
    """The columns of the history about the validation split."""
    bases, labels = validation
    probabilities = predict(model, bases)
    metrics = split_metrics(labels, probabilities, tasks)
    defined = [metrics[task] for task, both in zip(tasks, _both_classes(labels), strict=True) if both]
    return {
        "valid_loss": _cross_entropy(labels, probabilities),
        "valid_auroc": float(np.mean([task["auroc"] for task in defined])) if defined else math.nan,
        "valid_auprc": float(np.mean([task["auprc"] for task in defined])) if defined else math.nan,
        **{f"valid_auprc_{task}": metrics[task]["auprc"] for task in tasks},
    }


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write a model's metrics as JSON, with null for nan, which JSON lacks."""
    plain = {
        task: {metric: None if math.isnan(value) else value for metric, value in values.items()}
        for task, values in metrics.items()
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
