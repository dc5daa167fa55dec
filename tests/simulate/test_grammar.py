"""The grammar's sampler against its own description: every rate, fraction, base and gap, at fixed seeds.

Statistical tests reject below p = 1e-4 (or beyond 4 standard errors), and say which fault they would see.
"""

from __future__ import annotations

import itertools
import math
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import grammars
from simbench_tf.config import HUMAN_BACKGROUND
from simbench_tf.dna import decode, encode, reverse_complement
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, scan
from simbench_tf.random_streams import next_uint32, next_uniform, open_stream, stream_key
from simbench_tf.simulate.grammar import (
    Grammar,
    decision_points,
    draw,
    element_tasks,
    hazards,
    label_prior,
    used_motifs,
    zero_order_background,
)
from simbench_tf.tables import check_sequences, check_sites

SEED = 3
N = 30_000


def random_motif(name: str, width: int, seed: int) -> Motif:
    ppm = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), width)
    ppm[1] = [0.7, 0, 0.3, 0]  # bases that never occur
    return Motif(f"M{seed}", name, ppm / ppm.sum(axis=1, keepdims=True), 100.0)


MOTIFS = [random_motif("ALPHA", 8, 1), random_motif("BETA", 6, 2), random_motif("GAMMA", 11, 3)]
ELEMENTS = [
    {"motif": "ALPHA", "rate": 0.3, "enriched": {"x": 1.5}, "position": {"centre": 60, "sd": 25, "floor": 0.2}},
    {"motif": "GAMMA", "rate": 0.5, "enriched": {"x": 0.4, "y": 0.8}, "strand": "-"},
    {"pair": ["BETA", "GAMMA"], "gap": [0, 5], "orientation": "any", "rate": 0.4, "enriched": {"y": 0.6}},
]


grammar_of = partial(
    grammars.grammar_of,
    MOTIFS,
    seq_length=200,
    tasks={"x": {"fraction": 0.3}, "y": {"fraction": 0.55}},
    label_correlation=0.4,
    elements=ELEMENTS,
)


class Draws:
    """One large draw as arrays: bases (N, L), label patterns (N,), sites with the row of their sequence."""

    def __init__(self, grammar: Grammar, n: int = N, seed: int = SEED) -> None:
        drawn = draw(grammar, seed, 0, n)
        self.grammar = grammar
        self.sequences = drawn.sequences
        self.bases = bases_of(drawn.sequences["sequence"])
        labels = [drawn.sequences[task].to_numpy().astype(int) << t for t, task in enumerate(grammar.tasks)]
        self.patterns = np.sum(labels, axis=0)
        self.sites = drawn.sites.to_pandas()
        self.sites["row"] = self.sites["seq_id"].str[3:].astype(int)

    def starts(self, element: str) -> pd.DataFrame:
        """Row, start and end of each time the element started; a pair's two motifs stand next to each other."""
        own = self.sites[self.sites["element"] == element]
        if "+" not in element:
            return own
        return own.iloc[::2].assign(end=own["end"].to_numpy()[1::2])


@pytest.fixture(scope="module")
def draws() -> Draws:
    return Draws(grammar_of())


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    """The p-value of counts; cells that can't occur must be empty."""
    observed, expected = np.ravel(observed), np.ravel(expected)
    assert not observed[expected == 0].any()
    return float(stats.chisquare(observed[expected > 0], expected[expected > 0]).pvalue)


# ---------------------------------------------------------------- the same numbers as a plain sampler


def reference_sample(grammar: Grammar, seed: int, index: int, pattern: int) -> tuple[str, list[tuple[Any, ...]]]:
    """One sequence, and (start, end, motif, strand, element) of its sites, position by position in plain Python."""
    hmm = grammar.hmm
    elements = open_stream(stream_key(seed, "grammar elements"), index, 0)
    bases_stream = open_stream(stream_key(seed, "grammar bases"), index, 0)
    sequence: list[int] = []
    sites = []

    def emit(probabilities: np.ndarray) -> None:
        draw_ = int(next_uint32(bases_stream))
        cumulative = list(itertools.accumulate(probabilities.tolist()))[:3]
        sequence.append(sum(draw_ >= round(c * 2**32) for c in cumulative))

    def emit_background(n: int) -> None:
        for _ in range(n):
            # rows of the tables after 0, 1, ... k bases, one block below the other
            context = sequence[max(0, len(sequence) - hmm.order) :]
            row = sum(4**j for j in range(len(context))) + int("".join(map(str, context)) or "0", 4)
            emit(hmm.background[row])

    def choose(weights: np.ndarray) -> int:
        rest = next_uniform(elements) * weights.sum()
        for choice, weight in enumerate(weights):
            rest -= weight
            if rest < 0:
                return choice
        raise AssertionError

    survived, threshold = 0.0, -math.log1p(-next_uniform(elements))
    cumulated = np.concatenate([[0], np.cumsum(-np.log1p(-hazards(grammar, pattern).sum(axis=0)))])
    threshold += cumulated[0]
    while len(sequence) < grammar.seq_length:
        survived = cumulated[len(sequence) + 1]
        if survived <= threshold:
            emit_background(1)
            continue
        element = choose(hmm.rates[pattern] * hmm.profile[len(sequence)])
        first = hmm.element_form[element]
        form = first + choose(hmm.form_probability[first : hmm.element_form[element + 1]])
        for place, segment in enumerate((hmm.form_first[form], hmm.form_second[form])):
            if segment < 0:
                break
            emit_background(hmm.form_gap[form] * place)
            motif, minus = grammar.motifs[hmm.segment_motif[segment]], hmm.segment_strand[segment]
            start = len(sequence)
            for row in motif.ppm[::-1, ::-1] if minus else motif.ppm:
                emit(row)
            sites.append((start, len(sequence), motif.motif_id, "+-"[minus], grammar.elements[element].name))
        if len(sequence) < grammar.seq_length:
            threshold = cumulated[len(sequence)] - math.log1p(-next_uniform(elements))
    return decode(np.array([sequence], np.uint8))[0], sites


def test_sampler_equals_a_plain_one(draws: Draws) -> None:
    by_row = dict(list(draws.sites.groupby("row")))
    for row in range(300):
        sequence, sites = reference_sample(draws.grammar, SEED, row, int(draws.patterns[row]))
        assert draws.sequences["sequence"][row].as_py() == sequence
        found = by_row[row][["start", "end", "motif", "strand", "element"]] if row in by_row else pd.DataFrame()
        assert list(found.itertuples(index=False, name=None)) == sites


def test_any_chunking_and_any_number_of_threads_give_the_same_rows() -> None:
    grammar = grammar_of()
    whole = draw(grammar, SEED, 0, 500)
    parts = [
        draw(pickle.loads(pickle.dumps(grammar)), SEED, *bounds) for bounds in ((0, 1), (1, 7), (7, 333), (333, 500))
    ]
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        parts.append(draw(grammar, SEED, 0, 500))
    finally:
        numba.set_num_threads(threads)
    for table in ("sequences", "sites"):
        expected = getattr(whole, table).to_pandas()
        chunks = pd.concat([getattr(part, table).to_pandas() for part in parts[:4]], ignore_index=True)
        pd.testing.assert_frame_equal(chunks, expected)
        assert getattr(parts[4], table).equals(getattr(whole, table))
    assert not draw(grammar, SEED + 1, 0, 500).sequences.equals(whole.sequences)


def test_an_empty_stretch_has_empty_tables() -> None:
    drawn = draw(grammar_of(), SEED, 5, 5)
    assert (drawn.sequences.num_rows, drawn.sites.num_rows) == (0, 0)
    with pytest.raises(ValueError, match="start <= stop"):
        draw(grammar_of(), SEED, 5, 4)


# ---------------------------------------------------------------- what is drawn is what was asked for


def test_tables_keep_their_promises(draws: Draws) -> None:
    check_sequences(draws.sequences, draws.grammar.tasks)
    text = draws.sequences.select(["seq_id", "sequence"]).to_pandas().set_index("seq_id")["sequence"]
    few = draws.sites[draws.sites["row"] < 2000]
    check_sites(few, text)
    assert text.str.len().eq(200).all()
    assert text.index[[0, 12_345]].tolist() == ["seq000000000", "seq000012345"]
    assert draws.sequences["chrom"].null_count == N
    ordered = draws.sites.sort_values(["row", "start"])
    assert ordered.index.equals(draws.sites.index)
    same_row = ordered["row"].to_numpy()[1:] == ordered["row"].to_numpy()[:-1]
    assert (ordered["start"].to_numpy()[1:] >= ordered["end"].to_numpy()[:-1])[same_row].all()


def test_scores_are_those_of_a_scan(draws: Draws) -> None:
    few = draws.sites[draws.sites["row"] < 40]
    hits = scan(draws.bases[:40], MOTIFS, pvalue=1.0, background=zero_order_background(draws.grammar))
    both = few.merge(hits, on=["row", "motif", "start", "end", "strand"], suffixes=("", "_scan"), how="left")
    assert len(both) == len(few) > 50
    np.testing.assert_array_equal(both["score"], both["score_scan"])
    np.testing.assert_array_equal(both["pvalue"], both["pvalue_scan"])


@pytest.mark.parametrize("motif", MOTIFS, ids=lambda motif: motif.tf)
def test_sites_are_drawn_from_the_ppm(draws: Draws, motif: Motif) -> None:
    # some 15,000 sites or more: a probability off by .03 is seen in any column
    own = draws.sites[draws.sites["tf"] == motif.tf]
    assert len(own) > 15_000
    forward = own["matched"].where(own["strand"] == "+", own["matched"].map(reverse_complement))
    bases = encode(forward.tolist())
    counts = np.stack([(bases == base).sum(axis=0) for base in range(4)], axis=1)
    for column, probabilities in zip(counts, motif.ppm, strict=True):
        assert chi_square(column, probabilities * len(own)) > 1e-4


def test_strands_are_balanced_or_as_asked(draws: Draws) -> None:
    # 20,000 starts: a share of .515 instead of .5 is seen
    alpha = draws.starts("ALPHA")["strand"]
    assert stats.binomtest(int((alpha == "+").sum()), len(alpha)).pvalue > 1e-4
    assert set(draws.starts("GAMMA")["strand"]) == {"-"}
    plus = Draws(grammar_of(elements=[{"motif": "ALPHA", "rate": 1, "strand": "+"}]), 500)
    assert set(plus.sites["strand"]) == {"+"}


def test_every_element_starts_at_its_rate_under_every_label_pattern(draws: Draws) -> None:
    # the rarest pattern has some 2,500 sequences: a rate off by .06 is seen there, by .02 in the others
    for pattern, (number, element) in itertools.product(range(4), enumerate(draws.grammar.elements)):
        asked = element.rate + sum(element.enriched.get(t, 0) for i, t in enumerate("xy") if pattern >> i & 1)
        assert draws.grammar.hmm.rates[pattern, number] == pytest.approx(asked)
        counts = np.bincount(draws.starts(element.name)["row"], minlength=N)[draws.patterns == pattern]
        assert abs(counts.mean() - asked) < 4 * counts.std() / np.sqrt(len(counts))


def test_starts_are_spread_as_the_profile(draws: Draws) -> None:
    positions = np.arange(200)
    weights = 0.2 + 0.8 * np.exp(-((positions + 4 - 60) ** 2) / (2 * 25**2))
    bell = np.where(positions <= 192, weights, 0)
    flat = np.where(positions <= 200 - 11, 1.0, 0)
    pair = np.where(positions <= 200 - 6 - 11 - 5, 1.0, 0)
    for element, profile in (("ALPHA", bell), ("GAMMA", flat), ("BETA+GAMMA", pair)):
        starts = draws.starts(element)["start"]
        observed = np.bincount(starts, minlength=200)
        assert chi_square(observed, profile / profile.sum() * len(starts)) > 1e-4


def test_pairs_keep_their_gap_order_and_orientation(draws: Draws) -> None:
    own = draws.sites[draws.sites["element"] == "BETA+GAMMA"]
    left, right = own.iloc[::2].reset_index(), own.iloc[1::2].reset_index()
    assert (left["row"] == right["row"]).all()
    gaps = right["start"] - left["end"]
    # strand of the pair: BETA stands left on the plus strand; then its own strand is the pair's
    minus = left["tf"] == "GAMMA"
    beta = left["strand"].where(~minus, right["strand"])
    gamma = right["strand"].where(~minus, left["strand"])
    assert (beta == np.where(minus, "-", "+")).all()
    counts = np.array([
        [((gaps == gap) & (minus == strand) & ((gamma == beta) == same)).sum() for strand in (False, True)]
        for gap in range(6) for same in (False, True)
    ])  # fmt: skip
    assert counts.sum() == len(left)
    assert chi_square(counts, np.full(24, len(left) / 24)) > 1e-4


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ("same", {"ALPHA+ BETA+", "BETA- ALPHA-"}),
        ("opposite", {"ALPHA+ BETA-", "BETA+ ALPHA-"}),
        ("any", {"ALPHA+ BETA+", "BETA- ALPHA-", "ALPHA+ BETA-", "BETA+ ALPHA-"}),
    ],
)
def test_orientation_of_a_pair_is_kept(orientation: str, expected: set[str]) -> None:
    pair = {"pair": ["ALPHA", "BETA"], "gap": 2, "orientation": orientation, "rate": 1}
    sites = Draws(grammar_of(elements=[pair]), 1000).sites
    names = (sites["tf"] + sites["strand"]).tolist()
    assert {f"{left} {right}" for left, right in zip(names[::2], names[1::2], strict=True)} == expected
    assert (sites["start"].to_numpy()[1::2] - sites["end"].to_numpy()[::2] == 2).all()


def test_background_follows_its_table(draws: Draws) -> None:
    # 4 million steps: a transition probability off by .002 is seen
    covered = np.zeros((N, 201), np.int32)
    np.add.at(covered, (draws.sites["row"], draws.sites["start"]), 1)
    np.add.at(covered, (draws.sites["row"], draws.sites["end"]), -1)
    outside = np.cumsum(covered, axis=1)[:, :200] == 0
    table = np.array(HUMAN_BACKGROUND)
    table /= table.sum(axis=1, keepdims=True)
    before, after = draws.bases[:, :-1][outside[:, 1:]], draws.bases[:, 1:][outside[:, 1:]]
    for base in range(4):
        counts = np.bincount(after[before == base], minlength=4)
        assert chi_square(counts, table[base] * counts.sum()) > 1e-4
    first = np.bincount(draws.bases[outside[:, 0], 0], minlength=4)
    stationary = np.array(zero_order_background(draws.grammar))
    np.testing.assert_allclose(stationary @ table, stationary, atol=1e-12)
    assert chi_square(first, stationary * first.sum()) > 1e-4


def test_splits_have_their_fractions() -> None:
    split = Draws(grammar_of(splits={"valid": 0.15, "test": 0.25})).sequences["split"].to_pandas()
    counts = split.value_counts()[["train", "valid", "test"]].to_numpy()
    assert chi_square(counts, np.array([0.6, 0.15, 0.25]) * N) > 1e-4


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.45])
def test_labels_have_the_prior(correlation: float) -> None:
    tasks = {name: {"fraction": fraction} for name, fraction in (("a", 0.2), ("b", 0.5), ("c", 0.7))}
    grammar = grammar_of(
        tasks=tasks, label_correlation=correlation, elements=[{"motif": "ALPHA", "rate": 0.1}], seq_length=20
    )
    counts = np.bincount(Draws(grammar, 100_000).patterns, minlength=8)
    # 100,000 sequences: a correlation off by .03 is seen
    assert chi_square(counts, label_prior(grammar) * 100_000) > 1e-4


def prior_of(fractions: list[float], correlation: float) -> np.ndarray:
    tasks = {f"t{t}": {"fraction": fraction} for t, fraction in enumerate(fractions)}
    return label_prior(
        grammar_of(tasks=tasks, label_correlation=correlation, elements=[{"motif": "ALPHA", "rate": 0.1}])
    )


@pytest.mark.parametrize("correlation", [-0.499, -0.3, 0.0, 0.01, 0.5, 0.999])
def test_prior_of_three_even_tasks_is_sheppards(correlation: float) -> None:
    # P(all three below 0) = 1/8 + 3 asin(rho) / (4 pi)
    together = 1 / 8 + 3 * math.asin(correlation) / (4 * math.pi)
    expected = [together, *[(1 - 2 * together) / 6] * 6, together]
    np.testing.assert_allclose(prior_of([0.5] * 3, correlation), expected, atol=1e-12)


@pytest.mark.parametrize("correlation", [-0.99999, -0.7, 0.3, 0.99999])
def test_prior_of_two_tasks_is_the_bivariate_normals(correlation: float) -> None:
    both = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]]).cdf(stats.norm.ppf([0.35, 0.8]))
    expected = [1 - 0.35 - 0.8 + both, 0.35 - both, 0.8 - both, both]
    np.testing.assert_allclose(prior_of([0.35, 0.8], correlation), expected, atol=1e-10)


@pytest.mark.parametrize("correlation", [-0.11, 0.4])
def test_prior_of_ten_tasks_has_their_fractions(correlation: float) -> None:
    fractions = np.linspace(0.05, 0.6, 10)
    prior = prior_of(fractions.tolist(), correlation)
    carried = np.arange(1024)[:, None] >> np.arange(10) & 1
    np.testing.assert_allclose(prior @ carried, fractions, atol=1e-10)
    thresholds = stats.norm.ppf(fractions[[2, 7]])
    pair = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]]).cdf(thresholds)
    assert prior @ (carried[:, 2] * carried[:, 7]) == pytest.approx(pair, abs=1e-10)


# ---------------------------------------------------------------- the model behind the sampler


def test_hazards_give_exactly_the_rates_asked_for(draws: Draws) -> None:
    hmm = draws.grammar.hmm
    for pattern in range(4):
        hazard = hazards(draws.grammar, pattern)
        arrive = np.zeros(201)  # probability that each position is a decision point, by walking the chain forward
        arrive[0] = 1
        starts = np.zeros(len(hazard))
        for position in range(200):
            assert arrive[position] == pytest.approx(decision_points(draws.grammar, pattern)[position], abs=1e-12)
            arrive[position + 1] += arrive[position] * (1 - hazard[:, position].sum())
            for element in range(len(hazard)):
                begun = arrive[position] * hazard[element, position]
                starts[element] += begun
                for form in range(*hmm.element_form[element : element + 2]):
                    if begun > 0:
                        arrive[position + hmm.form_width[form]] += begun * hmm.form_probability[form]
        np.testing.assert_allclose(starts, hmm.rates[pattern], rtol=1e-11)
        assert arrive[200] == pytest.approx(1, abs=1e-12)


def test_decision_points_are_as_frequent_as_computed(draws: Draws) -> None:
    for pattern in range(4):
        own = draws.patterns == pattern
        inside = np.zeros((N, 201), np.int32)
        for element in draws.grammar.elements:
            starts = draws.starts(element.name)
            np.add.at(inside, (starts["row"], starts["start"] + 1), 1)
            np.add.at(inside, (starts["row"], starts["end"]), -1)
        free = (np.cumsum(inside, axis=1)[own, :200] == 0).mean(axis=0)
        expected = decision_points(draws.grammar, pattern)
        # Bonferroni over 800 positions: 5 standard errors
        assert (np.abs(free - expected) <= 5 * np.sqrt(expected * (1 - expected) / own.sum()) + 1e-12).all()


def test_an_element_can_be_certain() -> None:
    fixed = {"motif": "ALPHA", "rate": 1, "position": {"centre": 104, "sd": 0.01}}
    certain = Draws(grammar_of(elements=[fixed]), 2000)
    assert certain.sites["row"].tolist() == list(range(2000))
    assert set(certain.sites["start"]) == {100}


def test_centre_is_the_middle_by_default() -> None:
    grammar = grammar_of(elements=[{"motif": "ALPHA", "rate": 1, "position": {"sd": 20}}])
    assert grammar.hmm.profile[:, 0].argmax() == 96
    np.testing.assert_allclose(grammar.hmm.profile[96 - 30 : 96, 0], grammar.hmm.profile[96 + 30 : 96 : -1, 0])


def test_element_tasks_and_motifs() -> None:
    grammar = grammar_of(elements=[*ELEMENTS, {"motif": "BETA", "enriched": {"x": 0}}])
    assert element_tasks(grammar) == {"ALPHA": ["x"], "GAMMA": ["x", "y"], "BETA+GAMMA": ["y"], "BETA": []}
    assert [motif.tf for motif in used_motifs(grammar)] == ["ALPHA", "GAMMA", "BETA"]
    twice = grammar_of(elements=[{"pair": ["BETA", "BETA"]}, {"motif": "ALPHA"}])
    assert [motif.tf for motif in used_motifs(twice)] == ["BETA", "ALPHA"]


# ---------------------------------------------------------------- bad input


TASKS_11 = {f"t{t}": {"fraction": 0.5} for t in range(11)}
TASKS_3 = dict(list(TASKS_11.items())[:3])
ALPHA = [{"motif": "ALPHA"}]
UNIFORM = ((0.25,) * 4,) * 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"elements": [{"motif": "ALPHA", "rate": 20, "enriched": {"y": 10}}]},
            r"simulation\.elements: the rates are too high for the length: .* with the label y, .* position 7 ",
        ),
        (
            {"elements": [{"motif": "ALPHA", "rate": 1.01, "position": {"sd": 0.01}}]},
            "in sequences without a label, elements should start at position 96 with probability 1.01, .* only 1;",
        ),
        ({"elements": [{"motif": "ALFA"}]}, r"simulation\.elements\.0: ALFA: no motif .* the nearest is ALPHA"),
        (
            {"elements": [*ALPHA, {"pair": ["BETA", "BETA"], "gap": 9}], "seq_length": 20},
            r"simulation\.elements\.1: takes up to 21 bases, but seq_length is 20",
        ),
        (
            {"elements": [{"motif": "ALPHA", "position": {"centre": 5000, "sd": 2}}]},
            r"simulation\.elements\.0\.position: allows no start",
        ),
        ({"tasks": TASKS_11, "elements": ALPHA}, r"simulation\.tasks: 11 tasks are more .* 10 or fewer"),
        (
            {"tasks": TASKS_3, "label_correlation": -0.5, "elements": ALPHA},
            r"simulation\.label_correlation: 3 labels .* keep it above -0\.5",
        ),
        ({"background": ((0.5, 0.5), (0.5, 0.5))}, r"simulation\.background: is no table of 4 \*\* k rows"),
        ({"background": (*UNIFORM[:3], (0.25, 0.25, 0.25, 0.3))}, r"simulation\.background: holds a row"),
        ({"background": (*UNIFORM[:3], (1.5, -0.5, 0, 0))}, r"simulation\.background: holds a row"),
        ({"background": ((1.0, 0, 0, 0), *UNIFORM[1:])}, r"simulation\.background: some base never comes back"),
        ({"background": Path("nowhere.fa")}, r"nowhere\.fa: no such FASTA file"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grammar_of(**settings)


def test_rows_of_a_background_are_normalised() -> None:
    rounded = ((0.2502, 0.25, 0.25, 0.25), *UNIFORM[1:])
    np.testing.assert_allclose(grammar_of(background=rounded).hmm.background.sum(axis=1), 1, atol=1e-15)
