"""A small run on peaks that no genome is needed for: its data set and attributions are random numbers."""

import h5py
import numpy as np
import pyarrow as pa
import yaml

from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset, write_dataset
from simbench_tf.dna import decode
from simbench_tf.motifs import Motif
from simbench_tf.run.attributions import attribution_files
from simbench_tf.tables import SITES_SCHEMA, sequence_schema

LENGTH, TASKS = 40, ["HepG2", "K562"]
MOTIFS = [
    Motif("M_1", "HNF4A", np.eye(4)[[1, 0, 2, 3, 1, 0, 2]], 100.0),
    Motif("MA2.1", "GATA1::TAL1", np.eye(4)[[2, 0, 3, 0, 0]], 50.0),
]
PEAKS = {
    "name": "peaky",
    "simulation": {"kind": "peaks", "genome": "g.fa", "peaks": dict.fromkeys(TASKS, "a.bed")},
    "models": [{"name": "basset", "architecture": "basset"}, {"name": "other", "architecture": "beluga"}],
    "attribution": {"methods": [{"method": "grad_x_input"}, {"method": "saliency"}], "n_sequences": 7},
}


def make_peaks_run(folder):
    """A run on 60 regions of two chromosomes, some overlapping, with attributions that are random numbers."""
    rng = np.random.default_rng(3)
    run = folder / "run"
    run.mkdir()
    (folder / "c.yaml").write_text(yaml.safe_dump(PEAKS))
    config = load_config(folder / "c.yaml")
    parts = [_part(first, 30, rng) for first in (0, 30)]
    write_dataset(run / "dataset", name="peaky", kind="peaks", tasks=TASKS, motifs=MOTIFS, parts=parts)
    dataset = open_dataset(run / "dataset")
    for file in attribution_files(config, run):
        chosen = np.flatnonzero(dataset.labels("test")[:, file.target])[:7]
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(file.path, "w") as h5:
            h5["hypothetical"] = rng.normal(size=(len(chosen), LENGTH, 4)).astype(np.float32)
            h5["scores"] = rng.normal(size=(len(chosen), LENGTH)).astype(np.float32)
            h5["seq_id"] = dataset.seq_ids("test")[chosen].astype("S")
    return config, run, dataset


def _part(first, n, rng):
    bases = rng.integers(4, size=(n, LENGTH)).astype(np.uint8)
    number = np.arange(first, first + n)
    chrom, start = np.where(number < 40, "chr2", "chr10"), 25 * number + 7
    ids = [f"{c}:{s}-{s + LENGTH}" for c, s in zip(chrom, start, strict=True)]
    sites = []
    for row in range(n):
        for motif in MOTIFS[: rng.integers(3)]:
            at, strand = int(rng.integers(LENGTH - 7)), "+-"[rng.integers(2)]
            sites.append([row, motif, at, at + len(motif.ppm), strand, rng.normal(9), 10 ** -rng.uniform(4, 8)])
    texts = decode(bases)
    table = {
        "seq_id": ids,
        "chrom": chrom,
        "start": start,
        "end": start + LENGTH,
        "split": np.where(number % 3 == 0, "train", "test"),
        "sequence": texts,
        **{task: (number // (index + 1) % 2).astype(np.uint8) for index, task in enumerate(TASKS)},
    }
    rows = [
        [ids[row], motif.motif_id, motif.tf, a, b, strand, score, p, texts[row][a:b], motif.motif_id]
        for row, motif, a, b, strand, score, p in sites
    ]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, SITES_SCHEMA, strict=True)]
    return pa.table(table, schema=sequence_schema(TASKS)), pa.table(arrays, schema=SITES_SCHEMA)
