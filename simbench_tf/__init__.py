"""Which attribution method can I trust on my regulatory-genomics model? Ask simulated DNA, whose motifs are known.

The public names below, and `plot`, are loaded at first use: importing the package loads neither TensorFlow nor Keras.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which do not follow __getattr__
    from simbench_tf import plot as plot
    from simbench_tf.attribution import Attribution as Attribution
    from simbench_tf.attribution import attribute as attribute
    from simbench_tf.attribution import audit as audit
    from simbench_tf.attribution import interactions as interactions
    from simbench_tf.attribution import load_onnx as load_onnx
    from simbench_tf.attribution import register_method as register_method
    from simbench_tf.attribution import window_pairs as window_pairs
    from simbench_tf.attribution.model_forms import plain_model as plain_model
    from simbench_tf.attribution.truth_free import truth_free as truth_free
    from simbench_tf.config import load_config as load_config
    from simbench_tf.dataset import leakage as leakage
    from simbench_tf.dataset import open_dataset as open_dataset
    from simbench_tf.discovery import call_seqlets as call_seqlets
    from simbench_tf.discovery import score_instances as score_instances
    from simbench_tf.discovery import score_motifs as score_motifs
    from simbench_tf.dna import dinucleotide_shuffle as dinucleotide_shuffle
    from simbench_tf.dna import one_hot as one_hot
    from simbench_tf.dna import reverse_complement as reverse_complement
    from simbench_tf.dynamics import learnt_at as learnt_at
    from simbench_tf.errors import InputError as InputError
    from simbench_tf.export import EntryInfo as EntryInfo
    from simbench_tf.export import export_kipoi as export_kipoi
    from simbench_tf.export import export_kipoi_group as export_kipoi_group
    from simbench_tf.export import publish as publish
    from simbench_tf.models import basset as basset
    from simbench_tf.models import beluga as beluga
    from simbench_tf.models.gkmsvm import gkmsvm as gkmsvm
    from simbench_tf.models.gkmsvm import load_lsgkm as load_lsgkm
    from simbench_tf.models.kipoi import load_kipoi_model as load_kipoi_model
    from simbench_tf.motifs import load_motifs as load_motifs
    from simbench_tf.motifs import scan as scan
    from simbench_tf.perfect import oracle_model as oracle_model
    from simbench_tf.perfect import planted_model as planted_model
    from simbench_tf.perfect.site_importance import site_importance as site_importance
    from simbench_tf.score import bootstrap_interval as bootstrap_interval
    from simbench_tf.score import calibrate as calibrate
    from simbench_tf.score import n_needed as n_needed
    from simbench_tf.score import paired_comparisons as paired_comparisons
    from simbench_tf.score import pooled_scores as pooled_scores
    from simbench_tf.score import score_attributions as score_attributions
    from simbench_tf.training import Snapshots as Snapshots
    from simbench_tf.training import log_spaced_batches as log_spaced_batches
    from simbench_tf.training import train as train
    from simbench_tf.variants import score_variants as score_variants

_PUBLIC = {
    "Attribution": "attribution",
    "EntryInfo": "export",
    "InputError": "errors",
    "Snapshots": "training",
    "attribute": "attribution",
    "audit": "attribution",
    "basset": "models",
    "beluga": "models",
    "bootstrap_interval": "score",
    "calibrate": "score",
    "call_seqlets": "discovery",
    "dinucleotide_shuffle": "dna",
    "export_kipoi": "export",
    "export_kipoi_group": "export",
    "gkmsvm": "models.gkmsvm",
    "interactions": "attribution",
    "learnt_at": "dynamics",
    "load_config": "config",
    "load_kipoi_model": "models.kipoi",
    "load_lsgkm": "models.gkmsvm",
    "load_motifs": "motifs",
    "load_onnx": "attribution",
    "log_spaced_batches": "training",
    "n_needed": "score",
    "one_hot": "dna",
    "leakage": "dataset",
    "open_dataset": "dataset",
    "oracle_model": "perfect",
    "paired_comparisons": "score",
    "plain_model": "attribution.model_forms",
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
    "truth_free": "attribution.truth_free",
    "window_pairs": "attribution",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("simbench_tf")
    if name == "plot":
        return importlib.import_module(f"{__name__}.plot")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC, "plot"})
