"""What several test files use: a small run's configuration, and the run itself, made once a session."""

import shutil
import signal
from pathlib import Path

import hypothesis
import pytest
import yaml

from helpers.tiny_run import TINY_RUN
from simbench_tf import compiled

# no test is timed: the first example may compile, and another may wait for a machine that others share
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def own_configuration_folder(tmp_path_factory):
    """The key that signs runs is not the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """A shell starts what runs in the background without SIGINT, and processes that tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def told_that_numba_compiles():
    """What is printed does not depend on what was compiled before; tests/cli/test_doctor.py tests the line itself."""
    compiled._compilations.is_said = True


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY_RUN))
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory) -> Path:
    """A whole small run; tests that change it work on a copy."""
    from simbench_tf import pipeline
    from simbench_tf.config import load_config

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    pipeline.run(load_config(tiny_config), folder)
    return folder


@pytest.fixture
def copied_run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")
