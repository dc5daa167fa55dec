"""The package's description on PyPI: README.md with links that lead somewhere from there; the rest is in setup.cfg."""

import configparser
import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def described(text: str, repository: str | None) -> str:
    """README.md as PyPI shows it, where a path of the repository leads nowhere.

    Links and pictures are made absolute where setup.cfg names the repository (`Source` of `project_urls`). While it
    names none, of a link its text is kept, and of a picture nothing.
    """

    def absolute(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        if repository is None:
            return "" if picture else words
        return f"{picture}[{words}]({repository}/{'raw' if picture else 'blob'}/main/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)\s]+)\)", absolute, text)


def repository_of(config: configparser.ConfigParser) -> str | None:
    """The address of `Source` in `project_urls`, without a slash at its end."""
    lines = (line.partition("=") for line in config.get("metadata", "project_urls", fallback="").splitlines())
    urls = {name.strip(): url.strip().rstrip("/") for name, _, url in lines}
    return urls.get("Source")


if __name__ == "__main__":
    settings = configparser.ConfigParser()
    settings.read(HERE / "setup.cfg", encoding="utf-8")
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    setup(long_description=described(readme, repository_of(settings)))
