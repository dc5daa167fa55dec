"""Commands about configurations, which compute nothing: the schema for editors, and a preset written out."""

from __future__ import annotations

import json

from simbench_tf.cli.app import CONFIGURATION, Set, Source, app, say
from simbench_tf.config import config_dict, load_config


@app.command(rich_help_panel=CONFIGURATION)
def show(source: Source, overrides: Set = None) -> None:
    """Print a preset or a configuration with every default written out; it can be changed and run as it is.

    Example: [bold]simbench show demo > mine.yaml[/]

    Example: [bold]simbench show five_lines:full --set training.batch_size=100[/]
    """
    from simbench_tf.config.yaml_text import format_yaml

    say(format_yaml(config_dict(load_config(source, overrides or []))).rstrip("\n"))


@app.command(rich_help_panel=CONFIGURATION)
def schema() -> None:
    """Print the JSON Schema of configuration files, by which editors check and complete them.

    Begin the file with [bold]# yaml-language-server: $schema=simbench.json[/].

    Example: [bold]simbench schema > simbench.json[/]
    """
    from simbench_tf.config.schema import json_schema

    say(json.dumps(json_schema(), indent=2))
