"""The page for coding assistants (`simbench skill`): commands, methods and names are those of this program."""

from __future__ import annotations

from importlib import metadata, resources

import typer

import simbench_tf
from simbench_tf.cli.app import LOOK, app, say


@app.command(rich_help_panel=LOOK)
def skill() -> None:
    """Print a page for coding assistants: which command for which question, what columns mean, what not to conclude.

    Example: [bold]simbench skill > SKILL.md[/]
    """
    say(skill_page().rstrip("\n"))


def skill_page() -> str:
    """The packaged page, data/skill.md, with the commands, methods and public names that there are."""
    from simbench_tf.attribution import methods

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    about = {name: " ".join((each.help or "").split("\n\n")[0].split()) for name, each in commands.items()}
    listed = [
        f"- `{each.name}` (references: {each.references or 'none'}): {each.description}" for each in methods().values()
    ]
    page = resources.files("simbench_tf").joinpath("data", "skill.md").read_text(encoding="utf-8")
    for name, text in {
        "version": metadata.version("simbench_tf"),
        "commands": "\n".join(f"- `simbench {name}`: {text}" for name, text in about.items()),
        "names": ", ".join(f"`sb.{name}`" for name in simbench_tf.__all__),
        "methods": "\n".join(listed),
    }.items():
        page = page.replace(f"{{{{{name}}}}}", text)
    return page
