"""Real peaks made into sequences whose motifs are known: shuffled regions with their motif hits put back."""

from simbench_tf.simulate.drawn import Drawn
from simbench_tf.simulate.peaks.implants import (
    PeaksPart,
    PeaksPlan,
    implant,
    implant_part,
    plan_peaks,
    take_part,
)

__all__ = ["Drawn", "PeaksPart", "PeaksPlan", "implant", "implant_part", "plan_peaks", "take_part"]
