"""`attribute`: any method, any model or ensemble of them, one call; arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.averaged import explained_by_copies, mean_of
from simbench_tf.attribution.lacking import check_taken
from simbench_tf.attribution.network import Network, Output, Precision
from simbench_tf.attribution.references import ReferencesLike, check_fit, make_references
from simbench_tf.attribution.registry import Parts, Request, check_request
from simbench_tf.attribution.several_devices import OnDevice, explain_shared, open_on_devices
from simbench_tf.dna import bases_of_one_hot
from simbench_tf.errors import InputError

if TYPE_CHECKING:
    from simbench_tf.attribution.form_settings import Held, Layout

Array = npt.NDArray[np.float32]


#: Batches that a method is given at a time, so that its last, half-filled one costs little.
_BATCHES_TOGETHER = 8


class Attribution(NamedTuple):
    """The result of a method for N sequences; with a list of T targets every array has a leading axis T.

    Attributes
    ----------
    scores : float32 array, shape (N, L)
        Contribution of the observed base: the sum of `contributions` over channels.
    contributions : float32 array, shape (N, L, 4)
        Multiplier x (input - reference), mean over references.
    hypothetical : float32 array, shape (N, L, 4), or None
        What each base would have been given had it stood there; at the observed base it equals the score.
    positive, negative : float32 array, shape (N, L), or None
        DeepLIFT's parts apart.
    convergence_delta : float32 array, shape (N,), or None
        Sum of contributions less the difference of the outputs, for methods that promise completeness.
    dependency_maps : float32 array, shape (N, W, W), or None
        Strengths of pairs of bases of a window, for methods of pairs.
    window_start : int64 array, shape (N,), or None
        The window's first base.
    """

    scores: Array
    contributions: Array
    hypothetical: Array | None = None
    positive: Array | None = None
    negative: Array | None = None
    convergence_delta: Array | None = None
    dependency_maps: Array | None = None
    window_start: npt.NDArray[np.int64] | None = None


def attribute(
    model: Any,
    one_hot: npt.NDArray[np.floating],
    method: str = "grad_x_input",
    target: int | Sequence[int] = 0,
    references: ReferencesLike | None = None,
    random_state: int = 0,
    output: Output = "logit",
    batch_size: int | None = None,
    progress: Callable[[int], None] | None = None,
    head: str | int | None = None,
    layout: Layout | None = None,
    held: Mapping[str, Held] | None = None,
    precision: Precision = "float32",
    **settings: Any,
) -> Attribution:
    """Compute how much each base contributes to a model's output.

    Parameters
    ----------
    model : keras.Model, torch.nn.Module or callable, or a sequence of them
        Input (N, L, 4), output (N, n_outputs); it is not changed. Other forms by `head`, `layout` and `held`. A PyTorch
        module takes (N, 4, L) and gives (N, n_outputs), logits or what ends in a sigmoid. Any other callable is a
        function that predicts, from float32 (N, L, 4) to (N, n_outputs), as `load_onnx` returns; methods that need no
        gradient take it. Several are an ensemble, whose output is the mean of theirs: of logits, or with
        ``output="probability"`` of probabilities. Its attribution is the mean of its members', which for methods that
        are linear in the model (all but saliency, Grad-CAM with ReLU, and dependency maps) is that of the mean output;
        of the others it is the mean of what each member shows.
    one_hot : float array, shape (N, L, 4)
        Channels A, C, G, T; rows of zeros for N. N may be 0.
    method : str, default "grad_x_input"
        A name that ``methods()`` lists.
    target : int or sequence of int, default 0
        Which output, or several: then every array has a leading axis of that length.
    references : str or array, optional
        "zeros", "frequency", "shuffle:20" (dinucleotide), or an array (R, L, 4) or (N, R, L, 4); the method's default
        where left out. Shuffles depend on `random_state` and on each sequence's own letters only.
    random_state : int, default 0
    output : {"logit", "probability"}, default "logit"
        Explain the input of the final sigmoid, or what the model returns. Of a function nothing is known but what it
        returns, so that is explained.
    batch_size : int, optional
        Sequences that go through the model together; by default as many as fit the memory, at most 256, which keeps a
        GPU busy. Where the device's memory runs out all the same, half as many are tried, and so on.
    progress : callable, optional
        Called with the number of sequences just explained.
    head : str or int, optional
        Name or number of the output to explain, of a Keras model with several; `target` is one of its columns.
    layout : {"NLC", "NCL"}, optional
        NCL for a Keras model with input (N, 4, L), which is recognised by its shape unless L is 4 or unknown; of a
        PyTorch module NCL is the default, of a function NLC. Sequences and scores stay (N, L, 4).
    held : mapping of str to number, array or path, optional
        What further inputs of a Keras model are held at, by name, and under "channels" those after the four channels
        A, C, G and T.
    precision : {"float32", "model"}, default "float32"
        A Keras model in mixed precision is computed in float32, with the same weights; "model" computes as it does.
    **settings
        Settings of the method, as ``n_steps=50``. Every method takes ``strands="both"``, the mean of the attributions
        of a sequence and of its reverse complement, turned back, and ``shifts=K``, the mean over the sequence moved by
        -K, ..., K bases, moved back (`averaged`): they cost as many times as much as there are copies.

    Returns
    -------
    attribution : Attribution

    Raises
    ------
    InputError
        Unknown method or setting, references that do not fit, a model of another form, or one that cannot give what the
        method needs.
    ValueError
        `one_hot` has another shape, or a row that is neither one-hot nor zero.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import one_hot
    >>> model = keras.Sequential([keras.Input((3, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])
    >>> model.set_weights([np.arange(12).reshape(12, 1), np.zeros(1)])
    >>> attribute(model, one_hot("ACN"), method="grad_x_input").scores.tolist()
    [[0.0, 5.0, 0.0]]
    >>> attribute(model, one_hot("ACN"), strands="both").scores.tolist()  # GT, of NGT, is worth 6 and 11
    [[5.5, 5.5, 0.0]]
    """
    request = check_request(method, references, settings)
    bases = bases_of_one_hot(np.asarray(one_hot))
    x = np.ascontiguousarray(one_hot, np.float32)
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models:
        raise InputError("model", "is an empty list", "give one model or more")
    form = {"head": head, "layout": layout, "held": held, "precision": precision}
    one_device = request.method.one_device
    members = [
        open_on_devices(each, x.shape[1], target, output, batch_size, one_device=one_device, **form) for each in models
    ]
    for each in models:
        check_taken(each, method)
    if request.references is not None:
        check_fit(request.references, *bases.shape)
    together = min(_chunk(request, places) for places in members)
    found = []
    # no sequences at all are one empty chunk, so that the arrays come out with their right shapes
    for first in range(0, max(len(x), 1), together):
        inputs = [x[first : first + together]]
        if request.references is not None:
            rows = bases[first : first + together]
            inputs.append(make_references(request.references, rows, random_state, first))
        of_members = []
        for number, places in enumerate(members):
            explained, members[number] = explain_shared(_explainer(request, random_state), inputs, places)
            of_members.append(_attribution(explained))
        found.append(mean_of(of_members))
        if progress is not None and len(x):
            progress(len(inputs[0]))
    return _joined(found, single=np.ndim(target) == 0)


def _chunk(request: Request, places: list[OnDevice]) -> int:
    """Sequences that the method is given at a time, on all devices together."""
    if request.method.chunk is not None:
        return request.method.chunk * len(places)
    passes = 1 if request.references is None else request.references.n
    return max(1, _BATCHES_TOGETHER * places[0].network.batch_size // passes) * len(places)


def _explainer(request: Request, random_state: int) -> Callable[..., Parts]:
    """The requested method as a function of a network, sequences (n, L, 4) and, where it takes some, references."""
    method = request.method
    seed = {"random_state": random_state} if method.takes_seed else {}

    def explain(network: Network, *inputs: Array) -> Parts:
        def of_copy(*copied: Array, **settings: Any) -> Parts:
            return method.function(network, *copied, **settings, **seed)

        return explained_by_copies(of_copy, inputs, request.copies, request.settings, method.moved)

    return explain


def _attribution(parts: Parts) -> Attribution:
    return Attribution(parts.contributions.sum(axis=-1), *parts)


def _joined(found: list[Attribution], single: bool) -> Attribution:
    joined: list[npt.NDArray[Any] | None] = []
    for pieces in zip(*found, strict=True):
        array = None if pieces[0] is None else np.concatenate(pieces, axis=1)
        joined.append(array[0] if array is not None and single else array)
    return Attribution(*joined)  # type: ignore[arg-type]
