"""What the report says of motif callers: sentences that claim no more than is shown, tables, figures."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest

from helpers.report_data import KEYS, LABELS, found_motif_rows, grammar_run, instance_rows, results
from simbench_tf.motifs import Motif
from simbench_tf.report import write_report
from simbench_tf.report.caller_answers import caller_answers, standings_of_callers
from simbench_tf.report.caller_sections import caller_table, motif_callers
from simbench_tf.run.motif_pairs import MotifPair

ISM, IG, SALIENCY = KEYS


def one(instances=None, motifs=None, metrics=None) -> str:
    answers = caller_answers(instances, motifs, LABELS, metrics)
    assert len(answers) == 1
    return answers[0].sentence


def test_the_best_is_told_with_its_share_of_what_is_possible():
    assert one(instance_rows()) == (
        "On HepG2 with basset, in-silico mutagenesis with the seqlet caller finds the sites best: F1 0.70 ± 0.01 at "
        "its best threshold, 88% of the 0.80 that the exact posterior reaches."
    )


def test_without_a_ceiling_no_share_is_told():
    assert one(instance_rows(oracle=np.nan)).endswith("finds the sites best: F1 0.70 ± 0.01 at its best threshold.")


@pytest.mark.parametrize(("second", "is_level"), [(0.68, True), (0.66, False)])
def test_a_lead_within_two_errors_of_the_difference_is_no_difference(second, is_level):
    # two errors of the difference are 2 * sqrt(2) * .01 = .028
    rows = instance_rows(f1=(0.7, second, 0.2))
    assert standings_of_callers(rows, None)["level"].tolist() == [True, is_level, False]
    rival = "with no difference shown to integrated gradients (zeros, n_steps 20) with the seqlet caller"
    assert (rival in one(rows)) is is_level
    assert "saliency" not in one(rows)


def test_no_caller_above_chance_is_praised():
    sentence = one(instance_rows(f1=(0.115, 0.1, 0.05)))
    assert "no caller finds the sites better than chance (0.10): in-silico mutagenesis" in sentence
    assert "best:" not in sentence


def test_a_single_pair_is_not_called_the_best():
    rows = instance_rows()
    sentence = one(rows[rows["key"] == IG])
    assert "the only one run, finds sites with F1 0.50" in sentence
    assert "best:" not in sentence


def test_a_network_that_learnt_little_is_told_first():
    metrics = {"basset": {"HepG2": {"auroc": 0.55, "oracle_auroc": 0.95}}}
    assert one(instance_rows(), metrics=metrics).startswith("The network has learnt little: auROC 0.55 of 0.95")


def test_motifs_are_counted_ties_named_and_filters_apart():
    motifs = pd.concat(
        [
            found_motif_rows({ISM: (0.95, 0.9), IG: (0.99, 0.92), SALIENCY: (0.95, 0.3)}),
            found_motif_rows({"filters": (0.97, None)}, caller="filters"),
        ]
    )
    assert one(None, motifs) == (
        "On HepG2 with basset, TF-MoDISco finds the most motifs with in-silico mutagenesis and integrated gradients "
        "(zeros, n_steps 20): 2 of 2 each; the first filters alone hold 1 of 2."
    )
    assert "no caller finds any of the 2 motifs" in one(None, found_motif_rows({ISM: (0.5, None)}))


def test_given_files_are_ranked_under_their_name():
    mine = instance_rows(f1=(0.79, 0.1, 0.1), caller="file").replace({"key": {ISM: "hits.tsv"}})
    rows = pd.concat([instance_rows(), mine[mine["key"] == "hits.tsv"]])
    assert "hits.tsv (given file) finds the sites best: F1 0.79" in one(rows)
    first = caller_table(standings_of_callers(rows, None), LABELS).rows[0]
    assert first[:3] == ["hits.tsv", "given file", "0.79 ± 0.01"]


def test_trainings_of_a_model_are_one_and_their_spread_is_in_the_error():
    rows = pd.concat([instance_rows("basset-seed1"), instance_rows("basset-seed2", f1=(0.5, 0.1, 0.15))])
    answer = caller_answers(rows, None, LABELS)[0]
    assert (answer.base, answer.networks) == ("basset", ["basset-seed1", "basset-seed2"])
    best = answer.standings.iloc[0]
    assert best["best_f1"] == pytest.approx(0.6)
    # of the mean of .7 and .5: their variance .02 over 2, and the error of the sequences
    assert best["best_f1_se"] == pytest.approx(np.sqrt(0.02 / 2 + 0.01**2))
    # 40 calls of each training, of which .3 and .5 are false
    assert (best["n_stated"], best["true_rate"]) == (40, pytest.approx(0.4))


def test_the_table_has_a_row_for_every_pair_and_dashes_for_what_is_not_there():
    few = instance_rows(f1=(0.4, 0.3, 0.2), caller="modisco").assign(recall_cap=0.36)
    few = few[few["by"] != "stated_fdr"]
    motifs = found_motif_rows({ISM: (0.95, 0.3), IG: (0.95, 0.9), SALIENCY: (None, None)})
    filters = found_motif_rows({"filters": (0.97, 0.5)}, caller="filters")
    table = caller_table(standings_of_callers(pd.concat([instance_rows(), few]), pd.concat([motifs, filters])), LABELS)
    heads = ["attribution", "caller", "best F1", "average precision", "share of the oracle's F1", "recall cap"]
    assert table.heads == [*heads, "calls stated at 0.05", "true rate there", "motifs found"]
    assert table.rows[0] == [LABELS[ISM], "seqlet caller", "0.70 ± 0.01", "0.65", "88%", "1.00", "40", "0.30", "–"]
    assert table.rows[2] == [LABELS[ISM], "TF-MoDISco", "0.40 ± 0.01", "0.35", "50%", "0.36", "–", "–", "1 of 2"]
    assert table.rows[-1] == ["–", "first filters", *["–"] * 6, "1 of 2"]
    assert [row[-1] for row in table.rows if row[1] == "TF-MoDISco"] == ["1 of 2", "2 of 2", "0 of 2"]


def pair(key=ISM, caller="modisco", correlation=0.95, status="found", **more) -> MotifPair:
    word = np.full((3, 4), 0.1) + 0.6 * np.eye(4)[[0, 2, 1]]
    true, found = Motif("MA1", "HNF4A", word, 100), Motif("pattern_0", "pattern_0", word[::-1, ::-1], 50)
    names = {"model": "basset", "task": "HepG2", "key": key, "caller": caller} | more
    return MotifPair(**names, true=true, found=found, strand="-", start=0, correlation=correlation, status=status)


def test_figures_hold_what_they_show():
    figures: dict = {}
    run = results(
        grammar_run(
            instances=instance_rows(),
            found_motifs=found_motif_rows({SALIENCY: (0.91, 0.9), ISM: (0.99, None)}),
            motif_names={"MA1": "HNF4A", "MA2": "CTCF"},
            motif_pairs=[pair(), pair(SALIENCY), pair(SALIENCY), pair("filters", "filters", 0.99)],
        )
    )
    section = motif_callers(run, LABELS, figures)
    (sites,), (motifs,), (logos,), (rates,) = section.sites, section.motifs, section.logos, section.rates
    assert sites.caption == "HepG2, basset: sites found by the seqlet caller"
    # methods from the best down, motifs with most sites first
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", sites.svg)
    assert [each for each in shown if each.startswith(".")] == [".70", ".35", ".50", ".25", ".25", ".12"]
    assert {"CTCF (20)", "HNF4A (10)"} <= set(shown)
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", motifs.svg)
    assert [each for each in shown if each.startswith((".", "–"))] == [".99", "–", ".91", ".90"]
    assert motifs.caption == "HepG2, basset: motifs found by TF-MoDISco"
    assert {"saliency", "in-silico mutagenesis"} <= set(shown)
    assert logos.caption == "HepG2, basset: saliency, TF-MoDISco", "two motifs are found there"
    assert figures[logos.figure]["csv"].splitlines()[1] == "MA1,pattern_0,-,0,0.95,found"
    assert "in-silico mutagenesis: up to 40 calls" in rates.svg
    data = [line.split(",") for line in figures[rates.figure]["csv"].splitlines()]
    assert [float(line[data[0].index("true")]) for line in data[2::2]] == pytest.approx([0.3, 0.5, 0.75])


def test_each_caller_that_states_rates_has_its_figure():
    modisco = instance_rows(caller="modisco")
    rows = pd.concat([instance_rows(f1=(0.2, 0.3, 0.4)), modisco[modisco["by"] != "stated_fdr"]])
    rows = pd.concat([rows, instance_rows(caller="finemo", f1=(0.1, 0.2, 0.15))])
    figures: dict = {}
    section = motif_callers(results(grammar_run(instances=rows)), LABELS, figures)
    assert [each.caption for each in section.rates] == ["HepG2, basset: the seqlet caller", "HepG2, basset: Fi-NeMo"]
    keys = [line.partition(",")[0] for line in figures[section.rates[1].figure]["csv"].splitlines()[1::2]]
    assert keys == [ISM, IG, SALIENCY], "in the order of the labels"


def test_the_page_has_the_section_where_there_are_calls_and_not_elsewhere(tmp_path):
    heading = "Do callers find the motifs?"
    assert heading not in write_report(tmp_path / "without.html", results(grammar_run())).read_text()
    run = grammar_run(instances=instance_rows(), found_motifs=found_motif_rows({ISM: (0.91, 0.9)}))
    markup = write_report(tmp_path / "with.html", results(run)).read_text()
    section = html.unescape(markup.partition(heading)[2].partition("</section>")[0])
    assert "TF-MoDISco finds the most motifs with in-silico mutagenesis: 2 of 2." in section
    assert '<td class="number">88%</td>' in section
    assert "True motifs above the found ones" not in section, "no matrices are there"
    figures = json.loads(re.search(r'id="figure-data">(.*?)</script>', markup, re.S)[1])
    assert set(re.findall(r'data-figure="(f\d+)"', section)) <= set(figures)


@pytest.mark.parametrize("table", ["instances", "found_motifs"])
def test_one_table_alone_is_enough(table):
    rows = {"instances": instance_rows(), "found_motifs": found_motif_rows({ISM: (0.91, None)})}[table]
    section = motif_callers(results(grammar_run(**{table: rows})), LABELS, {})
    assert (len(section.sites), len(section.rates)) == ((1, 1) if table == "instances" else (0, 0))
    assert len(section.motifs) == (table == "found_motifs")


def test_rows_of_an_earlier_version_make_no_section():
    old = instance_rows().assign(best_f1=np.nan, caller="file")
    assert motif_callers(results(grammar_run(instances=old)), LABELS, {}) is None


def test_the_last_lines_of_a_run_say_it_too(monkeypatch, tmp_path):
    from simbench_tf.cli.stages import best_methods

    run = results(grammar_run(instances=instance_rows(), found_motifs=found_motif_rows({ISM: (0.91, None)})))
    monkeypatch.setattr("simbench_tf.run.results.read_results", lambda config, folder, sequences: run)
    lines = best_methods(None, tmp_path)
    assert lines[-1] == caller_answers(run.instances, run.found_motifs, LABELS, run.metrics)[0].sentence
    assert lines[-1].endswith("TF-MoDISco finds the most motifs with in-silico mutagenesis: 1 of 2.")
    assert len(lines) == 1 + 2 + 1, "over both tasks, on each, and of callers where there are some"
