"""Genomes (FASTA), peaks (narrowPeak, BED), variants (VCF), regions and their bases, and downloads of public data."""

from simbench_tf.genome.chromosomes import check_chromosomes, on_contigs, unknown_chromosome
from simbench_tf.genome.fasta import Genome, fetch, gc_content, has_n, inside, open_genome, read_stretch, soft_masked
from simbench_tf.genome.peak_files import read_peaks
from simbench_tf.genome.regions import (
    bases_covered,
    merge_summits,
    nearest_distance,
    overlap_groups,
    overlaps_any,
    regions_at,
)

__all__ = [
    "Genome",
    "bases_covered",
    "check_chromosomes",
    "fetch",
    "gc_content",
    "has_n",
    "inside",
    "merge_summits",
    "nearest_distance",
    "on_contigs",
    "open_genome",
    "overlap_groups",
    "overlaps_any",
    "read_peaks",
    "read_stretch",
    "regions_at",
    "soft_masked",
    "unknown_chromosome",
]
