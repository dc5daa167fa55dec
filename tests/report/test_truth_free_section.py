"""Truth-free metrics in the report: those that earned it stand in front, the others in grey, with the reason."""

import math

import pandas as pd
import pytest

from simbench_tf.report import truth_free_section
from simbench_tf.report.jinja import page_template
from simbench_tf.report.truth_free_section import Evidence, evidence, evidence_story, truth_free_tables
from simbench_tf.score.truth_free import TRUTH_FREE


@pytest.fixture
def known(monkeypatch):
    """Evidence by hand: sparsity and deletion earned it over methods, deletion the most; infidelity over networks."""
    by_hand = {name: Evidence(0.1 - 0.01 * n, -0.2, 0.4) for n, name in enumerate(TRUTH_FREE)}
    over_methods = {"deletion": Evidence(0.8, 0.5, 0.9), "sparsity": Evidence(0.4, 0.1, 0.6)}
    given = {
        "methods": over_methods | {name: each for name, each in by_hand.items() if name not in over_methods},
        "models": {
            "infidelity": Evidence(0.6, 0.2, 0.8),
            **by_hand,
            "sparsity": Evidence(math.nan, math.nan, math.nan),
        },
    }
    given["models"]["infidelity"] = Evidence(0.6, 0.2, 0.8)
    monkeypatch.setattr(truth_free_section, "evidence", given.__getitem__)


def found(auprc=True):
    """Six methods of one network with three metrics; without truth there is no row of scores to join."""
    keys = list("abcdef")
    table = pd.DataFrame({"model": "net", "task": "T", "key": keys, "n_sequences": 32})
    table = table.assign(infidelity=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], sparsity=0.5, deletion=[6, 5, 4, 3, 2, 1])
    summary = table[["model", "task", "key"]].assign(auprc=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    return table, summary if auprc else summary[:0]


def test_metrics_that_earned_it_are_first_and_the_others_grey(known):
    table, summary = found()
    ((caption, shown),) = truth_free_tables(table, summary, {})
    assert "32 sequences" in caption
    titles = [TRUTH_FREE[name].title for name in ("deletion", "sparsity", "infidelity")]
    assert [head.rsplit(" ", 1)[0] for head in shown.heads[2:]] == titles
    assert shown.faint == (4, 5)
    assert shown.rows[0][2:] == ["6.00", "0.50", "0.10"]
    html = (
        page_template("compare.html.j2")
        .environment.from_string('{% from "parts.html.j2" import table %}{{ table(shown) }}')
        .render(shown=shown)
    )
    assert html.count('class="number faint"') == 1 + len(shown.rows)
    assert f'<th scope="col" class="number faint">{titles[2]}' in html


def test_without_truth_the_order_stands(known):
    ((_, shown),) = truth_free_tables(*found(auprc=False), {})
    assert shown.faint == (4, 5)
    assert {row[1] for row in shown.rows} == {"–"}


def test_the_story_names_what_earned_it_and_where_that_was_seen(known):
    said = evidence_story()
    assert "Of methods on one network: deletion (0.80, 0.50 to 0.90), sparsity (0.40, 0.10 to 0.60)." in said
    assert "Of networks explained by one method: infidelity (0.60, 0.20 to 0.80)." in said
    assert "benchmarks/truth_free.py" in said


def test_the_packages_copy_is_the_committed_table_best_first():
    from helpers.folders import REPOSITORY

    shipped = (REPOSITORY / "simbench_tf" / "data" / "truth_free_evidence.csv").read_bytes()
    assert shipped == (REPOSITORY / "results" / "truth_free.csv").read_bytes()
    table = pd.read_csv(REPOSITORY / "results" / "truth_free.csv")
    for over in ("methods", "models"):
        known = evidence(over)
        assert set(known) == set(TRUTH_FREE)
        values = [each.correlation for each in known.values() if not math.isnan(each.correlation)]
        assert values == sorted(values, reverse=True)
        lows = table[table["over"] == over].set_index("metric")["low"]
        assert {name for name, each in known.items() if each.is_earned} == set(lows.index[lows > 0])
