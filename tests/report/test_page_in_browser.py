"""The report as a browser shows it: headless Chromium, driven by Playwright."""

import io
import itertools
import json
import re
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from helpers.report_data import (
    KEYS,
    LENGTH,
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


def opened(chromium, path, address="", **settings):
    """A page, and the messages of its console that are errors."""
    page = chromium.new_page(**settings)
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri() + (f"#{address}" if address else ""))
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
    page.click("[title='Zoom to the first site']")
    assert "bases 0 to 80 of 120" in page.inner_text("#browser .note")
    # near enough for letters: one a base that is no N, in its colour, up or down by its sign
    place = browsed(seq_id=HOSTILE + "{}")
    expected = len(KEYS) * int((place.bases[1, :80] < 4).sum())
    letters = page.locator("#browser svg path[fill^='#']").count()
    assert expected - 3 <= letters <= expected  # a value of 0 has no letter
    page.click("[title='Show the whole sequence']")
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


def remark(page):
    return page.inner_text("#browser .note")


def test_an_address_opens_the_same_sequence_and_stretch(chromium, report, page):
    assert page.evaluate("location.hash") == ""
    page.click("[aria-label='Next sequence']")
    page.click("[aria-label='Zoom in']")
    page.click("[aria-label='Move right']")
    shown, picture, address = remark(page), drawn(page), page.url
    start, end = (int(number) for number in re.search(r"bases (\d+) to (\d+) of", shown).groups())
    assert address.endswith(f"/{start}-{end}")
    assert end - start == 60
    other, errors = opened(chromium, report, address=address.partition("#")[2])
    assert (remark(other), drawn(other)) == (shown, picture)
    assert other.evaluate("document.getElementById('browser').getBoundingClientRect().top < innerHeight")
    # another address in the same page, of a sequence that there is not, and of one that is no address
    other.evaluate("location.hash = '#HepG2/nothing/1-5'")
    other.wait_for_function("document.querySelector('#browser .note').textContent.includes('no sequence nothing')")
    other.evaluate("location.hash = '#%E0%A4%A'")
    other.evaluate("location.hash = '#data'")
    assert drawn(other) == picture
    assert errors == []
    other.close()


def test_an_address_names_the_model_where_a_task_has_several(chromium, tmp_path):
    places = [browsed(), browsed(seq_id="other{}")._replace(model="beluga")]
    table = per_sequence(models=("basset", "beluga"))
    run = grammar_run(per_sequence=table, summary=summarised(table), sequences=places)
    path = write_report(tmp_path / "report.html", results(run))
    page, errors = opened(chromium, path, address="HepG2/other2/10-50/beluga")
    assert remark(page).startswith("other2: bases 10 to 50 of 120.")
    assert (
        page.locator("#browser select").first.evaluate("each => each.selectedOptions[0].textContent") == "HepG2, beluga"
    )
    page.click("[aria-label='Move right']")
    assert page.evaluate("location.hash") == "#HepG2/other2/23-63/beluga"
    assert errors == []
    page.close()


def test_sequences_can_be_ordered_and_chosen(chromium, tmp_path):
    run = grammar_run(sequences=[browsed(n=12)])
    page, errors = opened(chromium, write_report(tmp_path / "report.html", results(run)))
    data = json.loads(page.locator("#browser-data").text_content())["places"][0]
    order, which, other = (page.locator("#browser select").nth(number) for number in (2, 3, 4))
    names = page.locator("#browser select").nth(1).locator("option")
    order.select_option("1")
    which.select_option("2")
    auprc = data["methods"][2]["auprc"]
    expected = sorted(range(len(auprc)), key=lambda row: -auprc[row])
    assert names.all_inner_texts() == [f"{data['ids'][row]} ({auprc[row]:.2f})" for row in expected]
    assert remark(page).startswith(data["ids"][expected[0]])
    order.select_option("2")
    assert which.locator("option").all_inner_texts() == ["HNF4A"]
    assert names.count() == len(data["ids"])
    order.select_option("3")
    for first, second in itertools.permutations(range(3), 2):
        which.select_option(str(first))
        other.select_option(str(second))
        marks = [[method["found"][row] for row in range(len(data["ids"]))] for method in data["methods"]]
        mine = [row for row in range(len(data["ids"])) if marks[first][row] == "1" and marks[second][row] == "0"]
        assert names.all_inner_texts() == [f"{data['ids'][row]} (1)" for row in mine]
        if not mine:
            assert remark(page) == "No sequence is so."
    assert errors == []
    page.close()


def test_found_and_missed_sites_are_told_apart(page):
    data = json.loads(page.locator("#browser-data").text_content())["places"][0]
    marks = [method["found"][0] for method in data["methods"]]
    assert page.locator("#browser rect.found").count() == marks.count("1")
    assert page.locator("#browser rect.missed").count() == marks.count("0")
    assert len(marks) == 3
    titles = page.locator("#browser rect.found title, #browser rect.missed title").all_text_contents()
    words = {"1": "found", "0": "missed"}
    expected = [
        f"HNF4A 20-35: {words[m]} by {method['label']}" for m, method in zip(marks, data["methods"], strict=True)
    ]
    assert titles == expected


def test_the_pointer_tells_base_and_attribution(page):
    box = page.locator("#browser .view svg").bounding_box()
    page.locator("#browser .view svg").hover(position={"x": box["width"] * 25.5 / LENGTH, "y": 60})
    place = browsed()
    base = "ACGTN"[place.bases[0, 25]]
    value = place.scores["ism@none"][0, 25]
    told = page.inner_text("#browser .tip")
    assert told.startswith(f"25 {base} · in-silico mutagenesis ")
    assert float(re.search(r"mutagenesis (-?[\d.e-]+)", told)[1]) == pytest.approx(value, abs=0.02)
    assert "HNF4A 20-35, " in told


def test_marks_of_figures_tell_their_values_to_the_pointer_and_the_keyboard(page, tmp_path):
    figure = page.locator("#cost figure")
    figure.scroll_into_view_if_needed()
    dots, tip = figure.locator(".told"), page.locator("body > .tip")
    told = dots.evaluate_all("each => each.map((dot) => dot.dataset.told)")
    assert len(told) == len(KEYS)
    assert re.fullmatch(r"in-silico mutagenesis: auPRC 0\.\d+ ± 0\.\d+, [\d.]+ s a sequence", told[0])
    assert tip.is_hidden()
    dots.nth(1).hover()
    assert tip.inner_text() == told[1]
    page.mouse.move(0, 0)
    assert tip.is_hidden()
    # one stop of the tabulator for all, then arrows
    canvas = figure.locator(".canvas")
    figure.locator("button").first.focus()
    page.keyboard.press("Shift+Tab")
    assert canvas.evaluate("each => each === document.activeElement")
    seen = [tip.inner_text()]
    for _ in told:
        page.keyboard.press("ArrowRight")
        seen.append(tip.inner_text())
    assert seen == [*told, told[-1]]
    page.keyboard.press("Home")
    assert tip.inner_text() == told[0]
    assert figure.locator(".pointed").count() == 1
    box, dot = tip.bounding_box(), dots.first.bounding_box()
    assert box["y"] + box["height"] <= dot["y"] or dot["y"] + dot["height"] <= box["y"]
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    with page.expect_download() as download:
        figure.locator("button:text-is('SVG')").click()
    download.value.save_as(tmp_path / "cost.svg")
    saved = ElementTree.parse(tmp_path / "cost.svg").iter("{http://www.w3.org/2000/svg}title")
    assert [each.text for each in saved][1:] == told


def test_cells_of_a_heat_map_are_stepped_through_by_rows_and_columns(page):
    canvas = page.locator("#motifs figure .canvas").first
    told = canvas.locator(".told").evaluate_all("each => each.map((cell) => cell.dataset.told)")
    columns = len(told) // len(KEYS)
    assert columns == 2
    canvas.focus()
    for key in ("Home", "ArrowDown", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert page.locator("body > .tip").inner_text() == told[1]
    page.keyboard.press("ArrowDown")
    assert page.locator("body > .tip").inner_text() == told[1 + columns]
    page.keyboard.press("Escape")


def test_the_theme_can_be_chosen(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    theme = page.locator("#page-tools button").first
    seen = [page.evaluate(ground)]
    for _ in range(3):
        theme.click()
        seen.append(page.evaluate(ground))
    light, dark = "rgb(252, 252, 250)", "rgb(20, 24, 27)"
    assert seen == [light, light, dark, light]
    theme.click()
    theme.click()
    page.emulate_media(media="print")
    assert page.evaluate(ground) == light  # whatever the screen has
    assert page.locator("nav").is_hidden()
    assert page.locator("#sequences").is_hidden()
    page.emulate_media(media="screen")


def test_everything_is_one_zip(page, tmp_path):
    with page.expect_download() as download:
        page.click("#page-tools button >> text=ZIP")
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as file:
        assert file.testzip() is None
        names = file.namelist()
        figures = json.loads(page.locator("#figure-data").text_content())
        assert sum(name.endswith(".svg") for name in names) == len(figures)
        for name in names:
            content = file.read(name).decode("utf-8")
            if name.endswith(".svg"):
                ElementTree.fromstring(content)
            else:
                assert len(pd.read_csv(io.StringIO(content)))
        csvs = [file.read(name).decode() for name in names if name.startswith("figures/") and name.endswith(".csv")]
        assert sorted(csvs) == sorted(each["csv"] for each in figures.values() if each["csv"])
        assert sum(name.startswith("tables/") for name in names) == page.locator("main table").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_barrier_is_found_by_axe(chromium, report, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page, _ = opened(chromium, report, bypass_csp=True, color_scheme=scheme)
    for card in page.locator("details summary").all():
        card.click()
    page.evaluate(script)
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
    page.close()


def test_on_a_phone_the_first_column_stays_and_leaves_room_for_numbers(chromium, report):
    page, _ = opened(chromium, report, viewport={"width": 390, "height": 844})
    holder = page.locator("#scores .scroll").first
    name = holder.locator("tbody td.stays").first
    holder.evaluate("each => { each.scrollLeft = 200; }")
    assert holder.evaluate("each => each.scrollLeft") == 200
    left = holder.bounding_box()["x"]
    box = name.bounding_box()
    assert box["x"] == pytest.approx(left, abs=1)
    assert box["width"] < 0.5 * holder.bounding_box()["width"]
    sizes = page.evaluate("""[...document.querySelectorAll('figure svg text')].filter((each) => each.checkVisibility())
        .map((each) => [each.getScreenCTM(), Number.parseFloat(getComputedStyle(each).fontSize)])
        .map(([seen, size]) => size * Math.hypot(seen.a, seen.b))""")
    assert len(sizes) > 50
    assert min(sizes) >= 6.5
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(chromium, report, scheme):
    page, errors = opened(chromium, report, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 250)"
    assert light == (scheme == "light")
    assert errors == []
    page.close()


@pytest.mark.parametrize("width", [390, 1100, 1600])
def test_a_long_caption_of_a_wide_table_is_read_without_scrolling(chromium, report, width):
    page, _ = opened(chromium, report, viewport={"width": width, "height": 844})
    holder = page.locator("#scores .scroll").first
    holder.evaluate("""each => {
        each.querySelector("caption span").textContent = "of a network on a task, and what it reaches; ".repeat(20);
        each.querySelector("table").style.minWidth = "3000px";
    }""")
    said, shown = holder.locator("caption span").bounding_box(), holder.bounding_box()
    assert said["height"] > 30, "it takes several lines"
    assert said["x"] >= shown["x"]
    assert said["x"] + said["width"] <= shown["x"] + shown["width"]
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
