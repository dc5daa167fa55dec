"""Attribution methods behind one call, over any model of one-hot DNA (N, L, 4); it knows arrays, not files.

One file a family of methods: `deeplift`, `gradcam`, `gradients`, `mutagenesis`, `gkmexplain` of gkm-SVMs, `peers` and
`torch_peers` of other packages, and `dependency_maps` of pairs of bases. Each method joins the list by
`register_method`; other packages add theirs by the entry-point group `simbench_tf.attribution_methods`. TensorFlow is
loaded when a model is explained, not when methods are listed or requests are checked.
"""

from __future__ import annotations

# a family's import puts its methods on the list
from simbench_tf.attribution import deeplift as deeplift
from simbench_tf.attribution import gkmexplain as gkmexplain
from simbench_tf.attribution import gradcam as gradcam
from simbench_tf.attribution import gradients as gradients
from simbench_tf.attribution import mutagenesis as mutagenesis
from simbench_tf.attribution import peers as peers
from simbench_tf.attribution import torch_peers as torch_peers
from simbench_tf.attribution.audit import audit
from simbench_tf.attribution.dependency_maps import dependency_map as dependency_map
from simbench_tf.attribution.explain import Attribution, attribute
from simbench_tf.attribution.interactions import Interactions, interactions, window_pairs
from simbench_tf.attribution.network import Network
from simbench_tf.attribution.onnx_model import load_onnx
from simbench_tf.attribution.registry import Method, Parts, find_method, method_key, methods, register_method

__all__ = [
    "Attribution",
    "Interactions",
    "Method",
    "Network",
    "Parts",
    "attribute",
    "audit",
    "find_method",
    "interactions",
    "load_onnx",
    "method_key",
    "methods",
    "register_method",
    "window_pairs",
]
