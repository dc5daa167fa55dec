"""What is told of the package where it is installed, cited and shipped: one version, one list of needs, whole files."""

import configparser
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
SETTINGS = configparser.ConfigParser()
SETTINGS.read(ROOT / "setup.cfg", encoding="utf-8")
VERSION = SETTINGS["metadata"]["version"]
#: Names of packages that conda calls otherwise.
ON_CONDA = {"matplotlib": "matplotlib-base"}
PYTHONS = ["3.11", "3.12", "3.13"]


def needs(listed: str) -> dict[str, Requirement]:
    found = [Requirement(line) for line in listed.splitlines() if line.strip() and not line.strip().startswith("#")]
    return {each.name.lower(): each for each in found}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_the_changes_and_the_recipe_are_of_this_version():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == VERSION
    assert re.findall(r"^## ([\d.]+)", read("CHANGELOG.md"), re.MULTILINE)[0] == VERSION
    assert f'{{% set version = "{VERSION}" %}}' in read("packaging/bioconda/meta.yaml")


def test_the_pythons_that_are_named_and_tried_are_those_that_are_allowed():
    allowed = SpecifierSet(SETTINGS["options"]["python_requires"])
    assert [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}" in allowed] == PYTHONS
    assert re.findall(r"Python :: (3\.\d+)$", SETTINGS["metadata"]["classifiers"], re.MULTILINE) == PYTHONS
    workflow = yaml.safe_load(read(".github/workflows/test.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert any(step.get("run") == ".ci/run" for step in workflow["jobs"]["test"]["steps"])


def test_the_conda_recipe_needs_what_setup_cfg_needs():
    recipe = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "x", read("packaging/bioconda/meta.yaml"), flags=re.DOTALL)
    run = {}
    for line in re.search(r"\n  run:\n((?:    - .*\n)+)", recipe).group(1).splitlines():
        name, _, bounds = line.removeprefix("    - ").partition(" ")
        run[name] = SpecifierSet(bounds)
    assert run.pop("python") == SpecifierSet(SETTINGS["options"]["python_requires"])
    ours = needs(SETTINGS["options"]["install_requires"])
    assert run == {ON_CONDA.get(name, name): each.specifier for name, each in ours.items()}


def locked() -> list[Requirement]:
    return [Requirement(line.rstrip("\\")) for line in read("packaging/lock.txt").splitlines() if line[:1].isalnum()]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_every_package_that_is_asked_for_in_a_version_that_is_allowed(python):
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
                   "platform_machine": "x86_64", "implementation_name": "cpython"}  # fmt: skip
    pinned = {
        each.name.replace("_", "-").lower(): each
        for each in locked()
        if each.marker is None or each.marker.evaluate(environment)
    }
    extras = SETTINGS["options.extras_require"]
    for name, wanted in needs(SETTINGS["options"]["install_requires"] + extras["all"] + extras["test"]).items():
        (exact,) = pinned[name.split("[")[0].replace("_", "-")].specifier
        assert exact.operator == "=="
        assert exact.version in wanted.specifier, name


def test_every_line_of_the_lock_has_hashes_and_none_has_an_index():
    text = read("packaging/lock.txt")
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(entries) == len(locked())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


def described():
    spec = importlib.util.spec_from_file_location("setup_of_simbench", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_the_description_lead_somewhere_from_pypi():
    text = "![A figure](docs/a.png) see [the page](docs/a.md#b), [below](#below), [a site](https://a.org/b)"
    setup = described()
    assert setup.described(text, None) == " see the page, [below](#below), [a site](https://a.org/b)"
    assert setup.described(text, "https://h.org/s") == (
        "![A figure](https://h.org/s/raw/main/docs/a.png) see [the page](https://h.org/s/blob/main/docs/a.md#b), "
        "[below](#below), [a site](https://a.org/b)"
    )
    left = re.findall(r"\]\(([^)]*)\)", setup.described(read("README.md"), None))
    assert all(target.startswith(("https://", "#")) for target in left)


def test_the_repository_is_the_source_of_the_project_urls():
    config = configparser.ConfigParser()
    config.read_string("[metadata]\nproject_urls =\n    Paper = https://p.org\n    Source = https://h.org/s/\n")
    assert described().repository_of(config) == "https://h.org/s"
    assert described().repository_of(configparser.ConfigParser()) is None


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The sdist, and the wheel made from it, by the build's own functions: no network, no environment of its own."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    code = "from setuptools import build_meta as b; import sys; print(getattr(b, f'build_{sys.argv[1]}')(sys.argv[2]))"
    made = []
    for kind in ("sdist", "wheel"):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, kind, str(folder)],
            cwd=source,
            capture_output=True,
            text=True,
            check=True,
        )
        made.append(folder / ran.stdout.splitlines()[-1])
    return set(tracked), *made


@pytest.mark.slow
def test_the_sdist_has_every_file_of_the_repository(archives):
    tracked, sdist, _ = archives
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked - inside == set()
    assert "tests/helpers/tiny_run.py" in inside


@pytest.mark.slow
def test_the_wheel_has_the_package_with_its_data_and_nothing_else(archives):
    tracked, _, wheel = archives
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        told = archive.read(metadata).decode()
    assert inside == {name for name in tracked if name.startswith("simbench_tf/")}
    assert "Which attribution method can I trust" in told.partition("\n\n")[2]
