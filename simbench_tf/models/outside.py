"""Models of other frameworks for runs: a PyTorch module that a user's function builds, with its weights; an ONNX file.

Weights are read without executing code (``torch.load(..., weights_only=True)``). In RUN/models/MODEL, torch.json or
onnx.json describes what is beside it.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from simbench_tf.errors import InputError

Layout = Literal["NLC", "NCL"]


class TorchModule(NamedTuple):
    """A function that builds a PyTorch module, and what it is called with."""

    function: str
    settings: dict[str, Any]
    weights: Path | None
    layout: Layout | None
    seq_length: int
    n_tasks: int
    seed: int


def build_torch(given: TorchModule, where: str, *, untrained: bool = False) -> Any:
    """Build a PyTorch module by the user's function, and give it its weights.

    PyTorch's own seed is set first (`torch.manual_seed`).

    Parameters
    ----------
    given : TorchModule
    where : str
        The key of the configuration that errors name, as ``models.theirs``.
    untrained : bool, default False
        Whether it stays as the function builds it.

    Returns
    -------
    torch.nn.Module
        From (N, 4, L) to (N, T), whatever the layout of the user's own.

    Raises
    ------
    InputError
        torch is not installed, the function fails or returns something else, or the weights do not fit.
    """
    from simbench_tf.attribution.outside_model import is_torch_module
    from simbench_tf.models.user_functions import called, function_of

    torch = _torch(f"{where}.torch")
    from simbench_tf.attribution.torch_model import Explained

    with function_of(given.function, f"{where}.torch") as build, torch.random.fork_rng(devices=[]):
        torch.manual_seed(given.seed)
        ours = (given.seq_length, given.n_tasks, given.seed)
        module = called(build, given.settings, ours, f"{where}.torch", given.function)
    if not is_torch_module(module):
        what = f"{given.function} returns a {type(module).__name__}, not a torch.nn.Module"
        raise InputError(f"{where}.torch", what, "return the module")
    if given.weights is not None and not untrained:
        module.load_state_dict(_fitting(read_weights(given.weights), module, given.weights))
    return Explained(module.eval(), given.layout or "NCL")


def read_weights(path: Path) -> dict[str, Any]:
    """Weights by name from a file of ``torch.save(module.state_dict(), FILE)``, or from a checkpoint that holds them.

    Raises
    ------
    InputError
        There is no such file, or it holds something else than weights.
    """
    torch = _torch(str(path))
    save = "save it with `torch.save(module.state_dict(), FILE)`"
    if not path.is_file():
        raise InputError(path, "is no file", f"give weights: {save}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path):
            raise InputError(path, "is no file of weights", save) from error
        raise InputError(path, "holds code or objects beside weights, which are not loaded", save) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        shown = " ".join(str(error).split())[:200]
        raise InputError(path, f"is no file of weights: {shown}", save) from error
    for name in ("state_dict", "model_state_dict"):  # of checkpoints, as Lightning writes them
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise InputError(path, f"holds a {type(found).__name__}, not weights by name", save)
    return dict(found)


def _fitting(weights: dict[str, Any], module: Any, path: Path) -> dict[str, Any]:
    """Weights under the names of a module; names may all begin with one more part, as "module." of DataParallel."""
    wanted = {name: tuple(each.shape) for name, each in module.state_dict().items()}
    if not wanted.keys() & weights.keys():
        shorter = {name.partition(".")[2]: each for name, each in weights.items()}
        weights = shorter if shorter.keys() == wanted.keys() else weights
    for kind, names in (("lacks", wanted.keys() - weights.keys()), ("has", weights.keys() - wanted.keys())):
        if names:
            rest = "" if kind == "lacks" else ", which the module has not"
            what = f"{kind} {sorted(names)[0]!r}{rest}" + (f", and {len(names) - 1} more" if len(names) > 1 else "")
            raise InputError(path, what, "give weights of the module that the function builds")
    for name, shape in wanted.items():
        if tuple(weights[name].shape) != shape:
            what = f"{name!r} has shape {tuple(weights[name].shape)}, in the module it has {shape}"
            raise InputError(path, what, "give weights of the module that the function builds")
    return weights


def load_outside(path: Path, untrained_seed: int | None = None) -> Any:
    """Load what RUN/models/MODEL/torch.json or onnx.json describes.

    Returns
    -------
    torch.nn.Module or OnnxModel
        With `untrained_seed`, the module as its function builds it from that seed.

    Raises
    ------
    InputError
        Its package is not installed, a file is damaged, or the function is gone.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    if path.name == "onnx.json":
        from simbench_tf.attribution.onnx_model import load_onnx

        return load_onnx(path.with_name("model.onnx"), record["layout"])
    weights = path.with_name("weights.pt") if record["weights"] else None
    seed = record["seed"] if untrained_seed is None else untrained_seed % 2**32
    names = ("settings", "layout", "seq_length", "n_tasks")
    given = TorchModule(function=record["torch"], weights=weights, seed=seed, **{name: record[name] for name in names})
    return build_torch(given, str(path), untrained=untrained_seed is not None)


def check_outputs(
    n_outputs: int, tasks: Sequence[str], outputs: Mapping[str, int] | None, named: str, where: str
) -> None:
    """Check the outputs of a model that is explained as it is.

    Raises
    ------
    InputError
        There are not as many as tasks, and `outputs` does not say which predicts which; or one is beyond the last.
    """
    n = f"{n_outputs} output" if n_outputs == 1 else f"{n_outputs} outputs"
    if outputs is None and n_outputs != len(tasks):
        tasks_ = "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
        what = f"has {n}, the data set {tasks_}"
        raise InputError(named, what, f"say which is which with outputs: {{{tasks[0]}: 0, ...}}")
    for task, number in (outputs or {}).items():
        if number >= n_outputs:
            what = f"is {number}, but {named} has {n}"
            raise InputError(f"{where}.outputs.{task}", what, f"give a number from 0 to {n_outputs - 1}")


def _torch(where: str) -> Any:
    try:
        import torch
    except ImportError as error:
        what = f"needs torch, which cannot be imported: {error}"
        raise InputError(where, what, "pip install 'simbench_tf[torch]'") from error
    return torch
