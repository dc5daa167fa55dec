"""Every reader of files that others give, with a whole file of each format: what is fuzzed."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pyarrow as pa

from helpers.callers import write_modisco
from helpers.fuzzing import Reader
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset, write_dataset
from simbench_tf.discovery.readers import read_found
from simbench_tf.discovery.sequences import Sequences
from simbench_tf.dna import one_hot
from simbench_tf.genome import fetch, open_genome, read_peaks
from simbench_tf.genome.vcf import read_header, read_records
from simbench_tf.interchange.attribution_readers import read_attribution_file, read_bigwig, read_seq_ids, scores_of
from simbench_tf.interchange.import_attributions import scores_of_rows
from simbench_tf.interchange.import_predictions import read_predictions
from simbench_tf.motifs import Motif, read_motifs
from simbench_tf.run.attributions import read_attributions
from simbench_tf.run.folder import config_of, is_run
from simbench_tf.run.manifest import read_manifest
from simbench_tf.simulate.text.paper_format import read_paper_text
from simbench_tf.tables import SITES_SCHEMA, sequence_schema

LENGTH = 30
BASES = np.random.default_rng(0).integers(4, size=(6, LENGTH)).astype(np.uint8)
LETTERS = ["".join("ACGT"[each] for each in row) for row in BASES]
SEQUENCES = Sequences(np.array([f"s{row}" for row in range(6)]), BASES, np.arange(6))


def file_of(name: str, content: str | bytes) -> Any:
    """A function that writes a whole file of this content."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF M1 HNF4A
letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0
 0.1 0.2 0.3 0.4
 0.97 0.01 0.01 0.01

MOTIF M2
letter-probability matrix: alength= 4 w= 1
 0 0 1 0
"""
JASPAR = ">MA1 HNF4A\nA [ 1 2 30 ]\nC [ 10 2 3 ]\nG [ 1 20 3 ]\nT [ 1 2 3 ]\n>MA2\n1 2\n3 4\n5 6\n7 8\n"
HOMER = ">ACG\tHNF4A(NR)/x\t6.5\t-100.2\t0\tT:20.0(1%),B:3(1%)\n0.9\t0.03\t0.03\t0.04\n0.1\t0.8\t0.05\t0.05\n"
NARROW_PEAK = "".join(f"chr{i}\t{100 * i}\t{100 * i + 90}\tp{i}\t{i}\t+\t1.5\t2.5\t3\t{i}\n" for i in range(1, 9))
PAPER = "s1\tACGATATT\tGATA_pos-True_2-6_5.5_0.001_nan_GATA\ns2\tACGATATT\t\n"
VCF = (
    "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "chr1\t10\trs1\tA\tC,G\t.\tPASS\t.\nchr1\t20\t.\tAC\tA\t.\t.\tX=1\n"
)
YAML = """name: a
seed: 3
simulation:
  kind: grammar
  seq_length: 200
  n_sequences: 100
  tasks: {HepG2: {fraction: .4}, K562: {}}
  elements:
    - {motif: CTCF, rate: &r .3, enriched: {K562: 1.5}, position: {centre: 100, sd: 20, floor: .1}}
    - {motif: GATA1, rate: *r}
  rules: [{task: K562, when: GATA1 and not CTCF}]
models: [{name: m, architecture: basset, width: [.1, .2], seeds: 2}]
training: {max_batches: 10, learning_rate: 1e-3}
attribution: {n_sequences: 5, methods: [{method: [ism, grad_x_input]}, {method: deeplift_rescale}]}
"""
SET = """seed=4
training.max_batches=10
simulation.seq_length=300
simulation.tasks.K562.fraction=.3
models.0.width=.1
models.1={name: beluga, architecture: beluga, width: .1}
attribution.methods=[{method: deeplift_rescale, references: "shuffle:5"}, ism]
attribution.tasks=[K562]
discovery={callers: [seqlets], fdr: .1}
"""
CALLS = "".join(f"{row}\t{5 + row}\t{15 + row}\t{row / 7}\t{'+-'[row % 2]}\n" for row in range(6))
BED_CALLS = "".join(f"s{row}\t{5 + row}\t{15 + row}\tm{row % 2}\t{row / 7}\t{'+-'[row % 2]}\n" for row in range(6))
PREDICTIONS = "seq_id\tK562\n" + "".join(f"s{row}\t{row / 7}\n" for row in range(6))


def found(path: Path) -> None:
    read_found(path, SEQUENCES)


def overridden(path: Path) -> None:
    """Each line is what somebody writes after --set, as Python has it from the command line."""
    load_config("demo", path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1])


def attributions(path: Path) -> None:
    scores_of(path, read_attribution_file(path, None), BASES)


def arrays(folder: Path, suffix: str) -> Path:
    path = folder / f"a{suffix}"
    scores = np.random.default_rng(1).normal(size=BASES.shape).astype(np.float32)
    if suffix == ".npy":
        np.save(path, scores)
    elif suffix == ".npz":
        np.savez_compressed(path, scores=scores, seq_id=SEQUENCES.seq_ids)
    else:
        with h5py.File(path, "w") as h5:
            h5.create_dataset("scores", data=scores, compression="gzip")
            h5["seq_id"] = SEQUENCES.seq_ids.astype("S")
    return path


def chrombpnet(folder: Path) -> Path:
    """Contributions as ChromBPNet writes them, compressed by Blosc."""
    raw = one_hot(BASES).transpose(0, 2, 1).astype(np.int8)
    values = np.random.default_rng(1).normal(size=raw.shape).astype(np.float16)
    with h5py.File(folder / "c.h5", "w") as h5:
        for name, array in (("raw", raw), ("shap", values), ("projected_shap", raw * values)):
            h5.create_dataset(f"{name}/seq", data=array, chunks=True, **hdf5plugin.Blosc())
    return folder / "c.h5"


def matched(path: Path) -> None:
    """Read attributions, whose rows are found by their sequences."""
    scores_of_rows(path, read_attribution_file(path, None), None, SEQUENCES.seq_ids, BASES, np.arange(6))


def modisco(folder: Path) -> Path:
    places = [(row, 5, 15, False) for row in range(6)]
    write_modisco(folder / "m.h5", BASES, [(places, np.ones(10))])
    return folder / "m.h5"


def genome(folder: Path) -> Path:
    letters = np.random.default_rng(2).choice(list("ACGTNacgt"), 900)
    lines = ["".join(letters[start : start + 60]) for start in range(0, 900, 60)]
    (folder / "g.fa").write_text("\n".join([">chr1 x", *lines[:8], ">chr2", *lines[8:], ""]))
    return folder / "g.fa"


def read_genome(path: Path) -> None:
    for index in path.parent.glob("*.fai"):
        index.unlink()
    read_indexed(path)


def read_indexed(path: Path) -> None:
    opened = open_genome(path)
    places = [(name, 0, min(length, 200)) for name, length in opened.lengths.items() if length]
    for place in places[:20]:
        fetch(opened, pd.DataFrame([place], columns=["chrom", "start", "end"]))


def index(folder: Path) -> Path:
    path = genome(folder)
    read_indexed(path)
    return path.with_name("g.fa.fai")


def dataset(folder: Path) -> Path:
    rows = [
        {"seq_id": f"s{row}", "split": ("train", "valid", "test")[row % 3], "sequence": text, "K562": row % 2}
        for row, text in enumerate(LETTERS)
    ]
    site = {"motif": "m", "tf": "T", "start": 3, "end": 5, "strand": "+", "score": 2.0, "pvalue": 1e-4, "element": "m"}
    sites = [{"seq_id": f"s{row}", "matched": text[3:5], **site} for row, text in enumerate(LETTERS)]
    tables = (pa.Table.from_pylist(rows, sequence_schema(["K562"])), pa.Table.from_pylist(sites, SITES_SCHEMA))
    motif = Motif("m", "T", np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 0]]), 20.0)
    notes = {"elements": {"m": ["K562"]}}
    write_dataset(folder, name="a", kind="grammar", tasks=["K562"], motifs=[motif], parts=[tables], notes=notes)
    return folder


def read_dataset(folder: Path) -> None:
    opened = open_dataset(folder)
    for split in ("train", "valid", "test"):
        opened.bases(split), opened.labels(split), opened.seq_ids(split), opened.mask(split, task="K562")
    assert (len(opened.sites), len(opened.motifs), opened.tasks) == (6, 1, ["K562"]), "damage was not seen"


def unguarded(folder: Path) -> Path:
    """A data set as earlier versions wrote it, without checksums."""
    path = dataset(folder) / "dataset.json"
    description = json.loads(path.read_text())
    del description["checksum"], description["checksums"]
    path.write_text(json.dumps(description))
    return path


def read_unguarded(path: Path) -> None:
    opened = open_dataset(path.parent)
    for split in ("train", "valid", "test"):
        opened.bases(split), opened.labels(split)


def manifest(folder: Path) -> Path:
    record = {"checksum": "0" * 32, "stage": "train", "fingerprint": "1" * 32, "seconds": 1.5, "device": "cpu"}
    (folder / "manifest.json").write_text(json.dumps({"models/a/model.keras": record, "report.html": record}, indent=1))
    return folder / "manifest.json"


def stored_config(folder: Path) -> Path:
    (folder / "config.yaml").write_text(YAML + "versions: {numpy: 2.0}\n")
    return folder / "config.yaml"


def own_attributions(folder: Path) -> Path:
    return arrays(folder, ".h5")


def in_folder(name: str) -> Any:
    def write(folder: Path) -> Path:
        return dataset(folder) / name

    return write


def keras_file(folder: Path) -> Path:
    import keras

    inputs = keras.Input((LENGTH, 4))
    hidden = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(4, 9, activation="relu")(inputs))
    keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden)).save(folder / "m.keras")
    return folder / "m.keras"


def read_keras(path: Path) -> None:
    from simbench_tf.models.custom import load_own_model

    load_own_model(path, LENGTH, 1)


def small_network() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


def checkpoint(folder: Path) -> Path:
    from simbench_tf.training.checkpoints import Checkpoint, Progress, write_checkpoint

    state = {"history": (), "best_weights": None}
    progress = Progress(**{name: state.get(name, 0) for name in Progress._fields})
    network = small_network()
    network.compile("adam")
    network.optimizer.build(network.trainable_variables)
    write_checkpoint(Checkpoint(folder / "checkpoint.npz", "key"), network, progress)
    return folder / "checkpoint.npz"


def read_checkpoint_file(path: Path) -> None:
    from simbench_tf.training.checkpoints import Checkpoint, read_checkpoint

    network = small_network()
    network.compile("adam")
    network.optimizer.build(network.trainable_variables)
    read_checkpoint(Checkpoint(path, "key"), network)


def bigwig(folder: Path) -> Path:
    import pyBigWig

    path = folder / "a.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chr1", 1000), ("chr2", 400)])
        for chrom in ("chr1", "chr2"):
            values = np.random.default_rng(1).normal(size=100).tolist()
            file.addEntries(chrom, 50, values=values, span=1, step=1)
    return path


def read_loci(path: Path) -> None:
    loci = [("chr1", 95, 195), ("chr2", 0, 100), ("chr2", 300, 400)]
    read_bigwig(path, pd.DataFrame(loci, columns=["chrom", "start", "end"]))


def read_in_copy(path: Path) -> None:
    """Read a data set whose file was damaged, from a new folder, since a process reads a file's checksum once."""
    with tempfile.TemporaryDirectory() as folder:
        read_dataset(Path(shutil.copytree(path.parents[1 if path.parent.name == "sequences" else 0], f"{folder}/d")))


#: By the name of the format.
TEXTS = {
    "meme": Reader(file_of("m.meme", MEME), read_motifs, is_text=True),
    "jaspar": Reader(file_of("m.jaspar", JASPAR), read_motifs, is_text=True),
    "homer": Reader(file_of("m.homer", HOMER), read_motifs, is_text=True),
    "narrowPeak": Reader(file_of("p.narrowPeak", NARROW_PEAK), read_peaks, is_text=True),
    "paper text": Reader(file_of("p.txt", PAPER), read_paper_text, is_text=True),
    "VCF": Reader(file_of("a.vcf", VCF), lambda path: (read_header(path), list(read_records(path))), is_text=True),
    "FASTA": Reader(genome, read_genome, is_text=True),
    "fai": Reader(index, lambda path: read_indexed(path.with_suffix("")), is_text=True),
    "YAML": Reader(file_of("a.yaml", YAML), load_config, is_text=True),
    "overrides": Reader(file_of("set.txt", SET), overridden, is_text=True),
    "config.yaml": Reader(stored_config, lambda path: is_run(path.parent) and config_of(path.parent), is_text=True),
    "dataset.json": Reader(unguarded, read_unguarded, is_text=True),
    "manifest.json": Reader(manifest, lambda path: read_manifest(path.parent), is_text=True),
    "ids": Reader(file_of("a.txt", "#c\n" + "".join(f"s{i}\n" for i in range(6))), read_seq_ids, is_text=True),
    "calls": Reader(file_of("c.tsv", f"row\tstart\tend\tscore\tstrand\n{CALLS}"), found, is_text=True),
    "BED calls": Reader(file_of("c.bed", BED_CALLS), found, is_text=True),
    "predictions": Reader(file_of("p.tsv", PREDICTIONS), read_predictions, is_text=True),
}
BINARIES = {
    "npy": Reader(lambda folder: arrays(folder, ".npy"), attributions),
    "npz": Reader(lambda folder: arrays(folder, ".npz"), attributions),
    "HDF5": Reader(lambda folder: arrays(folder, ".h5"), attributions),
    "ChromBPNet HDF5": Reader(chrombpnet, matched),
    "modisco HDF5": Reader(modisco, found),
    "own HDF5": Reader(own_attributions, read_attributions),
    "bigWig": Reader(bigwig, read_loci),
    "part": Reader(in_folder("sequences/part-00000.parquet"), read_in_copy),
    "sites": Reader(in_folder("sites.parquet"), read_in_copy),
    "keras": Reader(keras_file, read_keras),
    "checkpoint": Reader(checkpoint, read_checkpoint_file),
}
READERS = TEXTS | BINARIES
#: Of which a tenth as many mutants are made: reading one, or opening the file for it, takes long.
SLOW = ("modisco HDF5", "ChromBPNet HDF5", "bigWig", "part", "sites", "keras", "checkpoint")
