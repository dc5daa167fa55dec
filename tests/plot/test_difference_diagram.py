import itertools

import numpy as np
import pandas as pd
import pytest

from simbench_tf import plot


def bars(means, level):
    """Keys under each bar of the diagram."""
    ax = plot.difference_diagram(means, level)
    keys = {mean: key for key, mean in means.items()}
    return {frozenset(keys[x] for x in line.get_xdata()) for line in ax.lines if line.get_gid() == "level"}


def matrix(keys, pairs):
    level = pd.DataFrame(np.eye(len(keys), dtype=bool), list(keys), list(keys))
    for one, two in pairs:
        level.loc[one, two] = level.loc[two, one] = True
    return level


def test_bars_join_all_of_which_no_two_differ():
    means = pd.Series({"d": 0.2, "a": 0.5, "b": 0.4, "c": 0.3})
    # a and c do not differ, though b between them differs from c
    assert bars(means, matrix("abcd", ["ab", "ac"])) == {frozenset("ab"), frozenset("ac")}
    assert bars(means, matrix("abcd", ["ab", "ac", "bc", "cd"])) == {frozenset("abc"), frozenset("cd")}
    assert bars(means, matrix("abcd", [])) == set()
    assert bars(means, matrix("abcd", itertools.combinations("abcd", 2))) == {frozenset("abcd")}


def test_bars_hold_exactly_the_pairs_that_do_not_differ():
    rng = np.random.default_rng(0)
    for _ in range(5):
        level = matrix("abcdefgh", [pair for pair in itertools.combinations("abcdefgh", 2) if rng.random() < 0.5])
        drawn = bars(pd.Series(rng.permutation(8) / 8, list("abcdefgh")), level)
        joined = {frozenset(pair) for bar in drawn for pair in itertools.combinations(bar, 2)}
        assert joined == {frozenset(p) for p in itertools.combinations("abcdefgh", 2) if level.loc[p[0], p[1]]}
        assert not any(one < two for one in drawn for two in drawn)


def test_the_best_is_right_and_what_has_no_mean_is_left_out():
    ax = plot.difference_diagram(pd.Series({"a": 0.2, "b": np.nan, "c": 0.61}), matrix("abc", []), {"c": "sea"})
    assert [text.get_text() for text in ax.texts] == ["sea  0.610", "a  0.200"]
    assert ax.get_xlim()[0] < 0.2 < 0.61 < ax.get_xlim()[1]
    with pytest.raises(ValueError, match="two methods or more, not 1"):
        plot.difference_diagram(pd.Series({"a": 0.2, "b": np.nan}), matrix("ab", []))
    plot.svg(plot.difference_diagram(pd.Series({"a": 0.2, "b": 0.2}), matrix("ab", ["ab"])), "alike", "f1-")


@pytest.mark.parametrize("kind", ["differences", "ranks"])
def test_no_line_to_a_method_crosses_the_name_of_another(kind):
    rng = np.random.default_rng(3)
    keys = [f"method number {number} (shuffle:{number})" for number in range(9)]
    means = pd.Series(rng.uniform(0.2, 0.6, 9), keys)
    if kind == "differences":
        ax = plot.difference_diagram(means, matrix(keys, [keys[:2]]))
    else:
        ax = plot.critical_difference_diagram(
            pd.DataFrame(means.to_numpy() + rng.normal(0, 0.1, (30, 9)), columns=keys)
        )
    ax.figure.draw_without_rendering()
    to_pixels = ax.transData.transform
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]]
    assert len(lines) == 9
    for line in lines:
        (x, one), (_, other) = (to_pixels(end) for end in zip(*line.get_data(), strict=True))
        for text in ax.texts:
            box = text.get_window_extent()
            inside = box.y0 < max(one, other) and min(one, other) < box.y1
            assert not (inside and box.x0 <= x <= box.x1), text.get_text()
    names = [text for text in ax.texts if text.get_text().startswith("method")]
    width = ax.figure.get_window_extent().width
    assert all(text.get_window_extent().x1 <= width for text in names)
