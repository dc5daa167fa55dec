"""DNA as text, as base codes (uint8) and as one-hot arrays, and shuffles of it that are exactly uniform."""

from simbench_tf.dna.encoding import CODES, LETTERS, bases_of_one_hot, decode, encode, one_hot, reverse_complement
from simbench_tf.dna.euler_trails import N_BASE, Bases
from simbench_tf.dna.shuffles import dinucleotide_counts, dinucleotide_shuffle, mononucleotide_shuffle

__all__ = [
    "CODES",
    "LETTERS",
    "N_BASE",
    "Bases",
    "bases_of_one_hot",
    "decode",
    "dinucleotide_counts",
    "dinucleotide_shuffle",
    "encode",
    "mononucleotide_shuffle",
    "one_hot",
    "reverse_complement",
]
