"""The report as a browser shows it: headless Chromium, driven by Playwright."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from helpers.report_data import (
    KEYS,
    browsed,
    comparisons,
    dynamics_tables,
    grammar_run,
    per_sequence,
    recall_rows,
    results,
    summarised,
)
from simbench_tf.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]

HOSTILE = "</script><img src=x onerror=window.hit=1>"
N, METHODS, BASES = 500, 12, 400


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(chromium, path, **settings):
    """A page, and the messages of its console that are errors."""
    page = chromium.new_page(**settings)
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    return page, errors


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    place = browsed(seq_id=HOSTILE + "{}")
    run = grammar_run(sequences=[place], comparisons=comparisons(per_sequence()), motif_recall=recall_rows())
    return write_report(tmp_path_factory.mktemp("report") / "report.html", results(run, dynamics=dynamics_tables()))


@pytest.fixture
def page(chromium, report):
    page, errors = opened(chromium, report)
    yield page
    assert errors == []
    page.close()


def drawn(page):
    return page.inner_html("#browser svg")


def test_a_hostile_name_shows_as_text(page):
    assert page.locator("#browser select").nth(1).locator("option").first.inner_text() == HOSTILE + "0"
    assert HOSTILE + "0" in page.inner_text("#browser .note")
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0


def test_sequences_methods_and_zoom_change_what_is_drawn(page):
    whole = drawn(page)
    assert page.locator("#browser svg text.method").count() == len(KEYS)
    assert page.locator("#browser svg text.site").first.text_content() == "HNF4A →"
    page.click("[aria-label='Next sequence']")
    second = drawn(page)
    assert second != whole
    assert HOSTILE + "1" in page.inner_text("#browser .note")
    page.locator("#browser fieldset input").first.uncheck()
    assert page.locator("#browser svg text.method").count() == len(KEYS) - 1
    page.locator("#browser fieldset input").first.check()
    assert drawn(page) == second
    page.click("[aria-label='Zoom in']")
    assert "bases 30 to 90 of 120" in page.inner_text("#browser .note")
    page.locator("#browser svg").press("ArrowRight")
    assert "bases 50 to 110 of 120" in page.inner_text("#browser .note")
    page.click("[aria-label='Zoom to the first site']")
    assert "bases 0 to 80 of 120" in page.inner_text("#browser .note")
    # near enough for letters: one a base that is no N, in its colour, up or down by its sign
    place = browsed(seq_id=HOSTILE + "{}")
    expected = len(KEYS) * int((place.bases[1, :80] < 4).sum())
    letters = page.locator("#browser svg path[fill^='#']").count()
    assert expected - 3 <= letters <= expected  # a value of 0 has no letter
    page.click("[aria-label='Show the whole sequence']")
    assert drawn(page) == second


def test_a_click_on_a_head_sorts(page):
    table = page.locator("main table", has_text="mass on true bases").first
    head = table.locator("th").nth(2)

    def values():
        return [float(cell.split()[0]) for cell in table.locator("tbody tr td:nth-child(3)").all_inner_texts()]

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())


def test_figures_can_be_saved_as_svg_and_csv(page, tmp_path):
    figure = page.locator("figure", has_text="HepG2, basset").last
    saved = {}
    for kind in ("SVG", "CSV"):
        with page.expect_download() as download:
            figure.locator(f"button:text-is('{kind}')").click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    assert saved["SVG"].suffix == ".svg"
    text = saved["SVG"].read_text()
    assert text.startswith("<svg")
    assert "var(" not in text
    assert len(pd.read_csv(saved["CSV"])) > 1
    with page.expect_download() as download:
        page.click('[aria-label="Save this sequence\'s attributions as CSV"]')
    download.value.save_as(tmp_path / "sequence.csv")
    assert set("<>/") & set(download.value.suggested_filename) == set()
    table = pd.read_csv(tmp_path / "sequence.csv")
    np.testing.assert_allclose(table["saliency"], browsed().scores["saliency@none"][0], atol=0.03)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(chromium, report, scheme):
    page, errors = opened(chromium, report, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 250)"
    assert light == (scheme == "light")
    assert errors == []
    page.close()


def test_without_scripts_all_else_is_there(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert "needs scripts" in page.inner_text("noscript")
    assert page.locator("main table").count() > 3
    context.close()


def test_a_large_run_is_small_and_opens_at_once(chromium, tmp_path):
    """500 sequences x 12 methods: under 15 MB, and open in under 2 s (the best of three, the machine being shared)."""
    keys = [f"ism@none+end={number}" for number in range(METHODS)]
    blocks = [
        pd.DataFrame(
            {
                "model": "basset",
                "task": "HepG2",
                "key": key,
                "method": "ism",
                "references": "none",
                "settings": json.dumps({"end": number}),
                "seq_id": [f"seq{row}" for row in range(N)],
                **{metric: np.random.default_rng(number).uniform(size=N) for metric in ("auroc", "auprc")},
                "mass_fraction": 0.2,
                "chance_auprc": 0.1,
            }
        )
        for number, key in enumerate(keys)
    ]
    table = pd.concat(blocks, ignore_index=True)
    place = browsed(N, tuple(keys), BASES)
    run = grammar_run(per_sequence=table, summary=summarised(table), sequences=[place])
    path = write_report(tmp_path / "report.html", results(run, comparisons=comparisons(table)))
    assert path.stat().st_size < 15e6
    seconds = []
    for _ in range(3):
        page, errors = opened(chromium, path)
        loaded = "performance.getEntriesByType('navigation')[0].loadEventEnd"
        page.wait_for_function(f"{loaded} > 0")
        seconds.append(page.evaluate(loaded) / 1000)
        assert page.locator("#browser select").nth(1).locator("option").count() == N
        assert errors == []
        page.close()
    assert min(seconds) < 2, seconds
