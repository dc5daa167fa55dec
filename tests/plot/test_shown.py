"""Plots show in a notebook without pyplot, and draw the model and task that they are asked for."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from matplotlib.image import imread

import simbench_tf as sb

SUMMARY = pd.DataFrame(
    [
        {"model": model, "task": task, "key": key, "method": key.partition("@")[0], "truth": "embedded:task",
         "auprc": value, "auprc_se": 0.01, "chance_auprc": 0.1, "seconds_per_sequence": value}
        for model, add in (("a", 0.0), ("b", 0.3))
        for task, more in (("HepG2", 0.0), ("K562", 0.15))
        for key, value in (("ism@none", 0.2 + add + more), ("saliency@none", 0.1 + add + more), ("null_scan", 0.9))
    ]
)  # fmt: skip


def drawn_names(ax):
    return [text.get_text() for text in ax.texts][::2]


def shown(thing):
    """What a notebook gets of the last value of a cell."""
    data, about = DisplayFormatter().format(thing)
    return data.get("image/png"), about.get("image/png")


@pytest.mark.parametrize("draw", [sb.plot.method_ranking, sb.plot.quality_against_cost])
def test_a_plot_is_a_picture_in_a_notebook(draw):
    png, about = shown(draw(SUMMARY, model="a", task="K562"))
    picture = imread(io.BytesIO(png))
    assert picture.shape[1] == 2 * about["width"]
    assert picture.shape[0] == 2 * about["height"]
    # ink on white: a plain page would be all ones
    assert 0.5 < picture[..., :3].mean() < 0.995


def test_panels_and_pairs_of_axes_are_pictures_too():
    one_hot = np.eye(4)[[0, 1, 2, 3] * 5]
    sites = pd.DataFrame({"start": [3], "end": [9], "tf": ["CTCF"], "strand": ["+"]})
    figure = sb.plot.attribution_panels(one_hot, {"ism@none": one_hot}, sites, width=10)
    dynamics = pd.DataFrame({"motif": "CTCF", "batch": [0, 10], "recall": [0.1, 0.9], "loss": [0.7, 0.3]})
    for each in (figure, sb.plot.motif_dynamics(dynamics)):
        assert shown(each)[0].startswith(b"\x89PNG")


def test_axes_of_ones_own_figure_are_left_as_they_are():
    ax = Figure().add_subplot()
    assert sb.plot.method_ranking(SUMMARY, model="a", task="K562", ax=ax) is ax
    assert type(ax.figure) is Figure


def test_the_model_and_task_asked_for_are_drawn():
    values = []
    for model in "ab":
        for task in ("HepG2", "K562"):
            ax = sb.plot.method_ranking(SUMMARY, model=model, task=task)
            assert drawn_names(ax) == ["ism@none", "saliency@none"]
            values.append(ax.texts[1].get_text())
    assert values == ["0.20 ± 0.01", "0.35 ± 0.01", "0.50 ± 0.01", "0.65 ± 0.01"]
    ax = sb.plot.quality_against_cost(SUMMARY, model="b", task="HepG2")
    assert [dot.get_offsets()[0, 1].round(2) for dot in ax.collections[-2:]] == [0.5, 0.4]


@pytest.mark.parametrize("draw", [sb.plot.method_ranking, sb.plot.quality_against_cost])
def test_several_models_tasks_or_truths_are_told(draw):
    with pytest.raises(ValueError, match=r"^the table holds several models, a and b: choose one with model=$"):
        draw(SUMMARY)
    with pytest.raises(ValueError, match=r"^the table holds several tasks, HepG2 and K562: choose one with task=$"):
        draw(SUMMARY, model="a")
    with pytest.raises(ValueError, match=r"^the table has no model 'c'; known: a, b$"):
        draw(SUMMARY, model="c")
    both = pd.concat([SUMMARY, SUMMARY.assign(truth="rescanned:task")])
    with pytest.raises(ValueError, match=r"^the table holds several truths, .*: choose one with table\[table"):
        draw(both, model="a", task="K562")


def test_recall_and_learning_of_a_task():
    recall = pd.DataFrame(
        {"model": "a", "task": ["HepG2", "K562"], "key": "ism@none", "by": "motif", "group": "CTCF", "n_sites": 5,
         "recall": [0.2, 0.7]}
    )  # fmt: skip
    assert [text.get_text() for text in sb.plot.motif_heat_map(recall, task="K562").texts] == [".70"]
    with pytest.raises(ValueError, match="several tasks"):
        sb.plot.motif_heat_map(recall)
    learnt = pd.DataFrame({"task": ["HepG2", "K562"], "motif": "CTCF", "learnt_at": [30.0, 90.0], "information": 9.0})
    ax = sb.plot.learnt_against(learnt, task="K562")
    assert ax.collections[0].get_offsets().tolist() == [[9.0, 90.0]]
    misses = pd.DataFrame(
        {"model": ["a", "b"], "key": "ism@none", "auprc": [0.1, 0.5], "perfect_auprc": 0.8, "oracle_auprc": 0.9}
    )
    assert sb.plot.split_of_misses(misses, model="b").patches[0].get_width() == 0.5


def test_plot_is_loaded_when_it_is_asked_for():
    code = "import sys, simbench_tf as sb; print('matplotlib' in sys.modules, 'plot' in dir(sb)); sb.plot.logo"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "False True\n"
