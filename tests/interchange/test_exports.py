"""Files for other tools: what goes out through disk comes back the same, and other readers read it."""

from __future__ import annotations

import gzip
import sys

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyBigWig
import pytest

from helpers.folders import checksums
from helpers.peaks_run import LENGTH, MOTIFS, TASKS
from helpers.program import simbench
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset, write_dataset
from simbench_tf.dna import decode, one_hot
from simbench_tf.errors import InputError
from simbench_tf.interchange import export_attributions, export_data
from simbench_tf.interchange.export_attributions import GenomeStretch, genome_stretches, write_bigwig
from simbench_tf.motifs import Motif, read_motifs
from simbench_tf.run.attributions import attribution_files
from simbench_tf.tables import SITES_SCHEMA, sequence_schema


def by_id(sequences):
    return sequences.set_index("seq_id").sort_index().drop(columns="split")


# data


@pytest.mark.parametrize("compress", [False, True])
def test_fasta_labels_and_bed_hold_the_data_set(peaks_run, tmp_path, compress):
    _, run, dataset = peaks_run
    files = export_data(run, tmp_path / "out", compress=compress)
    end = ".gz" if compress else ""
    names = ["train.fa", "test.fa", "labels.tsv", "sites.bed", "sites_genome.bed"]
    assert [file.name for file in files] == [*(name + end for name in names), "motifs.meme"]
    for split in ("train", "test"):
        content = (tmp_path / "out" / f"{split}.fa{end}").read_bytes()
        lines = (gzip.decompress(content) if compress else content).decode().splitlines()
        assert lines[0::2] == [f">{seq_id}" for seq_id in dataset.seq_ids(split)]
        assert lines[1::2] == decode(dataset.bases(split))
    labels = pd.read_csv(tmp_path / "out" / f"labels.tsv{end}", sep="\t")
    pd.testing.assert_frame_equal(labels, dataset.sequences[["seq_id", "split", *TASKS]], check_dtype=False)
    bed = pd.read_csv(tmp_path / "out" / f"sites.bed{end}", sep="\t")
    names = {"#chrom": "seq_id", "name": "motif", "bits": "score"}
    back = bed.drop(columns="score").rename(columns=names)
    expected = dataset.sites[list(back)].astype({"score": np.float64})
    pd.testing.assert_frame_equal(back, expected, check_dtype=False, rtol=1e-7)
    assert bed["score"].tolist() == [round(-10 * np.log10(p)) for p in dataset.sites["pvalue"]]
    assert (back["score"].astype(np.float32) == dataset.sites["score"]).all(), "bits come back to the last bit"
    assert (back["pvalue"] == dataset.sites["pvalue"]).all()


def test_sites_stand_in_the_genome_where_their_regions_do(peaks_run, tmp_path):
    _, run, dataset = peaks_run
    export_data(run, tmp_path / "out")
    bed = pd.read_csv(tmp_path / "out" / "sites_genome.bed", sep="\t").rename(columns={"#chrom": "chrom"})
    assert len(bed) == len(dataset.sites)
    pd.testing.assert_frame_equal(bed, bed.sort_values(["chrom", "start", "end"], kind="stable"))
    for site in bed.itertuples():
        chrom, _, place = site.seq_id.partition(":")
        start = site.start - int(place.split("-")[0])
        own = dataset.sites[(dataset.sites["seq_id"] == site.seq_id) & (dataset.sites["motif"] == site.name)]
        assert site.chrom == chrom
        assert (start, site.end - site.start, site.matched) in [
            (o.start, o.end - o.start, o.matched) for o in own.itertuples()
        ]


def test_our_data_come_back_from_the_papers_text_the_same(peaks_run, tmp_path):
    _, run, dataset = peaks_run
    files = export_data(run, tmp_path / "out", "paper", compress=True)
    assert [file.name for file in files] == [
        *(f"{task}.{label}.txt.gz" for label in ("negatives", "positives") for task in TASKS),
        "paper.yaml",
        "motifs.meme",
    ]
    # the regions overlap in two long chains, too few to hold out fractions
    splits = "simulation.splits={chromosomes: {test: [chr10]}}"
    pipeline.simulate(load_config(tmp_path / "out" / "paper.yaml", [splits]), tmp_path / "back")
    back = open_dataset(tmp_path / "back" / "dataset")
    assert (back.kind, back.name, back.tasks) == ("text", "peaky", TASKS)
    pd.testing.assert_frame_equal(by_id(back.sequences), by_id(dataset.sequences))
    order = ["seq_id", "start", "motif", "strand"]
    sites = [data.sites.sort_values(order, ignore_index=True) for data in (back, dataset)]
    pd.testing.assert_frame_equal(*sites, check_exact=True)
    for ours, theirs in zip(read_motifs(back.path / "motifs.meme"), MOTIFS, strict=True):
        assert (ours.motif_id, ours.tf) == (theirs.motif_id, theirs.tf)
        np.testing.assert_array_equal(ours.ppm, theirs.ppm)


def test_a_grammar_comes_back_from_the_papers_text(tmp_path):
    changes = ["simulation.n_sequences=300", "simulation.seq_length=200"]
    pipeline.simulate(load_config("demo", changes), tmp_path / "run")
    export_data(tmp_path / "run", tmp_path / "out", "all")
    assert not (tmp_path / "out" / "sites_genome.bed").exists()
    pipeline.simulate(load_config(tmp_path / "out" / "paper.yaml"), tmp_path / "back")
    first, back = (open_dataset(tmp_path / name / "dataset") for name in ("run", "back"))
    pd.testing.assert_frame_equal(by_id(back.sequences), by_id(first.sequences))
    order = ["seq_id", "start", "motif", "strand"]
    sites = [data.sites.drop(columns="element").sort_values(order, ignore_index=True) for data in (back, first)]
    pd.testing.assert_frame_equal(*sites, check_exact=True)


def test_a_line_of_the_papers_text_is_as_its_own_reader_takes_it(peaks_run, tmp_path):
    _, run, dataset = peaks_run
    export_data(run, tmp_path / "out", "paper")
    head, *lines = (tmp_path / "out" / "K562.positives.txt").read_text().splitlines()
    assert head == "seqid\tsequences\tmotifhits"
    assert len(lines) == dataset.sequences["K562"].sum()
    taken = 0
    for seq_id, sequence, listed in (line.split("\t") for line in lines):
        sites = dataset.sites[dataset.sites["seq_id"] == seq_id]
        for text, site in zip(listed.split(",") if listed else (), sites.itertuples(), strict=True):
            motif, strand, place, score, pvalue, qvalue, matched = text.rsplit("_", 6)
            start, end = map(int, place.split("-"))
            assert (motif, strand, matched) == (site.motif, f"pos-{site.strand == '+'}", sequence[start:end])
            assert (np.float32(score), float(pvalue), qvalue) == (site.score, site.pvalue, "nan")
            taken += 1
    assert taken > 10


def test_a_motif_that_the_text_cannot_name_is_told(tmp_path):
    sequences = pa.Table.from_pylist(
        [{"seq_id": "s0", "split": "test", "sequence": "ACGT", "K562": 1}], sequence_schema(["K562"])
    )
    site = {"seq_id": "s0", "motif": "a,b", "tf": "a", "start": 1, "end": 3, "strand": "+", "score": 2.0}
    sites = pa.Table.from_pylist([site | {"pvalue": 1e-4, "matched": "CG", "element": "a"}], SITES_SCHEMA)
    motif = Motif("a,b", "a", np.eye(4)[[1, 2]], 20.0)
    names = {"name": "x", "kind": "peaks", "tasks": ["K562"], "motifs": [motif]}
    write_dataset(tmp_path / "run" / "dataset", parts=[(sequences, sites)], **names)
    with pytest.raises(InputError, match="a,b: is a motif whose name holds a comma"):
        export_data(tmp_path / "run", tmp_path / "out", "paper")
    assert not (tmp_path / "out").exists()


def test_the_same_run_gives_the_same_bytes(peaks_run, tmp_path):
    config, run, _ = peaks_run
    for name in ("one", "two"):
        export_data(run, tmp_path / name, "all", compress=True)
        for format_ in ("npz", "bigwig"):
            export_attributions(config, run, tmp_path / name, format_)
    one, two = checksums(tmp_path / "one"), checksums(tmp_path / "two")
    assert one == two
    assert len(one) == 11 + 2 * 2 + 8 + 8


# attributions


def test_arrays_are_those_that_modisco_takes(peaks_run, tmp_path):
    config, run, dataset = peaks_run
    written = export_attributions(config, run, tmp_path / "out")
    assert len(written) == 2 * (2 * 2 + 2)
    for file in attribution_files(config, run):
        with h5py.File(file.path) as h5:
            hypothetical, seq_ids = h5["hypothetical"][:], list(h5["seq_id"].asstr()[:])
        attributions = np.load(tmp_path / "out" / file.task / file.model / f"{file.key}.npz")["arr_0"]
        sequences = np.load(tmp_path / "out" / file.task / "ohe.npz")["arr_0"]
        assert attributions.shape == sequences.shape == (7, 4, LENGTH)
        assert (attributions.dtype, sequences.dtype) == (np.float32, np.int8)
        np.testing.assert_array_equal(attributions, hypothetical.transpose(0, 2, 1))
        texts = dataset.sequences.set_index("seq_id")["sequence"].loc[seq_ids].tolist()
        np.testing.assert_array_equal(sequences.transpose(0, 2, 1), one_hot(texts))
        bed = [line.split("\t") for line in (tmp_path / "out" / file.task / "regions.bed").read_text().splitlines()]
        assert [f"{chrom}:{start}-{end}" for chrom, start, end, _ in bed] == [name for *_, name in bed] == seq_ids


def test_scores_stand_along_the_genome(peaks_run, tmp_path):
    config, run, _ = peaks_run
    export_attributions(config, run, tmp_path / "out", "bigwig")
    overlaps = 0
    for file in attribution_files(config, run):
        with h5py.File(file.path) as h5:
            scores, seq_ids = h5["scores"][:], h5["seq_id"].asstr()[:]
        found: dict[tuple[str, int], list[float]] = {}
        for seq_id, row in zip(seq_ids, scores, strict=True):
            chrom, _, place = seq_id.partition(":")
            for offset, score in enumerate(row):
                found.setdefault((chrom, int(place.split("-")[0]) + offset), []).append(score)
        overlaps += sum(len(values) > 1 for values in found.values())
        bigwig = pyBigWig.open(str(tmp_path / "out" / file.task / file.model / f"{file.key}.bw"))
        assert bigwig.chroms() == {"chr2": 25 * 39 + 7 + LENGTH, "chr10": 25 * 59 + 7 + LENGTH}
        for chrom, size in bigwig.chroms().items():
            expected = [np.mean(found.get((chrom, place), [np.nan])) for place in range(size)]
            np.testing.assert_allclose(bigwig.values(chrom, 0, size), expected, rtol=1e-6)
        bigwig.close()
    assert overlaps > 20


def test_chromosomes_have_the_genomes_lengths_where_it_is_there(peaks_run, tmp_path):
    config, run, _ = peaks_run
    (tmp_path / "g.fa").write_text("".join(f">{chrom}\n{'A' * n}\n" for chrom, n in (("chr10", 2000), ("chr2", 1500))))
    files = export_attributions(config, run, tmp_path / "out", "bigwig")
    bigwig = pyBigWig.open(str(files[0]))
    assert bigwig.chroms() == {"chr10": 2000, "chr2": 1500}
    bigwig.close()


def test_stretches_without_gaps_are_written_whatever_their_order(tmp_path):
    rng = np.random.default_rng(1)
    chrom, starts = np.array(["chr2", "chr1", "chr2", "chr2"]), np.array([5, 0, 9, 70])
    scores = rng.normal(size=(4, 10)).astype(np.float32)
    stretches = list(genome_stretches(chrom, starts, scores))
    assert [(each.chrom, each.start, len(each.values)) for each in stretches] == [
        ("chr1", 0, 10),
        ("chr2", 5, 14),
        ("chr2", 70, 10),
    ]
    write_bigwig(tmp_path / "a.bw", {"chr2": 80, "chr1": 10}, reversed(stretches))
    bigwig = pyBigWig.open(str(tmp_path / "a.bw"))
    np.testing.assert_allclose(bigwig.values("chr2", 9, 15), (scores[0, 4:] + scores[2, :6]) / 2, rtol=1e-6)
    assert np.isnan(bigwig.values("chr2", 19, 70)).all()
    bigwig.close()
    with pytest.raises(InputError, match=r"a.bw: would hold chr2:75-85, which is not in the genome"):
        write_bigwig(tmp_path / "a.bw", {"chr2": 80}, [GenomeStretch("chr2", 75, np.zeros(10))])


def test_what_cannot_go_out_says_why(peaks_run, tmp_path, monkeypatch):
    config, run, _ = peaks_run
    first, *others = (file.path for file in attribution_files(config, run))
    with h5py.File(first, "a") as h5:
        del h5["hypothetical"]
    with pytest.warns(UserWarning, match=r"grad_x_input@none.h5: left out, it keeps no hypothetical"):
        written = export_attributions(config, run, tmp_path / "some")
    assert len([path for path in written if "@" in path.name]) == len(others)
    for path in others:
        with h5py.File(path, "a") as h5:
            del h5["hypothetical"]
    with pytest.raises(InputError, match=r"grad_x_input@none.h5: keeps no hypothetical .*attribution.arrays=\[hypoth"):
        export_attributions(config, run, tmp_path / "out")
    with h5py.File(first, "a") as h5:
        h5["seq_id"][0] = b"chr9:1-41"
    with pytest.raises(InputError, match="explains sequences that the data set lacks"):
        export_attributions(config, run, tmp_path / "out", "bigwig")
    monkeypatch.setitem(sys.modules, "pyBigWig", None)
    with pytest.raises(
        InputError, match=r"needs pyBigWig, which is not installed; pip install 'simbench_tf\[bigwig\]'"
    ):
        write_bigwig(tmp_path / "a.bw", {}, [])
    first.unlink()
    with pytest.raises(InputError, match="is missing; make it with `simbench attribute`"):
        export_attributions(config, run, tmp_path / "out")


# the command line


def test_the_commands_name_what_they_wrote_or_why_not(monkeypatch, capsys, tiny_run, tmp_path):
    code, out, err = simbench(monkeypatch, capsys, "export-data", tiny_run, "--out", tmp_path / "data", "--gzip")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == str(tmp_path / "data" / "train.fa.gz")
    assert {str(path) for path in (tmp_path / "data").iterdir()} == set(out.splitlines())
    code, _, err = simbench(monkeypatch, capsys, "export-attributions", tiny_run, "--out", tmp_path / "a")
    assert code == 2
    assert "keeps no hypothetical contributions, as no file of the run does; set attribution.arrays=" in err
    options = ["--out", tmp_path / "a", "--format", "bigwig"]
    code, _, err = simbench(monkeypatch, capsys, "export-attributions", tiny_run, *options)
    assert code == 2
    assert err == f"error: {tiny_run}: holds sequences that have no place in a genome, which bigWig needs; " + (
        "use data of kind peaks, or --format npz\n"
    )
    assert not (tmp_path / "a").exists()
    assert simbench(monkeypatch, capsys, "export-data", tiny_run, "--out", tmp_path, "--format", "bed")[0] == 2
