"""Peaks and FASTA files: what is read, what is refused and in which words."""

from __future__ import annotations

import gzip
import itertools
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx
import pytest
from Bio import bgzf

from helpers.folders import CHR2
from simbench_tf import genome as gn
from simbench_tf.errors import InputError
from simbench_tf.genome import fasta

CODE = {letter: code for code, letter in enumerate("ACGT")}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def draw(rng: np.random.Generator, n: int, letters: str = "ACGTacgtNnR") -> str:
    return "".join(rng.choice(list(letters), n))


def plain_codes(text: str) -> list[int]:
    return [CODE.get(letter.upper(), 4) for letter in text]


CONTIGS = {"chr1": 12_345, "chr2": 700, "chrM": 50}


@pytest.fixture
def contigs() -> dict[str, str]:
    rng = np.random.default_rng(0)
    return {name: draw(rng, length) for name, length in CONTIGS.items()}


def fasta_text(contigs: dict[str, str], width: int = 60, end: str = "\n") -> str:
    lines = []
    for name, text in contigs.items():
        lines.append(f">{name} some words")
        lines += [text[i : i + width] for i in range(0, len(text), width)]
    return end.join(lines) + end


def write_fasta(folder: Path, contigs: dict[str, str], packing: str) -> Path:
    text = fasta_text(contigs, end="\r\n" if packing == "crlf" else "\n")
    if packing == "gzip":
        path = folder / "g.fa.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif packing == "bgzip":
        path = folder / "g.fa.gz"
        with bgzf.BgzfWriter(path) as handle:
            handle.write(text.encode())
    else:
        path = write(folder / "g.fa", text)
    return path


# peaks ----------------------------------------------------------------------------------------------------------------


def test_narrowpeak_and_bed_read_as_written(tmp_path: Path) -> None:
    text = (
        "# a comment\ntrack name=x\nbrowser position chr1\n\n"
        "chr1\t100\t200\tp\t0\t.\t1\t-1\t-1\t7\nchr2\t100\t201\tp\t0\t.\t1\t-1\t-1\t-1\n"
    )
    peaks = gn.read_peaks(write(tmp_path / "a.narrowPeak", text))
    assert peaks.values.tolist() == [["chr1", 100, 200, 107, 5], ["chr2", 100, 201, 150, 6]]
    # twelve columns are BED12, whose tenth is the number of blocks: not a summit
    bed12 = "chr1\t0\t100\tp\t0\t+\t0\t100\t0\t1\t100\t0\n"
    assert gn.read_peaks(write(tmp_path / "a.bed", bed12))["summit"].tolist() == [50]
    assert gn.read_peaks(write(tmp_path / "b.bed", "chr1 3 6\n"))["summit"].tolist() == [4]


NARROW = "chr1\t1000\t3000\tp\t9\t+\t7.5\t213.8\t-1\t{}"


@pytest.mark.parametrize(
    ("lines", "summits"),
    [
        # narrowPeak and what programs append to it: IDR's 20 columns, a gene and its distance, a joined interval
        ([NARROW.format("100"), NARROW.format("-1")], [1100, 2000]),
        ([NARROW.format("100\t2.46\t2.73\t1000\t3000\t620.0\t120\t1000\t2900\t213.8\t90")], [1100]),
        ([NARROW.format("0\tGATA1\t-5000"), NARROW.format("1999\t.\t1")], [1000, 2999]),
        ([NARROW.format("700\tchr1\t900\t1200\t200")], [1700]),
        ([NARROW.format("700\t3\t5")], [1700]),
        # from an older IDR without summits: column 10 is the local IDR
        ([NARROW.format("2.46\t2.73\t1000\t3000\t620.0\t1000\t2900\t213.8")], [2000]),
        # bedtools -wo: overlaps and other intervals, of chromosomes with names and with numbers
        (["chr1\t1000\t3000\tchr1\t900\t1200\tq\t0\t+\t200"], [2000]),
        (["chr1\t1000\t3000\tp\t0\t+\tchr1\t900\t1200\t200"], [2000]),
        (["1\t1000\t3000\tp\t0\t+\t1\t900\t1200\t200", "2\t0\t90\tp\t0\t-\t2\t30\t40\t10"], [2000, 45]),
        (["1\t1000\t3000\tp\t0\t+\t7\t-1\t-1\t1\t900\t1200\t200"], [2000]),
        # BED9 and a column more, BED12 with its blocks
        (["chr1\t1000\t3000\tp\t0\t+\t1000\t3000\t0\t5"], [2000]),
        (["chr1\t1000\t3000\tp\t0\t+\t0\t0\t0\t2\t300,500,\t0,1500,"], [2000]),
        (["chr1\t1000\t3000\tp\t0\t+\t0\t0\t255,0,0\t2\t300,500\t0,1500"], [2000]),
    ],
)
def test_a_summit_is_read_where_the_columns_before_are_narrowpeaks(tmp_path: Path, lines, summits, caplog) -> None:
    path = write(tmp_path / "a.bed", "\n".join(lines))
    with caplog.at_level("INFO", logger="simbench_tf"):
        assert gn.read_peaks(path)["summit"].tolist() == summits
    (note,) = caplog.messages
    taken = "with summits from column 10 (narrowPeak)" if summits[0] != 2000 else "without summits"
    assert note.startswith(f"{path}: {len(lines)} peaks {taken}")


def test_of_broadpeak_column_10_is_a_count(tmp_path: Path) -> None:
    for name, summit in (("a.broadPeak.gz", 2000), ("a.narrowPeak", 1003)):
        assert gn.read_peaks(write(tmp_path / name, NARROW.format("3")))["summit"].tolist() == [summit]


@pytest.mark.parametrize(
    ("summit", "said"),
    [("2000", "summit 2000 (column 10) lies outside the peak of 2000 bases"), ("x", "column 10 is 'x', not a whole")],
)
def test_one_bad_summit_among_more_columns_is_named(tmp_path: Path, summit: str, said: str) -> None:
    path = write(tmp_path / "a", f"{NARROW.format('7')}\tgene\n{NARROW.format(summit)}\tgene\n")
    with pytest.raises(InputError, match=f"^{path}:2: {re.escape(said)}"):
        gn.read_peaks(path)


@pytest.mark.parametrize("first", ["", "#c\n", "track name=x\n"])
def test_a_byte_order_mark_and_a_name_in_latin_1_do_not_matter(tmp_path: Path, first: str) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(b"\xef\xbb\xbf" + first.encode() + b"chr1\t10\t20\tcaf\xe9\n")
    assert gn.read_peaks(path)[["chrom", "start"]].values.tolist() == [["chr1", 10]]
    path.write_bytes(b"chr\xe9\t10\t20\n")
    with pytest.raises(InputError, match=r"a\.bed:1: column 1 is 'chr\\udce9', not text"):
        gn.read_peaks(path)


@pytest.mark.parametrize("packed", [False, True])
def test_crlf_and_gzip_change_nothing(tmp_path: Path, packed: bool) -> None:
    text = "#c\r\nchr1\t100\t200\tp\t0\t.\t1\t-1\t-1\t7\r\nchr2\t5\t9\tp\t0\t.\t1\t-1\t-1\t-1\r\n"
    plain = gn.read_peaks(write(tmp_path / "plain", text.replace("\r", "")))
    path = tmp_path / "other"  # no suffix: gzip is told by content
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    pd.testing.assert_frame_equal(gn.read_peaks(path), plain)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chr1\t100", "has 2 columns, needs 3"),
        ("chr1\t200\t200", "start 200 is not below end 200"),
        ("chr1\t300\t200", "start 300 is not below end 200"),
        ("chr1\t-1\t200", "start -1 is negative"),
        ("chr1\tten\t200", "column 2 is 'ten', not a whole number"),
        ("chr1\t10\t1_000", "column 3 is '1_000', not a whole number"),
        ("chr1\t10\t2.5e3", "column 3 is '2.5e3', not a whole number"),
        ("chr1\t10\t99999999999999999999", "column 3 is 99999999999999999999, beyond any genome"),
        ("chr1\t10\t20\tp\t0\t.\t1\t-1\t-1\t10", "summit 10 (column 10) lies outside the peak of 10 bases"),
        ("chr1\t10\t20\tp\t0\t.\t1\t-1\t-1\t-2", "summit -2 (column 10) lies outside the peak of 10 bases"),
        ("chr1\t10\t20\tp\t0\t.\t1\t-1\t-1\tx", "column 10 is 'x', not a whole number"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path / "a.bed", f"# head\nchr1\t1\t9\n{line}\n")
    with pytest.raises(InputError) as caught:
        gn.read_peaks(path)
    assert str(caught.value).startswith(f"{path}:3: {said}; ")
    assert "\n" not in str(caught.value)


def test_a_line_with_fewer_columns_than_the_first_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "chr1\t1\t9\tp\t0\t.\t1\t-1\t-1\t3\nchr1\t10\t20\tp\n")
    with pytest.raises(InputError, match=rf"^{path}:2: has 4 columns, needs 10; "):
        gn.read_peaks(path)


@pytest.mark.parametrize("text", ["", "# only\ntrack x\n"])
def test_a_file_without_peaks_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.bed", text)
    with pytest.raises(InputError, match=rf"^{path}: holds no peaks; "):
        gn.read_peaks(path)


def test_missing_folder_binary_and_cut_short_peak_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.bed: cannot be read: No such file"):
        gn.read_peaks(tmp_path / "none.bed")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        gn.read_peaks(tmp_path)
    binary = tmp_path / "a.bb"
    binary.write_bytes(b"\xeb\xf2\x89\x87\x04\x00\x0a\x00")  # a bigBed file begins so
    with pytest.raises(InputError, match=r"a\.bb:1: is not text"):
        gn.read_peaks(binary)
    whole = gzip.compress("".join(f"chr1\t{i}\t{i + 9}\n" for i in range(5_000)).encode())
    for n in (len(whole) // 2, len(whole) - 4):
        cut = tmp_path / "cut.bed.gz"
        cut.write_bytes(whole[:n])
        with pytest.raises(InputError, match=r"cut\.bed\.gz:\d+: the gzip file is cut short or damaged; "):
            gn.read_peaks(cut)


# FASTA ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["plain", "crlf", "gzip", "bgzip"])
def test_fetch_equals_slices_of_the_text(
    tmp_path: Path, contigs: dict[str, str], packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fasta, "_CHUNK_SIZE", 997)  # so that regions lie across chunks
    genome = gn.open_genome(write_fasta(tmp_path, contigs, packing))
    assert genome.lengths == CONTIGS
    rng = np.random.default_rng(1)
    chroms = rng.choice(list(CONTIGS), 300)
    starts = [int(rng.integers(0, CONTIGS[chrom] - 50 + 1)) for chrom in chroms]
    regions = pd.DataFrame({"chrom": chroms, "start": starts, "end": [start + 50 for start in starts]})
    expected = [plain_codes(contigs[chrom][start : start + 50]) for chrom, start in zip(chroms, starts, strict=True)]
    assert gn.fetch(genome, regions).tolist() == expected
    assert gn.fetch(pickle.loads(pickle.dumps(genome)), regions[:7]).tolist() == expected[:7]
    # opened a second time, the index is there and is used
    before = genome.index.stat().st_mtime_ns
    assert gn.open_genome(genome.source) == genome
    assert genome.index.stat().st_mtime_ns == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_region_that_fills_its_contig_is_inside(tmp_path: Path, contigs: dict[str, str]) -> None:
    genome = gn.open_genome(write_fasta(tmp_path, contigs, "bgzip"))
    regions = pd.DataFrame({"chrom": ["chrM", "chrM", "chr2"], "start": [0, 1, -1], "end": [50, 51, 49]})
    assert gn.inside(genome, regions).tolist() == [True, False, False]
    assert gn.fetch(genome, regions[:1]).tolist() == [plain_codes(contigs["chrM"])]
    with pytest.raises(ValueError, match="lie on their contig"):
        gn.fetch(genome, regions)
    with pytest.raises(ValueError, match="one size"):
        gn.fetch(genome, pd.DataFrame({"chrom": ["chrM", "chrM"], "start": [0, 1], "end": [50, 9]}))


@pytest.mark.parametrize("packing", ["plain", "crlf", "bgzip"])
def test_the_index_is_pyfaidxs(tmp_path: Path, contigs: dict[str, str], packing: str) -> None:
    contigs |= {"chrX": "ACGT" * 30, "chrY": "A" * 60}  # rows that fill up exactly
    genome = gn.open_genome(write_fasta(tmp_path, contigs, packing))
    pyfaidx.Faidx(str(genome.path), str(tmp_path / "theirs.fai")).close()
    assert genome.index.read_text() == (tmp_path / "theirs.fai").read_text()


READ_ALIKE = {
    "blanks at line ends": lambda text: text.replace("\n", "  \t\n"),
    "blank lines at the ends and between records": lambda text: "\n\n" + text.replace("\n>", "\n \n\n>") + "\n\n\n",
    "blank lines below names": lambda text: text.replace("words\n", "words\n\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "no last line end": lambda text: text.rstrip("\n"),
    "names that are long": lambda text: text.replace("words", "é" * 70_000),
}


@pytest.mark.parametrize("packing", ["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("change", READ_ALIKE.values(), ids=READ_ALIKE.keys())
def test_what_does_not_matter_changes_no_base(tmp_path: Path, contigs: dict[str, str], change, packing: str) -> None:
    content = change(fasta_text(contigs)).encode("latin-1" if "é" in change("words") else "utf-8")
    path = tmp_path / "g.fasta"
    path.write_bytes(gzip.compress(content) if packing == "gzip" else content)
    if packing == "bgzip":
        with bgzf.BgzfWriter(path) as handle:
            handle.write(content)
    for _ in range(2):  # the second time from the index that is there
        genome = gn.open_genome(path)
        assert genome.lengths == CONTIGS
        for chrom, text in contigs.items():
            whole = gn.fetch(genome, pd.DataFrame({"chrom": [chrom], "start": [0], "end": [len(text)]}))
            assert whole.tolist() == [plain_codes(text)]
        assert gn.fetch(genome, pd.DataFrame({"chrom": ["chr2"], "start": [595], "end": [605]})).tolist() == [
            plain_codes(contigs["chr2"][595:605])
        ]
    before = genome.index.stat().st_mtime_ns
    assert gn.open_genome(path).index.stat().st_mtime_ns == before


def test_rna_is_read_with_t_for_u(tmp_path: Path) -> None:
    genome = gn.open_genome(write(tmp_path / "g.fa", ">a\nACGUuacgRyU\n"))
    region = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [11]})
    assert gn.fetch(genome, region).tolist() == [plain_codes("ACGTTACGNNT")]
    assert fasta.fetch_letters(genome, region).tobytes() == b"ACGTTACGRYT"


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(b">a\nACGT\n>caf\xe9 words\nACGT\n")
    with pytest.raises(InputError, match=r"g\.fa:3: the record's name is not text"):
        gn.open_genome(path)


BAD_INDEXES = {
    "two columns": lambda text: "chr1\t12345\n",
    "cut amid a line": lambda text: text[:-9],
    "cut to one contig": lambda text: text.split("\n")[0] + "\n",
    "without the first": lambda text: text.split("\n", 1)[1],
    "double names": lambda text: text.replace("chr2", "chr1"),
    "names exchanged": lambda text: text.replace("chr2", "chrM", 1).replace("chrM\t50", "chr2\t50"),
    "empty": lambda text: "",
    "a page of a server": lambda text: "<!DOCTYPE html>\n<html><body>404</body></html>\n",
    "words for numbers": lambda text: text.replace("60\t61", "sixty\t61"),
    "a column more": lambda text: text.replace("\t61\n", "\t61\t0\n"),
    "another length": lambda text: text.replace("12345", "12335"),
    "shifted": lambda text: re.sub(r"\t(\d+)\t60", lambda found: f"\t{int(found[1]) + 1}\t60", text),
    "no row": lambda text: text.replace("\t60\t61", "\t0\t0"),
    "other rows": lambda text: text.replace("\t60\t61", "\t50\t51"),
    "not text": lambda text: "\udcff" + text,
}


@pytest.mark.parametrize("packing", ["plain", "bgzip"])
@pytest.mark.parametrize("damage", BAD_INDEXES.values(), ids=BAD_INDEXES.keys())
def test_an_index_that_does_not_fit_is_made_anew(tmp_path: Path, contigs: dict[str, str], damage, packing: str) -> None:
    genome = gn.open_genome(write_fasta(tmp_path, contigs, packing))
    right = genome.index.read_bytes()
    wrong = damage(right.decode()).encode(errors="surrogateescape")
    assert wrong != right
    genome.index.write_bytes(wrong)  # newer than the file
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(InputError, match="its folder is read-only and holds no index that fits"):
            gn.open_genome(genome.source)
    finally:
        tmp_path.chmod(0o755)
    assert gn.open_genome(genome.source) == genome
    assert genome.index.read_bytes() == right


@pytest.mark.parametrize("packing", ["plain", "gzip", "bgzip"])
def test_another_release_with_an_older_date_is_noticed(tmp_path: Path, contigs: dict[str, str], packing: str) -> None:
    genome = gn.open_genome(write_fasta(tmp_path, contigs, packing))
    contigs["chr1"] = contigs["chr1"][:500] + contigs["chr1"][510:]
    os.utime(write_fasta(tmp_path, contigs, packing), (1, 1))
    region = pd.DataFrame({"chrom": ["chr2"], "start": [100], "end": [130]})
    if packing != "gzip":  # whose copy is still the old one
        with pytest.raises(InputError, match=r"delete .*fai if that was made from another file"):
            gn.fetch(genome, region)
    assert gn.fetch(gn.open_genome(genome.source), region).tolist() == [plain_codes(contigs["chr2"][100:130])]


@pytest.mark.parametrize("packing", ["gzip", "bgzip"])
def test_a_gzip_file_damaged_in_the_middle_is_refused(tmp_path: Path, contigs: dict[str, str], packing: str) -> None:
    path = write_fasta(tmp_path, contigs | {"chr3": "ACGT" * 50_000}, packing)
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 40] = bytes(40)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"g\.fa\.gz: the gzip file is cut short or damaged; copy"):
        gn.open_genome(path)


@pytest.mark.parametrize("packing", ["plain", "gzip", "bgzip"])
def test_read_only_folder_puts_the_index_elsewhere(tmp_path: Path, contigs: dict[str, str], packing: str) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    path = write_fasta(folder, contigs, packing)
    folder.chmod(0o555)
    try:
        with pytest.raises(InputError, match=r"its folder is read-only and holds no index that fits; name a folder"):
            gn.open_genome(path)
        genome = gn.open_genome(path, index_dir=tmp_path / "run" / "genome")
        assert genome.index.parent == tmp_path / "run" / "genome"
        assert list(folder.iterdir()) == [path]
        region = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [130]})
        assert gn.fetch(genome, region).tolist() == [plain_codes(contigs["chr1"][100:130])]
    finally:
        folder.chmod(0o755)


def test_a_stale_index_is_made_anew(tmp_path: Path, contigs: dict[str, str]) -> None:
    path = write_fasta(tmp_path, contigs, "plain")
    index = gn.open_genome(path).index
    write(path, ">other\nACGTACGTAC\n")
    os.utime(index, (1, 1))
    genome = gn.open_genome(path)
    assert genome.lengths == {"other": 10}
    region = pd.DataFrame({"chrom": ["other"], "start": [2], "end": [6]})
    assert gn.fetch(genome, region).tolist() == [[2, 3, 0, 1]]


def test_a_file_changed_after_indexing_is_told(tmp_path: Path, contigs: dict[str, str]) -> None:
    path = write_fasta(tmp_path, contigs, "plain")
    genome = gn.open_genome(path)
    path.write_bytes(path.read_bytes()[:5_000])
    os.utime(path, (1, 1))
    region = pd.DataFrame({"chrom": ["chr2"], "start": [100], "end": [130]})
    with pytest.raises(
        InputError, match=r"g\.fa: has no nucleotide letter where base 1 of chr2 should be; .* delete .*g\.fa\.fai if"
    ):
        gn.fetch(genome, region)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": is empty"),
        ("\n \n", ": is no FASTA file: it holds no record"),
        ("chr1\t5\t9\n", ":1: is no FASTA file: text before the first >"),
        ("<!DOCTYPE html>\n<p>ACGT", ":1: is no FASTA file: text before the first >"),
        (">a\nACGT\nACGTACGT\nACGT\n", ":3: a has rows of unlike length"),
        (">a\nACGT\nAC\nACGT\n", ":4: a has rows of unlike length"),
        (">a\nACGT\n\nACGT\n", ":4: a has rows of unlike length"),
        (">a\nACGT \nACGT\nACGT\n", ":4: a has rows of unlike length"),
        (">a\nACGT\n ACGT\n", ":3: a holds a blank"),
        (">a\nACGT\n>b\nAC-T\n", ":4: b holds '-'"),
        (">p\nMKVLAAGE\n", ":2: p holds 'L'"),
        (">a\nACGTX\n", ":2: a holds 'X'"),
        (">a\nACG\x00T\n", ":2: a holds '\\x00'"),
        (">a\nACG\u00e9\n", ":2: a holds byte 195"),
        (">a\nACGT\n>a\nACGT\n", ":3: a was already given"),
        (">a\nACGT\n> b\nACGT\n", ":3: a record without a name"),
        (">a\rACGT\rACGT\r", ":1: has lines that end in CR alone"),
        (">a\nACGT\rACGT\n", ":2: a holds a CR amid a line"),
    ],
)
@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_not_a_fasta_file(tmp_path: Path, text: str, said: str, packing: str) -> None:
    path = tmp_path / ("g.fa.gz" if packing == "gzip" else "g.fa")
    path.write_bytes(gzip.compress(text.encode()) if packing == "gzip" else text.encode())
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}{re.escape(said)}; ") as caught:
        gn.open_genome(path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.fai"))


def test_missing_and_cut_short_fasta(tmp_path: Path, contigs: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"none\.fa: no such FASTA file; check the path"):
        gn.open_genome(tmp_path / "none.fa")
    for packing in ("gzip", "bgzip"):
        path = write_fasta(tmp_path, contigs, packing)
        whole = path.read_bytes()
        # halfway, within the trailer, and for bgzip exactly before the end mark
        for n in (len(whole) // 2, len(whole) - 4, len(whole) - 28):
            path.write_bytes(whole[:n])
            with pytest.raises(InputError, match=r"g\.fa\.gz: the gzip file is cut short or damaged"):
                gn.open_genome(path)
        assert [file.name for file in tmp_path.iterdir()] == ["g.fa.gz"]


def test_unknown_chromosome_names_line_and_the_nearest(tmp_path: Path, contigs: dict[str, str]) -> None:
    genome = gn.open_genome(write_fasta(tmp_path, contigs, "plain"))
    path = write(tmp_path / "a.bed", "chr1\t1\t9\n2\t1\t9\nchr_2\t1\t9\n")
    with pytest.raises(InputError) as caught:
        gn.check_chromosomes(gn.read_peaks(path), genome, path)
    assert str(caught.value) == (
        f"{path}:2: chromosome '2' is not in {genome.source}, which calls it 'chr2' (2 such lines); "
        f"write its chromosomes with 'chr', as {genome.source} does"
    )
    gn.check_chromosomes(gn.read_peaks(path)[:1], genome, path)
    path = write(tmp_path / "b.bed", "chr1\t1\t9\nchr_2\t1\t9\n")
    with pytest.raises(InputError) as caught:
        gn.check_chromosomes(gn.read_peaks(path), genome, path)
    assert str(caught.value) == (
        f"{path}:2: chromosome 'chr_2' is not in {genome.source} (1 such lines); "
        "drop these lines or give their genome; it has chr2"
    )


def test_a_file_of_a_whole_assembly_keeps_what_the_genome_has(tmp_path: Path, contigs: dict[str, str]) -> None:
    genome = gn.open_genome(write_fasta(tmp_path, contigs, "plain"))
    path = write(tmp_path / "black.bed", "chr9\t1\t9\nchr2\t3\t7\nchrUn\t1\t9\n")
    assert gn.on_contigs(gn.read_peaks(path), genome, path)[["chrom", "start", "end"]].values.tolist() == [
        ["chr2", 3, 7]
    ]
    path = write(tmp_path / "ensembl.bed", "9\t1\t9\n2\t3\t7\n")
    with pytest.raises(
        InputError, match=r"ensembl\.bed:2: chromosome '2' is not in .*, which calls it 'chr2' \(1 such"
    ):
        gn.on_contigs(gn.read_peaks(path), genome, path)
    path = write(tmp_path / "other.bed", "scaffold_7\t1\t9\nscaffold_8\t1\t9\n")
    with pytest.raises(InputError, match=r"other\.bed:1: chromosome 'scaffold_7' is not in .* \(2 such lines\); drop "):
        gn.on_contigs(gn.read_peaks(path), genome, path)


def test_bases_covered_equals_a_count_base_by_base() -> None:
    rng = np.random.default_rng(3)
    intervals = gn.regions_at(rng.choice(["chr1", "chr2", "chr3"], 60), rng.integers(10, 900, 60), 20)
    intervals["end"] += rng.integers(0, 60, 60)
    regions = gn.regions_at(rng.choice(["chr1", "chr2", "chr4"], 200), rng.integers(20, 950, 200), 37)
    covered = {chrom: np.zeros(1_100, bool) for chrom in ("chr1", "chr2", "chr3", "chr4")}
    for each in intervals.itertuples():
        covered[each.chrom][each.start : each.end] = True
    counted = [covered[each.chrom][each.start : each.end].sum() for each in regions.itertuples()]
    assert gn.bases_covered(regions, intervals).tolist() == counted
    assert 0 < sum(counted) < 200 * 37
    assert gn.bases_covered(regions[:0], intervals).size == 0


def test_lower_case_is_soft_masked_and_reads_as_the_same_bases(tmp_path: Path) -> None:
    path = write(tmp_path / "g.fa", ">chr1\nACGTacgtnNuT\nacGT\n")
    genome = gn.open_genome(path)
    regions = pd.DataFrame({"chrom": "chr1", "start": [0, 6, 8], "end": [8, 14, 16]})
    text = "ACGTacgtnNuTacGT"
    expected = [[letter.islower() for letter in text[start : start + 8]] for start in (0, 6, 8)]
    assert gn.soft_masked(genome, regions).tolist() == expected
    bases, masked = gn.read_stretch(genome, "chr1", 2, 15)
    assert masked.tolist() == [letter.islower() for letter in text[2:15]]
    np.testing.assert_array_equal(
        bases, gn.fetch(genome, pd.DataFrame({"chrom": ["chr1"], "start": [2], "end": [15]}))[0]
    )


# regions --------------------------------------------------------------------------------------------------------------


def test_merge_summits_joins_only_what_is_closer() -> None:
    chrom = ["chr2", "chr1", "chr1", "chr1", "chr1", "chr1", "chr1"]
    summits = [150, 100, 299, 499, 1_000, 1_000, 699]
    # 100-299 are 199 apart (one), 299-499 and 499-699 exactly 200 (apart), and 1,000 stands twice
    assert gn.merge_summits(chrom, summits, 200).values.tolist() == [
        ["chr1", 199, 2],
        ["chr1", 499, 1],
        ["chr1", 699, 1],
        ["chr1", 1_000, 2],
        ["chr2", 150, 1],
    ]


def split_chain(chain: list[int], distance: float) -> list[list[int]]:
    """By the rule: cut at the widest gap nearest the middle until every summit is near its group's mean."""
    centre = sum(chain) // len(chain)
    if all(abs(summit - centre) <= distance for summit in chain):
        return [chain]
    middle = (chain[0] + chain[-1]) / 2
    widest = max(right - left for left, right in itertools.pairwise(chain))
    cuts = [cut for cut in range(1, len(chain)) if chain[cut] - chain[cut - 1] == widest]
    cut = min(cuts, key=lambda cut: abs((chain[cut - 1] + chain[cut]) / 2 - middle))
    return [*split_chain(chain[:cut], distance), *split_chain(chain[cut:], distance)]


def test_long_chains_are_split_where_the_gap_is_widest() -> None:
    # 0-60-120-180 are one chain, mean 90: 0 and 180 are 90 off. All gaps are alike, so the middle one is cut
    assert gn.merge_summits(["chr1"] * 4, [180, 0, 120, 60], 80).values.tolist() == [["chr1", 30, 2], ["chr1", 150, 2]]
    # mean 79: 0 is 79 off and 156 is 77, within 80
    assert gn.merge_summits(["chr1"] * 4, [0, 50, 110, 156], 80).values.tolist() == [["chr1", 79, 4]]
    # mean 112: 0 is farther off than 80, the widest gap is that before 70
    assert gn.merge_summits(["chr1"] * 5, [0, 70, 130, 170, 190], 80).values.tolist() == [
        ["chr1", 0, 1],
        ["chr1", 140, 4],
    ]


def test_merge_summits_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    for distance in (1, 2, 10.5, 37):
        summits = np.sort(rng.integers(0, 4_000, 200))
        groups = [[int(summits[0])]]
        for summit in summits[1:]:
            if summit - groups[-1][-1] < distance:
                groups[-1].append(int(summit))
            else:
                groups.append([int(summit)])
        split = [part for chain in groups for part in split_chain(chain, distance)]
        expected = [["chr1", sum(group) // len(group), len(group)] for group in split]
        assert distance < 37 or len(split) > len(groups)
        shuffled = rng.permutation(summits)
        merged = gn.merge_summits(["chr1"] * 200, shuffled, distance)
        if distance == 1:  # only equal summits are closer than 1
            assert merged["summit"].tolist() == sorted(set(summits.tolist()))
        assert merged.values.tolist() == expected


def test_overlaps_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(3)

    def some(n: int) -> pd.DataFrame:
        starts = rng.integers(0, 5_000, n)
        return pd.DataFrame(
            {"chrom": rng.choice(["chr1", "chr2"], n), "start": starts, "end": starts + rng.integers(1, 60, n)}
        )

    regions, others = some(150), some(40)
    # one that touches and one that shares a base
    others = pd.concat([others, pd.DataFrame({"chrom": "chr3", "start": [0], "end": [10]})], ignore_index=True)
    regions = pd.concat([regions, pd.DataFrame({"chrom": "chr3", "start": [10, 9], "end": [20, 19]})])
    expected = [
        any(r.chrom == o.chrom and r.start < o.end and o.start < r.end for o in others.itertuples())
        for r in regions.itertuples()
    ]
    assert expected[-2:] == [False, True]
    assert gn.overlaps_any(regions, others).tolist() == expected
    assert gn.overlaps_any(regions, others[:0]).tolist() == [False] * len(regions)


def test_overlap_groups_are_the_connected_components() -> None:
    rng = np.random.default_rng(4)
    starts = rng.integers(0, 3_000, 80)
    regions = pd.DataFrame({"chrom": rng.choice(["chr1", "chr2"], 80), "start": starts, "end": starts + 20})
    groups = gn.overlap_groups(regions)
    order = regions.sort_values(["chrom", "start"]).index
    number, last, expected = -1, ("", 0), {}
    for row in order:
        chrom, start, end = regions.loc[row]
        if chrom != last[0] or start >= last[1]:
            number += 1
        last = (chrom, end)
        expected[row] = number
    assert groups.tolist() == [expected[row] for row in range(80)]
    assert number > 20
    touching = pd.DataFrame({"chrom": "chr1", "start": [0, 10, 19], "end": [10, 20, 29]})
    assert gn.overlap_groups(touching).tolist() == [0, 1, 1]


def test_has_n_and_gc_content_of_soft_masked_text() -> None:
    from simbench_tf.dna import encode

    bases = encode(["acgtacgtgg", "ACGTRCGTGG", "ATATATATAT", "NNNNNNNNNN"])
    assert gn.has_n(bases).tolist() == [False, True, False, True]
    np.testing.assert_allclose(gn.gc_content(bases), [0.6, 6 / 9, 0.0, np.nan])


def test_the_chr2_stretch_reads_as_gunzip_does(tmp_path: Path) -> None:
    genome = gn.open_genome(CHR2 / "hg38_chr2_2.3Mb.fa.gz", index_dir=tmp_path)
    assert genome.lengths == {"chr2": 2_333_275}
    peaks = gn.read_peaks(CHR2 / "ensembl_regulatory_chr2.narrowPeak")
    assert len(peaks) == 260
    # column 10 of this file is the middle of the region
    assert (peaks["summit"] - (peaks["start"] + peaks["end"]) // 2).abs().max() <= 1
    gn.check_chromosomes(peaks, genome, "peaks")
    text = gzip.decompress((CHR2 / "hg38_chr2_2.3Mb.fa.gz").read_bytes()).decode()
    sequence = "".join(text.splitlines()[1:])
    regions = gn.regions_at(peaks["chrom"], peaks["summit"], 400)
    bases = gn.fetch(genome, regions)
    assert bases.tolist() == [plain_codes(sequence[start : start + 400]) for start in regions["start"]]
    assert not gn.has_n(bases).any()


@pytest.mark.parametrize("column", range(2, 11))
def test_a_number_of_thousands_of_digits_is_told_or_no_number(tmp_path, column):
    """Python refuses to read it."""
    fields = ["chr1", "100", "190", "p", "0", "+", "1.5", "2.5", "3", "40"]
    fields[column - 1] = "9" * 5000
    (tmp_path / "a.narrowPeak").write_text("\t".join(fields) + "\n")
    if column in (2, 3, 10):
        with pytest.raises(InputError, match=rf"a\.narrowPeak:1: column {column} is 9+, "):
            gn.read_peaks(tmp_path / "a.narrowPeak")
    else:
        assert gn.read_peaks(tmp_path / "a.narrowPeak")["start"].tolist() == [100]
