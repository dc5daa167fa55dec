"""A grammar fitted to labelled sequences by EM: background, motif rates, positional profiles, label correlation.

Maximum likelihood by EM (Dempster, Laird & Rubin 1977), as MEME does for one motif (Bailey & Elkan 1994), with the
exact posterior of the whole grammar as its E step, so that sites are divided among overlapping and similar motifs. The
generator's expected number of starts is exactly the rate that was set, so at the truth every rate equals the mean of
its posterior starts, which is where EM rests: the estimates are consistent for data the generator drew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import GrammarSimulation, Position
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.random_streams import permutation
from simbench_tf.simulate.fit.classes import sequence_classes
from simbench_tf.simulate.fit.em import Climbed, Form, climb, with_own_motifs
from simbench_tf.simulate.fit.evidence import rate_errors, supported_profiles, supported_rates
from simbench_tf.simulate.fit.expected_sites import (
    Data,
    Parameters,
    design_of,
    pattern_codes,
    sorted_by_pattern,
    standing_for,
    whole_words,
)
from simbench_tf.simulate.fit.fitted_settings import built, grammar_settings
from simbench_tf.simulate.fit.maximise import fit_rates
from simbench_tf.simulate.fit.spacings import Spacing
from simbench_tf.simulate.fit.stretches import fitted_stretches
from simbench_tf.simulate.grammar import label_prior
from simbench_tf.simulate.grammar.labels import check_labels

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


#: A motif with fewer expected starts in a sequence, whatever its labels, is left out of the grammar.
NEGLIGIBLE_RATE = 1e-3


#: Passes end when no rate moves by more of the standard error it would have if all sites were seen
TOLERANCE = 0.05


# this many sequences are fitted first, to give the values from which all of them are then fitted
_FIRST_SEQUENCES = 2_000


class Fit(NamedTuple):
    """A fitted grammar, and how the fit went.

    Attributes
    ----------
    simulation : GrammarSimulation
        Elements are named by their motif's id; `n_sequences` is the number given, `splits` and `motifs` are defaults.
    rate_errors : float64 (T + 1, E)
        Standard errors of each element's rate and of its enrichment for each task; 0 where that is held at 0.
    motifs : list of Motif
        Of the elements, one each, as they were fitted.
    left_out : list of Motif
        Motifs with a negligible rate.
    n_fitted : int
        Sequences that rates and positions were estimated from; backgrounds are those of all.
    n_passes : int
        E steps over all of them.
    converged : bool
        Whether passes ended by themselves.
    unlabelled : float
        Share of sequences without any label that the grammar will draw.
    """

    simulation: GrammarSimulation
    rate_errors: Floats
    motifs: list[Motif]
    left_out: list[Motif]
    n_fitted: int
    n_passes: int
    converged: bool
    unlabelled: float


def fit_grammar(
    bases: Bases,
    labels: npt.NDArray[np.integer],
    motifs: Sequence[Motif],
    tasks: Sequence[str],
    *,
    background_order: int = 1,
    n_classes: int = 1,
    n_stretches: int = 1,
    pairs: Sequence[Spacing] = (),
    seed: int = 0,
    max_sequences: int = 20_000,
    max_passes: int = 60,
    tolerance: float = TOLERANCE,
    refit_motifs: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Fit:
    """Estimate the grammar under which labelled sequences are likeliest, with these motifs.

    Parameters
    ----------
    bases : uint8 (N, L)
        A, C, G, T as 0-3.
    labels : int (N, T)
        0 or 1, of each task.
    motifs : sequence of Motif
        Each becomes an element, on both strands.
    tasks : sequence of str
        Names of the labels.
    background_order : int
        How many bases before it a background base depends on, up to 5.
    n_classes : int
        Classes of sequences at most, each with a background, a factor on all rates and odds ratios of its own.
    n_stretches : int
        Kinds of stretches along the sequences of each class, which differ in background; 1 for none.
    pairs : sequence of Spacing
        Further elements: pairs of these motifs at a gap (`spacings.enriched_spacings`).
    seed : int
        Chooses the sequences to fit where there are more than `max_sequences`: of each label pattern as many, as far
        as there are.
    max_sequences, max_passes : int
        Bounds on the work, which is their product times L times the number of motifs.
    tolerance : float
        Passes end when no number of starts moves by more of its Poisson standard deviation in one.
    refit_motifs : bool
        Estimate the PPMs, too, in the end (`motif_words.refitted_motifs`); else they are as given.
    advance : callable
        Called with each number of sequences done, ``max_passes * min(N, max_sequences)`` of them at most.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        More than 10 tasks, a motif that does not fit the sequences, no motif with more than a negligible rate, or rates
        that no sequence with all labels has room for.
    ValueError
        Shapes that do not fit, or a label that all sequences have, or none.

    Notes
    -----
    Rates are additive in the labels and never negative. They are followed by EM with squared extrapolation of each
    element's rates (Varadhan & Roland 2008), first on 2,000 of the sequences, until no number of starts, in all
    sequences or in those with a label, moves by more than the tolerance in one pass. Then
    motifs with a negligible rate are dropped, and enrichments less than two standard errors above 0, the least
    significant first; else chance would make every motif part of every task's truth. Standard errors are those of the
    summed outer products of each sequence's score (Meilijson 1989), all rates together, so that of two similar motifs
    one keeps what both account for. Then EM runs to the end.

    An element with as much information as 300 starts seen beyond doubt has a positional profile of its own, the others
    share one; a profile that is not better than a flat one by the Bayesian information criterion (Schwarz 1978) is
    flat. Background words are counted where no base is likely to lie in a site, both strands together, of all sequences
    whether they are fitted or not. Fractions of
    labels, and the correlation of the latent normals behind them, are the maximum-likelihood ones of all sequences.

    Classes come first, from words alone (`classes.sequence_classes`); each sequence then counts for its likeliest
    class (the classification EM of Celeux & Govaert 1992), whose background and factor are estimated with the rest;
    how often a class has a label is counted (`classes.class_odds`). Stretches come first, too
    (`stretches.fitted_stretches`); their backgrounds are then counted outside sites, by the kind that words alone
    say each base is of.

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.motifs import find_motif, load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar, draw
    >>> from simbench_tf.dna.arrow import bases_of
    >>> truth = GrammarSimulation(kind="grammar", seq_length=100, tasks={"K562": {"fraction": 0.5}},
    ...                           elements=[{"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 0.5}}])
    >>> gata1 = find_motif(load_motifs("default"), "GATA1")
    >>> sequences = draw(build_grammar(truth, [gata1]), seed=1, start=0, stop=2000).sequences
    >>> labels = sequences["K562"].to_numpy()[:, None]
    >>> fit = fit_grammar(bases_of(sequences["sequence"]), labels, [gata1], ["K562"])
    >>> element = fit.simulation.elements[0]
    >>> round(element.rate, 1), round(element.enriched["K562"], 1), fit.simulation.tasks["K562"].fraction
    (0.1, 0.5, 0.4855)
    """
    labels = _checked(bases, labels, tasks)
    classes = sequence_classes(bases, n_classes)
    stretches = None
    if n_stretches > 1:
        of_classes = [bases[classes == number] for number in range(classes.max() + 1)]
        stretches = tuple(fitted_stretches(each, n_stretches, background_order) for each in of_classes)
    chosen = _chosen(labels, seed, max_sequences)
    whole = sorted_by_pattern(bases, labels, classes, stretches)
    few, data = (
        standing_for(sorted_by_pattern(bases[rows], labels[rows], classes[rows], stretches), whole, background_order)
        for rows in (chosen[:_FIRST_SEQUENCES], chosen)
    )
    form = Form(tuple(motifs), tuple(pairs))
    parameters = _first_guess(whole, form, background_order)
    if len(chosen) >= 2 * _FIRST_SEQUENCES:
        parameters = climb(parameters, form, few, max_passes, tolerance, lambda _: None).parameters
    free = climb(parameters, form, data, max_passes, tolerance, advance)
    parameters, form = _pruned(free, form, data)
    final = climb(parameters, form, data, max_passes - free.n_passes, tolerance, advance)
    if refit_motifs:
        final, form = with_own_motifs(final, form, data, advance)
    there = _present(final.parameters.rates, data, form)
    parameters, form = _only(there, final.parameters, form)
    simulation = grammar_settings(parameters, form.motifs, form.pairs, labels, classes, tasks, bases.shape)
    kept = {motif.motif_id for motif in form.motifs}
    return Fit(
        simulation=simulation,
        rate_errors=rate_errors(final.parameters.rates, final.expected.scores, design_of(data, final.parameters))[
            :, there
        ],
        motifs=list(form.motifs),
        left_out=[motif for motif in motifs if motif.motif_id not in kept],
        n_fitted=len(chosen),
        n_passes=free.n_passes + final.n_passes,
        converged=free.converged and final.converged,
        unlabelled=float(label_prior(built(simulation, form.motifs))[0]),
    )


def _checked(bases: Bases, labels: npt.NDArray[np.integer], tasks: Sequence[str]) -> npt.NDArray[np.uint8]:
    check_labels(len(tasks), 0.0)
    if bases.dtype != np.uint8 or bases.ndim != 2 or labels.shape != (len(bases), len(tasks)):
        raise ValueError(
            f"need bases uint8 (N, L) and labels (N, {len(tasks)}), not {bases.dtype} {bases.shape} and {labels.shape}"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    for task, column in zip(tasks, labels.T, strict=True):
        if column.min(initial=1) == column.max(initial=0):
            raise ValueError(f"all sequences have the same label for {task}")
    return labels.astype(np.uint8)


def _chosen(labels: npt.NDArray[np.uint8], seed: int, most: int) -> Integers:
    """Which sequences to fit: a first of each label pattern, then a second of each, until there are enough."""
    order = permutation(seed, "fit: which sequences", len(labels))
    codes = pattern_codes(labels)[order]
    place = np.empty(len(codes), np.int64)
    for code in np.unique(codes):
        place[codes == code] = np.arange((codes == code).sum())
    return order[np.argsort(place, kind="stable")[:most]]


def _first_guess(whole: Data, form: Form, background_order: int) -> Parameters:
    """Every motif alike, a fifth of the bases in sites in a sequence with half of the labels, anywhere.

    Pairs begin with their surplus over chance among all sequences, in which they were found.
    """
    (n_seen, length), n_tasks = whole.bases.shape, whole.design.shape[1] - 1
    alike = 0.2 * length / sum(len(motif.ppm) for motif in form.motifs)
    surplus = [max(pair.seen - pair.expected, 1.0) / n_seen for pair in form.pairs]
    rates = np.tile([*(alike for _ in form.motifs), *surplus], (n_tasks + 1, 1))
    rates /= np.array([[1.0]] + [[float(n_tasks)]] * n_tasks) * 1.5
    n_classes = int(whole.classes.max()) + 1
    words = whole.words_of_classes(whole_words(whole, background_order), n_classes)
    backgrounds = whole.backgrounds(words)
    return Parameters(rates, (Position(),) * rates.shape[1], backgrounds, np.ones(n_classes))


def _pruned(climbed: Climbed, form: Form, data: Data) -> tuple[Parameters, Form]:
    """What there is evidence for: no negligible motif, no enrichment or profile that may be chance."""
    parameters, expected = climbed.parameters, climbed.expected
    design = design_of(data, parameters)
    rates = np.where(supported_rates(parameters.rates, expected.scores, design), parameters.rates, 0)
    rates = fit_rates(expected.starts.sum(axis=1), data.sizes, design, rates)
    single = slice(len(form.motifs))
    starts = expected.starts.sum(axis=0)[:, single]
    profiles = form.with_pairs_flat(supported_profiles(starts, expected.resolved[single], form.widths[single]))
    parameters, form = parameters._replace(rates=rates), form._replace(profiles=profiles)
    return _only(_present(rates, data, form), parameters, form)


def _present(rates: Floats, data: Data, form: Form) -> list[int]:
    """Which elements have more than a negligible rate, and the motifs of such pairs.

    Raises
    ------
    InputError
        None has.
    """
    there: list[int] = np.flatnonzero(
        np.einsum("kt,te->ke", data.design, rates).max(axis=0) >= NEGLIGIBLE_RATE
    ).tolist()
    if not there:
        raise InputError(
            "simulation.motifs",
            f"none of {len(form.motifs)} motifs starts {NEGLIGIBLE_RATE:g} times or more a sequence, by its posterior",
            "give motifs found in these peaks",
        )
    n_single = len(form.motifs)
    paired = [form.pairs[e - n_single] for e in there if e >= n_single]
    in_pairs = {name for pair in paired for name in (pair.first, pair.second)}
    return sorted({*there, *(e for e, motif in enumerate(form.motifs) if motif.motif_id in in_pairs)})


def _only(chosen: list[int], parameters: Parameters, form: Form) -> tuple[Parameters, Form]:
    """The parameters and the form of these elements."""
    positions = tuple(parameters.positions[e] for e in chosen)
    profiles = None if form.profiles is None else tuple(form.profiles[e] for e in chosen)
    return (
        parameters._replace(rates=parameters.rates[:, chosen], positions=positions),
        Form(
            tuple(form.motifs[e] for e in chosen if e < len(form.motifs)),
            tuple(form.pairs[e - len(form.motifs)] for e in chosen if e >= len(form.motifs)),
            profiles,
        ),
    )
