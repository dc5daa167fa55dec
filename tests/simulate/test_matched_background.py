"""Negatives drawn to match: alike in GC and repeats, off peaks and blacklist, of the split's chromosomes, by seed."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from helpers.folders import CHR2
from helpers.grammars import sharp
from simbench_tf.config import PeaksSimulation, load_config
from simbench_tf.errors import InputError
from simbench_tf.genome import fetch, gc_content, open_genome, overlaps_any
from simbench_tf.motifs import write_meme
from simbench_tf.simulate.peaks import matched_background as mb
from simbench_tf.simulate.peaks import plan_peaks
from simbench_tf.simulate.peaks.region_checks import compared
from simbench_tf.simulate.peaks.regions import place_regions
from simbench_tf.stages.simulate import by_content

SIZE = 100
N = 120_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chromosomes of isochores of 30 to 65% GC, a third of the bases lower-case, and peaks where GC is high."""
    folder = tmp_path_factory.mktemp("matched")
    rng = np.random.default_rng(2)
    lines, text = [], {}
    for chrom in ("chr1", "chr2"):
        gc = np.repeat(rng.uniform(0.3, 0.65, N // 1000), 1000)
        is_gc = rng.random(N) < gc
        letters = np.where(is_gc, rng.choice(list("CG"), N), rng.choice(list("AT"), N))
        letters[5_000:5_200] = "N"
        rich = rng.permutation(np.flatnonzero(gc[:N:500] > 0.5))[:40] * 500 + 250
        for summit in sorted(rich.tolist()):
            letters[summit - 10 : summit] = list("TGACTCATGC")
            lines.append(f"{chrom}\t{summit - 20}\t{summit + 30}\tp\t0\t.\t0\t-1\t-1\t20")
        for start in rng.integers(0, N - 400, N // 900):
            letters[start : start + 300] = np.char.lower(letters[start : start + 300])
        text[chrom] = "".join(letters)
    (folder / "g.fa").write_text("".join(f">{chrom}\n{seq}\n" for chrom, seq in text.items()))
    (folder / "upper.fa").write_text("".join(f">{chrom}\n{seq.upper()}\n" for chrom, seq in text.items()))
    (folder / "A").write_text("\n".join(lines) + "\n")
    (folder / "black").write_text("chr1\t20000\t40000\n")
    runs = [f"{chrom}\t{a}\t{b}\n" for chrom, seq in text.items() for a, b in _runs(seq)]
    (folder / "repeats.bed").write_text("".join(runs))
    write_meme([sharp("TGACTCATGC", "E1")], folder / "m.meme")
    return folder


def _runs(seq: str) -> list[tuple[int, int]]:
    lower = np.concatenate([[0], [letter.islower() for letter in seq], [0]]).astype(int)
    edges = np.diff(lower)
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def settings(folder: Path, **changed: Any) -> PeaksSimulation:
    given = {
        "kind": "peaks",
        "genome": folder / "g.fa",
        "peaks": {"A": folder / "A"},
        "background": {"matched": ["gc", "repeats"], "ratio": 2},
        "blacklist": folder / "black",
        "region_size": SIZE,
        "motifs": str(folder / "m.meme"),
        "scan_pvalue": 1e-5,
        "min_pos_hits": 20,
        "min_enrichment": 1.3,
    }
    return PeaksSimulation.model_validate(given | changed)


def drawn(simulation: PeaksSimulation, seed: int = 1, map_chunks: Any = map) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Positives, split by halves of their number, and the negatives drawn for them."""
    genome = open_genome(simulation.genome)
    positives, _, taken = place_regions(simulation, genome)
    if simulation.splits.chromosomes is None:
        positives["split"] = np.where(np.arange(len(positives)) % 2, "train", "test")
    else:
        positives["split"] = positives["chrom"].map({"chr1": "train", "chr2": "test"})
    return positives, mb.matched_background(simulation, genome, positives, taken, seed, map_chunks)


def test_negatives_are_alike_and_off_everything_that_is_taken(folder: Path) -> None:
    simulation = settings(folder)
    positives, negatives = drawn(simulation)
    assert negatives["partner"].tolist() == np.repeat(np.arange(len(positives)), 2).tolist()
    assert negatives["split"].tolist() == positives["split"][negatives["partner"]].tolist()
    genome = open_genome(simulation.genome)
    assert not overlaps_any(negatives, place_regions(simulation, genome).taken).any()
    black = pd.DataFrame({"chrom": ["chr1"], "start": [20_000], "end": [40_000]})
    assert not overlaps_any(negatives, black).any()
    for _, rows in negatives.groupby("chrom"):
        assert (np.diff(np.sort(rows["start"])) >= SIZE).all()
    text = dict(part.split("\n")[:2] for part in (folder / "g.fa").read_text().split(">")[1:])
    words = [[text[row.chrom][row.start : row.end] for row in each.itertuples()] for each in (positives, negatives)]
    assert not any("N" in word for word in words[1])

    def distance(measure: Any) -> float:
        return float(ks_2samp(*([measure(word) for word in each] for each in words)).statistic)

    def gc(word: str) -> int:
        return sum(letter in "CGcg" for letter in word)

    assert distance(gc) < 0.1
    assert distance(lambda word: sum(letter.islower() for letter in word)) < 0.1
    # the genome at large is of other composition
    anywhere = [text["chr1"][start : start + SIZE] for start in range(50_000, 110_000, SIZE)]
    assert ks_2samp([gc(word) for word in words[0]], [gc(word) for word in anywhere]).statistic > 0.3


def test_the_seed_decides_and_neither_chunks_nor_workers_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def through_pickle(function: Any, items: Any) -> Any:
        return (pickle.loads(pickle.dumps(partial(function, item)))() for item in items)

    simulation = settings(folder)
    _, first = drawn(simulation)
    _, other_seed = drawn(simulation, seed=2)
    assert len(first.merge(other_seed, on=["chrom", "start"])) < len(first) / 3
    monkeypatch.setattr(mb, "_CHUNK_SIZE", 7_000)
    _, again = drawn(simulation, map_chunks=through_pickle)
    pd.testing.assert_frame_equal(again, first)


def test_splits_by_chromosome_draw_from_their_own(folder: Path) -> None:
    simulation = settings(folder, splits={"chromosomes": {"test": ["chr2"]}}, blacklist=None)
    _, negatives = drawn(simulation)
    assert set(zip(negatives["chrom"], negatives["split"], strict=True)) == {("chr1", "train"), ("chr2", "test")}
    plan = plan_peaks(simulation, seed=3)
    counts = plan.regions.groupby("split")["A"].agg(["sum", "count"])
    assert (counts["count"] == 3 * counts["sum"]).all()
    assert len(counts) == 2


def test_a_track_of_repeats_says_what_lower_case_does(folder: Path) -> None:
    _, soft = drawn(settings(folder))
    _, by_track = drawn(settings(folder, genome=folder / "upper.fa", repeats=folder / "repeats.bed"))
    pd.testing.assert_frame_equal(by_track, soft)
    with pytest.raises(
        InputError, match=r"^simulation\.background\.matched: .*upper\.fa, which has no lower-case letters"
    ):
        drawn(settings(folder, genome=folder / "upper.fa"))
    upper = settings(folder, genome=folder / "upper.fa", background={"matched": ["gc"]})
    assert len(drawn(upper)[1]) == len(drawn(upper)[0])


def test_a_plan_counts_what_it_drew_and_tells_how_alike_it_is(folder: Path) -> None:
    simulation = settings(folder)
    plan = plan_peaks(simulation, seed=3)
    positive = plan.regions["A"].to_numpy() == 1
    lost = plan.lost.set_index("step")
    assert lost.index[0] == "summits read, background drawn"
    assert lost["background_left"].iloc[-1] == (~positive).sum() == 2 * positive.sum()
    assert lost.loc["on the blacklist", "positives"] > 0
    # a positive without a hit takes its two negatives along
    assert (
        lost.loc["positive without a kept hit", "background"]
        == 2 * lost.loc["positive without a kept hit", "positives"]
    )
    by_measure = {each["measure"]: each for each in plan.notes["composition"]}
    assert set(by_measure) == {"gc", "repeats"}
    genome = open_genome(simulation.genome)
    gc = gc_content(fetch(genome, plan.regions))
    expected = ks_2samp(gc[positive], gc[~positive]).statistic
    assert by_measure["gc"]["ks"] == pytest.approx(expected, abs=1e-4)
    assert by_measure["gc"]["positives"] == pytest.approx(gc[positive].mean(), abs=1e-4)
    assert all(each["ks"] < each["ks_chance"] < 0.3 for each in by_measure.values())
    (leaking,) = [each for each in plan.notes["leakage"] if (each["first"], each["second"]) == ("train", "test")]
    assert leaking["n"] == (plan.regions["split"] == "test").sum()
    assert (leaking["overlapping"], leaking["near_duplicates"]) == (0, 0)


def test_too_few_stretches_are_told_and_a_few_are_replaced_by_the_nearest(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        drawn(settings(folder, background={"matched": ["gc"], "ratio": 40}))
    said = str(caught.value)
    assert said.startswith("simulation.background: only ")
    assert " of 3" in said or " of 2" in said
    assert "stretches that match the peaks in gc were found; short of " in said
    assert "lower ratio or region_size" in said
    wanted = np.full(50, 30 * mb._ROOM)
    # 48 stretches of the wanted bin, and two of 20 bins off
    offered = np.array([30 * mb._ROOM] * 48 + [50 * mb._ROOM] * 2)
    stretches = pd.DataFrame({"chrom": "chr1", "start": np.arange(50) * 200})
    with pytest.warns(UserWarning, match=r"for 2 of 50 negatives no stretch matches the peak in gc \(60 to 60% GC\)"):
        chosen = mb._choose(wanted, mb._Bins(offered, stretches, SIZE, 1), np.full(50, 0.6), "gc")
    assert sorted(chosen.tolist()) == list(range(50))


def test_the_regions_of_chr2_find_their_like(tmp_path: Path) -> None:
    files = {"genome": CHR2 / "hg38_chr2_2.3Mb.fa.gz", "peaks": {"r": CHR2 / "ensembl_regulatory_chr2.narrowPeak"}}
    background = {"matched": ["gc", "repeats"], "ratio": 2}
    simulation = PeaksSimulation.model_validate({"kind": "peaks", "background": background, **files})
    genome = open_genome(simulation.genome, tmp_path)
    regions, _, taken = place_regions(simulation, genome)
    regions["split"] = "train"
    with pytest.warns(UserWarning, match=r"for 5 of 520 negatives no stretch matches"):
        negatives = mb.matched_background(simulation, genome, regions, taken, 1234)
    for share in (lambda each: gc_content(fetch(genome, each)), partial(mb.repeat_share, simulation, genome)):
        assert ks_2samp(share(regions), share(negatives)).statistic < 0.04


def test_chance_of_the_distance_is_that_of_two_samples_of_one() -> None:
    rng = np.random.default_rng(1)
    positive = np.arange(300) < 100
    (record,) = compared({"gc": rng.random(300)}, positive)
    distances = []
    for _ in range(1_000):
        values = rng.random(300)
        distances.append(ks_2samp(values[positive], values[~positive], method="asymp").statistic)
    assert 0.03 < np.mean(np.array(distances) > record["ks_chance"]) < 0.07
    assert compared({"gc": rng.random(5)}, np.ones(5, bool)) == []


def test_the_settings_are_checked_and_count_by_content(folder: Path, tmp_path: Path) -> None:
    def load(text: str) -> Any:
        (tmp_path / "c.yaml").write_text(
            f"simulation: {{kind: peaks, genome: {folder / 'g.fa'}, peaks: {{A: {folder / 'A'}}}, {text}}}"
        )
        return load_config(tmp_path / "c.yaml")

    for text, said in (
        ("background: {matched: [cg]}", "simulation.background.matched.0: .*'gc' or 'repeats'"),
        ("background: {mached: [gc]}", "unknown key 'simulation.background.mached'; did you mean 'matched'"),
        ("background: {matched: [gc], ratio: 0}", "simulation.background.ratio: .*greater than or equal to 1"),
        ("background: 3", "simulation.background: is no file and no list of files"),
        ("blacklist: {matched: [gc]}", "simulation.blacklist: is no file and no list of files"),
    ):
        with pytest.raises(InputError, match=said):
            load(text)
    settings = by_content(load("background: {matched: [gc]}"))
    assert settings["background"] == {"matched": ["gc"], "ratio": 1}
    assert not {"blacklist", "repeats", "clean_background"} & set(settings)
    with pytest.raises(InputError, match=r"nowhere\.bed: is no file, but simulation\.blacklist\.1 names it"):
        by_content(load(f"background: {{matched: [gc]}}, blacklist: [{folder / 'black'}, nowhere.bed]"))
