"""Calls of sites by the posterior: against every placement, a plain greedy choice, what was drawn, and a scan.

Statistical tests use fixed seeds and say at how many standard errors they reject.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.oracle_brute_force import (
    CASES,
    background_probability,
    placed_probability,
    placements,
    short_grammar,
)
from helpers.oracle_grammars import ELEMENTS, LONG, drawn, grammar_of
from simbench_tf.config import load_config
from simbench_tf.discovery import best_f1, score_instances
from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.matching import best_matching
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.motifs import load_motifs, scan
from simbench_tf.simulate.grammar import (
    Grammar,
    build_grammar,
    draw,
    element_tasks,
    label_prior,
    zero_order_background,
)
from simbench_tf.simulate.oracle import explain, site_calls
from simbench_tf.simulate.oracle.posterior import class_layouts
from simbench_tf.simulate.oracle.site_starts import SiteKinds, site_kinds, site_start_rows

RULES = [{"task": "x", "when": "ALPHA without GAMMA", "with_label": 0.7, "without_label": 0.1}]


def starts_of(grammar: Grammar, bases: np.ndarray) -> tuple[SiteKinds, np.ndarray]:
    """The kinds of sites, and the posterior of their starts with no label known, (N, K, L)."""
    kinds, unknown = site_kinds(grammar.hmm), np.zeros(len(bases), np.int64)
    starts, possible = site_start_rows(class_layouts(grammar)[0], kinds, bases, unknown, unknown)
    assert possible.all()
    return kinds, starts


def placed_sites(grammar: Grammar, bases: np.ndarray) -> Iterator[tuple[np.ndarray, list[tuple[int, ...]]]]:
    """Every placement: its posterior of each sequence, and its sites as element, motif, strand, start, width."""
    background, found = background_probability(grammar, bases), []
    for pattern, prior in enumerate(label_prior(grammar)):
        for probability, placed in placements(grammar, pattern):
            joint = prior * probability * placed_probability(grammar, background, bases, placed)
            sites = [
                (number, m, int(not np.array_equal(ppm, grammar.motifs[m].ppm)), start + at, len(ppm))
                for start, number, laid in placed
                for at, m, ppm in laid.parts
            ]
            found.append((joint, sites))
    total = sum(joint for joint, _ in found)
    return ((joint / total, sites) for joint, sites in found)


def true_sites(grammar: Grammar, seed: int, n: int) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Bases, labels, and sites with their row."""
    data = draw(grammar, seed, 0, n)
    labels = np.stack([data.sequences[task].to_numpy() for task in grammar.tasks], axis=1).astype(np.int64)
    sites = data.sites.to_pandas()
    return bases_of(data.sequences["sequence"]), labels, sites.assign(row=sites["seq_id"].str[3:].astype(int))


def best_calls(calls: pd.DataFrame) -> pd.DataFrame:
    """The call of the highest score of each sequence."""
    return calls.sort_values("score", kind="stable").drop_duplicates("row", keep="last")


@pytest.mark.parametrize(
    ("case", "background"), [*((case, "human") for case in CASES), ("pair", "stretches"), ("two rules", "stretches")]
)
def test_starts_and_best_scores_are_those_of_every_placement(case: str, background: str) -> None:
    grammar = short_grammar(case, background, 8)
    bases, _, _ = drawn(grammar, 12)
    kinds, starts = starts_of(grammar, bases)
    number = {kind: k for k, kind in enumerate(zip(kinds.element, kinds.motif, kinds.strand, strict=True))}
    best = {overlap: best_calls(site_calls(grammar, bases, overlap=overlap, at_least=1e-9)) for overlap in (0.5, 0.6)}
    expected, right = np.zeros(starts.shape), {overlap: np.zeros(len(calls)) for overlap, calls in best.items()}
    for posterior, sites in placed_sites(grammar, bases):
        for element, motif, strand, start, _ in sites:
            expected[:, number[element, motif, strand], start] += posterior
        for overlap, calls in best.items():
            for line, call in enumerate(calls.itertuples()):
                right[overlap][line] += posterior[call.row] * any(
                    min(call.end, start + width) - max(call.start, start) >= overlap * max(width, call.end - call.start)
                    for *_, start, width in sites
                )
    np.testing.assert_allclose(starts, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(best[0.6]["score"], right[0.6], rtol=0, atol=1e-10)
    # two sites can match one call by a half of it each, of which the likelier counts
    assert (best[0.5]["score"] < right[0.5] + 1e-10).all()
    assert len(best[0.6]) > 3


@pytest.mark.parametrize("rules", [[], RULES], ids=["no rules", "rules"])
def test_starts_spread_over_their_bases_are_the_occupancies(rules: list[dict[str, Any]]) -> None:
    grammar = grammar_of(ELEMENTS, LONG, 100, rules=rules)
    bases, _, _ = drawn(grammar, 40)
    kinds, starts = starts_of(grammar, bases)
    covered = np.zeros(starts.shape)
    for kind, width in enumerate(kinds.width):
        for offset in range(width):
            covered[:, kind, offset:] += starts[:, kind, : 100 - offset]
    posterior = explain(grammar, bases)
    np.testing.assert_allclose(covered.sum(axis=1), posterior.occupancy, rtol=0, atol=1e-10)
    depends = element_tasks(grammar)
    for task, occupancy in zip(grammar.tasks, posterior.task_occupancy, strict=True):
        counted = np.array([task in depends[grammar.elements[element].name] for element in kinds.element])
        np.testing.assert_allclose(covered[:, counted].sum(axis=1), occupancy, rtol=0, atol=1e-10)


def plain_scores(starts: np.ndarray, width: np.ndarray, overlap: float) -> list[tuple[int, int, float]]:
    """Start, width and score of the calls of one sequence, every pair of placements held against each other."""
    mass: dict[tuple[int, int], float] = {}
    for kind, start in np.argwhere(starts > 0).tolist():
        place = start, int(width[kind])
        mass[place] = mass.get(place, 0) + starts[kind, start]

    def explained(call: tuple[int, int]) -> list[tuple[int, int]]:
        inner, left, right = [], [], []
        for site in mass:
            common = min(sum(call), sum(site)) - max(call[0], site[0])
            if common >= overlap * max(call[1], site[1]) - 1e-9:
                twice = 2 * call[0] + call[1]
                (left if 2 * sum(site) == twice else right if 2 * site[0] == twice else inner).append(site)
        return inner + max(left, right, key=lambda side: sum(mass[site] for site in side))

    calls = []
    while True:
        scores = {call: sum(mass[site] for site in explained(call)) for call, own in mass.items() if own >= 1e-3}
        if not scores or max(scores.values()) < 1e-3:
            return calls
        good = [call for call, score in scores.items() if score > max(scores.values()) - 1e-3]
        best = max(good, key=lambda call: mass[call])
        calls.append((*best, scores[best]))
        for site in explained(best):
            mass[site] = 0


@pytest.mark.parametrize("overlap", [0.5, 0.8])
def test_calls_are_those_of_a_plain_greedy_choice(overlap: float) -> None:
    grammar = grammar_of(ELEMENTS, LONG, 100, rules=RULES)
    bases, _, _ = drawn(grammar, 10)
    kinds, starts = starts_of(grammar, bases)
    called = site_calls(grammar, bases, overlap=overlap)
    assert (called["score"] >= 1e-3).all()
    for row in range(10):
        expected = sorted(plain_scores(starts[row], kinds.width, overlap))
        own = called[called["row"] == row]
        assert [(start, width) for start, width, _ in expected] == list(
            zip(own["start"], own["end"] - own["start"], strict=True)
        )
        np.testing.assert_allclose(own["score"], [score for *_, score in expected], rtol=0, atol=1e-9)


@pytest.fixture(scope="module", params=["pairs", "rules"])
def called(request: pytest.FixtureRequest) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calls of the truth of task y, its label known, and the true sites."""
    grammar = grammar_of(ELEMENTS, LONG, 100, rules=RULES if request.param == "rules" else [])
    bases, labels, sites = true_sites(grammar, 5, 2_500)
    labels[:, 0] = -1
    of_task = [element for element, tasks in element_tasks(grammar).items() if "y" in tasks]
    return site_calls(grammar, bases, labels=labels, task="y"), sites[sites["element"].isin(of_task)]


def test_scores_are_the_share_of_calls_that_are_right(called: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    calls, sites = checked_tables(*called)
    right = np.zeros(len(calls))
    right[best_matching(calls, sites, 0.5).call] = 1
    edges = [1e-3, 0.05, 0.2, 0.4, 0.6, 0.8, 1.01]
    for low, high in itertools.pairwise(edges):
        score = calls["score"].to_numpy()
        own = (score >= low) & (score < high)
        error = np.sqrt((score[own] * (1 - score[own])).sum())
        assert own.sum() > 200
        # at four standard errors; scores of .3 for a share of .35 reach more
        assert abs(right[own].sum() - score[own].sum()) < 4 * error, (low, right[own].mean(), score[own].mean())


def test_calls_name_the_motif_strand_and_element_of_sites(called: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    calls, sites = called
    assert list(calls) == ["row", "start", "end", "strand", "motif", "element", "score"]
    sure = calls[calls["score"] > 0.95]
    scored = score_instances(sure, sites, n_shuffles=0).loc[0]
    assert len(sure) > 200
    assert scored["precision"] > 0.95
    assert scored["motif_accuracy"] > 0.9
    assert scored["strand_accuracy"] > 0.9
    assert set(calls["element"]) == set(sites["element"])
    assert (calls["end"] - calls["start"] == calls["motif"].map({"M3": 8, "M4": 6, "M5": 11})).all()


def test_better_than_a_scan_with_the_true_matrices() -> None:
    grammar = build_grammar(load_config("demo").simulation, load_motifs("default"))
    bases, labels, sites = true_sites(grammar, 5, 300)
    for number, task in enumerate(grammar.tasks):
        rows = np.flatnonzero(labels[:, number])
        of_task = [element for element, tasks in element_tasks(grammar).items() if task in tasks]
        mine = sites[sites["element"].isin(of_task) & sites["row"].isin(rows)]
        mine = mine.assign(row=np.searchsorted(rows, mine["row"]))
        known = np.where(np.arange(2) == number, 1, np.full((len(rows), 1), -1))
        oracle = site_calls(grammar, bases[rows], labels=known, task=task)
        motifs = [motif for motif in grammar.motifs if motif.motif_id in set(mine["motif"])]
        hits = scan(bases[rows], motifs, 1e-3, zero_order_background(grammar))
        ap, of_scan = (score_instances(each, mine, n_shuffles=0).loc[0, "ap"] for each in (oracle, hits))
        assert ap > of_scan + 0.2
        assert best_f1(oracle, mine).f1 > best_f1(hits, mine).f1 + 0.1


def test_abutting_sites_make_two_calls_and_none_astride() -> None:
    grammar = grammar_of([{"pair": ["BETA", "BETA"], "gap": 0, "rate": 0.9}], LONG, 30)
    bases, _, sites = true_sites(grammar, 3, 200)
    calls = site_calls(grammar, bases)
    sure = calls[calls["score"] > 0.9]
    assert len(sure) > 20
    assert score_instances(sure, sites, n_shuffles=0).loc[0, "precision"] > 0.9
    assert calls["score"].max() <= 1


def test_bad_input_is_told() -> None:
    grammar = grammar_of(ELEMENTS, LONG, 100)
    bases, _, _ = drawn(grammar, 2)
    with pytest.raises(InputError, match=r"^task: the grammar has no task 'z'"):
        site_calls(grammar, bases, task="z")
    with pytest.raises(InputError, match=r"^overlap: is 0.4, for which posteriors do not add up; give .5 up to 1"):
        site_calls(grammar, bases, overlap=0.4)
    with pytest.raises(InputError, match=r"^at_least: is 0"):
        site_calls(grammar, bases, at_least=0)
    with pytest.raises(ValueError, match=r"bases must be uint8 \(N, 100\)"):
        site_calls(grammar, bases[:, :50])
    empty = site_calls(grammar, bases[:0])
    assert (len(empty), list(empty)) == (0, list(site_calls(grammar, bases)))
