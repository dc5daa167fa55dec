"""Averaged attributions: over the two strands and over shifts of a sequence, as over the members of an ensemble.

What is averaged is the attribution of copies of a sequence: itself, its reverse complement, and either moved by some
bases. Each copy is explained, and what was said of it is turned and moved back to the bases of the sequence. References
are turned and moved with the sequence, shuffles among them, so that every copy is compared with the same ones. Zeros,
as for N, fill what a shift leaves free, as in Basenji (Kelley et al. 2018); a base that is moved out of the sequence is
not there, and gets 0 from that copy.

So, for methods that are linear in the model (gradients, integrated gradients, DeepLIFT, in-silico mutagenesis), the
result is the attribution of the model that averages its output over the copies, and `convergence_delta` says how far
its contributions are from adding up. Other methods (saliency's and dependency maps' size, Grad-CAM's ReLU) are averaged
after what makes them so. For ensembles the same holds of their members.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

#: A method's arrays, as `Parts` and `Attribution`: None for those it does not define.
Arrays = TypeVar("Arrays", bound=NamedTuple)
#: How settings that name places read on a copy: ``moved(settings, length, copy)``; None where none of them is there.
Moved = Callable[[Mapping[str, Any], int, "Copy"], dict[str, Any] | None]

#: Arrays by what they have along the sequence: bases and channels, bases, pairs of a window.
_OF_CHANNELS, _OF_BASES, _OF_PAIRS = ("contributions", "hypothetical"), ("positive", "negative"), ("dependency_maps",)


class Copies(NamedTuple):
    """Which copies of a sequence are explained: settings that every method takes.

    Attributes
    ----------
    strands : {"one", "both"}
        Whether the reverse complement is explained, too.
    shifts : int
        K: the sequence is moved by -K, ..., K bases.
    """

    strands: Literal["one", "both"] = "one"
    shifts: Annotated[int, Field(ge=0)] = 0

    @property
    def n(self) -> int:
        """How many copies there are, and by how much the cost is multiplied."""
        return (2 if self.strands == "both" else 1) * (2 * self.shifts + 1)


class Copy(NamedTuple):
    """A copy of a sequence: moved by `shift` bases to the right, then turned into its reverse complement.

    Attributes
    ----------
    shift : int
    is_reversed : bool
    """

    shift: int = 0
    is_reversed: bool = False


def copies_of(copies: Copies) -> list[Copy]:
    """The copies that are averaged, the sequence itself first.

    Examples
    --------
    >>> [tuple(copy) for copy in copies_of(Copies("both", 1))]
    [(0, False), (-1, False), (1, False), (0, True), (-1, True), (1, True)]
    """
    shifts = sorted(range(-copies.shifts, copies.shifts + 1), key=abs)
    turned = [False, True] if copies.strands == "both" else [False]
    return [Copy(shift, is_reversed) for is_reversed, shift in itertools.product(turned, shifts)]


def copied(one_hot: npt.NDArray[np.float32], copy: Copy) -> npt.NDArray[np.float32]:
    """A copy of sequences, one-hot (..., L, 4) with channels A, C, G, T.

    Examples
    --------
    >>> from simbench_tf.dna import decode, one_hot, bases_of_one_hot
    >>> decode(bases_of_one_hot(copied(one_hot("AACG"), Copy(1, True))))
    ['GTTN']
    """
    moved = _shifted(one_hot, copy.shift, -2)
    return np.ascontiguousarray(_reverse_complement(moved) if copy.is_reversed else moved)


def turned_back(arrays: Arrays, copy: Copy, length: int) -> Arrays:
    """What a method said of a copy, put back to the bases of the sequence; `length` is L."""
    found = {name: array for name, array in arrays._asdict().items() if array is not None}
    if copy.is_reversed:
        if "window_start" in found:
            found["window_start"] = length - found["window_start"] - found["dependency_maps"].shape[-1]
        found |= {name: _reverse_complement(found[name]) for name in (*_OF_CHANNELS, *_OF_PAIRS) if name in found}
        found |= {name: found[name][..., ::-1] for name in _OF_BASES if name in found}
    for axis, names in ((-2, _OF_CHANNELS), (-1, _OF_BASES)):
        found |= {name: _shifted(found[name], -copy.shift, axis) for name in names if name in found}
    return arrays._replace(**found)


def mean_of(results: Sequence[Arrays], n: int | None = None) -> Arrays:
    """The mean of arrays of a method, each by itself; places, which all results have in common, are the first's.

    Parameters
    ----------
    results : sequence of Parts or of Attribution
        One of them comes back as it is.
    n : int, optional
        How many there are with those that are all 0 and were left out.
    """
    n = len(results) if n is None else n
    if n == 1:
        return results[0]
    first = results[0]
    means: dict[str, npt.NDArray[Any]] = {}
    for name, array in first._asdict().items():
        if array is not None and name != "window_start":
            total = np.sum([getattr(result, name) for result in results], axis=0, dtype=np.float64)
            means[name] = (total / n).astype(array.dtype)
    return first._replace(**means)


def explained_by_copies(
    explain: Callable[..., Arrays],
    inputs: Sequence[npt.NDArray[np.float32]],
    copies: Copies,
    settings: Mapping[str, Any],
    moved: Moved | None,
) -> Arrays:
    """Explain every copy of sequences, and average what is said of them.

    Parameters
    ----------
    explain : callable
        ``explain(*inputs, **settings)``, a method.
    inputs : sequence of float32 array, shape (n, L, 4) or (n, R, L, 4)
        Sequences, and their references where the method takes some.
    copies : Copies
    settings : mapping
        Of the method.
    moved : callable or None
        Of a method with settings that name places.
    """
    length = inputs[0].shape[1]
    chosen = copies_of(copies)
    results = []
    for copy in chosen:
        if copy == Copy():
            results.append(explain(*inputs, **settings))
            continue
        mine = settings if moved is None else moved(settings, length, copy)
        if mine is not None:
            of_copy = explain(*(copied(each, copy) for each in inputs), **mine)
            results.append(turned_back(of_copy, copy, length))
    return mean_of(results, len(chosen))


def _reverse_complement(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Both last axes from their ends: of bases and channels, since A and T, C and G lie opposite; of pairs of bases."""
    return array[..., ::-1, ::-1]


def _shifted(array: npt.NDArray[Any], shift: int, axis: int) -> npt.NDArray[Any]:
    """Values moved along an axis, zeros where nothing comes from."""
    if shift == 0:
        return array
    length = array.shape[axis]
    by = min(abs(shift), length)
    values = np.moveaxis(array, axis, 0)
    moved = np.zeros_like(values)
    if shift > 0:
        moved[by:] = values[: length - by]
    else:
        moved[: length - by] = values[by:]
    return np.moveaxis(moved, 0, axis)
