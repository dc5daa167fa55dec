"""Write docs/gallery.md: the first screen of finished reports, with what each says, how it was made, how long it took.

python docs/make_gallery.py runs/demo runs/discovery      # needs the system's chromium
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from simbench_tf.cli.progress import duration
from simbench_tf.run.folder import config_of
from simbench_tf.run.status import state_of_run

PAGE = Path(__file__).with_name("gallery.md")
HEAD = """# Gallery

First screens of finished reports, made by `python docs/make_gallery.py RUN...` from runs of presets. A report is one
file, which holds its data, figures and tables, and asks no server for anything; how to read one:
[the notebook](../examples/reading_a_report.ipynb).
"""
_BROWSER = {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox", "--disable-gpu", "--no-first-run"]}
_WIDTH, _HEIGHT = 1280, 1500
#: Colours of a picture: text and a few flat tones.
_COLOURS = 256


def section(run: Path, browser_page: Page) -> str:
    """Take the picture of a run's report; return its section of the page."""
    name = config_of(run).name
    browser_page.goto((run / "report.html").resolve().as_uri())
    answer = " ".join(browser_page.inner_text(".answer").split())
    picture = Image.open(io.BytesIO(browser_page.screenshot()))
    target = PAGE.parent / "gallery" / f"{name}.png"
    target.parent.mkdir(exist_ok=True)
    picture.convert("RGB").quantize(_COLOURS).save(target, optimize=True)
    seconds = sum(state.seconds for state in state_of_run(run))
    made = (
        f"`simbench run {name} --out runs/{name}`, {duration(seconds)} in all its stages on the machine of the picture."
    )
    return f"## {name}\n\n{answer}\n\n{made}\n\n![First screen of the report of {name}](gallery/{target.name})\n"


if __name__ == "__main__":
    runs = [Path(each) for each in sys.argv[1:]]
    if not runs:
        sys.exit("name at least one run, e.g. python docs/make_gallery.py runs/demo")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**_BROWSER)
        viewed = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        sections = [section(run, viewed) for run in runs]
        browser.close()
    PAGE.write_text("\n".join([HEAD, *sections]), encoding="utf-8")
