"""Motif kernels: the log-odds of a grammar's motifs against its background, as a convolution of one-hot reads them.

A *form* of an element is one strand of a motif, or one strand, orientation and gap of a pair (`SemiMarkov`). Its kernel
scores a sequence of bases x by ``s(x) = sum_j K[j, x_j]``, so that ``e^s`` is how much likelier these bases are as this
form than as background. Where bases of the background are independent, K is the PPM's log-odds. Where one depends on
the k before it, log P(x | form) - log P(x | background) is no sum over single bases. Of all such sums K is the one
under which sites are likeliest: ``P(x | background) e^(s(x))`` has the columns of the PPM and the sum 1 (minimum
discrimination information, Kullback 1959; by iterative proportional fitting over the columns).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError
from simbench_tf.simulate.grammar import Grammar
from simbench_tf.simulate.grammar.background import context_frequencies
from simbench_tf.simulate.grammar.semi_markov import SemiMarkov

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Probabilities below this count as this: a base that a motif never has costs a site 12 nats or so, not infinity.
LEAST_PROBABILITY = 1e-6
# the exponential of larger scores has no room in float32, with some to spare for DeepLIFT's sums of positive parts
_LARGEST_SCORE = 60.0
_TOLERANCE = 1e-9
_MAX_SWEEPS = 1_000


class MotifKernels(NamedTuple):
    """K kernels of W bases; E elements of the grammar, L positions.

    Attributes
    ----------
    kernel : float64 (W, 4, K)
        Natural log-odds, zero where a form has no bases; channels A, C, G, T.
    at_site : float64 (K,)
        Mean score of sites drawn from the PPM.
    element : int64 (K,)
        Number of each kernel's element.
    starts : float64 (L, K)
        Expected number of starts of the form whose kernel's middle, in a convolution with padding "same", lies at a
        position, for an element that starts once: its profile, moved, times P(form | element).
    """

    kernel: Floats
    at_site: Floats
    element: Integers
    starts: Floats


class _Form(NamedTuple):
    """A form's columns; `first` of them were cut off at its left, and `centre` is the column put in the middle."""

    element: int
    number: int
    kernel: Floats  # (w, 4)
    at_site: float
    first: int
    centre: int


def motif_kernels(
    grammar: Grammar, kernel_size: int | None = None, both_strands: bool = True, without: Sequence[str] = ()
) -> MotifKernels:
    """Make the kernels of all forms of a grammar's elements.

    Parameters
    ----------
    grammar : Grammar
    kernel_size : int, optional
        Keep of each form the k neighbouring columns that have the most information; by default all.
    both_strands : bool
        False: of an element that may lie on both strands, the forms on the + strand alone.
    without : sequence of str
        Elements and motifs (by name or id) to leave out, with every element that a motif is a part of.

    Raises
    ------
    InputError
        `without` names none of the grammar's elements and motifs, or leaves nothing; or a form is so long that
        float32 has no room for the exponential of its score.
    """
    left_out = _left_out(grammar, without)
    forms = [
        form
        for element in range(len(grammar.elements))
        if element not in left_out
        for form in _forms_of(grammar, element, kernel_size, both_strands)
    ]
    if not forms:
        raise InputError("without", "leaves no motif", "name fewer")
    half = max(max(form.centre, len(form.kernel) - 1 - form.centre) for form in forms)
    width = 2 * half + 1 if kernel_size is None else max(len(form.kernel) for form in forms)
    kernel = np.zeros((width, 4, len(forms)))
    starts = np.zeros((grammar.seq_length, len(forms)))
    for number, form in enumerate(forms):
        begin = (width - 1) // 2 - form.centre
        kernel[begin : begin + len(form.kernel), :, number] = form.kernel
        moved = form.first + form.centre
        profile = grammar.hmm.profile[: grammar.seq_length - moved, form.element]
        starts[moved:, number] = profile * grammar.hmm.form_probability[form.number]
    return MotifKernels(
        kernel=kernel,
        at_site=np.array([form.at_site for form in forms]),
        element=np.array([form.element for form in forms]),
        starts=starts,
    )


def log_odds(ppm: Floats, background: Floats) -> Floats:
    """Log-odds of a motif's bases against a background, natural logarithm, float64 (W, 4).

    Parameters
    ----------
    ppm : float64 (W, 4)
        As it reads on the forward strand; probabilities below `LEAST_PROBABILITY` count as this. Rows of NaN are bases
        of the background, as in the gap of a pair: zeros.
    background : float64 (4 ** k, 4)
        P(base | the k bases before), rows numbered with the oldest base first.

    Examples
    --------
    >>> log_odds(np.array([[0.5, 0.5, 0, 0]]), np.full((1, 4), 0.25)).round(3).tolist()
    [[0.693, 0.693, -12.429, -12.429]]
    """
    frequencies = context_frequencies(background)
    if frequencies is None:
        raise ValueError("the background has no single long run")
    kept = np.maximum(ppm, LEAST_PROBABILITY)
    wanted = kept / kept.sum(axis=1, keepdims=True)
    table = np.maximum(background, LEAST_PROBABILITY)
    composition = frequencies @ table
    kernel = np.where(np.isnan(wanted), 0.0, np.log(wanted / composition))
    for _ in range(_MAX_SWEEPS):
        change = _fit_columns(kernel, wanted, table, frequencies)
        if change <= _TOLERANCE:
            break
    return kernel


def _fit_columns(kernel: Floats, wanted: Floats, table: Floats, frequencies: Floats) -> float:
    """Fit the kernel's columns, one after the other, in place; returns the largest change.

    Forward and backward over contexts of k bases: what the columns before and those after make of each context.
    """
    n = len(table)
    after = [np.ones(n)]
    for column in kernel[:0:-1]:
        after.append((table * np.exp(column) * _of_next_context(after[-1])).sum(axis=1))
    before, largest = frequencies, 0.0
    for column, target, rest in zip(kernel, wanted, reversed(after), strict=True):
        step = before[:, None] * table
        if not np.isnan(target[0]):
            fitted = np.log(target / (step * _of_next_context(rest)).sum(axis=0))
            largest = max(largest, float(np.abs(fitted - column).max()))
            column[:] = fitted
        # (contexts, base) -> the contexts that the base ends
        before = (step * np.exp(column)).reshape(4, n).sum(axis=0)
    return largest


def _of_next_context(values: Floats) -> Floats:
    """Values of the contexts, (4 ** k,), as those of the context after each context and base, (4 ** k, 4)."""
    return np.tile(values, 4).reshape(len(values), 4)


def _forms_of(grammar: Grammar, element: int, kernel_size: int | None, both_strands: bool) -> list[_Form]:
    hmm = grammar.hmm
    numbers = list(range(hmm.element_form[element], hmm.element_form[element + 1]))
    if not both_strands and grammar.elements[element].strand == "both":
        numbers = [number for number in numbers if _is_forward(grammar, element, number)]
    return [_form(grammar, element, number, kernel_size) for number in numbers]


def _is_forward(grammar: Grammar, element: int, number: int) -> bool:
    """Whether a form reads as its element is written: the first motif first, and on the + strand."""
    hmm, first = grammar.hmm, grammar.hmm.form_first[number]
    written = hmm.form_first[hmm.element_form[element]]  # the forms of the + strand come first
    return bool(hmm.segment_motif[first] == hmm.segment_motif[written] and hmm.segment_strand[first] == 0)


def _form(grammar: Grammar, element: int, number: int, kernel_size: int | None) -> _Form:
    ppm = _columns(grammar.hmm, number)
    kernel = log_odds(ppm, grammar.hmm.background[-(4**grammar.hmm.order) :])
    information = np.nansum(ppm * kernel, axis=1)
    first = 0
    if kernel_size is None:
        # motifs that overlap in a site, and both strands of one, lie at the same position by their information
        weight = np.maximum(information, 0.0)
        centre = int((weight * (np.arange(len(weight)) + 0.5)).sum() / max(weight.sum(), 1e-12))
    else:
        width = min(kernel_size, len(kernel))
        first = int(np.convolve(information, np.ones(width), "valid").argmax())
        kernel = log_odds(ppm[first : first + width], grammar.hmm.background[-(4**grammar.hmm.order) :])
        information = information[first : first + width]
        centre = (width - 1) // 2
    largest = kernel.max(axis=1).sum()
    if largest > _LARGEST_SCORE:
        what = f"scores up to {largest:.0f} nats, and float32 has no room for the exponential of that"
        raise InputError(f"element {grammar.elements[element].name!r}", what, "cut its kernel by kernel_size")
    return _Form(element, number, kernel, float(information.sum()), first, centre)


def _columns(hmm: SemiMarkov, number: int) -> Floats:
    """Probabilities of a form's bases, (w, 4), NaN in the gap of a pair."""
    width = hmm.form_width[number]
    ppm = np.full((width, 4), np.nan)
    left, right = hmm.form_first[number], hmm.form_second[number]
    ppm[: hmm.segment_width[left]] = _ppm_of(hmm, left)
    if right >= 0:
        ppm[width - hmm.segment_width[right] :] = _ppm_of(hmm, right)
    return ppm


def _ppm_of(hmm: SemiMarkov, segment: int) -> Floats:
    row = hmm.segment_row[segment]
    return hmm.ppm[row : row + hmm.segment_width[segment]]


def _left_out(grammar: Grammar, without: Sequence[str]) -> set[int]:
    """Numbers of the elements that some names stand for."""
    found: set[int] = set()
    for name in without:
        wanted = name.casefold()
        motifs = {
            number
            for number, motif in enumerate(grammar.motifs)
            if wanted in (motif.tf.casefold(), motif.motif_id.casefold())
        }
        elements = {
            number
            for number, element in enumerate(grammar.elements)
            if element.name.casefold() == wanted or motifs & _motifs_of(grammar.hmm, number)
        }
        if not elements:
            known = ", ".join(element.name for element in grammar.elements)
            raise InputError("without", f"{name!r} is no element or motif of the data", f"choose among {known}")
        found |= elements
    return found


def _motifs_of(hmm: SemiMarkov, element: int) -> set[int]:
    forms = slice(hmm.element_form[element], hmm.element_form[element + 1])
    segments = np.concatenate([hmm.form_first[forms], hmm.form_second[forms]])
    return set(hmm.segment_motif[segments[segments >= 0]].tolist())
