"""In-silico mutagenesis: every single substitution, pairs of them, and whole sites, exact and fast."""

from simbench_tf.attribution.mutagenesis.methods import double_mutants, ism, shuffle_site

__all__ = ["double_mutants", "ism", "shuffle_site"]
