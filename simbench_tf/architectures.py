"""Architectures by name, and what those that are no networks of layers cannot give to attribution methods."""

from __future__ import annotations

#: Networks of this package, which are trained.
TRAINED = ("basset", "beluga")
#: Those that are trained and are no networks.
MACHINES = ("gkmsvm",)
#: Those that the grammar of the data makes as they are, with nothing to train.
FROM_DATA = ("oracle", "planted")

#: What an architecture cannot give to attribution methods (`attribution.register_method`'s `needs`), and why.
LACKING: dict[str, dict[str, str]] = {
    "oracle": {
        "layers": (no_layers := "it is one exact computation, without layers to read"),
        "feature_maps": no_layers,
        "any_rows": "rows that are no mixture of bases have no likelihood",
    },
    "gkmsvm": {
        "layers": (no_machine_layers := "it is a support vector machine, without layers to read"),
        "feature_maps": no_machine_layers,
        "any_rows": "its kernel is one of sequences, and between them it has no value",
        "gradients": "its kernel counts words, and has no gradient",
    },
}
#: What all lack but a gkm-SVM, and why.
NO_GKMSVM = {"gapped_kmers": "it is for gkm-SVMs, and this is none"}
