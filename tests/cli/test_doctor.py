"""simbench doctor: another package of its name, and the warming of numba's cache."""

import json
import logging
import os
import subprocess
import sys
from importlib import metadata

import pytest

from helpers.program import simbench
from simbench_tf.cli import doctor, lists, warm
from simbench_tf.cli.warm import Warmed


def test_another_package_called_simbench_is_told(monkeypatch):
    assert "simbench" not in {finding.part for finding in doctor.examine()}
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.6.3" if name == "simbench" else version(name))
    (found,) = (each for each in doctor.examine() if each.part == "simbench")
    assert found.state.startswith("1.6.3 is PyPI's package of power grids")
    assert found.works


#: In a fresh process: the parts of a run that compile, then what each function was compiled for.
SIGNATURES = """
import json, sys
from pathlib import Path
from simbench_tf.compiled import compiled_functions

{work}
print(json.dumps(sorted(f"{{each.py_func.__module__}}.{{each.__name__}} {{signature}}"
                        for each in compiled_functions() for signature in each.signatures)))
"""
WARM = "from simbench_tf.cli.warm import warm\nwarm()"
RUN = """
from simbench_tf import pipeline
from simbench_tf.config import load_config
pipeline.run(load_config("tiny.yaml"), Path("run"))
"""


def signatures(work, folder):
    code = SIGNATURES.format(work=work)
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_a_run_needs_nothing_compiled_that_warming_did_not_compile(tiny_config, tmp_path):
    (tmp_path / "tiny.yaml").write_text(tiny_config.read_text())
    of_a_run = signatures(RUN, tmp_path)
    assert len(of_a_run) > 10  # those that Python calls; what they call is compiled with them
    assert of_a_run - signatures(WARM, tmp_path) == set()


def test_doctor_says_how_long_warming_took_and_where_it_is_kept(monkeypatch, capsys):
    monkeypatch.setattr(warm, "warm", lambda _track: Warmed(83.2, "/a/b"))
    code, out, _ = simbench(monkeypatch, capsys, "doctor", "--warm")
    assert code == 0
    assert out.endswith("warm: compiled in 1 min 23 s; kept below /a/b\n")
    monkeypatch.setattr(warm, "warm", lambda _track: Warmed(0.0, None))
    lists._warm()
    assert capsys.readouterr().out == "warm: nothing was left to compile; kept nowhere; set NUMBA_CACHE_DIR\n"


def test_warming_leaves_the_loggers_as_they_were():
    ours = logging.getLogger("simbench_tf")
    before = ours.level
    with warm._quiet():
        assert not logging.getLogger("simbench_tf.training.loop").isEnabledFor(logging.WARNING)
        assert logging.getLogger("simbench_tf.compiled").isEnabledFor(logging.INFO)
    assert ours.level == before


#: A function that is compiled in a second, in a file, as numba keeps only what stands in one.
SQUARE = """
import logging
from simbench_tf.compiled import compiled_functions, compiling_seconds, njit

logging.basicConfig(format="%(message)s", level=logging.INFO)

@njit()
def square(x):
    return x * x

assert square(3) == 9 and square(2.5) == 6.25
assert any(each is square for each in compiled_functions())
print(compiling_seconds())
"""


def test_the_first_compilation_is_told_in_one_line_and_the_next_process_has_nothing_to_tell(tmp_path):
    (tmp_path / "squares.py").write_text(SQUARE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    outputs = [
        subprocess.run(
            [sys.executable, "squares.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    ]
    first, second = outputs
    (line,) = first.stderr.splitlines()
    assert line.startswith("compiling for this processor (numba): up to two minutes at the first run")
    assert str(tmp_path / "cache") in line
    assert line.endswith("`simbench doctor --warm` does it ahead")
    assert float(first.stdout) > 0
    assert second.stderr == ""
    assert float(second.stdout) == 0
