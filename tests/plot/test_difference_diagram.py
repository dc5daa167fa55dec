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


def test_the_best_is_left_and_what_has_no_mean_is_left_out():
    ax = plot.difference_diagram(pd.Series({"a": 0.2, "b": np.nan, "c": 0.61}), matrix("abc", []), {"c": "sea"})
    assert [text.get_text() for text in ax.texts] == ["sea  0.610", "a  0.200"]
    assert ax.get_xlim()[0] > ax.get_xlim()[1]
    with pytest.raises(ValueError, match="two methods or more, not 1"):
        plot.difference_diagram(pd.Series({"a": 0.2, "b": np.nan}), matrix("ab", []))
    plot.svg(plot.difference_diagram(pd.Series({"a": 0.2, "b": 0.2}), matrix("ab", ["ab"])), "alike", "f1-")
