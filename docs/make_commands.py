"""Write docs/commands.md: every command of `simbench`, its arguments and options, from the program itself.

python docs/make_commands.py           # --check holds the page to the program
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from markdown_table import table as markdown_table
from written_page import write_or_check

from simbench_tf.cli.everywhere import HELP
from simbench_tf.cli.program import app

PAGE = Path(__file__).with_name("commands.md")
HEAD = """# Commands

What `simbench COMMAND --help` says, made from the program by `python docs/make_commands.py`. Errors are one line, with
exit code 2 for bad input and 1 for a fault. Results go to standard output, notes and progress to standard error; bars
are shown in a terminal only.
"""


def page() -> str:
    """The whole page."""
    program = typer.main.get_command(app)
    everywhere = re.sub(r"(--?[a-z-]+(?: FILE)?)", r"`\1`", HELP)
    parts = [HEAD, f"{everywhere}\n", _options("simbench", program.params)]
    of_panel: dict[str, list[str]] = {}
    for name, command in program.commands.items():
        of_panel.setdefault(command.rich_help_panel or "Commands", []).append(name)
    for panel, names in of_panel.items():
        parts.append(f"## {panel}\n")
        parts += [_command(name, program.commands[name]) for name in names]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    needed = [f"{each.opts[0]} {_value(each)}" for each in command.params if each.required and each not in arguments]
    given = [_value(each) if each.required else f"[{_value(each)}]" for each in arguments]
    usage = " ".join(["simbench", name, *given, *needed, "[OPTIONS]"])
    return "\n".join(
        [f"### {name}\n", f"```text\n{usage}\n```\n", _plain(command.help), "", _options(name, command.params)]
    )


def _options(name: str, params: list[Any]) -> str:
    rows = [
        [_code(_spelt(each)), _default(each), (_plain(each.help or "") + _note(each)).replace("|", "\\|")]
        for each in params
        if not each.hidden
    ]
    what = "argument or option" if name != "simbench" else "option"
    return markdown_table([what, "default", "meaning"], rows) + "\n" if rows else ""


def _spelt(param: Any) -> str:
    if param.param_type_name == "argument":
        return _value(param)
    names = ", ".join([*param.opts, *param.secondary_opts])
    return names if param.is_flag else f"{names} {_value(param)}"


def _code(text: str) -> str:
    """Code in a cell; no Markdown agrees with another on how a | within backticks is written."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _value(param: Any) -> str:
    """What stands for a value: the metavar, or the type in capitals."""
    if param.metavar:
        return str(param.metavar)
    kind = param.type_descriptor.annotation
    if param.param_type_name == "argument" or kind is str:
        return str(param.name).upper()
    return str(getattr(kind, "__name__", kind)).upper()


def _default(param: Any) -> str:
    if param.required:
        return "needed"
    if param.default in (None, False) or callable(param.default):
        return ""
    return f"`{param.default}`"


def _note(param: Any) -> str:
    """What the option's kind adds to its meaning."""
    notes = " May be given several times." if getattr(param, "multiple", False) else ""
    least = getattr(param, "min", None)
    return notes if least is None else f"{notes} At least {least:g}."


def _plain(text: str) -> str:
    """Rich's markup as Markdown; each paragraph on one line."""
    text = re.sub(r"\[bold\](.*?)\[/\]", r"`\1`", text, flags=re.DOTALL).replace("\\[", "[")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the program")
