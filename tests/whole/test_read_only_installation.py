"""A package in a read-only folder, used without a home that can be written, as in a container: every command works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import simbench_tf
from helpers.folders import checksums

PROGRAM = "from simbench_tf.cli import main; main()"


@pytest.fixture(scope="module")
def simbench(tmp_path_factory):
    """Runs a command with a copy of the package, and a home, that are read-only; returns code, output and notes."""
    folder = tmp_path_factory.mktemp("installed")
    package, home, temporary = (folder / name for name in ("site", "home", "tmp"))
    shutil.copytree(
        Path(simbench_tf.__file__).parent, package / "simbench_tf", ignore=shutil.ignore_patterns("__pycache__")
    )
    home.mkdir()
    temporary.mkdir()
    prefix = _read_only(package, home)
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = kept | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(package)}

    def run(*arguments):
        command = [*prefix, sys.executable, "-c", PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        assert list(home.iterdir()) == []
        return done.returncode, done.stdout, done.stderr

    yield run
    for each in (package, home):
        each.chmod(0o755)


def _read_only(*folders):
    """Make folders read-only; the beginning of a command that sees them so."""
    if os.getuid() != 0:
        for folder in folders:
            for each in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
                each.chmod(0o555)
        return []
    # modes bind no root, so the folders are mounted anew, as what cannot be written, for the command alone
    mounts = " && ".join(f"mount --bind {each} {each} && mount -o remount,bind,ro {each}" for each in folders)
    prefix = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("root can write every folder, and there is no `unshare` to mount one read-only")
    if tried.returncode:
        pytest.skip(f"root can write every folder, and may not mount one read-only here: {tried.stderr.strip()}")
    return prefix


@pytest.mark.slow
def test_commands_say_once_where_caches_are(simbench):
    for command, shown in (("doctor", "tensorflow"), ("methods", "grad_x_input"), ("presets", "demo")):
        code, out, err = simbench(command)
        assert code == 0
        assert shown in out
        assert err.count("\n") == 1
        assert err.startswith("the home folder cannot be written, so caches are kept in ")


@pytest.mark.slow
def test_a_run_is_finished_reported_and_exported(simbench, copied_run, tiny_config, tmp_path):
    before = checksums(copied_run / "attributions")
    for name in ("attributions", "scores"):
        shutil.rmtree(copied_run / name)
    code, out, err = simbench("run", tiny_config, "--out", copied_run)
    assert (code, f"report: {copied_run / 'report.html'}" in out) == (0, True), err
    assert checksums(copied_run / "attributions") == before
    assert err.count("cannot be written") == 1
    code, out, err = simbench("export", copied_run, "--model", "basset", "--out", tmp_path / "entry")
    assert (code, out, err.count("\n")) == (0, f"entry: {tmp_path / 'entry'}\n", 1)
