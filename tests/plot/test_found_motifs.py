"""What plots of found motifs draw: points where the rates are, letters where the motifs lie."""

import numpy as np
import pandas as pd
import pytest

from simbench_tf import plot

WORD = np.eye(4)[[0, 2, 1, 3, 0]]  # AGCTA


def lefts(ax, base: str) -> list[int]:
    """Positions of a letter, counted from the left edge."""
    patches = [patch for patch in ax.patches if patch.get_gid() == f"letters-{base}"]
    if not patches:
        return []
    n = len(plot.logo(np.eye(4)[["ACGT".index(base)]]).patches[0].get_path().vertices)
    return sorted({int(block[:, 0].min()) for block in patches[0].get_path().vertices.reshape(-1, n, 2)})


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_found_motif_lies_on_the_true_one(strand):
    part = WORD[1:4]
    found = part if strand == "+" else part[::-1, ::-1]
    figure = plot.aligned_logos([plot.AlignedMotifs("AGCTA", "", WORD, found, strand, 1)])
    true, below = figure.axes
    assert [lefts(true, base) for base in "ACGT"] == [[0, 4], [2], [1], [3]]
    assert [lefts(below, base) for base in "ACGT"] == [[], [2], [1], [3]]
    assert true.get_xlim() == below.get_xlim() == (0, 5)


def test_what_begins_before_the_true_motif_is_drawn_and_far_flanks_are_cut():
    flanked = np.concatenate([np.eye(4)[[3] * 12], WORD, np.eye(4)[[3] * 12]])
    figure = plot.aligned_logos([plot.AlignedMotifs("AGCTA", "", WORD, flanked, "+", -12)])
    true, below = figure.axes
    assert true.get_xlim() == below.get_xlim() == (0, 8 + 5 + 8)
    assert lefts(true, "A") == lefts(below, "A") == [8, 12]
    assert lefts(below, "T") == [*range(8), 11, *range(13, 21)]


def test_letters_are_as_high_as_their_information():
    ppm = np.array([[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0.25] * 4])
    ax = plot.aligned_logos([plot.AlignedMotifs("A", "", ppm, ppm, "+", 0)]).axes[0]
    tops = {patch.get_gid(): patch.get_path().get_extents() for patch in ax.patches}
    assert tops["letters-A"].y1 == pytest.approx(2)
    # one bit, in two letters of .5, of which one stands on the other; nothing where all bases are alike
    assert tops["letters-G"].height == pytest.approx(0.5)
    assert [lefts(ax, base) for base in "ACGT"] == [[0, 1], [], [1], []]


def test_names_are_text_and_every_motif_has_its_place():
    pairs = [plot.AlignedMotifs(f"$m_{n}$", "r = .9", WORD, WORD, "+", 0) for n in range(4)]
    figure = plot.aligned_logos(pairs)
    assert [ax.texts[0].get_text() for ax in figure.axes[::2]] == ["$m_0$", "$m_1$", "$m_2$", "$m_3$"]
    places = [ax.get_position() for ax in figure.axes]
    overlaps = [a.overlaps(b) for n, a in enumerate(places) for b in places[:n]]
    assert not any(overlaps)
    with pytest.raises(ValueError, match="no motifs"):
        plot.aligned_logos([])


def rates(**more) -> pd.DataFrame:
    table = {"name": ["a"] * 3 + ["b"] * 2, "stated": [0.01, 0.05, 0.2, 0.05, 0.2]}
    return pd.DataFrame(table | {"true": [np.nan, 0.1, 0.3, 0.02, 0.1], "n_called": [0, 10, 400, 100, 100]} | more)


def test_rates_are_where_they_should_be_and_dots_grow_with_calls():
    ax = plot.stated_against_true(rates())
    diagonal, *lines = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert [line.get_xydata().tolist() for line in lines] == [[[0.05, 0.1], [0.2, 0.3]], [[0.05, 0.02], [0.2, 0.1]]]
    first, second = (dots.get_sizes() for dots in ax.collections)
    least, most = first
    assert second[0] == second[1]
    assert (second[0] - least) / (most - least) == pytest.approx(90 / 390), "in proportion to calls"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a: up to 400 calls", "b: up to 100 calls"]
    assert ax.get_xlim()[1] > 0.3
    assert ax.get_ylim()[1] > 0.3


def test_the_end_of_a_long_name_is_seen():
    name = "integrated gradients (zeros, n_steps 10)"
    table = pd.DataFrame({"name": name, "stated": [0.05, 0.1], "true": [0.02, 0.2], "n_called": [90, 11_037]})
    ax = plot.stated_against_true(table)
    ax.figure.draw_without_rendering()
    (text,) = ax.get_legend().get_texts()
    assert text.get_text() == f"{name}: up to 11,037 calls"
    assert text.get_window_extent().x1 <= ax.figure.bbox.x1


def test_many_lines_have_a_short_legend():
    ax = plot.stated_against_true(pd.concat([rates(name=f"method {n}") for n in range(9)]))
    assert len(ax.lines) == 10
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries[5:] == ["method 5: up to 400 calls", "3 more"]


def test_without_any_call_only_the_diagonal_is_there():
    ax = plot.stated_against_true(rates(n_called=0))
    assert len(ax.lines) == 1
    assert ax.get_legend() is None


def test_correlations_stand_in_the_tables_order():
    found = pd.DataFrame(
        {"name": ["b", "b", "a", "a"], "motif": ["M2", "M1"] * 2, "correlation": [0.9, 0.1, np.nan, 1]}
    )
    ax = plot.correlation_heat_map(found, {"M1": "CTCF"})
    assert [text.get_text() for text in ax.texts] == [".90", ".10", "–", "1.00"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["M2", "CTCF"]
    assert [patch.get_alpha() for patch in ax.patches] == [0.9, 0.1, 0, 1]
