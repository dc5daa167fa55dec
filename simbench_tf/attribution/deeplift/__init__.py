"""DeepLIFT over Keras functional models: Rescale, RevealCancel and the genomics default."""

from simbench_tf.attribution.deeplift.methods import (
    MaxPoolRule,
    deeplift_genomics,
    deeplift_rescale,
    deeplift_revealcancel,
)

__all__ = ["MaxPoolRule", "deeplift_genomics", "deeplift_rescale", "deeplift_revealcancel"]
