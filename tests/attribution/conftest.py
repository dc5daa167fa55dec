"""Settings of fast in-silico mutagenesis that its tests share."""

import pytest
import tensorflow as tf

from simbench_tf.attribution.mutagenesis import windows as _windows


@pytest.fixture
def every_window(monkeypatch):
    """Follow windows to the very end of the stages, even where a whole pass would be cheaper."""
    monkeypatch.setattr(_windows, "_pays", lambda stage, window: True)
    monkeypatch.setattr(_windows, "_LEAST_SPEED_UP", 0.0)


@pytest.fixture
def eagerly():
    """Run functions without compiling them, which takes a second or more each."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
