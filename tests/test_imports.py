"""Importing is light: folders that need no TensorFlow load none, whatever they import. Layers: `make lint`."""

import ast
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import simbench_tf as sb

HEAVY = {"tensorflow", "keras", "shap", "tf_keras_vis", "kipoi", "torch"}
WITHOUT_TENSORFLOW = [
    "cli",
    "config",
    "dataset",
    "devices",
    "discovery",
    "dna",
    "export",
    "genome",
    "interchange",
    "motifs",
    "pipeline",
    "report",
    "run",
    "score",
    "simulate",
    "stages",
    "tables",
]
#: In a fresh process: every module of a folder (but PyTorch's, which may lack), then which heavy packages were loaded.
LOADED = """
import importlib, pkgutil, sys
module = importlib.import_module({name!r})
for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
    if not found.name.endswith(("__main__", ".torch_model")) and ".templates" not in found.name:
        importlib.import_module(found.name)
print(*sorted({heavy!r} & set(sys.modules)))
"""


def loaded_by(name: str) -> str:
    code = LOADED.format(name=name, heavy=HEAVY)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_a_light_folder_loads_no_tensorflow(name):
    assert loaded_by(f"simbench_tf.{name}") == ""


def test_a_folder_that_loads_tensorflow_is_found_out():
    assert "tensorflow" in loaded_by("simbench_tf.models")


def test_importing_the_package_alone_loads_nothing():
    code = "import sys, simbench_tf; assert not {'tensorflow', 'keras', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


#: What takes from .1 to .6 seconds each to load.
SLOW_TO_LOAD = {"numba", "numpy", "pandas", "pyarrow", "h5py", "scipy", "matplotlib"}


@pytest.mark.parametrize("name", ["config", "tables", "cli.program"])
def test_a_configuration_is_read_and_help_shown_without_tables_arrays_or_a_compiler(name):
    code = f"import sys, simbench_tf.{name}; print(*sorted({SLOW_TO_LOAD | HEAVY!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == ""


def test_help_takes_less_than_a_second_of_the_processor():
    command = [sys.executable, "-m", "simbench_tf.cli", "--help"]
    taken = []
    for _ in range(2):  # the first may compile Python files
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(taken) < 1


def test_every_public_name_loads():
    code = "import simbench_tf as sb\nfor name in sb.__all__: assert callable(getattr(sb, name)), name"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_type_checkers_see_every_public_name_where_it_is():
    tree = ast.parse(Path(sb.__file__).read_text(encoding="utf-8"))
    (block,) = (each for each in tree.body if isinstance(each, ast.If))
    seen = {alias.name: each.module for each in block.body for alias in each.names if alias.asname == alias.name}
    assert seen.pop("plot") == "simbench_tf"  # a module, which has names of its own
    assert seen.keys() == sb._PUBLIC.keys()
    for name, module in seen.items():
        assert module.startswith(f"simbench_tf.{sb._PUBLIC[name]}")


def test_the_version_is_that_of_the_package():
    assert sb.__version__ == metadata.version("simbench_tf")


def test_the_name_of_a_function_is_not_taken_by_a_module():
    code = (
        "import inspect, importlib, simbench_tf as sb\n"
        "for name in sb._PUBLIC.values(): importlib.import_module(f'simbench_tf.{name}')\n"
        "for name in sb.__all__: assert not inspect.ismodule(getattr(sb, name)), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
