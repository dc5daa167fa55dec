"""The parts of a method's miss: they add up to the whole, and each is what it says."""

import numpy as np
import pandas as pd
import pytest

from simbench_tf.score.misses import split_misses

CEILINGS = pd.DataFrame({"attribution_auprc": [0.9, 0.8], "attribution_auprc_se": [0.01, 0.02]}, index=["a", "b"])


def rows(model, task, key, values):
    return pd.DataFrame(
        {
            "model": model,
            "task": task,
            "key": key,
            "method": key.partition("@")[0],
            "seq_id": [f"seq{number}" for number in range(len(values))],
            "auprc": values,
        }
    )


def test_parts_add_up_to_the_whole_miss_in_the_same_sequences():
    random = np.random.default_rng(1)
    exact, net = random.uniform(size=30), random.uniform(size=30)
    exact[3] = np.nan  # without a value on one, a sequence counts for neither
    found = split_misses(
        pd.concat([rows("net", "a", "ism", net), rows("exact", "a", "ism", exact)]), CEILINGS, ["exact"]
    )
    (line,) = found.to_dict("records")
    both = ~np.isnan(exact)
    assert line["n_sequences"] == 29
    assert line["auprc"] == pytest.approx(net[both].mean())
    assert line["method_miss"] == pytest.approx(0.9 - exact[both].mean())
    assert line["method_miss"] + line["network_miss"] == pytest.approx(0.9 - line["auprc"])
    difference = exact[both] - net[both]
    assert line["network_miss_se"] == pytest.approx(difference.std(ddof=1) / np.sqrt(29))
    assert line["method_miss_se"] == pytest.approx(np.hypot(exact[both].std(ddof=1) / np.sqrt(29), 0.01))


def test_each_network_is_held_against_each_perfect_model_that_has_the_method():
    table = pd.concat(
        [
            rows("exact", "a", "ism@none", [0.8, 0.9]),
            rows("planted", "a", "ism@none", [0.7, 0.8]),
            rows("planted", "a", "gradcam@none", [0.3, 0.2]),
            rows("net", "a", "ism@none", [0.5, 0.5]),
            rows("net", "a", "gradcam@none", [0.4, 0.4]),
            rows("net", "a", "null_position", [0.2, 0.2]),
            rows("net", "c", "ism@none", [0.5, 0.5]),
        ]
    )
    found = split_misses(table, CEILINGS, ["exact", "planted"]).set_index(["task", "key", "perfect"])
    assert set(found.index) == {
        ("a", "ism@none", "exact"),
        ("a", "ism@none", "planted"),
        ("a", "gradcam@none", "planted"),
    }
    assert found.loc[("a", "gradcam@none", "planted"), "network_miss"] == pytest.approx(-0.15)


def test_without_a_perfect_model_there_is_no_row():
    assert split_misses(rows("net", "a", "ism@none", [0.5, 0.5]), CEILINGS, []).empty
