"""Pages that are made from results or code: written or, with --check, held to what they would be."""

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(path: Path, text: str, source: str) -> None:
    """Write a page; with --check on the command line end with an error instead where it is another."""
    write_or_check_all({path: text}, source)


def write_or_check_all(pages: Mapping[Path, str], source: str) -> None:
    """Write pages; with --check on the command line end with an error instead where one is another or missing."""
    checking = "--check" in sys.argv[1:]
    for path, text in pages.items():
        if not checking:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not what {source} says")
