import itertools
import re
import time
import warnings
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.text import Text

from simbench_tf import plot

HOSTILE = "<script>alert(1)</script> & $x_{$ \"quoted\" 'too' \x07"


def site(start, end, tf="GATA1", strand="+", **more):
    return {"start": start, "end": end, "tf": tf, "strand": strand, **more}


def letters(ax: Axes, base: str) -> np.ndarray:
    """Left, right, lowest and highest point of each letter of a base."""
    patch = next(patch for patch in ax.patches if patch.get_gid() == f"letters-{base}")
    outline = patch.get_path()
    first = plot.logo(np.eye(4)[["ACGT".index(base)]]).patches[0].get_path()
    vertices = np.asarray(outline.vertices).reshape(-1, len(first.vertices), 2)
    return np.array([[*v.min(axis=0), *v.max(axis=0)] for v in vertices])[:, [0, 2, 1, 3]]


def test_letters_are_as_high_as_the_contributions_and_stand_on_their_base():
    values = np.random.default_rng(0).normal(size=60)
    bases = np.arange(60) % 4
    ax = plot.logo(np.eye(4)[bases] * values[:, None])
    for channel, base in enumerate("ACGT"):
        boxes = letters(ax, base)
        where = np.flatnonzero(bases == channel)
        np.testing.assert_allclose(boxes[:, :2], np.column_stack([where + 0.04, where + 0.96]), atol=1e-12)
        np.testing.assert_allclose(boxes[:, 2], np.minimum(values[where], 0), atol=1e-12)
        np.testing.assert_allclose(boxes[:, 3], np.maximum(values[where], 0), atol=1e-12)


def test_letters_of_a_position_are_stacked_outwards_by_size_and_by_sign():
    ax = plot.logo(np.array([[0.3, 0.1, -0.5, -0.2]]))
    assert letters(ax, "C")[0, 2:] == pytest.approx([0, 0.1])
    assert letters(ax, "A")[0, 2:] == pytest.approx([0.1, 0.4])
    assert letters(ax, "T")[0, 2:] == pytest.approx([-0.2, 0])
    assert letters(ax, "G")[0, 2:] == pytest.approx([-0.7, -0.2])
    low, high = ax.get_ylim()
    assert low < -0.7
    assert high > 0.4


def test_a_negative_letter_hangs_upside_down():
    up = plot.logo(np.array([[1.0, 0, 0, 0]])).patches[0].get_path()
    down = plot.logo(np.array([[-1.0, 0, 0, 0]])).patches[0].get_path()
    np.testing.assert_allclose(np.asarray(down.vertices) * [1, -1], up.vertices)
    # an A is wide at its foot
    vertices = np.asarray(up.vertices)
    assert np.ptp(vertices[vertices[:, 1] == 0, 0]) > np.ptp(vertices[vertices[:, 1] == 1, 0])


def test_a_window_keeps_the_positions_of_the_whole():
    contributions = np.eye(4)[np.zeros(50, int)] * np.arange(1, 51)[:, None]
    ax = plot.logo(contributions, start=20, end=23)
    assert ax.get_xlim() == (20, 23)
    np.testing.assert_allclose(letters(ax, "A")[:, 3], [21, 22, 23])
    np.testing.assert_allclose(letters(ax, "A")[:, 0], [20.04, 21.04, 22.04])


def test_all_zero_attributions_draw_no_letter_and_do_not_fail():
    ax = plot.logo(np.zeros((10, 4)))
    assert not ax.patches
    assert ax.get_ylim() == (-1, 1)


@pytest.mark.parametrize(
    ("contributions", "window", "message"),
    [
        (np.zeros((5, 3)), {}, "should be \\(L, 4\\)"),
        (np.full((5, 4), np.nan), {}, "finite"),
        (np.zeros((5, 4)), {"start": 3, "end": 3}, "empty"),
        (np.zeros((5, 4)), {"end": 6}, "leaves"),
        (np.zeros((5, 4)), {"start": -1}, "leaves"),
    ],
)
def test_misuse_of_logo_is_told(contributions, window, message):
    with pytest.raises(ValueError, match=message):
        plot.logo(contributions, **window)


def spans(ax: Axes, gid: str) -> list[tuple[float, float]]:
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches if patch.get_gid() == gid]


def test_sites_are_marked_where_they_stand_with_name_and_strand():
    sites = pd.DataFrame([site(30, 41, "CTCF", "-"), site(5, 12, counted=True), site(80, 90)])
    ax = plot.logo(np.eye(4)[np.zeros(60, int)], sites)
    assert spans(ax, "site") == [(5, 12), (30, 41)]
    assert [text.get_text() for text in ax.texts] == ["GATA1 →", "CTCF ←"]
    assert [text.xy[0] for text in ax.texts] == [8.5, 35.5]


def test_sites_that_do_not_count_are_outlined_only():
    sites = pd.DataFrame([site(5, 12, counted=False), site(20, 25, counted=True)])
    ax = plot.bars(np.ones(30), sites)
    assert spans(ax, "site") == [(20, 25)]
    assert spans(ax, "site-not-counted") == [(5, 12)]
    true = next(patch for patch in ax.patches if patch.get_gid() == "bars-true")
    assert np.asarray(true.get_path().vertices)[::2, 0].tolist() == [20.5, 21.5, 22.5, 23.5, 24.5]


def test_names_of_overlapping_sites_are_on_lines_of_their_own():
    ax = Figure(figsize=(5, 1)).add_subplot(xlim=(0, 100))
    sites = pd.DataFrame([site(10, 20, "FOXA1"), site(12, 22, "HNF4A"), site(70, 80, "CTCF")])
    assert plot.mark_sites(sites, ax) == 2
    heights = {text.get_text(): text.xyann[1] for text in ax.texts}
    assert heights["HNF4A →"] > heights["FOXA1 →"] == heights["CTCF →"]


def test_bars_are_as_high_as_the_scores():
    scores = np.random.default_rng(1).normal(size=300)
    ax = plot.bars(scores, pd.DataFrame([site(100, 110)]))
    tops = np.full(300, np.nan)
    for patch in ax.patches:
        if patch.get_gid() in ("bars-true", "bars-other"):
            ends = np.asarray(patch.get_path().vertices)
            assert (ends[::2, 1] == 0).all()
            tops[(ends[1::2, 0] - 0.5).astype(int)] = ends[1::2, 1]
    np.testing.assert_array_equal(tops, scores)


def test_panels_zoom_on_the_stretch_with_the_most_true_bases():
    one_hot = np.eye(4)[np.random.default_rng(2).integers(0, 4, 400)]
    sites = pd.DataFrame([site(20, 30), site(300, 315), site(330, 345), site(200, 260, counted=False)]).fillna(True)
    scores = np.linspace(-1, 1, 400)
    figure = plot.attribution_panels(one_hot, {"a": scores, "b": one_hot * 2.0}, sites, width=80, notes={"a": "auPRC"})
    whole, zoom = figure.axes[:2]
    start, end = zoom.get_xlim()
    assert (end - start, start <= 300, end >= 345) == (80, True, True)
    assert whole.get_xlim() == (0, 400)
    assert [text.get_text() for text in whole.texts] == ["a", "auPRC"]
    # scores are drawn on the observed base
    where = np.arange(int(start), int(end))
    a_rows = where[one_hot[where, 0] == 1]
    np.testing.assert_allclose(letters(zoom, "A")[:, 3], np.maximum(scores[a_rows], 0), atol=1e-12)
    with pytest.raises(ValueError, match="b: shape"):
        plot.attribution_panels(one_hot, {"b": np.zeros(399)}, sites)
    with pytest.raises(ValueError, match="no attributions"):
        plot.attribution_panels(one_hot, {}, sites)


def test_learning_curve_draws_the_history_and_passes_over_gaps():
    history = pd.DataFrame({"batch": [10, 20, 30], "loss": [3.0, 2, 1], "valid_loss": [3.5, np.nan, 2.5], "_x$y$": 1.0})
    lines = plot.learning_curve(history).lines
    assert [line.get_ydata().tolist() for line in lines] == [[3, 2, 1], [3.5, 2.5]]
    assert lines[1].get_xdata().tolist() == [10, 30]
    named = plot.learning_curve(history, {"_x$y$": "_a$b$", "loss": "loss"})
    assert "a$b$" in "".join(ElementTree.fromstring(plot.svg(named, "")).itertext())
    with pytest.raises(ValueError, match="no column 'f1'"):
        plot.learning_curve(history, {"f1": "F1"})


def summary(**columns) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "key": ["low", "high", "none"],
            "auprc": [0.4, 0.6, np.nan],
            "auprc_se": [0.03, 0.02, np.nan],
            "chance_auprc": [0.1, 0.1, 0.1],
            "seconds_per_sequence": [0.5, 0.01, 0.1],
        }
    )
    return table.assign(**columns)


def points(ax: Axes, marker: str) -> list[list[float]]:
    return [
        [float(np.atleast_1d(line.get_xdata())[i]), float(np.atleast_1d(line.get_ydata())[i])]
        for line in ax.lines
        if line.get_marker() == marker
        for i in range(np.size(line.get_xdata()))
    ]


def test_ranking_goes_from_the_best_down_with_errors_chance_and_ceiling():
    ax = plot.method_ranking(summary(oracle_auprc=0.9), labels={"high": "the best"})
    assert points(ax, "o")[:2] == [[0.6, 0], [0.4, -1]]
    errors = [collection.get_segments()[0] for collection in ax.collections][:2]
    np.testing.assert_allclose([error[:, 0] for error in errors], [[0.58, 0.62], [0.37, 0.43]])
    assert points(ax, "|") == [[0.1, 0], [0.1, -1], [0.1, -2], [0.9, 0], [0.9, -1], [0.9, -2]]
    assert [text.get_text() for text in ax.texts] == ["the best", "0.60 ± 0.02", "low", "0.40 ± 0.03", "none", "–"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["chance", "oracle"]


def test_ranking_marks_the_line_to_beat_and_of_peaks_what_a_scan_reaches():
    ax = plot.method_ranking(summary(oracle_auprc=np.nan, scan_auprc=0.7, null_auprc=0.2))
    assert points(ax, "|") == [[place, row] for place in (0.1, 0.2, 0.7) for row in (0, -1, -2)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["chance", "knowing nothing", "motif scan"]


def test_ranking_by_auroc_has_chance_one_half():
    ax = plot.method_ranking(summary(auroc=[0.7, 0.8, 0.9], auroc_se=0.01), "auroc")
    assert [point[0] for point in points(ax, "|")] == [0.5] * 3
    assert [text.get_text() for text in ax.texts][::2] == ["none", "high", "low"]


def test_ranking_by_a_metric_of_another_package_has_its_own_range_and_no_chance():
    table = summary(bits_won=[-2.0, 3.0, 7.5], bits_won_se=0.5, null_bits_won=-4.0)
    ax = plot.method_ranking(table, "bits_won")
    assert points(ax, "|") == [[-4.0, 0], [-4.0, -1], [-4.0, -2]]
    assert ax.get_xlim() == pytest.approx((-4.24, 8.48))
    assert ax.get_xlabel() == "mean bits won ± standard error"
    # of nothing but zeros, too, there is an axis
    assert plot.method_ranking(summary(hits=0.0, hits_se=0.0), "hits").get_xlim() == (0, 1)


def test_ranking_refuses_two_rows_of_a_key():
    with pytest.raises(ValueError, match="one model and task"):
        plot.method_ranking(pd.concat([summary(), summary()]))


def test_quality_against_cost_stands_at_seconds_and_quality():
    ax = plot.quality_against_cost(summary())
    dots = ax.collections[-2:]
    assert [dot.get_offsets().tolist() for dot in dots] == [[[0.01, 0.6]], [[0.5, 0.4]]]
    told = ["high: auPRC 0.60 ± 0.02, 0.01 s a sequence", "low: auPRC 0.40 ± 0.03, 0.5 s a sequence"]
    assert [dot.get_gid() for dot in dots] == ["tip:" + each for each in told]
    assert [text.get_text() for text in ax.texts] == ["high", "low"]
    untimed = plot.quality_against_cost(summary(seconds_per_sequence=np.nan))
    assert not untimed.texts


def drawn_boxes(ax, texts):
    ax.figure.draw_without_rendering()
    # of an annotation without its line
    return [Text.get_window_extent(text) for text in texts if text.get_text()]


def overlap(one, other):
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 - 1 and other.y0 < one.y1 - 1


@pytest.mark.parametrize("seconds", [[0.02, 0.021, 0.022, 0.05], [0.001, 0.02, 1.5, 90.0], [0.3] * 4])
def test_names_and_numbers_of_the_cost_plot_do_not_overlap_and_stay_in_it(seconds):
    keys = [f"integrated gradients (shuffle:{n}, n_steps 5, path shuffle)" for n in range(4)]
    table = pd.DataFrame({"key": keys, "auprc": [0.61, 0.612, 0.611, 0.6], "auprc_se": 0.01})
    ax = plot.quality_against_cost(table.assign(seconds_per_sequence=seconds))
    low, high = ax.get_xlim()
    labels = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    numbers = [label for tick, label in labels if low <= tick <= high]
    assert not any(label.get_text() for label in ax.get_xticklabels(minor=True))
    assert len(numbers) >= 2
    boxes = drawn_boxes(ax, [*ax.texts, *numbers])
    assert not any(overlap(one, other) for one, other in itertools.combinations(boxes, 2))
    assert max(box.x1 for box in boxes) <= ax.figure.get_window_extent().width
    # the names stand in the order of the points
    assert [text.get_text()[:30] for text in ax.texts] == [keys[n][:30] for n in (1, 2, 0, 3)]


@pytest.mark.parametrize("learnt_at", [[300.0, 310.0, None], [30.0, 9000.0, 40_000.0], [None] * 3])
def test_motifs_learnt_together_are_told_apart_on_an_axis_with_numbers(learnt_at):
    table = pd.DataFrame({"motif": ["CTCF", "GATA1", "SP1"], "learnt_at": learnt_at, "information": [17.0, 10.0, 10.0]})
    ax = plot.learnt_against(table)
    low, high = ax.get_ylim()
    boxes = drawn_boxes(ax, ax.texts)
    assert not any(overlap(one, other) for one, other in itertools.combinations(boxes, 2))
    assert sum(low <= tick <= high for tick in ax.get_yticks()) >= 2
    assert all(label.get_text() for label in ax.get_yticklabels())


def test_what_the_cells_of_a_heat_map_are_is_told_within_it():
    recall = pd.DataFrame({"key": "ism@none", "by": "motif", "group": ["a very long name of a motif", "GATA1"],
                           "n_sites": [20, 30], "recall": [.5, .8]})  # fmt: skip
    ax = plot.motif_heat_map(recall, {"ism@none": "in-silico mutagenesis"})
    boxes = drawn_boxes(ax, [ax._right_title, *ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels()])
    whole = ax.figure.get_window_extent()
    assert all(box.x0 >= 0 and box.x1 <= whole.width and box.y0 >= 0 and box.y1 <= whole.height for box in boxes)
    assert ax.get_title("right") == "share of sites found (number of sites)"


def test_rankings_can_share_one_order_and_say_small_errors():
    table = summary(auprc_se=[0.002, 0.0004, np.nan])
    ax = plot.method_ranking(table, order=["none", "low"])
    written = [text.get_text() for text in ax.texts]
    assert written == ["none", "–", "low", "0.400 ± 0.002", "high", "0.6000 ± 0.0004"]
    assert [text.get_weight() for text in ax.texts][-1] == "bold"


def test_task_quality_shows_each_task_beside_its_chance_and_ceiling():
    metrics = {
        "K562": {"auroc": 0.7, "auprc": 0.5, "positive_fraction": 0.2, "oracle_auprc": None},
        "HepG2": {"auroc": 0.8, "auprc": 0.6, "positive_fraction": 0.3, "oracle_auprc": 0.65},
    }
    ax = plot.task_quality(metrics)
    assert points(ax, "o") == [[0.5, 0], [0.6, -1]]
    ticks = points(ax, "|")
    assert ticks[:2] == [[0.2, 0], [0.3, -1]]
    assert ticks[3] == [0.65, -1]


def test_functions_draw_into_the_axes_they_are_given():
    for draw in (
        lambda ax: plot.logo(np.ones((5, 4)), ax=ax),
        lambda ax: plot.bars(np.ones(5), ax=ax),
        lambda ax: plot.method_ranking(summary(), ax=ax),
        lambda ax: plot.quality_against_cost(summary(), ax=ax),
        lambda ax: plot.learning_curve(pd.DataFrame({"batch": [1], "loss": [1.0]}), ax=ax),
    ):
        ax = Figure().add_subplot()
        assert draw(ax) is ax


def test_svg_has_the_same_bytes_every_time_and_no_date():
    draw = lambda: plot.svg(plot.method_ranking(summary()), "ranking", "p-")  # noqa: E731
    assert draw() == draw()
    assert not re.search(r"20\d\d-\d\d", draw())


def test_svg_ids_carry_the_prefix_and_every_reference_is_met():
    root = ElementTree.fromstring(plot.svg(plot.logo(np.eye(4), pd.DataFrame([site(1, 3)])), "logo", "p7-"))
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert all(name.startswith("p7-") for name in ids)
    assert len(set(ids)) == len(ids)
    text = ElementTree.tostring(root, encoding="unicode")
    assert set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', text)) <= {(i, "") for i in ids} | {("", i) for i in ids}
    assert {element.attrib.get("class") for element in root.iter("g")} >= {"site", "letters-A", "letters-T"}


def test_svg_outlines_are_the_letters_drawn():
    contributions = np.eye(4) * [[1.0], [2.0], [-1.5], [0.5]]
    ax = plot.logo(contributions)
    root = ElementTree.fromstring(plot.svg(ax, ""))
    for base in "ACGT":
        patch = next(patch for patch in ax.patches if patch.get_gid() == f"letters-{base}")
        drawn = patch.get_path().transformed(patch.get_transform())
        dpi, height = ax.figure.dpi, ax.figure.get_figheight() * 72
        expected = np.asarray(drawn.vertices)[np.asarray(drawn.codes) != Outline.CLOSEPOLY] * 72 / dpi
        group = next(g for g in root.iter("g") if g.attrib.get("class") == f"letters-{base}")
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", group.find("path").attrib["d"])]
        got = np.array(numbers).reshape(-1, 2) * [1, -1] + [0, height]
        np.testing.assert_allclose(got, expected, atol=0.006)


def test_names_are_text_and_never_markup_or_tex():
    sites = pd.DataFrame([site(1, 3, HOSTILE)])
    pictures = [
        plot.logo(np.eye(4), sites),
        plot.attribution_panels(np.eye(4), {HOSTILE: np.ones(4)}, sites, notes={HOSTILE: HOSTILE}),
        plot.method_ranking(summary(key=[HOSTILE, "a", "b"])),
        plot.quality_against_cost(summary(key=[HOSTILE, "a", "b"])),
        plot.task_quality({HOSTILE: {"auroc": 0.7, "auprc": 0.6, "positive_fraction": 0.3}}),
    ]
    for picture in pictures:
        markup = plot.svg(picture, HOSTILE)
        root = ElementTree.fromstring(markup)
        assert not list(root.iter("script"))
        assert "<script" not in markup
        assert "alert(1)" in "".join(text for element in root.iter("text") for text in element.itertext())
        assert "$x_{$" in root.find("title").text


def test_letters_that_matplotlib_has_no_glyph_for_are_left_to_the_page():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "肝細胞" in plot.svg(plot.method_ranking(summary(key=["肝細胞", "a", "b"])), "")


def test_svg_hands_its_colours_to_the_page_and_fixes_no_font_or_size():
    markup = plot.svg(plot.method_ranking(summary()), "")
    assert "var(--plot-accent, " in markup
    assert "font-family" not in markup
    assert "<style" not in markup
    assert "http" not in markup
    assert set(ElementTree.fromstring(markup).attrib) == {"viewBox", "role"}


def test_twelve_logos_of_a_whole_sequence_take_seconds_and_little_room():
    one_hot = np.eye(4)[np.random.default_rng(3).integers(0, 4, 400)]
    contributions = one_hot * np.random.default_rng(4).normal(size=(400, 1))
    start = time.process_time()
    markups = [plot.svg(plot.logo(contributions), "logo", f"l{number}-") for number in range(12)]
    assert time.process_time() - start < 6  # half a second on an idle machine; logomaker takes 15
    assert max(map(len, markups)) < 150_000  # half of logomaker's


def test_an_interval_that_rounding_moved_off_its_mean_is_drawn_without_length():
    value = 0.20000000000000004  # as the mean of .2, .2 and .2 may be, where the bootstrap's are .2
    summary = pd.DataFrame({"key": ["a", "b"], "auprc": [value, 0.1], "auprc_se": [0.0, 0.02], "chance_auprc": 0.1})
    summary = summary.assign(auprc_low=[np.nextafter(value, 1), 0.07], auprc_high=[np.nextafter(value, 0), 0.12])
    ax = plot.method_ranking(summary)
    ends = [container.lines[2][0].get_segments()[0][:, 0] for container in ax.containers]
    np.testing.assert_allclose(ends, [[value, value], [0.07, 0.12]])


def test_cells_and_dots_tell_what_they_are_under_the_pointer():
    recall = pd.DataFrame({"key": ["a", "b"], "by": "motif", "group": HOSTILE, "n_sites": 20, "recall": [0.5, np.nan]})
    root = ElementTree.fromstring(plot.svg(plot.motif_heat_map(recall), ""))
    tips = [group.find("title").text for group in root.iter("g") if group.get("class") == "told"]
    shown = plot.figure.readable(f"{HOSTILE} (20)", 200)
    assert tips == [f"a, {shown}: 0.500", f"b, {shown}: –"]
    root = ElementTree.fromstring(plot.svg(plot.method_ranking(summary(oracle_auprc=0.9)), ""))
    tips = [group.find("title").text for group in root.iter("g") if group.get("class") == "told"]
    # of the dot as of its bar
    assert sorted(set(tips)) == ["high: 0.60 ± 0.02", "low: 0.40 ± 0.03", "none: –"]


def test_found_and_missed_sites_are_marked_below_the_row_of_their_method():
    sites = pd.DataFrame([site(10, 20), site(40, 50), site(70, 80)])
    one_hot = np.eye(4)[np.arange(100) % 4]
    scores = {"a": np.ones(100), "b": np.ones(100)}
    figure = plot.attribution_panels(one_hot, scores, sites, width=100, found={"a": "10-", "b": "111"})
    marked = [
        [(patch.get_gid(), patch.get_x(), patch.get_width()) for patch in ax.patches
         if patch.get_gid() in ("found", "missed")]
        for ax in figure.axes
    ]  # fmt: skip
    first = [("found", 10, 10), ("missed", 40, 10)]
    second = [("found", 10, 10), ("found", 40, 10), ("found", 70, 10)]
    assert marked == [first, first, second, second]
