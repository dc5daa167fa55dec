"""Trust in the code that a run names, on the command line: a run of others needs `--trust-code` to execute any."""

from __future__ import annotations

from pathlib import Path

from simbench_tf.config import Config
from simbench_tf.run.folder import config_of, is_run, record_config
from simbench_tf.run.trust import check_trusted, named_code


def trusted_config(run: Path, *, trust_code: bool) -> Config:
    """The configuration of a run, once the code that it names is trusted.

    Raises
    ------
    InputError
        The folder is no run, or names code that this user has not named.
    """
    config = config_of(run)
    if trust_code:
        record_config(config, run, named_code(config, run))
    else:
        check_trusted(config, run)
    return config


def check_given(config: Config, source: str, out: Path, *, trust_code: bool) -> None:
    """Check the code that a configuration names which is to be run: a user's own is trusted, one in a run may not be.

    Raises
    ------
    InputError
        The configuration lies in a run of others, or the folder is one, and names code that this user has not named.
    """
    if trust_code:
        if is_run(out):
            record_config(config, out, named_code(config, out))
        return
    stored = Path(source)
    if stored.is_file() and stored.name == "config.yaml" and is_run(stored.parent):
        check_trusted(config, stored.parent)
    check_trusted(config, out, is_given=True)
