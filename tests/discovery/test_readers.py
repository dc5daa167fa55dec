"""Readers of callers' files: round trips through files in their layouts, and faulty files told in one line."""

import gzip

import h5py
import numpy as np
import pandas as pd
import pytest

from helpers.callers import write_hits, write_modisco
from simbench_tf.discovery import Sequences, read_found
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, write_meme

LENGTH = 101
RNG = np.random.default_rng(0)
BASES = RNG.integers(0, 4, (6, LENGTH)).astype(np.uint8)
IDS = np.array([f"s{number}" for number in range(6)])
#: Of six sequences in the split four are explained.
SEQUENCES = Sequences(IDS, BASES, np.array([0, 2, 3, 5]))
GENOME = SEQUENCES._replace(
    loci=pd.DataFrame({"chrom": ["chr1"] * 3 + ["chr2"] * 3, "start": 1000 * np.arange(6)}).assign(
        end=lambda t: t["start"] + LENGTH
    )
)
#: Contributions of a pattern of 12 positions, of which 3 to 9 are its core.
SIZE = np.array([0.1, 0.1, 0.1, 0.9, 1, 1, 0.2, 0.5, 0.4, 0.1, 0.1, 0])
SEQLETS = [(0, 30, 42, False), (1, 40, 52, True), (3, 60, 72, False)]
PLACES = [(0, "s0", 33, 39, "+"), (1, "s2", 43, 49, "-"), (3, "s5", 63, 69, "+")]


def places(found):
    columns = ["row", "seq_id", "start", "end", "strand"]
    return list(found.instances[columns].itertuples(index=False, name=None))


@pytest.fixture
def explained():
    return BASES[SEQUENCES.rows]


# modisco


@pytest.mark.parametrize("window", [None, 100, 77, 60])
@pytest.mark.parametrize("stored", [True, False])
def test_seqlets_are_cut_to_the_core_and_placed_in_the_whole_sequence(tmp_path, explained, window, stored):
    path = tmp_path / "m.h5"
    write_modisco(path, explained, [(SEQLETS, SIZE)], window)
    if not stored:  # as older versions do: then the seqlets' own sequences tell
        with h5py.File(path, "r+") as h5:
            h5.attrs.clear()
    found = read_found(path, SEQUENCES)
    assert places(found) == PLACES
    assert found.instances["score"].tolist() == pytest.approx([SIZE.sum()] * 3)
    assert set(found.instances["motif"]) == {"pos_patterns.pattern_0"}
    if window is not None and stored:
        assert found.window == (50 - window // 2, 50 - window // 2 + window)
    if window in (60, 77) and not stored:
        assert found.window == (50 - window // 2, 50 + window // 2)


def test_motifs_are_the_patterns_core(tmp_path, explained):
    write_modisco(tmp_path / "m.h5", explained, [(SEQLETS, SIZE)])
    (motif,) = read_found(tmp_path / "m.h5", SEQUENCES).motifs
    read = np.eye(4)[[explained[0, 33:39], 3 - explained[1, 43:49][::-1], explained[3, 63:69]]]
    np.testing.assert_allclose(motif.ppm, read.mean(axis=0))
    assert (motif.motif_id, motif.n_sites) == ("pos_patterns.pattern_0", 3)


def test_cores_of_lopsided_patterns_turn_with_the_strand(tmp_path, explained):
    size = np.array([1.0, 1, 1, 0.1, 0, 0, 0, 0, 0, 0, 0, 0])
    write_modisco(tmp_path / "m.h5", explained, [(SEQLETS, size)])
    found = places(read_found(tmp_path / "m.h5", SEQUENCES))
    assert [each[2:4] for each in found] == [(30, 33), (49, 52), (60, 63)]


def test_patterns_keep_their_numbers_and_sub_patterns_stand_in(tmp_path, explained):
    patterns = [([seqlet], SIZE) for seqlet in SEQLETS * 4]  # pattern_10 is after pattern_9
    write_modisco(tmp_path / "m.h5", explained, patterns)
    found = read_found(tmp_path / "m.h5", SEQUENCES)
    assert [motif.motif_id for motif in found.motifs] == [f"pos_patterns.pattern_{i}" for i in range(12)]
    write_modisco(tmp_path / "m.h5", explained, [(SEQLETS, SIZE)] * 2, subpatterns=[(1, [0, 2]), (1, [1])])
    whole, below = (read_found(tmp_path / "m.h5", SEQUENCES, subpatterns=each) for each in (False, True))
    assert len(whole.instances) == len(below.instances) == 6
    names = ["pos_patterns.pattern_0", "pos_patterns.pattern_1.subpattern_0", "pos_patterns.pattern_1.subpattern_1"]
    assert below.instances["motif"].value_counts(sort=False).to_dict() == dict(zip(names, [3, 2, 1], strict=True))


def test_another_order_of_sequences_is_told_and_found_out(tmp_path):
    order = np.array([5, 4, 3, 2, 1, 0])
    path = tmp_path / "m.h5"
    write_modisco(path, BASES[order], [(SEQLETS, SIZE)])
    found = read_found(path, SEQUENCES._replace(order=order))
    # its sequence 1 is s4, which is not explained
    assert places(found) == [(3, "s5", 33, 39, "+"), (1, "s2", 63, 69, "+")]
    with pytest.raises(InputError, match=r"m.h5: has seqlets that do not read as the explained sequences do; say with"):
        read_found(path, SEQUENCES)


def test_patterns_without_places_are_motifs_alone(tmp_path, explained):
    write_modisco(tmp_path / "m.h5", explained, [(SEQLETS, SIZE)])
    with h5py.File(tmp_path / "m.h5", "r+") as h5:
        del h5["pos_patterns/pattern_0/seqlets/example_idx"]  # as `modisco convert` leaves it
    found = read_found(tmp_path / "m.h5", SEQUENCES)
    assert found.instances is None
    assert len(found.motifs) == 1


def broken(path, how):
    with h5py.File(path, "r+") as h5:
        pattern = h5["pos_patterns/pattern_0"]
        if how == "no patterns":
            del h5["pos_patterns"]
        elif how == "none found":  # as modisco leaves it
            del h5["pos_patterns/pattern_0"]
        elif how == "old layout":
            h5.create_group("metacluster_idx_to_submetacluster_results")
        elif how == "no contributions":
            del pattern["contrib_scores"]
        elif how == "numbers":
            pattern["seqlets/example_idx"][0] = 4
        elif how == "beyond":
            pattern["seqlets/end"][0] = 102
            del pattern["seqlets/sequence"]
        elif how == "lengths":
            del pattern["seqlets/end"]
            pattern["seqlets/end"] = [1]
        elif how == "shape":
            del pattern["sequence"]
            pattern["sequence"] = np.ones((12, 3))
        elif how == "no start":
            del pattern["seqlets/start"]
    if how == "cut short":
        path.write_bytes(path.read_bytes()[:1500])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no patterns", r"holds no patterns \(it holds nothing\); give the .h5 that `modisco motifs -o` writes"),
        ("none found", "holds no pattern: TF-MoDISco found none; give it more sequences"),
        ("old layout", "has the layout of the first TF-MoDISco; convert it with `modisco convert`"),
        ("no contributions", "has no pos_patterns/pattern_0/contrib_scores; give the .h5"),
        ("no start", "has no pos_patterns/pattern_0/seqlets/start; give the .h5"),
        ("numbers", "has the example_idx 4, but there are 4 sequences, numbered from 0; say with --seq-ids FILE"),
        ("beyond", "pos_patterns.pattern_0 has a seqlet from 30 to 102, beyond the sequences' 101 bases; give"),
        ("lengths", "pos_patterns.pattern_0 has seqlets of different numbers"),
        ("shape", r"pos_patterns.pattern_0 has sequence \(12, 3\) and contrib_scores \(12, 4\), which should be"),
        ("cut short", "cannot be read: .*; write it again, it may be cut short"),
    ],
)
def test_faulty_results_are_told_in_one_line(tmp_path, explained, how, message):
    path = tmp_path / "m.h5"
    write_modisco(path, explained, [(SEQLETS, SIZE)])
    broken(path, how)
    with pytest.raises(InputError, match=f"m.h5: {message}") as error:
        read_found(path, SEQUENCES)
    assert "\n" not in str(error.value)


# Fi-NeMo


def hit(peak_id, start, end, **more):
    row = {"chr": "NA", "peak_name": "NA", "motif_name": "pos_patterns.pattern_0", "strand": "+"}
    return row | {"peak_id": peak_id, "start": start, "end": end, "hit_coefficient_global": 2.5} | more


def test_hits_count_peaks_from_0_and_take_the_global_coefficient(tmp_path):
    write_hits(tmp_path / "hits.tsv", [hit(1, 5, 15), hit(3, 7, 12, strand="-", hit_coefficient_global=0.5)])
    found = read_found(tmp_path / "hits.tsv", SEQUENCES)
    assert places(found) == [(1, "s2", 5, 15, "+"), (3, "s5", 7, 12, "-")]
    assert found.instances["score"].tolist() == [2.5, 0.5]
    assert found.motifs is None
    found = read_found(tmp_path / "hits.tsv", SEQUENCES, window=60)
    assert places(found)[0][2:4] == (25, 35)
    assert found.window == (20, 80)


def test_hits_with_peaks_are_placed_in_the_genome(tmp_path):
    write_hits(tmp_path / "hits.tsv", [hit(1, 2005, 2015, chr="chr1"), hit(3, 5001, 5010, chr="chr2")])
    assert places(read_found(tmp_path / "hits.tsv", GENOME)) == [(1, "s2", 5, 15, "+"), (3, "s5", 1, 10, "+")]
    write_hits(tmp_path / "hits.tsv", [hit(1, 5, 15, chr="s2")])  # regions whose chromosomes are our ids
    assert places(read_found(tmp_path / "hits.tsv", SEQUENCES)) == [(1, "s2", 5, 15, "+")]
    write_hits(tmp_path / "hits.tsv", [hit(1, 5, 15, chr="s3")])
    with pytest.raises(InputError, match=r"hits.tsv:2: 's3' is not where sequence 's2' of this number lies"):
        read_found(tmp_path / "hits.tsv", SEQUENCES)


# BED and tables

BED = "s0\t5\t15\tGATA1\t3.5\t+\ns5\t0\t9\tSPI1\t1\t.\ns1\t0\t9\tSPI1\t1\t-\n"
TABLES = {
    "BED": BED,
    "BED with heads": "# mine\ntrack name=x\nbrowser y\n" + BED,
    "its header": "#chrom\tstart\tend\tname\tscore\tstrand\n" + BED,
    "another order": "score\tend\tstart\tseq_id\tstrand\tmotif\n3.5\t15\t5\ts0\t+\tGATA1\n1\t9\t0\ts5\t\tSPI1\n",
    "windows": BED.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_tables_have_several_forms(tmp_path, text, packed):
    path = tmp_path / "calls.bed"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = read_found(path, SEQUENCES)
    assert places(found) == [(0, "s0", 5, 15, "+"), (3, "s5", 0, 9, ".")]
    assert found.instances["motif"].tolist() == ["GATA1", "SPI1"]
    assert found.instances["score"].tolist() == [3.5, 1]


def test_q_values_come_from_named_columns_and_narrow_peaks(tmp_path):
    path = tmp_path / "calls.tsv"
    path.write_text("row\tstart\tend\tscore\tfdr\tp_value\n0\t5\t15\t1\t.05\t.01\n")
    found = read_found(path, SEQUENCES).instances
    assert found[["qvalue", "pvalue"]].values.tolist() == [[0.05, 0.01]]
    path.write_text("s0\t5\t15\tx\t1\t+\t9\t2\t1\t3\n")
    found = read_found(path, SEQUENCES).instances
    assert found[["qvalue", "pvalue"]].values.tolist() == [[0.1, 0.01]]
    path.write_text("s0\t5\t15\tx\t1\t+\t9\t2\t-1\t3\n")
    assert "qvalue" not in read_found(path, SEQUENCES).instances


def test_places_in_the_genome_are_found_in_the_explained_regions(tmp_path):
    lines = ["chr1\t2005\t2015\ta\t1\t+", "chr1\t1005\t1015\tb\t1\t+", "chr1\t2095\t2105\tc\t1\t+", "s5\t1\t9\td\t1\t-"]
    (tmp_path / "a.bed").write_text("\n".join(lines))
    found = read_found(tmp_path / "a.bed", GENOME)
    # the second is of s1, which is not explained, the third reaches out of its region
    assert sorted(places(found)) == [(1, "s2", 5, 15, "+"), (3, "s5", 1, 9, "-")]
    two = GENOME._replace(
        loci=GENOME.loci.assign(chrom="chr1", start=[0, 1, 2, 3, 4, 5], end=[101 + i for i in range(6)])
    )
    (tmp_path / "a.bed").write_text("chr1\t4\t9\ta\t1\t+\n")
    assert [each[1:3] for each in sorted(places(read_found(tmp_path / "a.bed", two)))] == [
        ("s0", 4), ("s2", 2), ("s3", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; give modisco's .h5, Fi-NeMo's hits.tsv"),
        ("# nothing\n", "holds no call; give columns chrom, start, end, name, score and strand"),
        ("s0\t5\t15\tx\n", r"has no score column \(it has chrom, start, end, name\); give columns"),
        ("s0\t5\t15\tx\t.\t+\n", ":1: '.' is no score; give each call a number there"),
        ("s0\t5\n", r"has no end column \(it has chrom, start\); give columns"),
        ("s0 5 15 x 1 +\n", r"has no start column \(it has chrom\); give columns"),
        ("s0\t5\t15\tx\t1\t+\ns0\t5\t15\n", ":2: has 3 columns, not 6 as the first line; put one tab"),
        ("s0\tfive\t15\tx\t1\t+\n", ":1: 'five' is no whole number"),
        ("s0\t5.5\t15\tx\t1\t+\n", ":1: '5.5' is no whole number"),
        ("s0\t5\t15\tx\t1\tplus\n", r":1: 'plus' is no strand; write \+, - or \."),
        ("\ns9\t5\t15\tx\t1\t+\n", ":2: 's9' is no sequence of the explained split; the first column must be a seq_id"),
        ("s0\t95\t105\tx\t1\t+\n", ":1: 95 to 105 is no place in s0; give 0-based, half-open places within its 101"),
        ("s0\t200\t210\tx\t1\t+\n", ":1: 200 to 210 is no place in s0"),
        ("s0\t9\t9\tx\t1\t+\n", ":1: 9 to 9 is no place in s0"),
        ("s1\t5\t15\tx\t1\t+\n", "has no call in any of the 4 explained sequences; call motifs in"),
        ("row\tstart\tend\tscore\n4\t5\t15\t1\n", "has the number 4, but there are 4 sequences, numbered from 0"),
        ("name\tstart\tend\tscore\nx\t5\t15\t1\n", "has no column that names the sequence"),
        ("row\tstart\tend\tscore\tfdr\n0\t5\t15\t1\t2\n", ":2: 2 is no qvalue, which lies between 0 and 1"),
    ],
)
def test_faulty_tables_are_told_in_one_line(tmp_path, text, message):
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(InputError, match=f"a.bed(: )?{message}") as error:
        read_found(tmp_path / "a.bed", SEQUENCES)
    assert "\n" not in str(error.value)


def test_missing_and_damaged_files_are_told(tmp_path):
    for name in ("a.bed", "a.h5"):
        with pytest.raises(InputError, match=f"{name}: (cannot be read|is missing)"):
            read_found(tmp_path / name, SEQUENCES)
    (tmp_path / "a.bed").write_bytes(gzip.compress(BED.encode())[:-9])
    with pytest.raises(InputError, match="the gzip file is cut short or damaged"):
        read_found(tmp_path / "a.bed", SEQUENCES)
    with pytest.raises(InputError, match="--window: 102 is not between 1 and the 101 bases"):
        read_found(tmp_path / "a.bed", SEQUENCES, window=102)


def test_motif_files_are_motifs_alone(tmp_path):
    motif = Motif("M1", "GATA1", np.full((5, 4), 0.25), 20.0)
    write_meme([motif], tmp_path / "a.meme")
    found = read_found(tmp_path / "a.meme", SEQUENCES)
    assert found.instances is None
    assert [each.motif_id for each in found.motifs] == ["M1"]
