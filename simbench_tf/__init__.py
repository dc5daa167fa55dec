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
    "Snapshots": "training",
    "attribute": "attribution",
    "basset": "models",
    "beluga": "models",
    "bootstrap_interval": "score",
    "call_seqlets": "discovery",
    "dinucleotide_shuffle": "dna",
    "export_kipoi": "export",
    "export_kipoi_group": "export",
    "interactions": "attribution",
    "learnt_at": "dynamics",
    "load_config": "config",
    "load_kipoi_model": "models.kipoi",
    "load_motifs": "motifs",
    "log_spaced_batches": "training",
    "n_needed": "score",
    "one_hot": "dna",
    "open_dataset": "dataset",
    "oracle_model": "perfect",
    "paired_comparisons": "score",
    "planted_model": "perfect",
    "pooled_scores": "score",
    "publish": "export",
    "register_method": "attribution",
    "reverse_complement": "dna",
    "scan": "motifs",
    "score_attributions": "score",
    "score_instances": "discovery",
    "score_motifs": "discovery",
    "score_variants": "variants",
    "site_importance": "perfect",
    "train": "training",
    "window_pairs": "attribution",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
