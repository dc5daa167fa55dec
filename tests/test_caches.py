"""Caches where the home cannot be written: a private temporary folder, told once, and none that another user made."""

import os
import tempfile

import pytest

from simbench_tf.caches import private_folder, use_writable_caches

VARIABLES = ("MPLCONFIGDIR", "KERAS_HOME", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "taken back when the test ends")
        monkeypatch.delenv(variable)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    private_folder.cache_clear()
    yield
    private_folder.cache_clear()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / f"simbench-cache-{os.getuid()}"


@pytest.mark.parametrize("home", ["/dev/null/home", "~"], ids=["no home", "unknown home"])
def test_without_a_home_caches_lie_in_one_private_folder(monkeypatch, caplog, folder, home):
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("KERAS_HOME", "/mine")
    use_writable_caches()
    use_writable_caches()
    assert [os.environ[variable] for variable in VARIABLES] == [f"{folder}/matplotlib", "/mine", f"{folder}/cache"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [record.getMessage() for record in caplog.records] == [
        f"the home folder cannot be written, so caches are kept in {folder}; NUMBA_CACHE_DIR, MPLCONFIGDIR, KERAS_HOME "
        "and XDG_CACHE_HOME name others"
    ]


def test_a_home_that_can_be_written_is_left_alone(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("HOME", str(tmp_path))
    use_writable_caches()
    assert not any(variable in os.environ for variable in VARIABLES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file", "another user's"])
def test_a_folder_that_others_could_fill_is_not_used(monkeypatch, tmp_path, folder, kind):
    (tmp_path / "theirs").mkdir(mode=0o700)
    if kind == "open to others":
        folder.mkdir()
        folder.chmod(0o770)
    elif kind == "a link":
        folder.symlink_to("theirs")
    elif kind == "a file":
        folder.write_text("")
    else:
        folder.mkdir(mode=0o700)
        other = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: other)
        folder.rename(tmp_path / f"simbench-cache-{other}")
    monkeypatch.setenv("HOME", "/dev/null/home")
    use_writable_caches()
    assert private_folder() is None
    assert not any(variable in os.environ for variable in VARIABLES)
