"""The package's layers: imports run down the list of the design, and the light modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import simbench_tf

PACKAGE = Path(simbench_tf.__file__).parent

# from the top down; modules on one line do not import each other
LAYERS = [
    ["cli"],
    ["pipeline"],
    ["scored", "reported", "interchange", "compared"],
    ["ceilings", "begun"],
    ["probed", "others", "trained"],
    ["simulated", "fitted", "explained", "learnt", "doctor", "manifest", "fetch"],
    ["workers", "adopted"],
    ["report", "export", "variants"],
    ["kipoi_entry"],
    ["plot"],
    ["dynamics"],
    ["score", "attribution", "motif_recall"],
    ["metrics", "significance"],
    ["train"],
    ["models", "own_models", "snapshots", "dataset", "devices"],
    ["simulate"],
    ["genome"],
    ["motifs"],
    ["dna"],
    ["config"],
    ["model_config"],
    ["training_config"],
    ["simulation_config"],
    ["tables", "config_messages", "random_streams", "sources", "sweeps"],
    ["files"],
    ["errors"],
]
DEPTH = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}
WITHOUT_TENSORFLOW = [
    "score",
    "motif_recall",
    "metrics",
    "significance",
    "motifs",
    "genome",
    "simulate",
    "dna",
    "config",
    "simulation_config",
    "training_config",
    "tables",
]
#: `attribution` knows a Keras model and arrays, not our files.
NOT_FOR_ATTRIBUTION = {
    "config",
    "simulation_config",
    "training_config",
    "tables",
    "dataset",
    "train",
    "models",
    "simulate",
    "genome",
    "motifs",
    "score",
    "motif_recall",
    "metrics",
    "significance",
}


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Top-level modules of the package and third parties that a file imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    modules = {name.split(".")[1] for name in names if name.startswith("simbench_tf.")}
    return {module for module in modules if (PACKAGE / module).is_dir() or (PACKAGE / f"{module}.py").exists()}


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_down(path):
    module = module_of(path)
    if module.startswith("_") or module in ("data", "presets"):
        # a private part of one module, or a script: imported by nothing above it, and itself importing only lower ones
        return
    for other in own(imported(path)) - {module}:
        if other.startswith("_"):
            continue
        assert DEPTH[other] > DEPTH[module], f"{module} imports {other}, which stands above or beside it"
    if module == "attribution":
        assert not own(imported(path)) & NOT_FOR_ATTRIBUTION


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_light_modules_never_import_tensorflow(path):
    if module_of(path) in WITHOUT_TENSORFLOW:
        assert not {name.split(".")[0] for name in imported(path)} & {"tensorflow", "keras", "shap", "tf_keras_vis"}


def test_an_arrow_that_runs_up_is_found(tmp_path):
    source = tmp_path / "tables.py"
    source.write_text("def f():\n    from simbench_tf.score import summarise\n")
    assert DEPTH[own(imported(source)).pop()] < DEPTH["tables"]


def test_importing_the_package_is_quick_and_light():
    code = (
        "import sys, time; start = time.perf_counter(); import simbench_tf; took = time.perf_counter() - start;"
        "assert took < 1, took;"
        "assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_loads():
    code = "import simbench_tf as sb\nfor name in sb.__all__: assert callable(getattr(sb, name)), name"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_the_module_does_not_hide_train_the_function():
    code = (
        "import simbench_tf as sb, simbench_tf.train as module\n"
        "import inspect\n"
        "assert callable(sb.train) and 'dataset' in inspect.signature(module.train).parameters\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
