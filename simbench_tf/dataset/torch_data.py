"""A torch.utils.data.Dataset of a split: one-hot sequences and labels by number, for PyTorch's DataLoader."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError

if TYPE_CHECKING:
    import torch

#: Axes of a batch: N sequences, C channels (A C G T), L bases. PyTorch's convolutions want the first.
Layout = Literal["NCL", "NLC"]


def as_torch_dataset(
    bases: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], layout: Layout = "NCL"
) -> torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]:
    """A map-style data set that workers can unpickle; `Dataset.torch_dataset` says what it returns.

    Raises
    ------
    InputError
        torch is not installed.
    ValueError
        The layout is unknown.
    """
    if layout not in ("NCL", "NLC"):
        raise ValueError(f'layout is "NCL" or "NLC", not {layout!r}')
    return _dataset_class()(bases, labels, layout)


@functools.cache
def _dataset_class() -> Any:
    """The class, made at first use: its base is torch's, which is imported nowhere else."""
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "torch_dataset", "needs torch, which is not installed", "pip install 'simbench_tf[torch]'"
        ) from error

    class Sequences(torch.utils.data.Dataset):
        def __init__(self, bases: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], layout: Layout) -> None:
            self.bases, self.labels, self.layout = bases, labels, layout

        def __len__(self) -> int:
            return len(self.bases)

        def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
            encoded = one_hot(self.bases[number][None])[0]
            x = np.ascontiguousarray(encoded.T) if self.layout == "NCL" else encoded
            return torch.from_numpy(x), torch.from_numpy(self.labels[number].astype(np.float32))

        def __reduce__(self) -> tuple[Any, ...]:
            # a class within a function has no name that a worker could import it by
            return as_torch_dataset, (self.bases, self.labels, self.layout)

    return Sequences
