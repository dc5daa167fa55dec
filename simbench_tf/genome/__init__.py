"""Genomes (FASTA), peaks (narrowPeak, BED), variants (VCF), regions and their bases, and downloads of public data."""

from simbench_tf.genome.fasta import Genome, check_chromosomes, fetch, gc_content, has_n, inside, open_genome
from simbench_tf.genome.peak_files import read_peaks
from simbench_tf.genome.regions import merge_summits, nearest_distance, overlap_groups, overlaps_any, regions_at

__all__ = [
    "Genome",
    "check_chromosomes",
    "fetch",
    "gc_content",
    "has_n",
    "inside",
    "merge_summits",
    "nearest_distance",
    "open_genome",
    "overlap_groups",
    "overlaps_any",
    "read_peaks",
    "regions_at",
]
