"""ONNX files over one-hot DNA as functions that predict, run by onnxruntime.

Whichever axis of the input has four channels is seen from its shape. Where a file ends in a sigmoid, what goes into it
is kept as a second output, so that the logit can be explained, as of Keras models. There are no gradients.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.form_settings import Layout
from simbench_tf.attribution.outside_model import as_outputs
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]
_CHANGING_NOTHING = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
_NO_LOGITS = ("Softmax", "LogSoftmax", "HardSigmoid", "Relu", "Tanh", "Softplus", "Exp", "Clip")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxModel:
    """An ONNX file as a function from one-hot float32 (N, L, 4) to outputs float32 (N, T); see `load_onnx`.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    seq_length : int or None
        L; None where the file takes any.
    layout : {"NLC", "NCL"}
        Of the file's own input.
    ending : str
        The operation that gives the output: "Sigmoid" where `logits` are what goes into it.
    """

    def __init__(self, path: Path, layout: Layout | None) -> None:
        onnx, onnxruntime = _packages(path)
        try:
            file = onnx.load(path)
            self._n_given, self.ending = len(file.graph.output), ""
            if self._n_given == 1:
                self.ending = _show_logits(file.graph)
            self._session = onnxruntime.InferenceSession(file.SerializeToString(), providers=_providers(onnxruntime))
        except Exception as error:  # each package has exceptions of its own
            shown = " ".join(str(error).split())[:300]
            mend = "give a file that torch.onnx.export or tf2onnx wrote"
            raise InputError(path, f"cannot be loaded by onnxruntime: {shown}", mend) from error
        self.name = path.name
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or self._n_given != 1:
            counts = f"{len(inputs)} inputs and {self._n_given} outputs"
            raise InputError(path, f"has {counts}", "export a model with a single input and a single output")
        if inputs[0].type not in _TYPES:
            raise InputError(path, f"takes {inputs[0].type}, not numbers", "export a model that takes one-hot float32")
        self._input, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self._outputs = [each.name for each in outputs]
        self.layout, self.seq_length = _layout(path, inputs[0].shape, layout)
        self._rows = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else None

    def __call__(self, one_hot: Array) -> Array:
        """Outputs, float32 (N, T), of sequences (N, L, 4)."""
        return self._run(one_hot, self._outputs[0])

    def logits(self, one_hot: Array) -> Array:
        """What goes into the final sigmoid, float32 (N, T); the outputs where the file ends in a linear operation.

        Raises
        ------
        InputError
            It ends in another activation.
        """
        if self.ending in _NO_LOGITS:
            mend = 'explain what the file returns, as it is, with output="probability"'
            raise InputError(self.name, f"ends in {self.ending}, neither a sigmoid nor a linear layer", mend)
        return self._run(one_hot, self._outputs[-1])

    def _run(self, one_hot: Array, output: str) -> Array:
        x = np.asarray(one_hot, self._type)
        x = np.ascontiguousarray(x if self.layout == "NLC" else x.transpose(0, 2, 1))
        n = len(x)
        rows = self._rows or max(n, 1)  # exported for batches of one size
        x = np.concatenate([x, np.zeros((-n % rows if n else rows, *x.shape[1:]), self._type)])
        parts = [
            np.reshape(self._session.run([output], {self._input: x[first : first + rows]})[0], (rows, -1))
            for first in range(0, len(x), rows)
        ]
        return as_outputs(np.concatenate(parts), len(x))[:n]


def load_onnx(path: str | os.PathLike[str], layout: Layout | None = None) -> OnnxModel:
    """Load an ONNX file, to be explained by methods that need predictions only.

    Parameters
    ----------
    path : str or path
    layout : {"NCL", "NLC"}, optional
        Of the file's input; by default its axis of four channels tells.

    Returns
    -------
    OnnxModel
        A function from float32 (N, L, 4) to float32 (N, T); `attribute` and `interactions` take it as a model.

    Raises
    ------
    InputError
        onnx or onnxruntime is not installed, the file cannot be loaded, or it has another form.

    Examples
    --------
    >>> predict = load_onnx("model.onnx")  # doctest: +SKIP
    >>> attribute(predict, one_hot, "ism").scores  # doctest: +SKIP
    """
    place = Path(path)
    if not place.is_file():
        raise InputError(place, "is no file", "give an ONNX file")
    return OnnxModel(place, layout)


def onnx_files(path: Path) -> list[Path]:
    """An ONNX file, and the files beside it that hold its weights, where it keeps them apart.

    Raises
    ------
    InputError
        It is no ONNX file, or one of these is missing.
    """
    onnx, _ = _packages(path)
    try:
        tensors = onnx.load(path, load_external_data=False).graph.initializer
    except Exception as error:
        raise InputError(path, "is no ONNX file", "give a file that torch.onnx.export or tf2onnx wrote") from error
    names = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    files = [path, *(path.parent / name for name in sorted(names))]
    for file in files:
        if not file.is_file():
            raise InputError(path, f"keeps weights in {file.name}, which is not beside it", "copy it there")
    return files


def copy_onnx(path: Path, target: Path) -> None:
    """Copy an ONNX file as one file, with weights that it keeps apart."""
    import shutil

    if len(onnx_files(path)) == 1:
        shutil.copyfile(path, target)
        return
    onnx, _ = _packages(path)
    target.write_bytes(onnx.load(path).SerializeToString())


def _packages(path: Path) -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        what = f"needs onnx and onnxruntime, which cannot be imported: {error}"
        raise InputError(path, what, "pip install 'simbench_tf[onnx]'") from error
    return onnx, onnxruntime


def _providers(onnxruntime: Any) -> list[str]:
    """A GPU where there is one for it, else the CPU."""
    known = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [each for each in known if each in onnxruntime.get_available_providers()]


def _show_logits(graph: Any) -> str:
    """Make what goes into a final sigmoid an output, too; return the operation that the output comes out of."""
    made_by = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    while name in made_by and made_by[name].op_type in _CHANGING_NOTHING:
        name = made_by[name].input[0]
    ending = made_by[name].op_type if name in made_by else ""
    if ending == "Sigmoid":
        logits = graph.output.add()
        logits.name = made_by[name].input[0]
        logits.type.tensor_type.elem_type = graph.output[0].type.tensor_type.elem_type
    return str(ending)


def _layout(path: Path, shape: Sequence[Any], layout: Layout | None) -> tuple[Layout, int | None]:
    """The layout of an input of shape (N, ., .), and the length of its sequences, if it has one."""
    if len(shape) != 3:
        raise InputError(path, f"takes input of shape {tuple(shape)}", "it must be (N, 4, L) or (N, L, 4)")
    given = {"NCL": shape[1], "NLC": shape[2]}
    fitting = [name for name in ("NCL", "NLC") if given[name] == 4] or [
        name for name in ("NCL", "NLC") if not isinstance(given[name], int)
    ]
    if layout is None and len(fitting) != 1:
        what = f"takes input of shape {tuple(shape)}, which does not tell where its four channels are"
        raise InputError(path, what, "write layout: NCL, for (N, 4, L), or layout: NLC")
    chosen: Any = fitting[0] if layout is None else layout
    if chosen not in fitting:
        raise InputError(path, f"takes input of shape {tuple(shape)}, which is not {chosen}", "leave layout out")
    length = shape[2] if chosen == "NCL" else shape[1]
    return chosen, length if isinstance(length, int) else None
