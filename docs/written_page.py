"""A page that is made from results or code: written or, with --check, held to what it would be."""

import sys
from pathlib import Path


def write_or_check(path: Path, text: str, source: str) -> None:
    """Write a page; with --check on the command line end with an error instead where it is another."""
    if "--check" in sys.argv[1:]:
        sys.exit(None if path.read_text(encoding="utf-8") == text else f"{path} is not what {source} says")
    path.write_text(text, encoding="utf-8")
