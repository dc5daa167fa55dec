"""Which attribution method can I trust on my regulatory-genomics model? Ask simulated DNA, whose motifs are known.

The public names below are loaded at first use, so importing the package loads neither TensorFlow nor Keras.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Attribution": "attribution",
    "EntryInfo": "export",
    "InputError": "errors",
    "attribute": "attribution",
    "basset": "models",
    "beluga": "models",
    "bootstrap_interval": "significance",
    "dinucleotide_shuffle": "dna",
    "export_kipoi": "export",
    "export_kipoi_group": "export",
    "load_config": "config",
    "load_kipoi_model": "kipoi_entry",
    "load_motifs": "motifs",
    "n_needed": "significance",
    "one_hot": "dna",
    "open_dataset": "dataset",
    "paired_comparisons": "significance",
    "pooled_scores": "score",
    "publish": "export",
    "register_method": "attribution",
    "reverse_complement": "dna",
    "scan": "motifs",
    "score_attributions": "score",
    "score_variants": "variants",
    "train": "train",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_PUBLIC[name]}")
    # `train` is a function in a module of its name, which the import system puts here sooner or later: it is callable
    value = module if _PUBLIC[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
