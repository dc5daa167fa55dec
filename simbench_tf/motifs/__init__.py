"""Motifs: files of them (MEME, JASPAR, HOMER), their names, and where they match, with p-values that are exact."""

from simbench_tf.motifs.best_hits import scan_scores
from simbench_tf.motifs.files import Motif, read_motifs, write_meme
from simbench_tf.motifs.scanning import find_motif, information_content, load_motifs, pwm, scan, score_sites

__all__ = [
    "Motif",
    "find_motif",
    "information_content",
    "load_motifs",
    "pwm",
    "read_motifs",
    "scan",
    "scan_scores",
    "score_sites",
    "write_meme",
]
