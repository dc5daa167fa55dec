"""PyTorch modules: outputs, gradients by torch.autograd, the final sigmoid, and feature maps of a named module.

A module is never changed: it is put into evaluation mode for each call and back after it. Whether it ends in a sigmoid
is seen from what it computes, so it may be written as a module (``nn.Sigmoid()``) or as a call (``torch.sigmoid(x)``).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.overrides import TorchFunctionMode

from simbench_tf.attribution.form_settings import Layout
from simbench_tf.attribution.outside_model import OutsideModel, trial, tried_on
from simbench_tf.errors import InputError, nearest

Array = npt.NDArray[np.float32]

#: Sequences with a base that is not a number that go through a module together.
_TRACED_TOGETHER = 64
_AS_IT_IS = 'explain what the module returns, as it is, with output="probability"'
_SIGMOIDS = (torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit)
# backward functions, without "Backward" and a number, of what changes no value, of what puts heads together, and of
# what no logit comes out of
_CHANGING_NOTHING = (
    "View", "ReshapeAlias", "UnsafeView", "Squeeze", "Unsqueeze", "Alias", "Clone", "ToCopy", "Transpose", "Permute",
    "T", "Select", "Slice", "Expand", "BackwardHookFunction",
)  # fmt: skip
_JOINING = ("Cat", "Stack")
_ACTIVATIONS = (
    "Sigmoid", "Softmax", "LogSoftmax", "LogSigmoid", "Hardsigmoid", "Relu", "Tanh", "Softplus", "Exp", "Elu", "Gelu",
    "Silu", "Clamp", "Hardtanh",
)  # fmt: skip


class Explained(torch.nn.Module):
    """A user's module as one from (N, 4, L) to (N, T): in its layout, and up to its final sigmoid where that is asked.

    Parameters
    ----------
    module : torch.nn.Module
        Takes (N, 4, L), or with `layout` "NLC" (N, L, 4), and gives (N, T) or (N,).
    layout : {"NCL", "NLC"}
    before_sigmoid : bool
        Whether what goes into the final sigmoid is given.
    """

    def __init__(self, module: torch.nn.Module, layout: Layout, before_sigmoid: bool = False) -> None:
        super().__init__()
        self.module, self.layout, self.before_sigmoid = module, layout, before_sigmoid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (N, T) of sequences (N, 4, L)."""
        given = x.transpose(1, 2) if self.layout == "NLC" else x
        if not self.before_sigmoid:
            return _two_axes(self.module(given), len(x))
        with _Sigmoids() as sigmoids:
            output = _two_axes(self.module(given), len(x))
        logit = sigmoids.into(output)
        if logit is None:
            raise InputError("model", "no longer ends in the sigmoid that it ended in", "explain it anew")
        return logit.reshape(output.shape)


class _Sigmoids(TorchFunctionMode):
    """Within this context: what went into the last sigmoid, and what came out."""

    last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if function in _SIGMOIDS:
            self.last = (args[0] if args else kwargs["input"], made)
        return made

    def into(self, output: torch.Tensor) -> torch.Tensor | None:
        """What went into the sigmoid, if a tensor holds the very values that came out of it."""
        if self.last is None:
            return None
        logit, made = self.last
        same = made.data_ptr() == output.data_ptr() and made.shape.numel() == output.shape.numel()
        return logit if same else None


def open_torch(module: torch.nn.Module, seq_length: int, output: str, layout: Layout) -> OutsideModel:
    """Open a module to be explained: `output` "logit" is what goes into its final sigmoid, else what it returns.

    Raises
    ------
    InputError
        It fails on sequences of this length, gives no (N, T), or ends in an activation that no logit goes into.
    """
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    if isinstance(module, Explained):
        module, layout = module.module, module.layout
    living: Callable[[], Any] = weakref.ref(module)
    ending, n_outputs, has_gradients, n_bytes = _tried(module, seq_length, layout)
    if output == "logit" and ending not in ("", "Sigmoid"):
        what = f"ends in {ending}, " + ("so no logit can be told" if " " in ending else "neither a sigmoid nor linear")
        raise InputError("model", what, _AS_IT_IS)
    before = output == "logit" and ending == "Sigmoid"

    def explained() -> Explained:
        return Explained(living(), layout, before)

    def predict(x: Array) -> Array:
        with evaluated(living()) as place, torch.no_grad():
            return to_numpy(explained()(place(x)))

    def pull_back(x: Array, weights: Array) -> Array:
        with evaluated(living()) as place, torch.enable_grad():
            inputs = place(x).requires_grad_()
            return _pulled_back(explained()(inputs), inputs, weights)

    return OutsideModel(
        n_outputs,
        predict,
        (layout, seq_length, n_outputs, ending),
        pull_back if has_gradients else None,
        "its outputs have no gradient: it detaches them, or computes under torch.no_grad",
        explained,
        n_bytes,
    )


def _tried(module: torch.nn.Module, seq_length: int, layout: Layout) -> tuple[str, int, bool, int]:
    """A trial's ending ("" for a linear one), number of outputs, whether it has gradients, and bytes of a sequence."""
    sizes: list[int] = []

    def count(_module: Any, _given: Any, made: Any) -> None:
        sizes.append(made.nbytes if isinstance(made, torch.Tensor) else 0)

    def run(x: Array) -> tuple[str, int, bool]:
        with evaluated(module) as place, torch.enable_grad(), _Sigmoids() as sigmoids:
            output = Explained(module, layout)(place(x).requires_grad_())
            ending = _ending(output.grad_fn)
            if ending == "Sigmoid" and sigmoids.into(output) is None:
                ending = "a sigmoid that cannot be looked behind"
            return ending, output.shape[1], output.requires_grad

    hooks = [each.register_forward_hook(count) for each in module.modules() if not list(each.children())]
    try:
        return (*tried_on(run, trial(seq_length)), sum(sizes) // len(trial(seq_length)))
    finally:
        for hook in hooks:
            hook.remove()


def _ending(node: Any) -> str:
    """The activation that a tensor comes out of, by its backward function; "" where it is another operation."""
    while node is not None:
        name = node.name().removeprefix("torch::autograd::").partition("Backward0")[0].rstrip("01234")
        name = name.removesuffix("Backward")
        if name in _ACTIVATIONS:
            return name
        behind = [each for each, _ in node.next_functions if each is not None]
        if name in _JOINING:
            endings = {_ending(each) for each in behind} - {""}
            return f"heads that end in {' and '.join(sorted(endings))}" if endings else ""
        if name not in _CHANGING_NOTHING or not behind:
            return ""
        node = behind[0]
    return ""


def _two_axes(output: Any, n: int) -> torch.Tensor:
    if not isinstance(output, torch.Tensor):
        what = f"gives a {type(output).__name__}, not a tensor"
        raise InputError("model", what, "wrap it in a module that gives one tensor (N, number of outputs)")
    if output.ndim > 2 or (output.ndim > 0 and len(output) != n):
        what = f"has output of shape {tuple(output.shape)} for {n} sequences"
        raise InputError("model", what, "reduce it to (N, number of outputs) in a wrapper")
    return output.reshape(n, -1)


@contextmanager
def evaluated(module: torch.nn.Module) -> Iterator[Callable[[Array], torch.Tensor]]:
    """Within: a module in evaluation mode, and a function that puts (n, L, 4) where its weights are, as (n, 4, L)."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    weight = next((each for each in tensors if each.is_floating_point()), torch.zeros(()))
    was_training = [each for each in module.modules() if each.training]

    def place(x: Array) -> torch.Tensor:
        # without a copy where it can be: nobody writes into it
        given = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1)))
        return given.to(weight.device, weight.dtype)

    module.eval()
    try:
        # cuDNN's recurrent layers have no gradient in evaluation mode
        recurrent = any(isinstance(each, torch.nn.RNNBase) for each in module.modules())
        with torch.backends.cudnn.flags(enabled=not recurrent and torch.backends.cudnn.enabled):
            yield place
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error  # upon which half as many are tried
    finally:
        for each in was_training:
            each.training = True


def _pulled_back(output: torch.Tensor, inputs: torch.Tensor, weights: Array) -> Array:
    """Gradients (T, n, L, 4) with regard to inputs (n, 4, L) of outputs weighed by each of (T, n, n_outputs)."""
    given = torch.from_numpy(np.ascontiguousarray(weights)).to(output)
    found = [torch.autograd.grad(output, inputs, each, retain_graph=True)[0] for each in given]
    return to_numpy(torch.stack(found).transpose(2, 3))


def to_numpy(tensor: torch.Tensor) -> Array:
    """A tensor as float32, wherever it is."""
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy())


# feature maps of a named module


class FeatureMaps:
    """The feature map of one module within a user's: found, read with its gradients, and traced to bases.

    Parameters
    ----------
    explained : Explained
    layer : str
        The name of a module, as ``features.3``; or "first" or "last": that `Conv1d` with the modules of batch
        normalisation and activation that directly follow it.
    seq_length : int

    Raises
    ------
    InputError
        There is no such module, it is called more or less than once, or it gives no positions.
    """

    def __init__(self, explained: Explained, layer: str, seq_length: int) -> None:
        self.explained, self.seq_length = explained, seq_length
        self.layer = _block_end(explained, layer, seq_length) if layer in ("first", "last") else layer
        names = dict(explained.module.named_modules())
        if self.layer not in names or not self.layer:
            raise InputError("layer", f"the module has none called {self.layer!r}{nearest(layer, [*names][1:])}")
        self.named = names[self.layer]
        self.positions_axis = 2
        middle = range(seq_length // 2, seq_length // 2 + 1)
        reacts = _reacts(self._map, explained, seq_length, middle)[0]
        varies = [reacts.any(axis=axis).any() and not reacts.any(axis=axis).all() for axis in (1, 0)]
        if varies == [True, False]:  # channels come last: one base changes some rows, and some channels of each
            self.positions_axis = 1

    def read(self, x: Array, targets: npt.NDArray[np.integer]) -> tuple[Array, Array]:
        """The map (n, P, K) of sequences (n, L, 4), and gradients of targets with regard to it, (T, n, P, K)."""
        with evaluated(self.explained.module) as place, torch.enable_grad():
            output, found = self._run(place(x).requires_grad_())
            gradients = [
                torch.autograd.grad(output[:, int(target)].sum(), found, retain_graph=True, allow_unused=True)[0]
                for target in targets
            ]
            zeros = torch.zeros_like(found)
            stacked = torch.stack([zeros if each is None else each for each in gradients])
        values, slopes = to_numpy(found), to_numpy(stacked)
        return (values, slopes) if self.positions_axis == 1 else (values.swapaxes(1, 2), slopes.swapaxes(2, 3))

    def receptive_field(self) -> npt.NDArray[np.bool_]:
        """Which bases each position of the map can depend on, bool (P, L)."""
        return traced_bases(self._map, self.explained, self.seq_length)

    def _map(self, x: torch.Tensor) -> torch.Tensor:
        """The map of sequences (N, 4, L), (N, K, P)."""
        found = self._run(x)[1]
        return found if self.positions_axis == 2 else found.transpose(1, 2)

    def _run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The output, and the map of the named module."""
        found: list[Any] = []

        def keep(_module: Any, _given: Any, made: Any) -> None:
            found.append(made)

        hook = self.named.register_forward_hook(keep)
        try:
            output = self.explained(x)
        finally:
            hook.remove()
        if len(found) != 1:
            raise InputError("layer", f"{self.layer!r} is called {len(found)} times", "name one that is called once")
        if not isinstance(found[0], torch.Tensor) or found[0].ndim != 3:
            raise InputError(f"layer {self.layer!r}", "has no positions", "name a module before the maps are flattened")
        return output, found[0]


def traced_bases(
    function: Callable[[torch.Tensor], torch.Tensor], explained: torch.nn.Module, seq_length: int
) -> npt.NDArray[np.bool_]:
    """Which bases each position of what a function of modules gives, (N, K, P), can depend on, bool (P, L).

    In turn each base is not a number: what is computed from it is none either, whatever the weights are.
    """
    parts = []
    for first in range(0, seq_length, _TRACED_TOGETHER):
        bases = range(first, min(first + _TRACED_TOGETHER, seq_length))
        parts.append(_reacts(function, explained, seq_length, bases).any(axis=1))
    return np.concatenate(parts).T


def _reacts(
    function: Callable[[torch.Tensor], torch.Tensor], explained: torch.nn.Module, seq_length: int, bases: range
) -> npt.NDArray[np.bool_]:
    """Where a function gives no number, bool (B, K, P), if in row k of B like sequences the k-th of `bases` is none."""
    x = np.repeat(trial(seq_length)[:1], len(bases), axis=0)
    x[np.arange(len(bases)), bases] = np.nan
    # fast convolutions would spread it to neighbours
    with evaluated(explained) as place, torch.no_grad(), torch.backends.cudnn.flags(enabled=False):
        return np.isnan(to_numpy(function(place(x))))


def _block_end(explained: Explained, which: str, seq_length: int) -> str:
    """The module whose output is the first or last convolution's, after normalisation and activation."""
    calls: list[tuple[str, Any, Any, Any]] = []

    def record(name: str) -> Callable[..., None]:
        return lambda module, given, made: calls.append((name, module, given[0] if given else None, made))

    leaves = [each for each in explained.module.named_modules() if not list(each[1].children())]
    hooks = [module.register_forward_hook(record(name)) for name, module in leaves]
    try:
        with evaluated(explained.module) as place, torch.no_grad():
            explained(place(trial(seq_length)))
    finally:
        for hook in hooks:
            hook.remove()
    convolutions = [number for number, call in enumerate(calls) if isinstance(call[1], torch.nn.Conv1d)]
    if not convolutions:
        raise InputError("layer", "the module has no Conv1d", "name the module to read, as layer='features.3'")
    at = convolutions[0 if which == "first" else -1]
    while at + 1 < len(calls) and calls[at + 1][2] is calls[at][3] and _is_positionwise(calls[at + 1][1]):
        at += 1
    if not _is_activation(calls[at][1]):
        what = f"no activation module follows {calls[at][0]!r}, so what {which!r} is after it cannot be told"
        raise InputError("layer", what, f"name the module to read, as layer={calls[at][0]!r}")
    return calls[at][0]


def _is_positionwise(module: Any) -> bool:
    return isinstance(module, (torch.nn.BatchNorm1d, torch.nn.Dropout, torch.nn.Identity)) or _is_activation(module)


def _is_activation(module: Any) -> bool:
    return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(
        module, (torch.nn.MultiheadAttention, torch.nn.Softmax)
    )
