"""The head of the report and its cards of methods: contents, quality and n, formulas, when to trust a method."""

import html
import re

import pandas as pd
import pytest

from helpers.report_data import grammar_run, results
from simbench_tf import plot
from simbench_tf.attribution.facts import FACTS
from simbench_tf.report import write_report
from simbench_tf.report.front import at_the_top
from simbench_tf.report.method_cards import plain


@pytest.fixture(scope="module")
def markup(tmp_path_factory) -> str:
    """The page of `grammar_run`, made once."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(path, results(grammar_run())).read_text(encoding="utf-8")


def text_of(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def test_the_contents_lead_to_every_section(markup):
    sections = re.findall(r'<section id="([^"]+)"', markup)
    assert re.findall(r'<li><a href="#([^"]+)">', markup) == sections
    assert {"ranking", "data", "models", "scores", "methods", "examples", "cost", "made"} <= set(sections)
    assert "<section>" not in markup


def test_quality_and_number_of_sequences_stand_at_the_top(markup):
    text = text_of(markup)
    top = text[: text.index("The data")]
    assert "60 sequences: 30 of HepG2, 30 of K562" in top
    assert "basset, test auROC HepG2 0.81; K562 0.80" in top


def test_models_of_the_head_are_summed_up_where_they_are_many():
    summary = pd.DataFrame({"model": "a", "task": "K562", "key": ["x", "y"], "n_sequences": 9})
    quality = {"auroc": 0.7, "oracle_auroc": 0.9}
    seeds = {f"basset-seed{n}": {"K562": quality | {"auroc": 0.6 + n / 10}} for n in (1, 2)}
    assert at_the_top(summary, seeds)[-1] == (
        "basset, 2 trainings, test auROC",
        "0.70 to 0.80 of 0.90 reachable",
    )
    many = {f"width{n}": {"K562": {"auroc": 0.5 + n / 100}} for n in range(9)}
    assert at_the_top(summary, many)[1:] == [("methods", "2"), ("9 models, test auROC", "0.50 to 0.58")]


def test_each_method_has_a_card_with_what_the_facts_say(markup):
    cards = re.findall(r'<details class="card" id="method-([a-z_]+)">(.*?)</details>', markup, re.DOTALL)
    assert [name for name, _ in cards] == ["ism", "integrated_gradients", "saliency"]  # the best first
    for name, card in cards:
        text = text_of(card)
        facts = FACTS[name]
        for told in (facts.trust, facts.doubt, facts.cost, facts.paper):
            assert plain(told) in text
        assert f"<title>{facts.formula}</title>" in html.unescape(card)
        assert len(re.findall(r"<path", card)) >= 1
    assert "Points on the way from each reference." in dict(cards)["integrated_gradients"]


def test_every_formula_of_the_facts_can_be_drawn():
    for name, facts in FACTS.items():
        width, height = plot.formula(facts.formula).get_size_inches()
        assert 0.5 < width < 12, name
        assert 0.1 < height < 1, name
