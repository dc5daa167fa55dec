"""The address of the repository, from the one place that holds it: `Source` in project_urls of setup.cfg."""

from __future__ import annotations

import configparser
import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def repository_address(root: Path = ROOT) -> str | None:
    """The address without a slash at its end, read as setup.py reads it; None where there is none yet."""
    spec = importlib.util.spec_from_file_location("setup_of_the_package", root / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    address: str | None = module.repository_of(config)
    return address
