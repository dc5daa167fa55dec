"""The presets of five ENCODE lines: which files they name, and a run on stand-ins of the same shape."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.program import simbench
from helpers.web_server import serving
from simbench_tf.config import PeaksSimulation, config_dict, load_config, write_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import encode
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.genome import open_genome
from simbench_tf.genome.sources import PEAKS, SETS
from simbench_tf.motifs import Motif, write_meme
from simbench_tf.score import without_nulls
from simbench_tf.simulate.peaks.regions import place_regions
from simbench_tf.stages.simulate import by_content

LINES = list(PEAKS)
NAMES = {line: Path(file).name for line, file in PEAKS.items()}


# the files that presets name ------------------------------------------------------------------------------------------


def test_the_presets_name_what_fetch_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    five, one = load_config("encode_five"), load_config("encode_a549")
    assert five.simulation.peaks == {line: data / name for line, name in NAMES.items()}
    assert one.simulation.peaks == {"A549": data / NAMES["A549"]}
    assert one.simulation.background == [data / NAMES[line] for line in LINES[1:]]
    for config in (five, one):
        assert {path.name for path in config.simulation.files.values()} == {
            Path(file).name for file in SETS["encode-five"]
        }
        assert (config.simulation.genome, config.simulation.region_size) == (data / "hg19.fa.gz", 400)
        assert (config.training.batch_size, config.training.max_batches) == (300, 30_000)


def test_paths_that_override_a_preset_are_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config("encode_a549", ["simulation.genome=mine.fa", "simulation.background=[a.bed, b/c.bed]"])
    assert config.simulation.genome == tmp_path / "mine.fa"
    assert config.simulation.background == [tmp_path / "a.bed", tmp_path / "b" / "c.bed"]
    write_config(config, tmp_path / "run" / "config.yaml")
    monkeypatch.chdir("/")
    assert config_dict(load_config(tmp_path / "run" / "config.yaml")) == config_dict(config)


@pytest.mark.parametrize("preset", ["encode_five", "encode_a549"])
@pytest.mark.parametrize("command", ["run", "simulate", "fit"])
def test_without_the_files_one_line_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, preset: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = simbench(monkeypatch, capsys, command, preset, "--out", "made")
    assert (code, out) == (2, "")
    assert err == (
        f"error: {tmp_path}/data/hg19.fa.gz: is no file, but simulation.genome names it; "
        "fetch them with `simbench fetch encode-five`\n"
    )


# several files of background ------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Path:
    letters = np.random.default_rng(0).choice(list("ACGT"), 10_000)
    (tmp_path / "g.fa").write_text(f">chr1\n{''.join(letters)}\n")
    spots = [f"chr1\t{start}\t{start + 60}\n" for start in range(200, 9_000, 300)]
    for name, lines in {
        "A": spots[::3],
        "b": spots[1::3],
        "c": spots[::2],
        "both": [*spots[1::3], *spots[::2]],
    }.items():
        (tmp_path / name).write_text("".join(lines))
    return tmp_path


def peaks(folder: Path, background: Any) -> PeaksSimulation:
    return PeaksSimulation.model_validate(
        {
            "kind": "peaks",
            "genome": folder / "g.fa",
            "peaks": {"A": folder / "A"},
            "background": background,
            "region_size": 100,
        }
    )


def test_several_files_of_background_are_as_one_of_all_their_lines(world: Path) -> None:
    genome = open_genome(world / "g.fa")
    several = place_regions(peaks(world, [world / "b", world / "c"]), genome)
    one = place_regions(peaks(world, world / "both"), genome)
    pd.testing.assert_frame_equal(several[0], one[0])
    assert several[1] == one[1]
    given_twice = several[1][3]
    # spots 4, 10, 16, 22, 28 are in both files: every third from 1 and every second from 0
    assert (given_twice.step, given_twice.background) == ("background given twice", 5)


def test_every_file_of_a_list_counts_by_its_content(world: Path) -> None:
    (world / "c.yaml").write_text("simulation: {kind: peaks, genome: g.fa, peaks: {A: A}, background: [b, c]}")
    config = load_config(world / "c.yaml")
    assert by_content(config)["background"] == [checksum(world / "b"), checksum(world / "c")]
    assert by_content(load_config(world / "c.yaml", ["simulation.background=b"]))["background"] == checksum(world / "b")
    (world / "c").unlink()
    with pytest.raises(InputError, match=re.escape("is no file, but simulation.background.1 names it")):
        by_content(config)


@pytest.mark.parametrize("background", ["[]", "3", "[a.bed, 3]"])
def test_a_background_that_is_no_file_is_said_in_one_line(tmp_path: Path, background: str) -> None:
    (tmp_path / "c.yaml").write_text(
        f"simulation: {{kind: peaks, genome: g.fa, peaks: {{A: a}}, background: {background}}}"
    )
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "c.yaml")
    assert str(error.value) == (
        f"{tmp_path / 'c.yaml'}: simulation.background: is no file and no list of files; give the one or the other"
    )


def test_a_background_that_is_drawn_knows_its_keys(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "simulation: {kind: peaks, genome: g.fa, peaks: {A: a}, background: {match: [gc]}}"
    )
    with pytest.raises(InputError, match=r"unknown key 'simulation.background.match'.*matched"):
        load_config(tmp_path / "c.yaml")


# end to end -----------------------------------------------------------------------------------------------------------

WORDS = dict(zip(LINES, ["TGACTCATGC", "TTTCACTTCCTC", "ATTTGCATAACA", "GGACTTTGGACC", "CTTATCTGCCAA"], strict=True))
#: The lines with -1 in column 10, whose summits are the middles.
WITHOUT_SUMMITS = {"H1", "K562"}
SPACING, PER_CHROMOSOME = 1_000, 200


def stand_ins(rng: np.random.Generator) -> tuple[dict[str, bytes], dict[tuple[str, int], set[str]]]:
    """A genome and five peak files as UCSC has them, and the lines open at each summit."""
    letters = {chrom: rng.choice(list("acgtACGT"), SPACING * (PER_CHROMOSOME + 1)) for chrom in ("chr1", "chr2")}
    open_in: dict[tuple[str, int], set[str]] = {}
    rows: dict[str, list[str]] = {line: [] for line in LINES}
    for chrom, text in letters.items():
        for summit in range(SPACING, SPACING * PER_CHROMOSOME + 1, SPACING):
            lines = open_in[chrom, summit] = set(rng.choice(LINES, rng.choice([1, 2, 5], p=[0.7, 0.2, 0.1]), False))
            for place, line in enumerate(sorted(lines)):
                first = summit - 60 + 20 * place
                text[first : first + len(WORDS[line])] = list(WORDS[line])
                rows[line].append(narrow_peak(chrom, summit, line in WITHOUT_SUMMITS, rng))
    fasta = "".join(
        f">{chrom}\n" + "".join(f"{''.join(text[first : first + 50])}\n" for first in range(0, len(text), 50))
        for chrom, text in letters.items()
    )
    files = {f"/{SETS['hg19'][0]}": fasta, **{f"/{PEAKS[line]}": "".join(rows[line]) for line in LINES}}
    return {path: gzip.compress(text.encode()) for path, text in files.items()}, open_in


def narrow_peak(chrom: str, summit: int, without_summit: bool, rng: np.random.Generator) -> str:
    before, after = rng.integers(60, 150, 2)
    if without_summit:
        after = before
    offset = -1 if without_summit else before
    return f"{chrom}\t{summit - before}\t{summit + after}\t.\t0\t.\t9.5\t-1\t-1\t{offset}\n"


def regions_of(dataset_folder: Path) -> pd.DataFrame:
    table = open_dataset(dataset_folder).sequences
    assert (table["end"] - table["start"] == 400).all()
    return table.assign(at=list(zip(table["chrom"], table["start"] + 200, strict=True)))


@pytest.mark.slow
def test_the_presets_run_on_stand_ins_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simbench_tf.genome.public_data.PUBLISHED_MD5", {})  # they are no genome of UCSC's
    files, open_in = stand_ins(np.random.default_rng(3))
    with serving(files) as site:
        site.cuts = [20_000]
        code, out, err = simbench(monkeypatch, capsys, "fetch", "encode-five", "--mirror", site.url)
    assert (code, err) == (0, "")
    assert out.count(": fetched\n") == 6

    motifs = []
    for line, word in WORDS.items():
        ppm = np.full((len(word), 4), 0.01)
        ppm[np.arange(len(word)), encode(word)[0]] = 0.97
        motifs.append(Motif(line, line, ppm, 100.0))
    write_meme(motifs, tmp_path / "m.meme")
    small = [
        "simulation.motifs=m.meme",
        "simulation.scan_pvalue=1e-5",
        "simulation.min_pos_hits=20",
        "models=[{name: basset, architecture: basset, width: .03}]",
        "training.batch_size=32",
        "training.max_batches=8",
        "training.precision=float32",
        "attribution.n_sequences=4",
        "attribution.methods=[{method: grad_x_input}]",
    ]
    settings = [part for setting in small for part in ("--set", setting)]
    for preset in ("encode_five", "encode_a549"):
        code, out, err = simbench(monkeypatch, capsys, "run", preset, "--out", preset, *settings)
        notes = [line for line in err.splitlines() if " peaks with" not in line]  # one for each file of peaks
        assert code == 0
        assert "training basset on cpu, float32" in notes
        assert out.endswith(f"report: {preset}/report.html\n")

    five = regions_of(tmp_path / "encode_five" / "dataset")
    assert set(five["at"]) == set(open_in), "every region is where a summit, or the middle of a peak without one, is"
    for region in five.to_dict("records"):
        assert {line for line in LINES if region[line]} == open_in[region["at"]]

    one = regions_of(tmp_path / "encode_a549" / "dataset")
    assert not one["at"].duplicated().any(), "a place where several other lines are open is one negative"
    for label in (0, 1):
        expected = {at for at, lines in open_in.items() if ("A549" in lines) == label}
        assert set(one.loc[one["A549"] == label, "at"]) == expected
    summaries = {
        preset: without_nulls(pd.read_csv(tmp_path / preset / "scores" / "summary.csv")).query(
            "truth.str.startswith('rescanned')"  # as the presets ask for; rows of the sites put in are beside them
        )
        for preset in ("encode_five", "encode_a549")
    }
    assert summaries["encode_five"]["task"].tolist() == LINES
    assert summaries["encode_a549"]["task"].tolist() == ["A549"]
    assert all(table["auprc"].between(0, 1).all() for table in summaries.values())
