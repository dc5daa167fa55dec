"""Check this machine: versions, devices, optional parts."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata
from typing import NamedTuple

from simbench_tf.config import RECORDED_PACKAGES
from simbench_tf.errors import InputError
from simbench_tf.plugins import installed_plugins, load_plugin


class Finding(NamedTuple):
    """One part: its state in words, whether it works, and whether a run needs it."""

    part: str
    state: str
    works: bool
    needed: bool


def examine() -> list[Finding]:
    """Check Python, packages, devices and the optional parts.

    Returns
    -------
    list of Finding
    """
    version = sys.version_info
    python = Finding("python", ".".join(map(str, version[:3])), (3, 11) <= version[:2] <= (3, 13), needed=True)
    others = (*_optional(), *_callers(), *_plugins(), *_namesake())
    return [python, *map(_package, RECORDED_PACKAGES), _cores(), _gpus(), *others]


def _package(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name), True, needed=True)
    except metadata.PackageNotFoundError:
        return Finding(name, f"not installed; pip install {name}", False, needed=True)


def _cores() -> Finding:
    # those that this process may use, where the system has such a list; macOS and Windows do not
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("cpu cores", str(cores or "unknown"), True, needed=True)


def _gpus() -> Finding:
    import tensorflow as tf

    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return Finding("gpu", ", ".join(names) or "none; training and attribution run on the CPU", True, needed=False)


def _optional() -> list[Finding]:
    extras = {
        "kipoi": ("kipoi", "Kipoi entries predicted, tested and explained"),
        "distributed": ("dask", "--dask"),
        "pyjaspar": ("jaspar", "motifs: jaspar:2022"),
        "gkmsvm-lite": ("gkm", "architecture: gkmsvm"),
        "tensorboard": ("tensorboard", "training.tensorboard"),
        "anndata": ("anndata", "export-data --format anndata"),
        "torch": ("torch", "models of PyTorch, torch_dataset"),
        "captum": ("parity", "deeplift_captum, and with tangermeme deeplift_tangermeme, parity tests and benchmarks"),
        "onnxruntime": ("onnx", "ONNX files"),
    }
    findings = []
    for package, (extra, use) in extras.items():
        works = importlib.util.find_spec(package.removesuffix("-lite")) is not None
        state = f"{metadata.version(package)} ({use})" if works else f"for {use}: pip install 'simbench_tf[{extra}]'"
        findings.append(Finding(package, state, works, needed=False))
    return findings


def _callers() -> list[Finding]:
    """TF-MoDISco, which two packages bring, and Fi-NeMo."""
    from simbench_tf.discovery.callers import caller_versions

    known = caller_versions()
    wanted = {
        "modisco": (("modisco-lite", "modisco"), "'simbench_tf[motif]'"),
        "finemo": (("finemo",), "'simbench_tf[finemo]'"),
    }
    findings = []
    for caller, (packages, install) in wanted.items():
        use = f"discovery.callers: [{caller}]"
        there = [f"{name} {known[name]}" for name in packages if name in known]
        state = f"{', '.join(there)} ({use})" if there else f"for {use}: pip install {install}"
        findings.append(Finding(caller, state, bool(there), needed=False))
    return findings


def _plugins() -> list[Finding]:
    """What other packages bring by entry points, and whether it can be loaded."""
    findings = []
    for plugin in installed_plugins():
        part = f"{plugin.kind} {plugin.name}"
        try:
            load_plugin(plugin)
            findings.append(Finding(part, plugin.package, True, needed=False))
        except InputError as error:
            findings.append(Finding(part, str(error), False, needed=False))
    return findings


def _namesake() -> list[Finding]:
    """PyPI's package `simbench`, where it is installed, too: neither has the other's files, but the name misleads."""
    try:
        state = f"{metadata.version('simbench')} is PyPI's package of power grids, another thing; the command is ours"
    except metadata.PackageNotFoundError:
        return []
    return [Finding("simbench", state, True, needed=False)]
