"""The peaks pipeline against worked-out answers, plain loops, and what stands in the genome."""

from __future__ import annotations

import gzip
import importlib.util
import json
import pickle
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from helpers.folders import CHR2, REPOSITORY
from helpers.grammars import sharp
from simbench_tf.config import PeaksSimulation, Splits
from simbench_tf.dna import decode, encode
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.genome import open_genome, regions_at
from simbench_tf.motifs import Motif, scan, write_meme
from simbench_tf.simulate import peaks
from simbench_tf.simulate.peaks import clean_background, implants, scanning
from simbench_tf.simulate.peaks import enrichment as _enrichment
from simbench_tf.simulate.peaks import regions as _regions
from simbench_tf.tables import SPLITS, check_sequences, check_sites

GENOME, PEAKS = CHR2 / "hg38_chr2_2.3Mb.fa.gz", CHR2 / "ensembl_regulatory_chr2.narrowPeak"

ENRICHED, EVERYWHERE, RARE = (
    sharp("TGACTCATGC", "E1"),
    sharp("CCGGAAGTAC", "U1"),
    sharp("GATTACAGGA", "R1"),
)
SIZE = 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A genome of two chromosomes: 240 spots 300 apart, every other one a peak of task A; motifs planted by plan.

    E1 stands near the middle of most peaks and a few others, U1 everywhere alike, R1 in three peaks only.
    """
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(5)
    text = {chrom: rng.choice(list("ACGT"), 36_000) for chrom in ("chr1", "chr2")}
    lines: dict[str, list[str]] = {"A": [], "others": []}
    for spot in range(240):
        chrom, summit = ("chr1", "chr2")[spot // 120], 150 + 300 * (spot % 120)
        is_peak = spot % 2 == 0
        lines["A" if is_peak else "others"].append(f"{chrom}\t{summit - 20}\t{summit + 30}\tp\t0\t.\t0\t-1\t-1\t20")
        if rng.random() < (0.8 if is_peak else 0.15):
            plant(text[chrom], summit - 10, "TGACTCATGC", rng)
        if rng.random() < 0.4:
            plant(text[chrom], summit + 15, "CCGGAAGTAC", rng)
        if spot in (4, 80, 200):
            plant(text[chrom], summit - 45, "GATTACAGGA", rng)
    text["chr1"][150 + 300 - 3] = "N"  # spot 1, a background region
    for name, spots in lines.items():
        (folder / name).write_text("\n".join(spots) + "\n")
    (folder / "g.fa").write_text("".join(f">{chrom}\n{''.join(seq)}\n" for chrom, seq in text.items()))
    write_meme([ENRICHED, EVERYWHERE, RARE], folder / "m.meme")
    return {"folder": folder, "text": {chrom: "".join(seq) for chrom, seq in text.items()}}


def plant(text: np.ndarray, start: int, word: str, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        word = word[::-1].translate(str.maketrans("ACGT", "TGCA"))
    text[start : start + len(word)] = list(word)


def simulation(folder: Path, **settings: Any) -> PeaksSimulation:
    defaults = {
        "kind": "peaks",
        "genome": folder / "g.fa",
        "peaks": {"A": folder / "A"},
        "background": folder / "others",
        "region_size": SIZE,
        "motifs": str(folder / "m.meme"),
        "scan_pvalue": 1e-5,
        "min_pos_hits": 20,
        "min_enrichment": 1.3,
    }
    return PeaksSimulation.model_validate({**defaults, **settings})


@pytest.fixture(scope="module")
def plan(world: dict[str, Any]) -> peaks.PeaksPlan:
    return peaks.plan_peaks(simulation(world["folder"]), seed=7)


@pytest.fixture(scope="module")
def drawn(plan: peaks.PeaksPlan) -> peaks.Drawn:
    return implants.implant(plan, 0, plan.n_regions)


def genome_text(text: dict[str, str], seq_id: str) -> str:
    chrom, _, span = seq_id.partition(":")
    start, end = map(int, span.split("-"))
    return text[chrom][start:end].upper()


def pair_counts(bases: np.ndarray) -> np.ndarray:
    """How often each of the 16 dinucleotides stands in each row."""
    pairs = bases[:, :-1].astype(int) * 4 + bases[:, 1:]
    return np.stack([(pairs == pair).sum(axis=1) for pair in range(16)], axis=1)


def spot_text(text: dict[str, str], spot: int) -> str:
    start = 100 + 300 * (spot % 120)
    return text[f"chr{1 + spot // 120}"][start : start + SIZE]


def check_against_genome(plan: peaks.PeaksPlan, drawn: peaks.Drawn, text: dict[str, str]) -> None:
    """Every site reads as the genome does there; the sites are all kept motifs' hits in the region, and only those."""
    check_sequences(drawn.sequences, plan.tasks)
    sequences = drawn.sequences.to_pandas().set_index("seq_id")
    sites = drawn.sites.to_pandas()
    check_sites(sites, sequences["sequence"])
    for site in sites.itertuples():
        assert genome_text(text, site.seq_id)[site.start : site.end] == site.matched
    own = encode([genome_text(text, seq_id) for seq_id in sequences.index])
    hits = scan(own, plan.motifs, plan.scan_pvalue, plan.background)
    hits["seq_id"] = sequences.index.to_numpy()[hits["row"]]
    columns = ["seq_id", "motif", "tf", "start", "end", "strand", "score", "pvalue"]
    assert sites[columns].values.tolist() == hits[columns].values.tolist()


# sequences and sites --------------------------------------------------------------------------------------------------


def test_sites_read_as_the_genome_does(plan: peaks.PeaksPlan, drawn: peaks.Drawn, world: dict[str, Any]) -> None:
    check_against_genome(plan, drawn, world["text"])
    assert [motif.motif_id for motif in plan.motifs] == ["E1"]
    assert set(drawn.sites["element"].to_pylist()) == {"E1"}
    # both strands were planted and both come out
    assert 20 < Counter(drawn.sites["strand"].to_pylist())["-"] < drawn.sites.num_rows - 20


def test_outside_sites_the_sequence_is_the_shuffle_and_shuffles_keep_dinucleotides(
    plan: peaks.PeaksPlan, drawn: peaks.Drawn
) -> None:
    shuffled = implants.shuffles(implants.take_part(plan, 0, plan.n_regions))
    np.testing.assert_array_equal(pair_counts(shuffled), pair_counts(plan.bases[plan.sources]))
    assert not (shuffled == plan.bases[plan.sources]).all(axis=1).any()
    covered = np.zeros(shuffled.shape, bool)
    for hit in plan.hits.itertuples():
        covered[hit.row, hit.start : hit.end] = True
    sequences = bases_of(drawn.sequences["sequence"])
    np.testing.assert_array_equal(sequences, np.where(covered, plan.bases, shuffled))


def test_negatives_stand_on_shuffles_of_positives_of_their_split(plan: peaks.PeaksPlan) -> None:
    positive, split = plan.regions["A"].to_numpy() == 1, plan.regions["split"].to_numpy()
    assert (plan.sources[positive] == np.flatnonzero(positive)).all()
    assert positive[plan.sources].all()
    assert (split[plan.sources] == split).all()
    # 119 negatives draw among about 70 train positives and more: not one source for all
    assert len(set(plan.sources[~positive].tolist())) > 40
    assert len(set(plan.sources[~positive & (split == "test")].tolist())) > 5


def test_two_negatives_on_one_source_differ(plan: peaks.PeaksPlan) -> None:
    shuffled = decode(implants.shuffles(implants.take_part(plan, 0, plan.n_regions)))
    assert len(set(shuffled)) == plan.n_regions > len(set(plan.sources.tolist()))


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_any_chunking_and_pickling_gives_the_same_rows(plan: peaks.PeaksPlan, drawn: peaks.Drawn, size: int) -> None:
    made = [peaks.implant_part(pickle.loads(pickle.dumps(part))) for part in implants.parts(plan, size)]
    assert len(made) == -(-plan.n_regions // size)
    assert pa.concat_tables([part.sequences for part in made]).equals(drawn.sequences)
    assert pa.concat_tables([part.sites for part in made]).equals(drawn.sites)


def test_the_plan_does_not_depend_on_how_the_scan_is_cut(
    plan: peaks.PeaksPlan, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def through_pickle(function: Any, items: Any) -> Any:
        return (pickle.loads(pickle.dumps(partial(function, item)))() for item in items)

    monkeypatch.setattr(scanning, "_CHUNK_REGIONS", 13)
    other = peaks.plan_peaks(simulation(world["folder"]), seed=7, map_chunks=through_pickle)
    pd.testing.assert_frame_equal(other.hits, plan.hits)
    pd.testing.assert_frame_equal(other.motif_log, plan.motif_log)
    pd.testing.assert_frame_equal(other.regions, plan.regions)
    assert (other.sources == plan.sources).all()


def test_the_seed_changes_shuffles_splits_and_sources_but_not_the_hits(
    plan: peaks.PeaksPlan, drawn: peaks.Drawn, world: dict[str, Any]
) -> None:
    other = peaks.plan_peaks(simulation(world["folder"]), seed=8)
    pd.testing.assert_frame_equal(other.hits, plan.hits)
    assert (other.regions["split"] != plan.regions["split"]).any()
    assert (other.sources != plan.sources).any()
    rows = implants.implant(other, 0, 50).sequences["sequence"].to_pylist()
    assert not set(rows) & set(drawn.sequences["sequence"].to_pylist())


def test_without_negative_implants_only_negatives_change(
    plan: peaks.PeaksPlan, drawn: peaks.Drawn, world: dict[str, Any]
) -> None:
    bare = peaks.plan_peaks(simulation(world["folder"], negative_implants=False), seed=7)
    pd.testing.assert_frame_equal(bare.regions, plan.regions)
    pd.testing.assert_frame_equal(bare.motif_log, plan.motif_log)
    made = implants.implant(bare, 0, bare.n_regions)
    positive = plan.regions["A"].to_numpy() == 1
    shuffled = decode(implants.shuffles(implants.take_part(plan, 0, plan.n_regions)))
    for row, (with_, without) in enumerate(
        zip(drawn.sequences["sequence"].to_pylist(), made.sequences["sequence"].to_pylist(), strict=True)
    ):
        assert without == (with_ if positive[row] else shuffled[row])
    ids = drawn.sequences["seq_id"].filter(pa.array(positive))
    of_positives = drawn.sites.filter(pc.is_in(drawn.sites["seq_id"], value_set=ids))
    assert made.sites.equals(of_positives)
    assert of_positives.num_rows < drawn.sites.num_rows


@pytest.fixture(scope="module")
def clean(world: dict[str, Any]) -> tuple[peaks.PeaksPlan, peaks.Drawn]:
    # a p-value at which chance hits abound: E1 and U1 are kept
    settings = {"scan_pvalue": 1e-3, "min_enrichment": 0.5, "clean_background": True}
    plan = peaks.plan_peaks(simulation(world["folder"], **settings), seed=7)
    return plan, implants.implant(plan, 0, plan.n_regions)


def test_a_clean_background_holds_no_hit_but_the_true_ones(
    clean: tuple[peaks.PeaksPlan, peaks.Drawn], world: dict[str, Any]
) -> None:
    plan, drawn = clean
    assert len(plan.motifs) > 1
    assert plan.notes["clean_background"] is True
    check_against_genome(plan, drawn, world["text"])
    soiled = peaks.plan_peaks(simulation(world["folder"], scan_pvalue=1e-3, min_enrichment=0.5), seed=7)
    assert "clean_background" not in soiled.notes
    before = bases_of(implants.implant(soiled, 0, soiled.n_regions).sequences["sequence"])
    after, n_true = bases_of(drawn.sequences["sequence"]), drawn.sites.num_rows
    n_before, n_after = (len(scan(each, plan.motifs, 1e-3, plan.background)) for each in (before, after))
    assert n_before > n_true + 20
    assert n_after == n_true
    hits = scan(after, plan.motifs, 1e-3, plan.background)
    assert (
        hits[["start", "end", "motif"]].values.tolist()
        == drawn.sites.to_pandas()[["start", "end", "motif"]].values.tolist()
    )
    # what it costs: most sequences keep every dinucleotide count, in all fewer than one base in 2,000 is another
    counts = pair_counts(before), pair_counts(after)
    assert (counts[0] == counts[1]).all(axis=1).mean() > 0.95
    composition = [np.stack([(each == base).sum(axis=1) for base in range(4)]) for each in (before, after)]
    assert np.abs(composition[0] - composition[1]).sum() / 2 < before.size / 2_000


def test_a_clean_background_does_not_depend_on_the_parts_it_is_made_in(
    clean: tuple[peaks.PeaksPlan, peaks.Drawn],
) -> None:
    plan, drawn = clean
    made = [peaks.implant_part(pickle.loads(pickle.dumps(part))) for part in implants.parts(plan, 31)]
    assert pa.concat_tables([part.sequences for part in made]).equals(drawn.sequences)
    assert pa.concat_tables([part.sites for part in made]).equals(drawn.sites)


def test_a_hit_that_only_another_base_breaks_is_broken_and_one_that_nothing_breaks_is_told() -> None:
    # all A: no shuffle is another sequence; AAAAAA has the p-value 4 ** -6
    motif = Motif("polyA", "A", np.eye(4)[[0] * 6], 1000.0)
    scanned = clean_background.Scan([motif], 1e-3, np.full(4, 0.25))
    sequences, true = np.zeros((3, 30), np.uint8), np.zeros((3, 30), bool)
    true[0, 4:12] = True
    made = clean_background.without_chance_hits(sequences, true, scanned, 1, np.arange(3))
    assert (made[true] == 0).all()
    left = scan(made, [motif], 1e-3)
    assert set(zip(left["row"], left["start"], strict=True)) == {(0, start) for start in (4, 5, 6)}
    alone = clean_background.without_chance_hits(sequences[1:], true[1:], scanned, 1, np.arange(1, 3))
    np.testing.assert_array_equal(alone, made[1:])
    # every word of a motif without preference is a hit at p = 1
    anything = clean_background.Scan([Motif("any", "any", np.full((4, 4), 0.25), 10.0)], 1.0, np.full(4, 0.25))
    with pytest.warns(UserWarning, match="1 of 1 sequences keep a chance hit"):
        clean_background.without_chance_hits(sequences[:1], true[:1], anything, 1, np.arange(1))


def test_lost_regions_are_counted_by_step(plan: peaks.PeaksPlan, world: dict[str, Any]) -> None:
    peak_texts = [spot_text(world["text"], spot) for spot in range(0, 240, 2)]
    hits = scan(encode(peak_texts), [ENRICHED], plan.scan_pvalue, plan.background)
    hitless = 120 - hits["row"].nunique()
    assert hitless > 5
    lost = plan.lost.set_index("step")
    assert lost.loc["summits read", ["positives_left", "background_left"]].tolist() == [120, 120]
    assert lost.loc["holds a base other than ACGT"].tolist() == [0, 1, 120, 119]
    assert lost.loc["positive without a kept hit"].tolist() == [hitless, 0, 120 - hitless, 119]
    assert plan.regions["A"].value_counts().to_dict() == {0: 119, 1: 120 - hitless}
    assert json.loads(json.dumps(plan.notes))["lost"] == plan.lost.to_dict("records")
    counts = plan.counts()
    assert counts["n"].sum() == plan.n_regions
    assert counts["A"].sum() == 120 - hitless
    assert counts.index.tolist() == list(SPLITS)


def test_the_scan_background_is_the_regions_composition(plan: peaks.PeaksPlan, world: dict[str, Any]) -> None:
    spots = [spot_text(world["text"], spot) for spot in range(240) if spot != 1]
    counts = Counter("".join(spots))
    gc = (counts["G"] + counts["C"] + 2) / (sum(counts.values()) + 4)
    assert plan.notes["background"] == plan.background.tolist()
    np.testing.assert_allclose(plan.background, [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2], rtol=1e-12)


# which motifs are kept ------------------------------------------------------------------------------------------------


def test_motif_log_equals_a_plain_loop_over_the_genome(plan: peaks.PeaksPlan, world: dict[str, Any]) -> None:
    motifs = [ENRICHED, EVERYWHERE, RARE]
    totals = {(motif.motif_id, label): [0, 0.0] for motif in motifs for label in (0, 1)}
    regions = {0: 0, 1: 0}
    for spot in range(240):
        if spot == 1:
            continue
        label = int(spot % 2 == 0)
        regions[label] += 1
        bases = encode(spot_text(world["text"], spot))
        for hit in scan(bases, motifs, plan.scan_pvalue, plan.background).itertuples():
            totals[hit.motif, label][0] += 1
            totals[hit.motif, label][1] += (50 - abs(50 - hit.start)) ** 2
    log = plan.motif_log.set_index("motif")
    for motif in motifs:
        (pos_hits, pos_weight), (neg_hits, neg_weight) = totals[motif.motif_id, 1], totals[motif.motif_id, 0]
        row = log.loc[motif.motif_id]
        assert (row["pos_hits"], row["neg_hits"]) == (pos_hits, neg_hits)
        assert (row["n_positives"], row["n_negatives"]) == (120, 119)
        assert row["pos_density"] == pytest.approx(pos_weight / 120, rel=1e-12)
        assert row["neg_density"] == pytest.approx(neg_weight / 119, rel=1e-12)
        expected = pos_weight / 120 / (neg_weight / 119) if neg_weight else np.inf
        assert row["ratio"] == pytest.approx(expected, rel=1e-12)
    assert log["reason"]["E1"] == "passes"
    assert log["reason"]["U1"] == f"ratio {log['ratio']['U1']:.3g}, below 1.3"
    assert log["reason"]["R1"] == "3 hits in positives, fewer than 20"
    assert log["ratio"]["R1"] == np.inf
    assert log["kept"].tolist() == log["passes"].tolist() == [True, False, False]


def test_weights_by_hand_for_even_and_odd_sizes() -> None:
    assert _enrichment.centre_weights([0, 1, 4, 7, 8], 8).tolist() == [0, 1, 16, 1, 0]
    assert _enrichment.centre_weights([0, 3, 4, 6], 7).tolist() == [0, 9, 9, 1]


def test_first_and_last_hit_count() -> None:
    hits = pd.DataFrame({"row": [0, 1, 2, 3], "motif": [0, 0, 0, 1], "start": [5, 5, 5, 5]})
    labels = np.array([[1], [0], [0], [1]], np.uint8)
    log = _enrichment.motif_log(hits, labels, [ENRICHED, RARE], ["A"], 10, 1, 1.0)
    assert log[["pos_hits", "neg_hits", "ratio"]].values.tolist() == [[1, 2, 0.5], [1, 0, np.inf]]
    assert log["reason"].tolist() == ["ratio 0.5, below 1", "passes"]


def test_a_motif_without_hits_is_dropped_and_a_motif_kept_for_one_task_says_so() -> None:
    hits = pd.DataFrame({"row": [0, 1, 2], "motif": [0, 0, 0], "start": [5, 5, 3]})
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.uint8)
    log = _enrichment.motif_log(hits, labels, [ENRICHED, RARE], ["A", "B"], 10, 2, 1.5)
    assert log[["motif", "task", "passes", "kept"]].values.tolist() == [
        ["E1", "A", True, True], ["E1", "B", False, True], ["R1", "A", False, False], ["R1", "B", False, False],
    ]  # fmt: skip
    # E1: densities 25 in A's positives (50 over 2) and 4.5 in the others (9 over 2)
    assert log["ratio"].tolist()[:2] == [25 / 4.5, 4.5 / 25]
    assert log["reason"].tolist() == [
        "passes",
        "1 hits in positives, fewer than 2; ratio 0.18, below 1.5; kept for another task",
        "0 hits in positives, fewer than 2; no weighted hits at all",
        "0 hits in positives, fewer than 2; no weighted hits at all",
    ]


def test_no_motif_passes(world: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        peaks.plan_peaks(simulation(world["folder"], min_pos_hits=500), seed=7)
    said = str(caught.value)
    assert said.startswith("simulation.min_enrichment: none of 3 motifs has 500 hits in positives and a ratio of 1.3: ")
    assert "the best ratio is inf (TF_R1, A, 3 hits)" in said
    assert said.endswith("lower min_pos_hits or min_enrichment, or give motifs found in these peaks")


# regions, labels, splits ----------------------------------------------------------------------------------------------


def place(tmp_path: Path, files: dict[str, list[int]], background: list[int] | None = None, **settings: Any) -> Any:
    """Regions of 100 bases from summits on a chr1 of 5,000; a BED line of 10 bases around each summit."""
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 1_250 + "\n")
    for name, summits in {**files, "background": background or []}.items():
        (tmp_path / name).write_text("".join(f"chr1\t{summit - 5}\t{summit + 5}\n" for summit in summits))
    chosen = simulation(
        tmp_path,
        **{
            "peaks": {name: tmp_path / name for name in files},
            "background": tmp_path / "background" if background else None,
            **settings,
        },
    )
    return _regions.place_regions(chosen, open_genome(chosen.genome))[:2]


def test_summits_of_tasks_are_pooled_merged_and_labelled(tmp_path: Path) -> None:
    # 1000 (A) and 1049 (B) are 49 apart: one region at 1024, both labels (both within 50 of its centre).
    # 2000 (A) and 2050 (B) are exactly half a region apart: two regions, and each overlaps half of the other's window.
    # 3000 (A) and 3051 (B): two regions, 49 of 100 bases shared, a label each, and neither label for the other task.
    # 4000 (A) and 4100 (B) touch and share no base.
    regions, lost = place(tmp_path, {"A": [1000, 2000, 3000, 4000], "B": [1049, 2050, 3051, 4100]})
    assert regions.values.tolist() == [
        ["chr1", 974, 1074, 1, 1],
        ["chr1", 1950, 2050, 1, 1],
        ["chr1", 2000, 2100, 1, 1],
        ["chr1", 2950, 3050, 1, 255],
        ["chr1", 3001, 3101, 255, 1],
        ["chr1", 3950, 4050, 1, 0],
        ["chr1", 4050, 4150, 0, 1],
    ]
    assert _regions.lost_table(lost)[["positives", "positives_left"]].values.tolist() == [
        [0, 8], [1, 7], [0, 7], [0, 7], [0, 7],
    ]  # fmt: skip


def test_a_chain_of_summits_is_split_so_that_none_is_lost(tmp_path: Path) -> None:
    # 1000, 1040, 1080, 1100 (A) and 1140 (B) chain, mean 1072: 1000 is 72 away, more than half a region. Cut between
    # 1040 and 1080, the middlemost of the widest gaps: regions at 1020 and at 1106, the latter 34 from B's summit
    regions, _ = place(tmp_path, {"A": [1000, 1040, 1080, 1100], "B": [1140, 4000]})
    assert regions.values.tolist() == [
        ["chr1", 970, 1070, 1, 0],
        ["chr1", 1056, 1156, 1, 1],
        ["chr1", 3950, 4050, 0, 1],
    ]


def test_every_summit_labels_the_region_it_is_merged_into(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    for size in (40, 41):
        summits = {name: sorted(rng.integers(100, 4_900, 120).tolist()) for name in "AB"}
        regions, _ = place(tmp_path, summits, region_size=size)
        for task, own in summits.items():
            for region in regions.itertuples():
                overlaps = [max(0, size - abs(summit - size // 2 - region.start)) for summit in own]
                most = max(overlaps)
                assert getattr(region, task) == (1 if 2 * most >= size else 255 if most else 0)
        centres = regions["start"].to_numpy() + size // 2
        assert all(np.abs(centres - summit).min() <= size / 2 for own in summits.values() for summit in own)
        assert {0, 1, 255} == set(np.unique(regions[["A", "B"]]))
        assert (regions[["A", "B"]] == 1).any(axis=1).all()


@pytest.mark.filterwarnings("ignore:no motif passes the filter for B")
def test_regions_that_are_neither_are_left_out_of_counts_and_densities(world: dict[str, Any]) -> None:
    folder = world["folder"]
    # of every tenth peak of A, B has one 60 bases off: neither for A, nor A's for B
    lines = [line.split() for line in (folder / "A").read_text().splitlines()]
    summits = [(chrom, int(start) + 20 + 60) for chrom, start, *_ in lines[::10]]
    others = [
        (chrom, int(start) + 20) for chrom, start, *_ in map(str.split, (folder / "others").read_text().splitlines())
    ]
    (folder / "B").write_text("".join(f"{chrom}\t{at - 5}\t{at + 5}\n" for chrom, at in summits + others))
    both = simulation(folder, peaks={"A": folder / "A", "B": folder / "B"}, background=None, min_enrichment=1.0)
    plan = peaks.plan_peaks(both, seed=7)
    labels = plan.regions[["A", "B"]].to_numpy()
    assert plan.notes["unlabelled"] == {"A": (labels[:, 0] == 255).sum(), "B": (labels[:, 1] == 255).sum()}
    scanned = scanning.scan_regions(both, 7)
    # of twelve pairs, each with a region that is neither for A and one that is neither for B
    assert ((scanned.regions[["A", "B"]] == 255).sum() == 12).all()
    for task in "AB":
        row = scanned.motif_log[scanned.motif_log["task"] == task].iloc[0]
        assert row["n_positives"] == (scanned.regions[task] == 1).sum()
        assert row["n_negatives"] == (scanned.regions[task] == 0).sum() < len(scanned.regions) - row["n_positives"]
    assert plan.counts()["A"].sum() == (labels[:, 0] == 1).sum()
    # each is some task's positive, and keeps a shuffle of its own
    assert (plan.sources == np.arange(plan.n_regions)).all()
    check_sequences(implants.implant(plan, 0, plan.n_regions).sequences, plan.tasks)


def test_one_task_with_two_summits_merges_too(tmp_path: Path) -> None:
    regions, _ = place(tmp_path, {"A": [1000, 1030]}, background=[3000])
    assert regions.values.tolist() == [["chr1", 965, 1065, 1], ["chr1", 2950, 3050, 0]]


def test_background_over_a_peak_is_dropped_and_counted(tmp_path: Path) -> None:
    # the window of 1000 is 950-1050: 1099 shares a base, 1100 touches; 3000 comes twice
    regions, lost = place(tmp_path, {"A": [1000], "B": [2000]}, background=[1099, 1100, 901, 2000, 3000, 3000])
    assert regions.values.tolist() == [
        ["chr1", 950, 1050, 1, 0],
        ["chr1", 1050, 1150, 0, 0],
        ["chr1", 1950, 2050, 0, 1],
        ["chr1", 2950, 3050, 0, 0],
    ]
    table = _regions.lost_table(lost).set_index("step")
    assert table.loc["background over a peak"].tolist() == [0, 3, 2, 3]
    assert table.loc["background given twice"].tolist() == [0, 1, 2, 2]


def test_background_over_a_peak_wider_than_its_window_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "wide").write_text("chr1\t1000\t2000\n")  # window 1450-1550
    regions, _ = place(tmp_path, {"A": [3000]}, background=[1900, 2100], peaks={"A": tmp_path / "wide"})
    assert regions.values.tolist() == [["chr1", 1450, 1550, 1], ["chr1", 2050, 2150, 0]]


def test_regions_over_a_contigs_end_are_dropped_and_counted(tmp_path: Path) -> None:
    regions, lost = place(tmp_path, {"A": [49, 50, 4950], "B": [4998]}, background=[2000])
    # 49 and 50 merge at 49, which begins at -1; 4950 fills up to 5000; 4998 is 48 from 4950 and merges at 4974
    assert regions.values.tolist() == [["chr1", 1950, 2050, 0, 0]]
    assert lost[-1] == ("over an end of its contig", 2, 0)
    regions, lost = place(tmp_path, {"A": [50], "B": [4950]})
    assert regions[["start", "end"]].values.tolist() == [[0, 100], [4900, 5000]]
    assert lost[-1] == ("over an end of its contig", 0, 0)


def test_a_region_that_fills_its_contig_is_kept(tmp_path: Path) -> None:
    regions, _ = place(tmp_path, {"A": [2500], "B": [2500]}, region_size=5_000)
    assert regions.values.tolist() == [["chr1", 0, 5_000, 1, 1]]
    with pytest.raises(InputError, match=r"^simulation\.region_size: no region of 5001 bases fits its contig; "):
        place(tmp_path, {"A": [2500], "B": [2500]}, region_size=5_001)


def test_regions_that_touch_the_blacklist_are_dropped_and_counted(tmp_path: Path) -> None:
    # 950-1050 shares its last base with the first interval, 2950-3050 holds the second, 1950-2050 only meets the third
    (tmp_path / "black").write_text("chr1\t1049\t1200\nchr1\t3000\t3001\nchr7\t0\t9\n")
    (tmp_path / "mine").write_text("chr1\t2050\t2060\n")
    blacklist = [tmp_path / "black", tmp_path / "mine"]
    regions, lost = place(tmp_path, {"A": [1000, 2000]}, background=[3000, 4000], blacklist=blacklist)
    assert regions.values.tolist() == [["chr1", 1950, 2050, 1], ["chr1", 3950, 4050, 0]]
    assert lost[-1] == ("on the blacklist", 1, 1)
    (tmp_path / "all").write_text("chr1\t0\t5000\n")
    with pytest.raises(InputError, match=r"^simulation\.blacklist: it touches every region; "):
        place(tmp_path, {"A": [1000]}, background=[3000], blacklist=tmp_path / "all")
    (tmp_path / "ensembl").write_text("1\t0\t10\n")
    with pytest.raises(
        InputError, match=rf"^{tmp_path}/ensembl:1: chromosome '1' is not in .*, which calls it 'chr1' "
    ):
        place(tmp_path, {"A": [1000]}, background=[3000], blacklist=tmp_path / "ensembl")


@pytest.mark.parametrize("key", ["peaks", "background"])
def test_peaks_of_another_style_of_names_are_told_so(tmp_path: Path, key: str) -> None:
    (tmp_path / "ensembl").write_text("chr1\t1000\t1010\n1\t2000\t2010\n")
    (tmp_path / "A").write_text("chr1\t1000\t1010\n")
    genome = tmp_path / "g.fa"
    genome.write_text(">chr1\n" + "ACGT" * 1_250 + "\n")
    given = {"A": tmp_path / "ensembl"} if key == "peaks" else tmp_path / "ensembl"
    with pytest.raises(InputError) as caught:
        _regions.place_regions(simulation(tmp_path, **{"background": tmp_path / "A", key: given}), open_genome(genome))
    assert str(caught.value) == (
        f"{tmp_path}/ensembl:2: chromosome '1' is not in {genome}, which calls it 'chr1' (1 such lines); "
        f"write its chromosomes with 'chr', as {genome} does"
    )


def test_one_task_without_a_background_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^simulation\.background: one task without a background has no negatives; "):
        place(tmp_path, {"A": [1000]})


def test_a_task_without_peaks_and_an_unknown_chromosome_name_their_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/B: holds no peaks"):
        place(tmp_path, {"A": [1000], "B": []})
    (tmp_path / "C").write_text("chr1\t0\t9\nchrom1\t0\t9\n")
    with pytest.raises(InputError, match=rf"^{tmp_path}/C:2: chromosome 'chrom1' is not in .*; it has chr1$"):
        place(tmp_path, {"A": [1000]}, peaks={"A": tmp_path / "C", "B": tmp_path / "A"})


def test_regions_that_overlap_share_their_split_and_fractions_are_reached() -> None:
    rng = np.random.default_rng(6)
    summits = np.sort(rng.integers(0, 400_000, 2_000))
    regions = regions_at(np.repeat(["chr1", "chr2"], 1_000), summits, 150)
    splits = Splits(valid=0.1, test=0.2)
    split = _regions.assign_splits(regions, splits, 3, ["chr1", "chr2"])
    followers = [
        row for row in range(1, 2_000)
        if regions["chrom"][row] == regions["chrom"][row - 1] and regions["start"][row] < regions["end"][row - 1]
    ]  # fmt: skip
    assert len(followers) > 800
    assert all(split[row] == split[row - 1] for row in followers)
    counts = Counter(split)
    # cut at a group's middle, so within half the largest group (here below 20 regions) of the fraction
    assert abs(counts["test"] - 400) <= 10
    assert abs(counts["valid"] - 200) <= 10
    again = _regions.assign_splits(regions, splits, 3, ["chr1", "chr2"])
    assert (split == again).all()
    assert (split != _regions.assign_splits(regions, splits, 4, ["chr1", "chr2"])).any()


def test_splits_by_chromosome(world: dict[str, Any]) -> None:
    def planned(**chromosomes: list[str]) -> peaks.PeaksPlan:
        return peaks.plan_peaks(simulation(world["folder"], splits={"chromosomes": chromosomes}), seed=7)

    regions = planned(test=["chr2"]).regions
    assert set(zip(regions["chrom"], regions["split"], strict=True)) == {("chr1", "train"), ("chr2", "test")}
    with pytest.raises(InputError) as caught:
        planned(test=["chr22"], valid=["chr2"])
    assert str(caught.value) == (
        "simulation.splits.chromosomes.test: chromosome 'chr22' is not in the genome; did you mean chr2?"
    )
    with pytest.raises(InputError, match=r"\.test: chromosome '2' is not in the genome, which calls it 'chr2'; write "):
        planned(test=["2"])
    with pytest.raises(InputError, match="'chr2' is also in test; name it once"):
        planned(test=["chr2"], valid=["chr2"])
    with pytest.raises(InputError, match=r"^simulation\.splits: valid names no region; "):
        planned(test=["chr2"], valid=[])
    with pytest.raises(InputError, match=r"^simulation\.splits: train names no region; "):
        planned(test=["chr2", "chr1"])


def test_a_split_without_positives_is_refused() -> None:
    regions = pd.DataFrame({"split": ["train"] * 3 + ["test"] * 2, "A": [1, 0, 1, 0, 1], "B": [0, 1, 0, 0, 0]})
    with pytest.raises(InputError, match=r"^simulation\.splits: test holds no positive region of B; "):
        _regions.check_splits(regions, ["A", "B"], Splits(valid=0, test=0.4))
    with pytest.raises(InputError, match=r"^simulation\.splits: valid names no region; "):
        _regions.check_splits(regions, ["A"], Splits(valid=0.1, test=0.4))
    _regions.check_splits(regions, ["A"], Splits(valid=0, test=0.4))


def test_two_tasks_without_a_background(world: dict[str, Any]) -> None:
    folder = world["folder"]
    both = simulation(folder, peaks={"A": folder / "A", "B": folder / "others"}, background=None, min_enrichment=1.2)
    with pytest.warns(
        UserWarning, match="no motif passes the filter for B: no base of its sequences will count as true"
    ):
        plan = peaks.plan_peaks(both, seed=7)
    # every region is positive for one task, so each keeps a shuffle of itself, and hitless ones of both are dropped
    assert (plan.sources == np.arange(plan.n_regions)).all()
    assert (plan.regions["A"] + plan.regions["B"] == 1).all()
    assert plan.hits["row"].nunique() == plan.n_regions
    check_against_genome(plan, implants.implant(plan, 0, plan.n_regions), world["text"])
    log = plan.motif_log.set_index(["motif", "task"])
    # what is enriched in A over B has the inverse ratio the other way round
    assert log["ratio"]["E1", "A"] == pytest.approx(1 / log["ratio"]["E1", "B"])
    assert log["reason"]["E1", "B"].endswith("; kept for another task")


# the chr2 stretch -----------------------------------------------------------------------------------------------------


def chr2_background(folder: Path, size: int) -> Path:
    script = REPOSITORY / "examples" / "make_chr2_background.py"
    spec = importlib.util.spec_from_file_location("make_chr2_background", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lengths = open_genome(GENOME, folder).lengths
    path = folder / f"background_{size}.bed"
    module.background_windows(lengths, module.read_peaks(PEAKS), size).to_csv(path, sep="\t", header=False, index=False)
    return path


@pytest.mark.parametrize("size", [400, 1_000])
def test_sites_on_chr2_read_as_the_genome_does(tmp_path: Path, size: int) -> None:
    chosen = PeaksSimulation(
        kind="peaks",
        genome=GENOME,
        peaks={"regulatory": PEAKS},
        background=chr2_background(tmp_path, size),
        region_size=size,
        min_pos_hits=20,
    )
    plan = peaks.plan_peaks(chosen, seed=1, index_dir=tmp_path)
    lost = plan.lost.set_index("step")
    assert lost.loc["background over a peak", "background"] == 0
    # the stretch begins with 10,000 Ns
    assert lost.loc["holds a base other than ACGT", "background"] == 10_000 // size
    assert lost["positives_left"].iloc[0] == 260
    assert plan.regions["regulatory"].sum() == lost["positives_left"].iloc[-1] > 240
    kept = {motif.tf for motif in plan.motifs}
    assert {"SP1", "NRF1", "FOSL1"} <= kept
    assert len(kept) > 40
    text = gzip.decompress(GENOME.read_bytes()).decode()
    drawn = implants.implant(plan, 0, plan.n_regions)
    check_against_genome(plan, drawn, {"chr2": "".join(text.splitlines()[1:])})
    shuffled = implants.shuffles(implants.take_part(plan, 0, plan.n_regions))
    np.testing.assert_array_equal(pair_counts(shuffled), pair_counts(plan.bases[plan.sources]))
