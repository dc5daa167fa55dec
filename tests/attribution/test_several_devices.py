"""Sequences shared among devices: three logical CPUs give what one gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HELPERS = Path(__file__).parents[1] / "helpers"
ALL = ["CPU:0", "CPU:1", "CPU:2"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("devices") / "found.npz"
    done = subprocess.run(
        [sys.executable, "shared_devices.py", path], cwd=HELPERS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cannot be copied to" in done.stderr
    return np.load(path)


SHARED = ["grad_x_input", "integrated_gradients", "deeplift_rescale", "gradcam", "ism"]


@pytest.mark.parametrize("name", [*SHARED, "changed", "ensemble", "two", "of_one_device", "unbuildable", "none"])
def test_several_devices_give_what_one_gives(found, name):
    shared, alone = found[f"{name}:shared"], found[f"{name}:alone"]
    assert shared.shape == alone.shape
    assert name == "none" or np.abs(alone).max() > 1e-3
    np.testing.assert_allclose(shared, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [*SHARED, "changed", "ensemble"])
def test_each_device_has_a_share(found, name):
    assert [each[-5:] for each in found[f"{name}:devices"]] == ALL


@pytest.mark.parametrize(("name", "n"), [("two", 2), ("of_one_device", 1), ("unbuildable", 1), ("none", 1)])
def test_few_sequences_and_what_needs_one_device_keep_to_the_first(found, name, n):
    assert len(found[f"{name}:devices"]) == n


def test_copies_lie_on_their_devices(found):
    assert [each[-5:] for each in found["copies"]] == ALL[1:]
