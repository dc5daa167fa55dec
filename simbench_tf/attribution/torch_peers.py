"""DeepLIFT of PyTorch's packages, run as they are on PyTorch modules: Captum's DeepLift, tangermeme's deep_lift_shap.

Nothing of them is changed; they stand beside our own methods to be compared with these. Both know a module by its
class: an activation that is called as a function (``torch.relu(x)``) has no rule there, and its gradient is taken
without an error. `convergence_delta` shows how far contributions then are from adding up.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.gradients import contributions_from_references
from simbench_tf.attribution.network import Network
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]
# inputs and references, tensors (P, 4, L), and a target -> multipliers (P, 4, L)
Multipliers = Callable[[Any, Any, int], Any]


@register_method(
    "deeplift_captum",
    title="DeepLIFT (Captum)",
    source="Captum; Shrikumar et al. 2017",
    references="shuffle:20",
    needs="torch",
)
def deeplift_captum(network: Network, one_hot: Array, references: Array) -> Parts:
    """DeepLIFT of Captum, run as it is on a PyTorch module: Rescale, with Captum's rules for pooling and softmax.

    Contributions are its multipliers times the difference from each reference, the mean over references, as of our own
    DeepLIFT. A module that is called twice is refused by Captum.
    """
    with _imported("deeplift_captum", "captum"):
        from captum.attr import DeepLift

    def multipliers(module: Any) -> Multipliers:
        explainer = DeepLift(module, multiply_by_inputs=False)
        return lambda x, given, target: explainer.attribute(x, given, target=target)

    return _explain("deeplift_captum", multipliers, network, one_hot, references)


@register_method(
    "deeplift_tangermeme",
    title="DeepLIFT (tangermeme)",
    source="tangermeme; Shrikumar et al. 2017",
    references="shuffle:20",
    needs="torch",
)
def deeplift_tangermeme(network: Network, one_hot: Array, references: Array) -> Parts:
    """DeepLIFT of tangermeme, run as it is on a PyTorch module: its deep_lift_shap, Rescale and its rule for pooling.

    Contributions are its multipliers times the difference from each reference, the mean over references, as of our own
    DeepLIFT. Its checks of what is one-hot, and its warnings of deltas, are left out for `convergence_delta`.
    """
    with _imported("deeplift_tangermeme", "tangermeme"):
        from tangermeme.deep_lift_shap import deep_lift_shap

    def multipliers(module: Any) -> Multipliers:
        return lambda x, given, target: deep_lift_shap(
            module,
            x,
            target=target,
            references=given[:, None],
            batch_size=len(x),
            raw_outputs=True,
            only_warn=True,
            device=x.device,
        )[:, 0]

    return _explain("deeplift_tangermeme", multipliers, network, one_hot, references)


def _explain(
    method: str, multipliers_of: Callable[[Any], Multipliers], network: Network, one_hot: Array, references: Array
) -> Parts:
    """Explain each sequence beside each of its references, some pairs together."""
    from simbench_tf.attribution.torch_model import evaluated, to_numpy

    module = network.torch_module
    pairs = np.repeat(one_hot, references.shape[1], axis=0), references.reshape(-1, *one_hot.shape[1:])
    found = np.zeros((len(network.targets), *pairs[0].shape), np.float32)
    # each pair is two rows of a batch
    together = max(1, network.batch_size // 2)
    starts = range(0, len(pairs[0]), together)
    with _their_errors(method), evaluated(module) as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they set hooks, and of deltas, which are handed out
        multipliers = multipliers_of(module)
        for first, (row, target) in itertools.product(starts, enumerate(network.targets)):
            some = slice(first, first + together)
            x, given = (place(each[some]) for each in pairs)
            made = multipliers(x, given, target)
            found[row, some] = to_numpy(made).swapaxes(1, 2)
    return contributions_from_references(network, one_hot, references, found)


@contextmanager
def _imported(method: str, package: str) -> Iterator[None]:
    """Within, a package is imported: without its warnings, and with a line where it lacks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        what = f"needs {package}, which cannot be imported: {error}"
        raise InputError(method, what, "pip install 'simbench_tf[parity]'") from error


@contextmanager
def _their_errors(method: str) -> Iterator[None]:
    """Within, whatever a package raises becomes one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        shown = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        mend = "choose integrated_gradients or ism, which need no rules"
        raise InputError(method, f"cannot explain this module: {shown}", mend) from error
