"""The paper's three-column text: read in either convention, held to its sequences, and run the whole way."""

from __future__ import annotations

import gzip
import itertools
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simbench_tf import pipeline
from simbench_tf.config import TextSimulation, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import decode, reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, read_motifs, write_meme
from simbench_tf.report.data_section import data_story, task_table
from simbench_tf.score import without_nulls
from simbench_tf.simulate.text import Site, plan_text, read_paper_text, site_text, take
from simbench_tf.simulate.text.paper_format import parse_site
from simbench_tf.stages.simulate import by_content
from simbench_tf.tables import check_sequences, check_sites

LENGTH = 60
WORDS = {"AP-1_1": "TGACTCATG", "2-GATA_A": "AGATAAG"}


def make(n, seed, prefix="s", word_share=0.9):
    """Sequences with sites: (id, sequence, [(motif, minus, start, end)]) each."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        letters = rng.choice(list("ACGT"), LENGTH)
        sites = []
        for slot, (motif, word) in enumerate(WORDS.items()):
            if rng.random() < word_share:
                start, minus = int(30 * slot + rng.integers(0, 20)), bool(rng.random() < 0.5)
                drawn = "".join(rng.choice(list("ACGT")) if rng.random() < 0.1 else base for base in word)
                letters[start : start + len(word)] = list(reverse_complement(drawn) if minus else drawn)
                sites.append((motif, minus, start, start + len(word)))
        made.append((f"{prefix}{number}", "".join(letters), sites))
    return made


def lines_of(made, closed=False, along=False, alone=False):
    """As the paper's simulator writes it; closed and along the motif as FIMO does; with the p-value alone."""
    for seq_id, sequence, sites in made:
        texts = []
        for motif, minus, start, end in sites:
            matched = sequence[start:end]
            matched = reverse_complement(matched) if along and minus else matched
            numbers = "1.2e-06" if alone else "15.3_1.2e-06_0.03"
            texts.append(f"{motif}_pos-{not minus}_{start + closed}-{end}_{numbers}_{matched}")
        yield f"{seq_id}\t{sequence}\t{','.join(texts)}\n"


def write(path, made, **how):
    path.write_text("".join(lines_of(made, **how)))
    return path


@pytest.fixture
def files(tmp_path):
    positives, negatives = make(60, 1), make(60, 2, "n", 0.2)
    return write(tmp_path / "pos.txt", positives), write(tmp_path / "neg.txt", negatives)


def simulation(files, **more):
    return TextSimulation(kind="text", positives={"A549": files[0]}, negatives=files[1], **more)


# a line


@given(
    motif=st.from_regex(r"[A-Za-z0-9_.:()/][A-Za-z0-9_.:()/-]{0,11}", fullmatch=True),
    minus=st.booleans(),
    start=st.integers(0, 10**6),
    score=st.floats(-100, 100, width=32),
    pvalue=st.floats(0, 1),
    matched=st.text("ACGTN", min_size=1, max_size=20),
)
def test_a_site_reads_back_whatever_its_motif_is_called(motif, minus, start, score, pvalue, matched):
    site = Site(motif, minus, start, start + len(matched), score, pvalue, matched)
    assert parse_site(site_text(site), "f:1") == site


def test_the_papers_own_line_is_read(tmp_path):
    word = "TGGCCACCAGGGGGCGCTA"
    sequence = "A" * 112 + word + "C" * 20
    path = tmp_path / "pos.txt"
    path.write_text(
        f"seqid\tsequences\tmotifhits\nchr1:0-151\t{sequence}\tCTCF_pos-True_112-131_15.3_1.2e-06_0.03_{word}\n"
    )
    text = read_paper_text(path)
    assert (text.seq_ids, text.lines, text.motifs) == (["chr1:0-151"], [2], {"CTCF": 19})
    (site,) = text.sites.to_dict("records")
    assert site.pop("score") == np.float32(15.3)
    assert site == {"row": 0, "motif": 0, "start": 112, "end": 131, "minus": False, "pvalue": 1.2e-6}
    assert decode(text.bases) == [sequence]


@pytest.mark.parametrize(
    ("closed", "along", "alone"), [*itertools.product([False, True], [False, True], [False]), (False, False, True)]
)
def test_either_convention_gives_the_same_sites_and_is_told(tmp_path, closed, along, alone):
    made = make(40, 3)
    text = read_paper_text(write(tmp_path / "a.txt", made, closed=closed, along=along, alone=alone))
    assert text.coordinates == ("1-based, closed" if closed else "0-based, half-open")
    names = list(text.motifs)
    told = [
        (site.row, names[site.motif], site.minus, site.start, site.end) for site in text.sites.itertuples(index=False)
    ]
    assert told == [(row, *site) for row, (_, _, sites) in enumerate(made) for site in sites]
    assert decode(text.bases) == [sequence for _, sequence, _ in made]
    assert text.sites["score"].isna().all() == alone


def test_headers_line_ends_gzip_case_and_missing_columns_play_no_part(tmp_path):
    plain = "s1\tTTGATAAC\tGATA_pos-True_2-6_9.5_1e-4_0.03_GATA\ns2\tACGTNCGT\t\n"
    forms = {
        "header": "seqid\tsequences\tmotifhits\n" + plain,
        "crlf": plain.replace("\n", "\r\n"),
        "lower": plain.replace("TTGATAAC", "ttGATaac"),
        "two columns": plain.replace("ACGTNCGT\t\n", "ACGTNCGT\n"),
        "blank": plain + "\n\n",
    }
    (tmp_path / "plain").write_text(plain)
    expected = read_paper_text(tmp_path / "plain")
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content.encode())
    (tmp_path / "gzip").write_bytes(gzip.compress(plain.encode()))
    for name in [*forms, "gzip"]:
        text = read_paper_text(tmp_path / name)
        assert text.seq_ids == expected.seq_ids, name
        np.testing.assert_array_equal(text.bases, expected.bases)
        pd.testing.assert_frame_equal(text.sites, expected.sites)


GOOD = "s0\tTTGATAAC\tGATA_pos-True_2-6_9.5_1e-4_0.03_GATA"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s0\tTTGATAAC\t", "s0 was already given in line 1; rename"),
        ("s1\tTTGATAACA\t", "the sequence has 9 bases, those before have 8"),
        ("s1\tTTGRTAAC\t", "the sequence of s1 holds 'R'"),
        ("s1\t\t", "s1 has no sequence"),
        ("s 1\tTTGATAAC\t", "the id 's 1' is empty or holds a space"),
        ("s1", "has 1 columns; give three"),
        ("s1\tTTGATAAC\ta\tb", "has 4 columns"),
        ("s1\tTTGATAAC\tGATA_2-6_GATA", "'GATA_2-6_GATA' is no site; write motif_pos-True_start-end_score"),
        ("s1\tTTGATAAC\tGATA_pos-True_2-6_9.5_1e-4_0.03_GATA,", "'' is no site"),
        ("s1\tTTGATAAC\tGATA_pos-True_2-6_x_1e-4_0.03_GATA", "is no number"),
        ("s1\tTTGATAAC\tGATA_pos-True_2-6_9_3_0.03_GATA", "is not between 0 and 1"),
        ("s1\tTTGATAAC\tGATA_pos-True_3-6_9_1e-4_0.03_GATA", "counts 1-based, closed, those before 0-based, half-open"),
        ("s1\tTTGATAAC\tGATA_pos-True_2-9_9_1e-4_0.03_GATA", "at 2-9 matched 4 bases; count 0-based and half-open"),
        ("s1\tTTGATAAC\tGATA_pos-True_6-10_9_1e-4_0.03_GATA", "at 6-10 leaves its sequence of 8 bases"),
        (
            "s1\tTTGATAAC\tGATA_pos-True_1-5_9_1e-4_0.03_GATA",
            "at 1-5, counted 0-based, half-open, should read GATA, but TGAT is there",
        ),
        ("s1\tTTGATAAC\tGATA_pos-True_2-6_9_1e-4_0.03_TATC", "should read TATC, but GATA is there"),
        ("s1\tTTGATAAC\tGATA_pos-False_2-6_9_1e-4_0.03_TTTT", "should read TTTT, but GATA is there"),
        ("s1\tTTGATAAC\tGATA_pos-True_2-7_9_1e-4_0.03_GATAA", "covers 5 bases, those before cover 4"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "pos.txt"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(InputError) as error:
        read_paper_text(path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert message in str(error.value)


def test_files_that_hold_nothing_or_no_text_are_named(tmp_path):
    (tmp_path / "empty").write_text("seqid\tsequences\tmotifhits\n")
    with pytest.raises(InputError, match="empty: holds no sequence"):
        read_paper_text(tmp_path / "empty")
    with pytest.raises(InputError, match="cannot be read"):
        read_paper_text(tmp_path / "nowhere")
    (tmp_path / "cut").write_bytes(gzip.compress(GOOD.encode())[:-4])
    with pytest.raises(InputError, match="cut short"):
        read_paper_text(tmp_path / "cut")


# a data set


def test_the_plan_holds_what_the_files_hold(files):
    plan = plan_text(simulation(files), seed=1)
    drawn = take(plan, 0, len(plan.sequences))
    check_sequences(drawn.sequences, ["A549"])
    sequences, sites = drawn.sequences.to_pandas().set_index("seq_id"), drawn.sites.to_pandas()
    check_sites(sites, sequences["sequence"])
    made = {seq_id: (sequence, found) for seq_id, sequence, found in [*make(60, 1), *make(60, 2, "n", 0.2)]}
    assert sequences["sequence"].to_dict() == {seq_id: sequence for seq_id, (sequence, _) in made.items()}
    assert {seq_id for seq_id, label in sequences["A549"].items() if label} == {f"s{i}" for i in range(60)}
    assert sequences[["chrom", "start", "end"]].isna().all(axis=None)
    told = {(s.seq_id, s.motif, s.strand == "-", s.start, s.end) for s in sites.itertuples()}
    assert told == {(seq_id, *site) for seq_id, (_, found) in made.items() for site in found}
    assert (sites["tf"] == sites["motif"]).all()
    assert (sites["element"] == sites["motif"]).all()
    counts = sequences["split"].value_counts()
    assert 12 <= counts["test"] <= 36
    assert 4 <= counts["valid"] <= 24


def test_any_stretch_is_the_same_rows(files):
    plan = plan_text(simulation(files), seed=1)
    whole, part = take(plan, 0, 120), take(plan, 37, 81)
    assert part.sequences.equals(whole.sequences.slice(37, 44))
    ids = set(part.sequences["seq_id"].to_pylist())
    assert part.sites.to_pylist() == [site for site in whole.sites.to_pylist() if site["seq_id"] in ids]
    assert take(plan, 5, 5).sites.num_rows == 0
    labels = whole.sequences["A549"].to_numpy()
    assert 10 <= labels[:60].sum() <= 50, "positives and negatives come in one random order"


def test_seeds_choose_splits_and_order_and_nothing_else(files):
    first, again, other = (take(plan_text(simulation(files), seed), 0, 120) for seed in (1, 1, 2))
    assert first.sequences.equals(again.sequences)
    assert first.sites.equals(again.sites)
    assert first.sequences["seq_id"] != other.sequences["seq_id"]
    tables = [drawn.sequences.to_pandas().set_index("seq_id").sort_index() for drawn in (first, other)]
    pd.testing.assert_frame_equal(*[table.drop(columns="split") for table in tables])
    assert (tables[0]["split"] != tables[1]["split"]).any()


def test_motifs_are_counted_along_the_motif(files):
    plan = plan_text(simulation(files), seed=1)
    made = [*make(60, 1), *make(60, 2, "n", 0.2)]
    assert [motif.motif_id for motif in plan.motifs] == list(WORDS)
    for motif in plan.motifs:
        words = [
            reverse_complement(sequence[start:end]) if minus else sequence[start:end]
            for _, sequence, sites in made
            for name, minus, start, end in sites
            if name == motif.motif_id
        ]
        expected = [
            [sum(word[i] == base for word in words) / len(words) for base in "ACGT"] for i in range(len(words[0]))
        ]
        np.testing.assert_allclose(motif.ppm, expected, atol=1e-12)
        assert motif.n_sites == len(words)
        assert "".join("ACGT"[i] for i in motif.ppm.argmax(axis=1)) == WORDS[motif.motif_id]


def test_motifs_of_a_file_are_looked_up_by_id_or_factor(files, tmp_path):
    known = [
        Motif("MA1", "AP-1_1", np.full((9, 4), 0.25), 20.0),
        Motif("2-GATA_A", "GATA1", np.full((7, 4), 0.25), 20.0),
    ]
    write_meme([*known, Motif("other", "other", np.full((5, 4), 0.25), 20.0)], tmp_path / "m.meme")
    plan = plan_text(simulation(files, motifs=str(tmp_path / "m.meme")), seed=1)
    assert {motif.motif_id for motif in plan.motifs} == {"MA1", "2-GATA_A"}
    sites = take(plan, 0, 120).sites.to_pandas()
    assert set(zip(sites["motif"], sites["tf"], sites["end"] - sites["start"], strict=True)) == {
        ("MA1", "AP-1_1", 9),
        ("2-GATA_A", "GATA1", 7),
    }
    write_meme(known[:1], tmp_path / "one.meme")
    with pytest.raises(InputError, match=r"simulation.motifs: 2-GATA_A: no motif of this id or name"):
        plan_text(simulation(files, motifs=str(tmp_path / "one.meme")), seed=1)
    write_meme([known[0], Motif("2-GATA_A", "G", np.full((6, 4), 0.25), 20.0)], tmp_path / "narrow.meme")
    with pytest.raises(InputError, match="2-GATA_A has 6 positions, sites of 2-GATA_A cover 7 bases"):
        plan_text(simulation(files, motifs=str(tmp_path / "narrow.meme")), seed=1)


def test_tasks_share_sequences(tmp_path):
    a, b, both, neither = make(20, 1, "a"), make(20, 2, "b"), make(20, 3, "c"), make(20, 4, "d")
    files = {
        "positives": {"A549": write(tmp_path / "a+", a + both), "K562": write(tmp_path / "b+", b + both)},
        "negatives": {"A549": write(tmp_path / "a-", b + neither), "K562": write(tmp_path / "b-", neither)},
    }
    plan = plan_text(TextSimulation(kind="text", splits={"valid": 0, "test": 0.4}, **files), seed=3)
    table = plan.sequences.set_index("seq_id")[["A549", "K562"]]
    assert len(table) == 80
    for prefix, labels in {"a": [1, 0], "b": [0, 1], "c": [1, 1], "d": [0, 0]}.items():
        assert (table[table.index.str.startswith(prefix)].to_numpy() == labels).all(), prefix
    assert [(note["task"], note["label"], note["file"], note["n_sequences"]) for note in plan.notes["files"]] == [
        ("A549", "positive", "a+", 40),
        ("K562", "positive", "b+", 40),
        ("A549", "negative", "a-", 40),
        ("K562", "negative", "b-", 20),
    ]


def test_files_that_contradict_each_other_are_named(tmp_path):
    made = make(20, 1)
    positives = write(tmp_path / "pos.txt", made)

    def fails(negatives, message):
        with pytest.raises(InputError, match=message):
            plan_text(simulation((positives, write(tmp_path / "neg.txt", negatives))), seed=1)

    others = make(20, 2, "n")
    fails([*others, made[3]], r"neg.txt:21: s3 is a negative here and a positive in .*pos.txt:4")
    fails([*others, ("s3", made[4][1], [])], r"neg.txt:21: s3 has another sequence or other sites than in .*pos.txt:4")
    fails([("n0", "ACGT", [])], "neg.txt: its sequences have 4 bases, those of .*pos.txt 60")
    fails([("n0", others[0][1], [("AP-1_1", False, 1, 4)])], "sites of AP-1_1 cover 3 bases, in another file 9")
    bare = [(seq_id, sequence, []) for seq_id, sequence, _ in made]
    positives = write(tmp_path / "pos.txt", bare)
    fails([(f"n{i}", s, []) for i, (_, s, _) in enumerate(made)], "no sequence has a site")


def test_ids_that_are_places_give_coordinates_chromosome_splits_and_kept_overlaps(tmp_path):
    def placed(made, offset):
        return [
            (f"chr{1 + i % 3}:{50 * i + offset}-{50 * i + offset + LENGTH}", *rest) for i, (_, *rest) in enumerate(made)
        ]

    files = write(tmp_path / "p", placed(make(60, 1), 0)), write(tmp_path / "n", placed(make(60, 2), 20))
    plan = plan_text(simulation(files), seed=1)
    regions = plan.sequences
    assert (regions["seq_id"] == [f"{r.chrom}:{r.start}-{r.end}" for r in regions.itertuples()]).all()
    spots = regions.assign(spot=regions["start"] // 50)[["spot", "split"]].drop_duplicates()
    assert not spots["spot"].duplicated().any(), "regions that overlap share a split"
    splits = {"chromosomes": {"valid": ["chr2"], "test": ["chr3"]}}
    by_chromosome = plan_text(simulation(files, splits=splits), seed=1).sequences
    assert dict(zip(by_chromosome["chrom"], by_chromosome["split"], strict=True)) == {
        "chr1": "train",
        "chr2": "valid",
        "chr3": "test",
    }
    assert take(plan, 0, 3).sequences.to_pandas()["start"].tolist() == regions["start"][:3].tolist()
    unplaced = write(tmp_path / "p", make(60, 1)), files[1]
    with pytest.raises(InputError, match="not all chrom:start-end over 60 bases; give fractions"):
        plan_text(simulation(unplaced, splits=splits), seed=1)


# a configuration and a run


def load(tmp_path, text, overrides=()):
    (tmp_path / "c.yaml").write_text(text)
    return load_config(tmp_path / "c.yaml", overrides)


def test_one_file_of_negatives_serves_every_task(tmp_path):
    config = load(
        tmp_path, "simulation: {kind: text, positives: {A: a.txt, B: b.txt}, negatives: n.txt, motifs: m.meme}"
    )
    assert config.tasks == ["A", "B"]
    assert config.simulation.positives == {"A": tmp_path / "a.txt", "B": tmp_path / "b.txt"}
    assert config.simulation.negatives == {"A": tmp_path / "n.txt", "B": tmp_path / "n.txt"}
    assert config.simulation.motifs == str(tmp_path / "m.meme")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("positives: {A: a}, negatives: {B: b}", "names no file for 'A'"),
        (
            "positives: {A549: a}, negatives: {A549: b, A548: b}",
            "names no file for 'A548'|'A548' is no task; did you mean",
        ),
        ("positives: {A: a}", "simulation.negatives: is missing"),
        ("negatives: a", "simulation.positives: is missing"),
        ("positives: {A: a}, negatives: b, motif: c", "unknown key 'simulation.motif'; did you mean 'motifs'?"),
    ],
)
def test_bad_configurations_are_one_line(tmp_path, block, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, f"simulation: {{kind: text, {block}}}")


def test_the_content_of_files_counts_not_their_place(files, tmp_path):
    def content():
        return by_content(load(tmp_path, "simulation: {kind: text, positives: {A: pos.txt}, negatives: neg.txt}"))

    before = content()
    assert "txt" not in json.dumps(before)
    (tmp_path / "pos.txt").rename(tmp_path / "renamed.txt")
    with pytest.raises(InputError, match=r"pos.txt: is no file, but simulation.positives.A names it"):
        content()
    (tmp_path / "renamed.txt").rename(tmp_path / "pos.txt")
    (tmp_path / "neg.txt").write_text("")
    assert content() != before


CONFIG = {
    "simulation": {"kind": "text", "positives": {"A549": "pos.txt"}, "negatives": "neg.txt"},
    "models": [{"name": "basset", "architecture": "basset", "width": 0.03}],
    "training": {"batch_size": 50, "max_batches": 4},
    "attribution": {"n_sequences": 6, "methods": [{"method": "grad_x_input"}]},
}


def test_a_simulated_text_data_set_opens_with_every_site_as_truth(files, tmp_path):
    config = load(tmp_path, yaml.safe_dump(CONFIG))
    pipeline.simulate(config, tmp_path / "run")
    dataset = open_dataset(tmp_path / "run" / "dataset")
    assert (dataset.kind, dataset.tasks, dataset.seq_length) == ("text", ["A549"], LENGTH)
    assert dataset.positive_fraction == {"A549": 0.5}
    np.testing.assert_array_equal(dataset.mask("test", "A549"), dataset.mask("test"))
    sites = dataset.sites[dataset.sites["seq_id"] == dataset.seq_ids("test")[0]]
    covered = np.zeros(LENGTH, bool)
    for site in sites.itertuples():
        covered[site.start : site.end] = True
    np.testing.assert_array_equal(dataset.mask("test")[0], covered)
    assert [motif.motif_id for motif in read_motifs(dataset.path / "motifs.meme")] == list(WORDS)
    info = json.loads((dataset.path / "dataset.json").read_text())
    settings = {"positives": {"A549": "x/pos.txt"}, "negatives": {"A549": "x/neg.txt"}}
    assert "places counted 0-based, half-open" in data_story(info, settings)
    assert "counted from the sites" in data_story(info, settings)
    assert task_table(info, settings).rows == [["A549", "50.0%", "pos.txt", "neg.txt"]]
    with pytest.raises(InputError, match=r"simulation.kind: is text, for which there is no exact posterior"):
        pipeline.oracle(config, tmp_path / "run")


@pytest.mark.slow
def test_text_goes_the_whole_way(tmp_path):
    def long(made):
        return [(seq_id, sequence + 140 * "A", sites) for seq_id, sequence, sites in made]

    write(tmp_path / "pos.txt", long(make(150, 1)), closed=True, along=True)
    write(tmp_path / "neg.txt", long(make(150, 2, "n", 0.2)))
    report = pipeline.run(load(tmp_path, yaml.safe_dump(CONFIG)), tmp_path / "run")
    page = report.read_text()
    assert "places counted 1-based, closed and 0-based, half-open" in page
    summary = without_nulls(pd.read_csv(tmp_path / "run" / "scores" / "summary.csv"))
    assert summary["truth"].tolist() == ["embedded:all"]
    assert summary["chance_auprc"].between(0.05, 0.09).all(), "about 15 of 200 bases lie in sites"
    assert not (tmp_path / "run" / "oracle").exists()
