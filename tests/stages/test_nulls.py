"""Null rows of summary.csv: a network drawn anew, and positions and words of the training split alone."""

import functools

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

import simbench_tf as sb
from helpers.tiny_run import TINY_RUN
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.run.attributions import attributed_rows

TASKS = list(TINY_RUN["simulation"]["tasks"])
METHODS = {
    "grad_x_input@none": ("grad_x_input", {}),
    "integrated_gradients@shuffle2+n_steps=3": ("integrated_gradients", {"n_steps": 3}),
}


@functools.lru_cache
def summary_of(run):
    table = pd.read_csv(run / "scores" / "summary.csv", keep_default_na=False, na_values=[""])
    return table.set_index(["task", "key"])


def mean_auprc(line, scores, mask):
    """By scikit-learn, on the bases that the network can see: it has valid padding, so the last are not."""
    seen = slice(0, int(line.scored_bases))
    assert line.sign == "absolute"
    pairs = [(m[seen], np.abs(s[seen])) for m, s in zip(mask, scores, strict=True) if m[seen].any()]
    return np.mean([average_precision_score(m, s) for m, s in pairs])


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("task", TASKS)
def test_null_untrained_is_the_method_on_a_network_of_the_architecture_that_was_just_drawn(
    tiny_run, tiny_config, task, key
):
    dataset, config = open_dataset(tiny_run), load_config(tiny_config)
    rows, target = attributed_rows(dataset, config, task), dataset.tasks.index(task)
    bases = dataset.bases("test")[rows]
    fresh = sb.basset(seq_length=200, n_tasks=2, width=TINY_RUN["models"][0]["width"], seed=TINY_RUN["seed"])
    method, settings = METHODS[key]
    references = None
    if "shuffle" in key:
        with h5py.File(tiny_run / "references" / "shuffles.h5") as h5:
            ids = h5["seq_id"].asstr()[:].tolist()
            shuffles = h5["bases"][:]
        at = [ids.index(seq_id) for seq_id in dataset.seq_ids("test")[rows]]
        references = np.stack([sb.one_hot(shuffles[number]) for number in at])
    expected = sb.attribute(fresh, sb.one_hot(bases), method, target=target, references=references, **settings).scores
    with h5py.File(tiny_run / "nulls" / "basset" / task / f"{key}.h5") as h5:
        found = h5["scores"][:]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    with h5py.File(tiny_run / "attributions" / "basset" / task / f"{key}.h5") as h5:
        assert np.corrcoef(h5["scores"][:].ravel(), found.ravel())[0, 1] < 0.9  # training changed what it says
    line = summary_of(tiny_run).loc[(task, f"null_untrained@{key}")]
    mask = dataset.mask("test", task=task)[rows]
    assert line.method == "null_untrained"
    assert line.auprc == pytest.approx(mean_auprc(line, found, mask))


def of_positives(dataset, split, task):
    """Bases and true bases of a split's positives."""
    positive = dataset.labels(split)[:, dataset.tasks.index(task)] == 1
    return dataset.bases(split)[positive], dataset.mask(split, task=task)[positive]


def by_position(_known, mask, bases):
    return np.array([[mask[:, place].mean() for place in range(bases.shape[1])]] * len(bases))


def by_word(known, mask, bases, k):
    """Share of true middles of each word, with one more of each word that is true as often as any base."""
    seen, true, half = {}, {}, k // 2
    for letters, truth in zip(known.tolist(), mask.tolist(), strict=True):
        for place in range(half, len(letters) - half):
            word = tuple(letters[place - half : place + half + 1])
            seen[word] = seen.get(word, 0) + 1
            true[word] = true.get(word, 0) + truth[place]
    average = mask.mean()
    scores = np.full(bases.shape, average)
    for row, letters in enumerate(bases.tolist()):
        for place in range(half, len(letters) - half):
            word = tuple(letters[place - half : place + half + 1])
            scores[row, place] = (true.get(word, 0) + average) / (seen.get(word, 0) + 1)
    return scores


PLAIN = {
    "null_position": by_position,
    "null_kmer+k=5": functools.partial(by_word, k=5),
    "null_kmer+k=3+position=True": lambda *arrays: by_word(*arrays, k=3) * by_position(*arrays),
}


@pytest.mark.parametrize("key", PLAIN)
@pytest.mark.parametrize("task", TASKS)
def test_positions_and_words_are_counted_in_positives_of_the_training_split(tiny_run, tiny_config, task, key):
    dataset, config = open_dataset(tiny_run), load_config(tiny_config)
    rows = attributed_rows(dataset, config, task)
    bases, mask = dataset.bases("test")[rows], dataset.mask("test", task=task)[rows]
    line = summary_of(tiny_run).loc[(task, key)]
    of_split = {}
    for split in ("train", "valid", "test"):
        scores = PLAIN[key](*of_positives(dataset, split, task), bases).astype(np.float32)
        of_split[split] = mean_auprc(line, scores, mask)
    assert line.auprc == pytest.approx(of_split["train"], abs=1e-6)
    assert all(abs(of_split[split] - of_split["train"]) > 1e-4 for split in ("valid", "test"))
