"""The random background: tables of any order, their long run, and sequences that follow them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simbench_tf.config import HUMAN_BACKGROUND, GrammarSimulation
from simbench_tf.dna import reverse_complement
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.simulate.grammar import build_grammar, draw
from simbench_tf.simulate.grammar.background import background_of, context_frequencies, order_of, with_lower_orders

MOTIF = Motif("M1", "ONE", np.random.default_rng(1).dirichlet(np.full(4, 0.4), 5), 100.0)
UNIFORM = ((0.25,) * 4,) * 4


def random_table(order: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(4, 0.8), 4**order)


def simulation(**settings: Any) -> GrammarSimulation:
    return GrammarSimulation(kind="grammar", elements=[{"motif": "ONE", "rate": 0.3}], **settings)


def words(bases: np.ndarray, width: int) -> np.ndarray:
    """Codes of all words of a width, (N, L - width + 1), the oldest base first."""
    n_words = bases.shape[1] - width + 1
    return sum(bases[:, j : j + n_words].astype(np.int64) * 4 ** (width - 1 - j) for j in range(width))


@pytest.mark.parametrize("order", range(5))
def test_context_frequencies_are_the_least_squares_solution(order: int) -> None:
    """All equations of stationarity and the sum, by a dense solver."""
    table = random_table(order, 2)
    n = len(table)
    steps = np.zeros((n, n))
    for context, base in itertools.product(range(n), range(4)):
        steps[context, (4 * context + base) % n] += table[context, base]
    equations = np.vstack([steps.T - np.eye(n), np.ones(n)])
    solution = np.linalg.lstsq(equations, np.append(np.zeros(n), 1.0), rcond=None)[0]
    np.testing.assert_allclose(context_frequencies(table), solution, atol=1e-13)


@given(order=st.integers(0, 3), seed=st.integers(0, 1000))
def test_context_frequencies_stay_as_they_are(order: int, seed: int) -> None:
    table = random_table(order, seed)
    frequencies = context_frequencies(table)
    assert frequencies is not None
    assert frequencies.sum() == pytest.approx(1, abs=1e-12)
    # one step on: the word of k + 1 bases loses its oldest
    np.testing.assert_allclose((frequencies[:, None] * table).reshape(4, -1).sum(axis=0) if order else [1.0],
                               frequencies, atol=1e-10)  # fmt: skip


@given(order=st.integers(1, 3), seed=st.integers(0, 1000))
def test_lower_orders_are_marginals(order: int, seed: int) -> None:
    table = random_table(order, seed)
    rows = with_lower_orders(table)
    assert rows.shape == (sum(4**j for j in range(order + 1)), 4)
    np.testing.assert_array_equal(rows[-len(table) :], table)
    frequencies = context_frequencies(table)
    # P(word of k + 1 bases), base by base from the lower orders, is the long run's
    for word in itertools.product(range(4), repeat=order + 1):
        probability, block, code = 1.0, 0, 0
        for j, base in enumerate(word):
            probability *= rows[block + code, base]
            block, code = block + 4**j, 4 * code + base
        context = int("".join(map(str, word[:-1])), 4)
        assert probability == pytest.approx(frequencies[context] * table[context, word[-1]], abs=1e-10)


def test_a_background_without_one_long_run_has_no_frequencies() -> None:
    assert context_frequencies(np.eye(4)) is None
    # CG never left once entered: one long run, in which A never comes back
    table = np.array([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0.25] * 4])
    np.testing.assert_allclose(context_frequencies(table), [0, 0.5, 0.5, 0], atol=1e-12)


@pytest.mark.parametrize("order", [0, 2, 3])
def test_sequences_follow_the_table(order: int) -> None:
    """Words of k + 1 bases at the start and in the middle, against their probability (chi-square, fixed seed)."""
    table = random_table(order, 5)
    settings = simulation(seq_length=40, background=tuple(map(tuple, table.tolist())))
    settings = settings.model_copy(update={"elements": [settings.elements[0].model_copy(update={"rate": 0.0})]})
    bases = bases_of(draw(build_grammar(settings, [MOTIF]), 3, 0, 40_000).sequences["sequence"])
    frequencies = context_frequencies(table)
    expected = 40_000 * (frequencies[:, None] * table).ravel()
    codes = words(bases, order + 1)
    for position in (0, 20):
        observed = np.bincount(codes[:, position], minlength=4 ** (order + 1))
        assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_the_base_after_a_motif_depends_on_its_last_bases() -> None:
    table = random_table(2, 8)
    elements = [{"motif": "ONE", "rate": 1, "strand": "+", "position": {"centre": 12.5, "sd": 0.01}}]
    settings = GrammarSimulation(
        kind="grammar", seq_length=30, elements=elements, background=tuple(map(tuple, table.tolist()))
    )
    bases = bases_of(draw(build_grammar(settings, [MOTIF]), 3, 0, 40_000).sequences["sequence"])
    context = words(bases[:, 13:15], 2)[:, 0]
    for code in range(16):
        after = np.bincount(bases[context == code, 15], minlength=4)
        if after.sum() > 200:
            assert stats.chisquare(after, after.sum() * table[code]).pvalue > 1e-4


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_fasta_is_counted_on_both_strands(tmp_path: Path, order: int) -> None:
    fasta = tmp_path / "few.fa"
    rng = np.random.default_rng(2)
    long = "".join(rng.choice(list("ACGT"), 400))
    texts = ["ACGTTNGGCAAT" + long, "CCATG", "T"]
    fasta.write_text("".join(f">{number}\n{text.lower() if number else text}\n" for number, text in enumerate(texts)))
    counts = np.zeros((4**order, 4))
    for text in texts:
        for strand in (text, reverse_complement(text)):
            for start in range(len(strand) - order):
                word = strand[start : start + order + 1]
                if "N" not in word:
                    digits = ["ACGT".index(letter) for letter in word]
                    counts[int("".join(map(str, digits[:-1])) or "0", 4), digits[-1]] += 1
    table = background_of(simulation(background=fasta, background_order=order), tmp_path)
    np.testing.assert_allclose(table, counts / counts.sum(axis=1, keepdims=True), atol=1e-15)
    assert order_of(table) == order


def test_a_file_means_order_1_and_human_is_its_table(tmp_path: Path) -> None:
    fasta = tmp_path / "some.fa"
    fasta.write_text(">a\n" + "ACGGTCATTAGC" * 5 + "\n")
    assert background_of(simulation(background=fasta), None).shape == (4, 4)
    np.testing.assert_allclose(background_of(simulation(), None), HUMAN_BACKGROUND, atol=2e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"background": UNIFORM * 2}, r"simulation\.background: is no table of 4 \*\* k rows of 4"),
        ({"background": UNIFORM, "background_order": 2}, r"simulation\.background_order: is 2, the table's is 1"),
        ({"background_order": 0}, r"simulation\.background_order: is 0, the table's is 1"),
        ({"background": tuple(np.eye(4).tolist())}, r"simulation\.background: some base never comes back"),
    ],
)
def test_bad_tables_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        background_of(simulation(**settings), None)


@pytest.mark.parametrize(
    ("order", "mend"), [(1, "give a longer FASTA file$"), (3, "give a longer FASTA file or a lower background_order")]
)
def test_a_fasta_too_short_is_told(tmp_path: Path, order: int, mend: str) -> None:
    fasta = tmp_path / "short.fa"
    fasta.write_text(">a\nAAAA\n")
    with pytest.raises(InputError, match=rf"short\.fa: holds too few bases .*; {mend}"):
        background_of(simulation(background=fasta, background_order=order), None)
