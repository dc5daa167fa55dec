import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.report_data import (
    KEYS,
    LABELS,
    LENGTH,
    METRICS,
    browsed,
    comparisons,
    credit_rows,
    dynamics_tables,
    example,
    grammar_run,
    peaks_run,
    per_sequence,
    recall_rows,
    results,
    summarised,
)
from simbench_tf import plot, tables
from simbench_tf.errors import InputError
from simbench_tf.report import write_report
from simbench_tf.report.answers import answers
from simbench_tf.report.browser import browser_data, embedded, found_marks
from simbench_tf.report.data_section import data_story, element_table, motif_story
from simbench_tf.report.sections import _level, differences, learnt_when
from simbench_tf.report.text import method_labels, quality_table, score_table
from simbench_tf.run.dependency_maps import DependencyMap
from simbench_tf.score.ranking import standings

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Elements, attributes and text of a page, as a browser reads them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.cells: list[str] = []
        self.in_cell = self.in_script = False
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.in_script = tag == "script"
        self.in_cell = tag == "td"
        if self.in_cell:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.in_cell = self.in_script = False

    def handle_data(self, data):
        if self.in_script:  # nobody reads it
            return
        self.texts.append(data)
        if self.in_cell:
            self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def markup(tmp_path_factory) -> str:
    """The page of `grammar_run`, made once."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(path, results(grammar_run())).read_text(encoding="utf-8")


def written(tmp_path, run, **more) -> Page:
    return Page(write_report(tmp_path / "report.html", results(run, **more)).read_text(encoding="utf-8"))


@pytest.mark.parametrize("run", [grammar_run, peaks_run])
def test_the_page_needs_nothing_beside_it(tmp_path, run):
    page = written(tmp_path, run())
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "image"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert value.startswith("#")
    style = "".join(page.texts)
    assert "@import" not in style
    assert set(re.findall(r"url\(([^)]{0,1})", style)) <= {"#"}
    (policy,) = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none';")
    # the page's one script runs by its hash, and no other
    (script,) = re.findall(r"<script>(.*?)</script>", (tmp_path / "report.html").read_text("utf-8"), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]


def test_ids_are_unique_on_the_page_and_every_reference_is_met(markup):
    page = Page(markup)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {attributes["href"][1:] for _, attributes in page.elements if "href" in attributes}
    clips = {c for _, a in page.elements for c in re.findall(r"url\(#([^)]*)\)", a.get("clip-path") or "")}
    assert links | clips <= set(ids)
    assert links
    assert clips


def test_every_number_of_the_summary_is_there(tmp_path):
    run = grammar_run(summary=summarised(per_sequence(), signed_auprc=0.3217), sequences=[])
    page = written(tmp_path, run)
    for row in run["summary"].to_dict("records"):
        rows = [page.cells[i : i + 8] for i, cell in enumerate(page.cells) if cell == LABELS[row["key"]]]
        auroc, auprc, mass = (f"{row[metric]:.3f} ± {row[f'{metric}_se']:.3f}" for metric in METRICS)
        expected = [
            *(auprc, f"{row['signed_auprc']:.3f}", auroc, mass),
            f"{row['pooled_auprc']:.3f}",
            f"{row['pooled_auroc']:.3f}",
            f"{row['seconds_per_sequence']:#.2g}",
        ]
        assert [LABELS[row["key"]], *expected] in rows
    assert "On HepG2: 30 sequences, chance auPRC 0.080" in page.text


def test_methods_stand_from_the_best_down(tmp_path):
    page = written(tmp_path, grammar_run(per_sequence=per_sequence(means=(0.2, 0.6, 0.4)), sequences=[]))
    first = [page.cells.index(name) for name in ("integrated gradients (zeros, n_steps 20)", "saliency")]
    assert first[0] < first[1] < page.cells.index("in-silico mutagenesis")


def test_the_answer_comes_first_and_in_plain_words(markup):
    table, page = per_sequence(), Page(markup)
    best = table[table["key"] == "ism@none"]
    mean = best.groupby("task")["auprc"].mean().mean()
    answer = f"Over 2 tasks, in-silico mutagenesis ranks true motif bases best: auPRC {mean:.2f} ± "
    assert answer in page.text
    assert page.text.index(answer) < page.text.index("The data")
    for task in ("HepG2", "K562"):
        rows = best.loc[best["task"] == task, "auprc"]
        sentence = f"On {task}, in-silico mutagenesis ranks true motif bases best: "
        assert f"{sentence}auPRC {rows.mean():.2f} ± {rows.sem():.2f} (chance 0.08); 30 sequences, network" in page.text
    assert "network auROC 0.81." in page.text
    assert "networks' mean auROC 0.80." in page.text
    assert "Its lead over the next, integrated gradients (zeros, n_steps 20), is 0.2" in page.text
    assert "on the same sequences; p < 0.0001 after Holm's correction." in page.text


def test_data_models_and_provenance_are_told(markup):
    run, page = grammar_run(), Page(markup)
    for told in ("20,003 artificial sequences of 120 bases", "14,000", "2,001", "4,002", "35.1%", "34.8%"):
        assert told in page.text
    assert "JASPAR 2022 CORE vertebrates, CC BY 4.0" in page.text
    assert page.cells[page.cells.index("HNF4A") :][:5] == ["HNF4A", "0.08", "HepG2 +0.9", "around 60, sd 80", "both"]
    assert "SOX2 + POU5F1, gap 0 to 6, same orientation" in page.cells
    for told in ("0.812", "0.701", "0.796", "0.684"):
        assert told in page.cells
    assert "Seed 4321" in page.text
    assert "9.8.7" in page.text
    configuration = next(text for text in page.texts if text.startswith("name: demo"))
    assert yaml.safe_load(configuration) == run["config"]


def test_peaks_are_told_with_their_motif_log_and_what_was_lost(tmp_path):
    page = written(tmp_path, peaks_run())
    assert "258 regions of 120 bases from chr2.fa.gz" in page.text
    assert "a549.narrowPeak" in page.cells
    assert "from homer.motifs" in page.text
    assert "4 motifs were tried at p < 0.0001; 2 were kept" in page.text
    assert "1 had fewer than 100 hits in the positives of any task, and 1 were not 1.2 times denser" in page.text
    top = page.cells.index("FOXA1")
    assert page.cells[top : top + 6] == ["FOXA1", "MA2", "A549", "250", "0", "only in positives"]
    assert page.cells[top + 6 : top + 12] == ["CEBPB", "MA1", "A549", "400", "100", "3.46"]
    assert "KLF4" not in page.cells
    lost = page.cells.index("off the contig")
    assert page.cells[lost : lost + 5] == ["off the contig", "2", "258", "3", "948"]
    assert "On A549, in-silico mutagenesis ranks" in page.text
    composition = page.cells.index("GC content")
    assert page.cells[composition : composition + 5] == ["GC content", "0.512", "0.498", "0.037", "0.095"]
    leakage = page.cells.index("test against train")
    assert page.cells[leakage : leakage + 5] == ["test against train", "52", "0", "7", "3"]
    assert "drawn from the genome" not in page.text
    matched = peaks_run()
    matched["config"]["simulation"]["background"] = {"matched": ["gc", "repeats"], "ratio": 2}
    page = written(tmp_path, matched)
    assert "drawn from the genome, 2 for each positive, to match its GC content and share of repeats." in page.text


def test_a_motif_is_dropped_for_lack_of_hits_only_when_no_task_has_enough():
    log = pd.DataFrame(
        {"motif": ["a", "a", "b", "b"], "task": ["x", "y"] * 2, "pos_hits": [5, 200, 5, 6], "kept": False}
    )
    story = motif_story(log, {"min_pos_hits": 100, "min_enrichment": 1.2})
    assert "1 had fewer than 100" in story
    assert "1 were not 1.2 times" in story


def test_the_story_of_a_grammar_says_what_its_background_is():
    info = {"kind": "grammar", "seq_length": 400, "counts": {"train": 9}}
    table = [[0.25] * 4] * 64
    for settings, what in (
        ({}, "each base depends on the one before, and motifs"),
        ({"background": "some.fa", "background_order": 0}, "each base is drawn by itself, and motifs"),
        ({"background": table}, "each base depends on the 3 before, and motifs"),
        (
            {"classes": [{"weight": 2, "background": table}, {"weight": 1, "background": table}]},
            "each base depends on the 3 before, in 2 classes of sequences that differ in it and in how many sites they "
            "have, and motifs",
        ),
        # a class without a background of its own has that of all
        ({"background": table, "classes": [{"weight": 2, "rate": 2.0}]}, "depends on the 3 before, and motifs"),
    ):
        assert what in data_story(info, settings)


def test_a_rate_that_came_near_0_is_not_told_to_its_last_digit():
    rows = element_table({"elements": [{"motif": "ZBTB33", "rate": 1.7e-13, "enriched": {"open": 0.03}}]}).rows
    assert rows == [["ZBTB33", "< 0.0001", "open +0.03", "anywhere", "both"]]


def test_sequences_are_drawn_with_counted_and_other_sites_apart(markup):
    first, second = re.findall(r"<article.*?</article>", markup, re.DOTALL)
    assert "HNF4A 20–35 →, CTCF 60–79 ← (not counted)" in first
    assert "HNF4A 20–35 → (not counted), CTCF 60–79 ← (not counted)" in second
    # three methods, bars and letters each
    assert (first.count('class="site"'), first.count('class="site-not-counted"')) == (6, 6)
    assert (second.count('class="site"'), second.count('class="site-not-counted"')) == (0, 12)
    assert [first.count(f'class="letters-{base}"') for base in "ACGT"] == [3] * 4
    # of the one site that counts, whether it is found, beside bars and letters of each method
    drawn = example("HepG2", counted=(True, False))
    (marks,) = found_marks(drawn.scores["ism@none"], drawn.sites, 0.95)
    name, other = ("found", "missed") if marks[0] == "1" else ("missed", "found")
    # the letters' stretch may not reach it
    assert first.count(f'class="{name}"') in (3, 6)
    assert first.count(f'class="{other}"') == 0
    assert second.count('class="found"') == second.count('class="missed"') == 0
    value = per_sequence().query("task == 'HepG2' and key == 'ism@none' and seq_id == 'seq0'")["auprc"].item()
    assert f"auPRC {value:.2f}" in first


def test_sites_that_all_count_are_drawn_alike(tmp_path):
    page = write_report(tmp_path / "report.html", results(peaks_run())).read_text(encoding="utf-8")
    assert 'class="site"' in page
    assert "not-counted" not in page


def test_names_are_text_never_markup(tmp_path):
    table = per_sequence(models=(HOSTILE,), tasks=(HOSTILE,))
    run = peaks_run(per_sequence=table, summary=summarised(table))
    run["metrics"] = {HOSTILE: {HOSTILE: {"auroc": 0.7, "auprc": 0.6, "positive_fraction": 0.3}}}
    history = run["histories"]["basset"].rename(columns={"valid_auprc": f"valid_{HOSTILE}"}).assign(valid_f1=0.5)
    run["histories"] = {HOSTILE: history}
    run["versions"] = {HOSTILE: HOSTILE}
    run["config"] |= {"name": HOSTILE, "note": HOSTILE}
    run["config"]["simulation"] |= {"genome": HOSTILE, "peaks": {HOSTILE: HOSTILE}, "motifs": HOSTILE}
    info = run["dataset_info"]
    info |= {"tasks": [HOSTILE], "positive_fraction": {HOSTILE: 0.2}, "lost": [{"step": HOSTILE, "positives": 1}]}
    run["motif_log"] = run["motif_log"].assign(tf=HOSTILE, motif=[f"{i}{HOSTILE}" for i in range(4)])
    drawn = example(HOSTILE, HOSTILE)
    run["sequences"] = [drawn._replace(seq_ids=[HOSTILE], sites=drawn.sites.assign(tf=HOSTILE, motif=HOSTILE))]
    path = write_report(tmp_path / "report.html", results(run))
    page = Page(path.read_text(encoding="utf-8"))
    assert "img" not in {tag for tag, _ in page.elements}
    scripts = [attributes.get("id") for tag, attributes in page.elements if tag == "script"]
    assert scripts == ["browser-data", "figure-data", None]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert HOSTILE in page.cells
    pictures = re.findall(r"<svg.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL)
    pictures = [each for each in pictures if "<text" in each]  # formulas are outlines
    assert len(pictures) == 7
    assert all("alert(1)" in "".join(ElementTree.fromstring(picture).itertext()) for picture in pictures[:5])


def test_names_that_no_encoding_holds_do_not_break_the_page(tmp_path):
    drawn = example("A549")
    run = peaks_run(sequences=[drawn._replace(seq_ids=["a\x00b"], sites=drawn.sites.assign(tf="\x0bT\ufffe"))])
    run["config"]["simulation"]["genome"] = "/data/hg38\udc80.fa"
    page = written(tmp_path, run)
    assert "regions of 120 bases from hg38?.fa" in page.text
    assert "One row per method" in page.text


def test_same_inputs_same_bytes(tmp_path, markup):
    assert write_report(tmp_path / "report.html", results(grammar_run())).read_bytes() == markup.encode()


def test_times_change_nothing_but_the_times(tmp_path, markup):
    slower = grammar_run()
    slower["summary"]["seconds_per_sequence"] *= 3
    other = write_report(tmp_path / "report.html", results(slower)).read_text(encoding="utf-8")
    assert other != markup
    parts = [
        r"<h2>Cost.*?</section>",
        r"<dd>[^<]* s a sequence</dd>",
        r"<td class=\"number\">[\d.]+</td></tr>",
        r"<script type=.*?</script>",
    ]
    without_times = re.compile("|".join(parts), re.DOTALL)
    assert without_times.sub("", other) == without_times.sub("", markup)


def test_the_oracle_is_shown_where_there_is_one(tmp_path, markup):
    table = per_sequence()
    run = grammar_run(summary=summarised(table, oracle_auprc=0.9312, oracle_auprc_se=0.0034), sequences=[])
    run["metrics"]["basset"]["HepG2"] |= {"oracle_auroc": 0.9012, "oracle_auprc": 0.8123}
    page = written(tmp_path, run)
    assert "oracle auPRC 0.931 ± 0.003 (a reference" in page.text
    assert "0.901" in page.cells
    # (auroc - .5) of (.9012 - .5), and auPRC of .9312
    reached = (run["metrics"]["basset"]["HepG2"]["auroc"] - 0.5) / 0.4012
    assert f"{100 * reached:.0f}%" in page.cells
    assert f"{100 * run['summary']['auprc'].max() / 0.9312:.0f}%" in page.cells
    assert "a reference, not a strict bound" in page.text
    assert "the best that any model can do in expectation" in page.text
    assert "oracle" not in Page(markup).text.lower()


def test_one_method_no_history_no_examples_no_times(tmp_path):
    table = per_sequence(tasks=("HepG2",), means=(0.5,))
    run = grammar_run(per_sequence=table, summary=summarised(table, seconds_per_sequence=np.nan), sequences=[])
    run["histories"] = {}
    page = written(tmp_path, run)
    assert "On HepG2, in-silico mutagenesis, the only method run, reaches auPRC 0.5" in page.text
    assert "Cost beside quality" not in page.text
    assert "sequences drawn" not in page.text


def test_scores_that_are_missing_are_dashes(tmp_path):
    table = per_sequence(tasks=("HepG2",))
    table.loc[table["key"] == "saliency@none", METRICS] = np.nan
    page = written(tmp_path, grammar_run(per_sequence=table, summary=summarised(table), sequences=[]))
    row = page.cells[page.cells.index("saliency") :][:6]
    assert row == ["saliency", "–", "–", "–", "–", "–"]
    table[METRICS] = np.nan
    page = written(tmp_path, grammar_run(per_sequence=table, summary=summarised(table), sequences=[]))
    assert "On HepG2, no sequence holds a true base, so no method can be ranked." in page.text


def test_a_failed_write_leaves_the_old_report(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", results(grammar_run(sequences=[])))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_errors_of_standings_are_those_of_the_mean_where_nothing_is_shared():
    table = per_sequence(tasks=("HepG2",))
    ranked = standings(table).set_index("key")
    for key, rows in table.groupby("key"):
        assert ranked.loc[key, "auprc"] == pytest.approx(rows["auprc"].mean())
        assert ranked.loc[key, "auprc_se"] == pytest.approx(rows["auprc"].sem())
    # paired: the sequences' shared part, .1 wide, is gone from the difference
    wide = table.pivot_table(index="seq_id", columns="key", values="auprc")
    difference = wide["ism@none"] - wide["saliency@none"]
    assert ranked.loc["saliency@none", "behind_se"] == pytest.approx(difference.sem())
    assert difference.sem() < 0.6 * ranked.loc["saliency@none", "auprc_se"]


def test_independent_tasks_pool_their_errors_and_count_the_same():
    table = pd.concat([per_sequence(tasks=("a",), n=10, seed=1), per_sequence(tasks=("b",), n=40, seed=2)])
    table["seq_id"] = table["task"] + table["seq_id"]
    best = table[table["key"] == "ism@none"].groupby("task")["auprc"]
    row = standings(table).iloc[0]
    assert row["auprc"] == pytest.approx(best.mean().mean())
    assert row["auprc_se"] == pytest.approx(np.sqrt((best.sem() ** 2).sum()) / 2)


def test_the_same_sequences_under_two_models_are_not_twice_the_evidence():
    once = per_sequence(tasks=("HepG2",))
    twice = pd.concat([once, once.assign(model="copy")])
    pd.testing.assert_series_equal(standings(once)["auprc_se"], standings(twice)["auprc_se"])


def test_models_that_differ_on_the_same_sequences_count_as_their_mean_a_sequence():
    table = pd.concat([per_sequence(tasks=("t",), seed=5), per_sequence(models=("other",), tasks=("t",), seed=6)])
    row = standings(table).iloc[0]
    assert row["auprc_se"] == pytest.approx(table[table["key"] == row["key"]].groupby("seq_id")["auprc"].mean().sem())


def test_a_rival_that_does_not_differ_is_named():
    table = per_sequence(tasks=("HepG2",), means=(0.6, 0.6, 0.2), seed=3)
    found = answers(table, LABELS)[0]
    level = found.standings.set_index("key")["level"]
    assert level.to_dict() == {key: key != "saliency@none" for key in KEYS}
    best, rival = (LABELS[key] for key in found.standings["key"][:2])
    assert found.sentence.startswith(f"On HepG2, {best} scores highest, with no difference shown to {rival}: auPRC 0.6")
    assert f"Its lead over the next, {rival}, is 0.0" in found.remark
    assert "saliency" not in found.sentence + found.remark


def of_seeds(seeds, difference, spread, noise=0.1, n=30):
    """Scores of two methods by networks basset-seed1, ...: the difference of their means is `difference`, which each
    training shifts by one of `spread` and each sequence by noise of its own, which adds up to nothing."""
    random = np.random.default_rng(7)
    table = per_sequence(models=tuple(f"basset-seed{k}" for k in range(1, seeds + 1)), tasks=("t",), means=(0.5, 0.5))
    for number, shift in enumerate(spread, 1):
        other = (table["model"] == f"basset-seed{number}") & (table["key"] != "ism@none")
        first = (table["model"] == f"basset-seed{number}") & (table["key"] == "ism@none")
        errors = random.normal(0, noise, n)
        table.loc[first, "auprc"] = table.loc[other, "auprc"].to_numpy() + difference + shift + errors - errors.mean()
    return table


def test_what_trainings_disagree_on_is_no_difference():
    """Differences of .06, -.04, .05 and -.03 by network: each is sure for its sequences, and together they are none."""
    table = of_seeds(4, 0.01, [0.05, -0.05, 0.04, -0.04], noise=0.02)
    for number in range(1, 5):
        (alone,) = answers(table[table["model"] == f"basset-seed{number}"], LABELS)
        assert "ranks true motif bases best" in alone.sentence
        assert "It speaks of this network alone: another training may rank them otherwise" in alone.remark
        assert alone.remark.endswith("train with seeds: 4 or more.")
    (found,) = answers(table, LABELS)
    assert found.place == "On t"
    assert "in-silico mutagenesis scores highest, with no difference shown to integrated gradients" in found.sentence
    assert "; 30 sequences, 4 trainings." in found.sentence
    assert "network alone" not in found.remark
    pair = found.pairs.iloc[0]
    # the standard deviation of the networks' means is sqrt((.05^2 + .05^2 + .04^2 + .04^2) / 3) = .0523
    assert pair["difference"] == pytest.approx(0.01)
    assert pair["error"] == pytest.approx(0.0523 / 2, rel=0.01)
    assert 3 <= pair["df"] < 3.3
    assert pair["low_holm"] < 0 < pair["high_holm"]


def test_what_trainings_agree_on_is_a_difference():
    (found,) = answers(of_seeds(4, 0.1, [0.01, -0.01, 0.02, -0.02], noise=0.02), LABELS)
    assert "in-silico mutagenesis ranks true motif bases best: auPRC " in found.sentence
    few = answers(of_seeds(2, 0.1, [0.01, -0.01], noise=0.02), LABELS)[0]
    assert "It rests on 2 trainings only: another training may rank them otherwise" in few.remark


def test_sentence_table_diagram_and_interval_say_the_same(tmp_path):
    """Where the difference is real by the one rule and where it is not, the four do not contradict each other."""
    seen = set()
    for seed in range(6):
        table = per_sequence(tasks=("HepG2",), means=(0.6, 0.597 - 0.004 * seed, 0.59), n=24, seed=seed)
        found = answers(table, LABELS)[0]
        section = differences([found], LABELS, {})
        rows = section.tables[0][1].rows
        named = found.sentence.partition(":")[0]
        bars = difference_bars(found)
        best = found.standings["key"].iloc[0]
        (scored,) = [score_table(summarised(table), LABELS, found.standings)]
        marks = {row[1]: row[0].endswith("=") for row in scored.rows}
        for label, _, interval, _, p, _ in rows:
            low, high = map(float, interval.split(" to "))
            level = p != "under 0.0001" and float(p) >= 0.05
            seen.add(level)
            key = next(key for key, name in LABELS.items() if name == label)
            assert level == (low <= 0 <= high)
            assert level == (label in named or "any other method" in named)
            assert level == any({best, key} <= bar for bar in bars)
            assert level == marks[label]
    assert seen == {True, False}


def difference_bars(found):
    """Keys under each bar of an answer's diagram."""
    means = found.standings.set_index("key")["auprc"]
    ax = plot.difference_diagram(means, _level(found.pairs, list(means.index)))
    at = {mean: key for key, mean in means.items()}
    return [{at[x] for x in line.get_xdata()} for line in ax.lines if line.get_gid() == "level"]


def quality(auroc, oracle=None, kmers=None):
    more = {} if kmers is None else {"kmer_auroc": kmers, "kmer_k": 5.0}
    return {"HepG2": {"auroc": auroc, "auprc": 0.5, "oracle_auroc": oracle, **more}}


@pytest.mark.parametrize(
    ("auroc", "oracle", "warning"),
    [
        (0.52, 0.97, "The network has learnt little: auROC 0.52 of 0.97 reachable; what follows says little of"),
        (0.87, 0.97, "The network has learnt little: auROC 0.87 of 0.97 reachable"),  # .37 of .47 is 79%
        (0.88, 0.97, ""),  # .38 of .47 is 81%
        (0.59, 0.6, ""),  # 90% of what there is
        (0.59, None, "The network has learnt little: auROC 0.59 (under 0.60); what follows says little of"),
        (0.6, None, ""),
        (None, None, ""),
    ],
)
def test_networks_that_learnt_little_come_first(auroc, oracle, warning):
    found = answers(per_sequence(tasks=("HepG2",)), LABELS, {"basset": quality(auroc, oracle)})[0]
    if warning:
        assert found.sentence.startswith(warning)
        assert "methods. On HepG2, in-silico" in found.sentence
    else:
        assert found.sentence.startswith("On HepG2, in-silico")
    told = "" if auroc is None else f", network auROC {auroc:.2f}" + (f" of {oracle:.2f} reachable" if oracle else "")
    assert found.sentence.endswith(f"; 30 sequences{told}.")


@pytest.mark.parametrize(
    ("auroc", "oracle", "kmers", "warning"),
    [
        (0.55, None, 0.63, "auROC 0.55, a 5-mer classifier reaches 0.63; what follows says little of the methods."),
        (0.7, None, 0.75, "auROC 0.70, a 5-mer classifier reaches 0.75;"),  # .6 is not enough where more is easy
        (0.58, None, 0.55, ""),  # nor asked for where it is not
        (0.49, None, 0.45, "auROC 0.49, a 5-mer classifier reaches 0.45;"),  # worse than a guess is never enough
        (0.88, 0.97, 0.9, ""),  # a ceiling is the better measure
    ],
)
def test_where_no_ceiling_is_known_a_classifier_of_kmers_is_the_bound(auroc, oracle, kmers, warning):
    found = answers(per_sequence(tasks=("HepG2",)), LABELS, {"basset": quality(auroc, oracle, kmers)})[0]
    first = f"The network has learnt little: {warning}" if warning else "On HepG2, in-silico"
    assert found.sentence.startswith(first)


def test_the_kmers_auroc_is_beside_the_networks(tmp_path, markup):
    run = grammar_run(sequences=[])
    run["metrics"]["basset"]["HepG2"] |= {"kmer_auroc": 0.6543, "kmer_k": 5.0}
    page = written(tmp_path, run)
    assert "k-mer auROC is that of a logistic regression on counts of 5-mers" in page.text
    assert "0.654" in page.cells
    assert "k-mer" not in Page(markup).text


def test_of_several_networks_the_worst_is_named():
    table = per_sequence(models=("basset-seed1", "basset-seed2"), tasks=("HepG2",))
    metrics = {"basset-seed1": quality(0.9, 0.95), "basset-seed2": quality(0.55, 0.95)}
    assert answers(table, LABELS, metrics)[0].sentence.startswith(
        "In 1 of 2 cases the network has learnt little: at worst auROC 0.55 of 0.95 reachable (basset-seed2 on HepG2);"
    )
    metrics["basset-seed1"] = quality(0.6, 0.95)
    assert answers(table, LABELS, metrics)[0].sentence.startswith(
        "The networks have learnt little: at worst auROC 0.55"
    )


def test_few_sequences_are_said_to_be_few():
    assert "; only 4 sequences, too few to rank methods on." in answers(per_sequence(n=4), LABELS)[0].sentence
    assert "; only 19 sequences, too few" in answers(per_sequence(n=19), LABELS)[0].sentence
    assert "; 20 sequences." in answers(per_sequence(n=20), LABELS)[0].sentence


def with_null(table):
    """A null method that would win every ranking."""
    mine = table[table["key"] == "ism@none"]
    return pd.concat([table, mine.assign(key="null_kmer@none", method="null_kmer", auprc=mine["auprc"] + 0.3)])


def test_null_methods_are_in_no_ranking(tmp_path):
    table = with_null(per_sequence())
    told, expected = (answers(each, LABELS) for each in (table, per_sequence()))
    for mine, right in zip(told, expected, strict=True):
        assert mine.sentence == right.sentence
        pd.testing.assert_frame_equal(mine.standings, right.standings)
        pd.testing.assert_frame_equal(mine.pairs, right.pairs)
    pd.testing.assert_frame_equal(comparisons(table), comparisons(per_sequence()))
    page = written(tmp_path, grammar_run(per_sequence=table, summary=summarised(table), comparisons=comparisons(table)))
    places = [i for i, cell in enumerate(page.cells) if cell == "words at true bases, no network"]
    assert len(places) == 2  # with its numbers at the end of either task's table of all scores, without a rank
    assert [page.cells[i - 1] for i in places] == ["–", "–"]


def test_a_run_of_seeds_has_one_ranking_of_its_model(tmp_path):
    table = per_sequence(models=tuple(f"basset-seed{k}" for k in range(1, 5)))
    run = grammar_run(per_sequence=table, summary=summarised(table), comparisons=comparisons(table), sequences=[])
    run["metrics"] = {f"basset-seed{k}": run["metrics"]["basset"] for k in range(1, 5)}
    run["histories"] = {}
    page = written(tmp_path, run)
    assert "30 sequences, 4 trainings, networks' mean auROC 0.80." in page.text
    assert "On HepG2, mean of 4 trainings: 30 sequences, chance auPRC 0.080" in page.text
    assert "On HepG2, basset-seed3 alone: 30 sequences" in page.text
    assert "another training may rank" not in page.text
    here = table[(table["task"] == "HepG2") & (table["key"] == "ism@none")]
    assert f"{here['auprc'].mean():.3f} ± " in page.text
    captions = [answer.place for answer in answers(table, LABELS)]
    assert captions == ["Over 2 tasks", "On HepG2", "On K562"]


def test_methods_at_chance_are_not_praised():
    table = per_sequence(tasks=("HepG2",), means=(0.08, 0.07, 0.06))
    assert "On HepG2, no method finds true motif bases" in answers(table, LABELS)[0].sentence


def test_models_and_tasks_are_named_where_there_are_several():
    places = [answer.place for answer in answers(per_sequence(models=("basset", "beluga")), LABELS)]
    assert places[0] == "Over 2 models and 2 tasks"
    assert places[1:3] == ["On HepG2 with basset", "On K562 with basset"]


def test_labels_that_two_keys_would_share_are_the_keys():
    rows = [{"key": key, "method": "ism", "references": "none", "settings": "{}"} for key in ("ism@none", "ism@other")]
    assert method_labels(pd.DataFrame(rows)) == {"ism@none": "ism@none", "ism@other": "ism@other"}
    plugin = {"key": "mine@none", "method": "mine", "references": np.nan, "settings": np.nan}
    assert method_labels(pd.DataFrame([plugin])) == {"mine@none": "mine"}


# what the script reads, and the sections that tables of a run add


def test_tables_of_a_run_have_their_sections(tmp_path):
    table = per_sequence()
    variance = pd.DataFrame(
        [("basset", "HepG2", "ism@none", "auprc", 0.612, 0.034, 0.101, 0.027, 3, 30)],
        columns=list(tables.VARIANCE_COLUMNS),
    )
    compared = comparisons(table)
    run = grammar_run(comparisons=compared, motif_recall=recall_rows(), motif_names={"MA1": "HNF4A"}, variance=variance)
    path = write_report(tmp_path / "report.html", results(run, dynamics=dynamics_tables()))
    page = Page(path.read_text(encoding="utf-8"))
    for head in (
        "Which differences are real",
        "Which motifs are found",
        "Would another training",
        "What is learnt when",
    ):
        assert head in page.text
    (k562,) = [answer for answer in answers(table, LABELS) if answer.task == "K562"]
    behind = k562.pairs.iloc[0]
    assert f"{behind.low_holm:.3f} to {behind.high_holm:.3f}" in page.cells
    assert {"0.034", "0.101", "-0.71"} <= set(page.cells)
    assert "HNF4A (10)" in page.text
    assert "MA2 (20)" in page.text
    data = json.loads(re.search(r'id="figure-data">(.*?)</script>', path.read_text("utf-8")).group(1))
    drawn = {attributes["data-figure"] for _, attributes in page.elements if "data-figure" in attributes}
    assert drawn == set(data)
    csv = {value["name"]: value["csv"] for value in data.values()}
    heat = pd.read_csv(io.StringIO(next(text for name, text in csv.items() if "Motifs found" in name)))
    assert heat["recall"].tolist() == [0.7, 0.7, 0.5, 0.5, 0.25, 0.25]


def test_dependency_maps_have_a_section_with_a_map_of_each_place_and_the_scores_of_pairs(tmp_path):
    hostile = example().sites.assign(tf=HOSTILE)
    strengths = np.eye(40)[::-1].astype(np.float32) / 3
    maps = [DependencyMap("basset", task, "ism@none", "seq0", 20, strengths, hostile) for task in ("HepG2", "K562")]
    line = ("basset", "HepG2", "ism@none", 17, 0.4321, 0.0512, 0.0123, 44.25)
    pairs = pd.DataFrame([line], columns=list(tables.INTERACTING_PAIRS_COLUMNS))
    page = written(tmp_path, grammar_run(maps=maps, interacting_pairs=pairs))
    assert "Which bases depend on each other" in page.text
    assert page.text.count("full colour: ") == 2
    assert {"0.432 ± 0.051", "0.012", "44.2", "17"} <= set(page.cells)
    assert not {tag for tag, attributes in page.elements if "onerror" in attributes}
    data = json.loads(re.search(r'id="figure-data">(.*?)</script>', (tmp_path / "report.html").read_text("utf-8"))[1])
    (csv, _) = (value["csv"] for value in data.values() if "depend on each other" in value["name"])
    shown = pd.read_csv(io.StringIO(csv))
    assert len(shown) == 40 * 39 / 2
    assert shown.loc[shown["strength"] > 0, ["first", "second"]].sum(axis=1).eq(2 * 20 + 39).all()
    # without rules there is no table, and without maps no section
    alone = written(tmp_path, grammar_run(maps=maps[:1])).text
    assert "Which bases depend" in alone
    assert "average precision is 1 when every true pair" not in alone
    assert "Which bases depend" not in written(tmp_path, grammar_run()).text


def test_a_difference_is_told_from_the_best_whichever_stands_first(tmp_path):
    """Rows say first less second; the table says the best less the other."""
    from simbench_tf.report.sections import _from_the_best

    row = {"first": "b", "second": "a", "difference": -0.2, "low_holm": -0.3, "high_holm": -0.1, "effect_size": -0.8}
    turned = _from_the_best(pd.DataFrame([row]), "a").iloc[0]
    assert turned[["second", "difference", "low_holm", "high_holm", "effect_size"]].tolist() == [
        "b",
        0.2,
        0.1,
        0.3,
        0.8,
    ]


def test_the_browser_holds_what_was_computed(tmp_path):
    place = browsed()
    data = browser_data([place], per_sequence(), LABELS)
    (told,) = data["places"]
    assert (told["model"], told["task"], told["of"], told["ids"]) == ("basset", "HepG2", 4, list(place.seq_ids))
    assert told["bases"] == ["".join("ACGTN"[base] for base in row) for row in place.bases]
    assert told["sites"][2] == [["HNF4A", 20, 35, "+", True]]
    for method, (key, scores) in zip(told["methods"], place.scores.items(), strict=True):
        assert method["label"] == LABELS[key]
        steps = np.frombuffer(base64.b64decode(method["scores"]), np.int8).reshape(scores.shape)
        scale = np.array(method["scale"])[:, None]
        np.testing.assert_allclose(steps * scale / 127, scores, atol=0.51 / 127 * abs(scores).max())
    table = per_sequence()
    mine = table[(table.task == "HepG2") & (table.key == "ism@none") & (table.seq_id == "seq1")]
    assert told["methods"][0]["auprc"][1] == pytest.approx(mine["auprc"].iloc[0], abs=1e-3)


def test_the_browser_keeps_to_its_budget_and_says_so():
    a_sequence = 3 * LENGTH * 4 / 3
    (told,) = browser_data([browsed(20)], per_sequence(), LABELS, budget=int(7.5 * a_sequence))["places"]
    assert (len(told["ids"]), len(told["bases"]), len(told["sites"]), told["of"]) == (7, 7, 7, 20)


def test_embedded_json_is_no_markup():
    text = embedded({"</script>": ["<!--", "&amp;", "\u2028"]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"</script>": ["<!--", "&amp;", "\u2028"]}


def test_what_knowing_nothing_reaches_is_in_the_head_line_the_ranking_and_the_tables(tmp_path):
    run = grammar_run(sequences=[])
    nulls = [
        {"key": f"null_untrained@{key}", "method": "null_untrained", "auprc": auprc}
        for key, auprc in (("ism@none", 0.17), ("saliency@none", 0.21))
    ]
    nulls += [{"key": "null_position", "method": "null_position", "auprc": 0.19}]
    nulls += [{"key": "null_scan", "method": "null_scan", "auprc": 0.71}]
    table = pd.DataFrame([row | {"model": "basset", "task": task} for task in ("HepG2", "K562") for row in nulls])
    table = table.reindex(columns=list(run["summary"])).assign(references="none", settings="{}")
    page = written(tmp_path, run, nulls=table)
    assert "(chance 0.08, knowing nothing 0.21)" in page.text
    assert "in-silico mutagenesis, untrained network" in page.cells
    assert "scan with the true motifs, no network" in page.cells
    assert page.text.count("knowing nothing") >= 3
    assert "the best of the same methods on an untrained network" in page.text
    # a method that does not beat it finds nothing
    table["auprc"] += 0.6
    page = written(tmp_path, run, nulls=table)
    assert "no method finds true motif bases: the best, in-silico mutagenesis, has" in page.text


def test_metrics_of_other_packages_are_columns_and_rankings(tmp_path):
    run = grammar_run(sequences=[])
    run["config"]["scoring"] = {"metrics": [{"metric": "bits_won", "per": "site"}]}
    rows = run["per_sequence"].assign(bits_won=10 * run["per_sequence"]["auprc"] - 3)
    of_files = rows.groupby(["model", "task", "key"], sort=False)["bits_won"]
    means = of_files.agg(["mean", "sem"]).reset_index()
    summary = run["summary"].assign(bits_won=means["mean"], bits_won_se=means["sem"])
    nulls = summary[summary["key"] == "ism@none"].assign(key="null_position", method="null_position", bits_won=-2.5)
    page = written(tmp_path, run | {"per_sequence": rows, "summary": summary}, nulls=nulls)
    assert "bits won (per site)" in page.text
    for mean, error in means[["mean", "sem"]].itertuples(index=False):
        assert f"{mean:.3f} ± {error:.3f}" in page.cells
    assert f"{-2.5:.3f} ± {means['sem'][0]:.3f}" in page.cells
    data = json.loads(re.search(r'id="figure-data">(.*?)</script>', (tmp_path / "report.html").read_text("utf-8"))[1])
    drawn = [each for each in data.values() if "bits won" in each["name"]]
    assert len(drawn) == 3  # over both tasks, and of each
    table = pd.read_csv(io.StringIO(drawn[1]["csv"])).set_index("key")
    assert table.loc["saliency@none", "bits_won"] == pytest.approx(means["mean"][2])
    assert table["null_bits_won"].tolist() == [-2.5] * 3
    assert "Metrics of other packages" not in written(tmp_path, grammar_run(sequences=[])).text


def test_both_truths_of_peaks_are_beside_each_other(tmp_path):
    run = peaks_run()
    summary = run["summary"].assign(scan_auprc=0.6543)
    other = summary.assign(truth="rescanned:all", auprc=summary["auprc"] + 0.2, chance_auprc=0.1777)
    page = written(tmp_path, run | {"summary": summary}, other_truth=other)
    assert "a scan with the true matrices reaches 0.654" in page.text
    assert "On A549 with basset" in page.text
    best = summary.loc[summary["auprc"].idxmax()]
    for value in (best["auprc"], best["auprc"] + 0.2):
        assert any(cell.startswith(f"{value:.3f}") for cell in page.cells)
    assert "0.178" in page.cells
    assert "hits of a scan" in page.text
    assert "hits of a scan" not in written(tmp_path, run | {"summary": summary}).text


def test_the_sign_and_the_bases_that_count_are_said(tmp_path):
    run = grammar_run(sequences=[])
    assert "by the size of their attribution" in written(tmp_path, run).text
    table = run["summary"]
    signed = table.assign(
        sign="signed", absolute_auprc=table["auprc"] - 0.0111, scored_bases=100, auprc_all_bases=0.1234
    )
    page = written(tmp_path, run | {"summary": signed})
    assert "by their attribution, sign included," in page.text
    assert "auPRC by size" in page.text
    assert "auPRC on all bases" in page.text
    assert f"{table['auprc'].max() - 0.0111:.3f}" in page.cells
    assert "0.123" in page.cells
    assert f"of {LENGTH}: basset 100." in page.text


def test_whether_the_credit_of_sites_is_right_is_shown_where_it_is_known(tmp_path, markup):
    assert "Is the credit right?" not in markup
    page = written(tmp_path, grammar_run(), site_importance=credit_rows())
    assert "Is the credit right?" in page.text
    assert "On HepG2 with basset: 1,234 sites in 56 sequences; the model has their order to 0.67 ± 0.04" in page.text
    assert "On K562 with basset: 1,234 sites in 56 sequences method" in page.text
    first = page.cells.index("0.82 ± 0.04")
    expected = [LABELS["integrated_gradients@zeros+n_steps=20"], *["0.82 ± 0.04"] * 3, "4.50", "0.82"]
    assert page.cells[first - 1 : first + 5] == expected
    assert page.cells[first + 5 : first + 7] == [LABELS["ism@none"], "0.31 ± 0.04"]


def test_configuration_and_versions_are_closed(markup):
    made = markup[markup.index('<section id="made"') :]
    assert made.count("<details>") == 2
    assert "<details open" not in markup


def test_figures_show_methods_in_one_order(tmp_path):
    """Of two tasks that rank the methods otherwise, every figure has the order of the first answer."""
    one = per_sequence(tasks=("HepG2",), means=(0.6, 0.4, 0.2))
    table = pd.concat([one, per_sequence(tasks=("K562",), means=(0.3, 0.45, 0.2))], ignore_index=True)
    run = grammar_run(per_sequence=table, summary=summarised(table), motif_recall=recall_rows().iloc[::-1])
    markup = write_report(tmp_path / "report.html", results(run)).read_text(encoding="utf-8")
    figures = re.findall(r"<(?:figure|div) (?:class=\"panels\" )?data-figure.*?</svg>", markup, re.DOTALL)
    orders = []
    for figure in figures:
        texts = [each.strip() for each in re.findall(r"<text[^>]*>(.*?)</text>", figure, re.DOTALL)]
        order = [name for each in texts for name in LABELS.values() if each == name]
        if len(order) == 3 and 'gid="level"' not in figure and "differ" not in figure and "seconds a" not in figure:
            orders.append(order)
    assert len(orders) >= 5  # three rankings, a heat map, two examples
    assert all(order == list(LABELS.values()) for order in orders)


def test_found_sites_of_the_browser_are_those_of_the_recall():
    place = browsed(n=6)
    sites = pd.concat([place.sites, place.sites.assign(tf="CTCF", start=70, end=80, counted=False)])
    place = place._replace(sites=sites)
    data = browser_data([place], per_sequence(), LABELS)["places"][0]
    assert [method["label"] for method in data["methods"]] == list(LABELS.values())
    for method, key in zip(data["methods"], KEYS, strict=True):
        for row, marks in enumerate(method["found"]):
            size = np.abs(place.scores[key][row].astype(float))
            free = np.ones(LENGTH, bool)
            free[20:35] = False
            windows = [size[i : i + 15].sum() for i in range(LENGTH - 14) if free[i : i + 15].all()]
            lower = sum(window < size[20:35].sum() for window in windows)
            assert marks == ("1" if lower >= np.ceil(0.95 * len(windows)) else "0") + "-"


@pytest.mark.parametrize(("n", "shown"), [(7, False), (8, True)])
def test_rank_correlations_of_few_motifs_are_not_shown(n, shown):
    tables = dynamics_tables()
    tables["basset"]["order"]["n"] = n
    section = learnt_when(tables, {})
    assert any("learnt first" in caption for caption, _ in section.tables) == shown


def test_a_network_below_chance_reached_nothing():
    table = quality_table({"K562": {"auroc": 0.48, "auprc": 0.3, "positive_fraction": 0.3, "oracle_auroc": 0.9}})
    assert dict(zip(table.heads, table.rows[0], strict=True))["reached"] == "none"
