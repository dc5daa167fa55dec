"""Write docs/configuration.md: every key of a configuration, its type, default and meaning, from the settings records.

python docs/make_configuration.py           # --check holds the page to the records
"""

from __future__ import annotations

import itertools
from pathlib import Path

from markdown_table import table as markdown_table
from written_page import write_or_check

from simbench_tf import config
from simbench_tf.config import models
from simbench_tf.config.schema import Key, keys

PAGE = Path(__file__).with_name("configuration.md")
HEAD = """# Configuration

Every key of a configuration file, made from the settings records by `python docs/make_configuration.py`.

`simbench init` writes a first one, with comments, for your peaks or from a few questions; `simbench check FILE` looks
one through without computing anything, and estimates what its run takes. `simbench show PRESET` prints a preset with
all keys written out. `simbench schema > simbench.json` is the same for editors, which then complete and check a file
that begins with `# yaml-language-server: $schema=simbench.json`. `--set KEY=VALUE` changes one, with dots between
records and numbers for places in a list: `--set models.0.width=.5`.

A default that says *its own* is the record's, below; *none* leaves it out. In `models` and `attribution.methods` a
value that is a list is a sweep ([sweeps.md](sweeps.md)); methods have settings of their own (`simbench methods`), and
each takes `strands: both` and `shifts: K` ([averages](attribution.md#averages-both-strands-shifts-ensembles)). A file
may hold `variants`: name: what it changes, and what it is `about`; it is chosen by `CONFIG.yaml:NAME`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for record, of_record in itertools.groupby(keys(), key=lambda key: key.record):
        parts.append(f"## {record}\n\n{_about(record)}\n\n{_table(list(of_record))}\n")
    return "\n".join(parts)


def _about(record: str) -> str:
    """The first paragraph of the record's docstring, on one line."""
    text = getattr(config, record, None) or getattr(models, record)
    return " ".join((text.__doc__ or "").split("\n\n")[0].split())


def _table(of_record: list[Key]) -> str:
    rows = [[f"`{key.name}`", *(each.replace("|", "\\|") for each in key[2:])] for key in of_record]
    return markdown_table(["key", "type", "default", "meaning"], rows)


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the records")
