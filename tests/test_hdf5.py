"""HDF5 files that appear whole: as HDF5 writes them, and where the disk is full, one line and nothing left."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from helpers.folders import checksums
from simbench_tf import hdf5
from simbench_tf.errors import InputError
from simbench_tf.hdf5 import read_array, read_h5, whole_h5

#: Writes files that fail at several places, in this process; an uncaught fault, or a crash, ends it with another code.
FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from simbench_tf.errors import InputError
from simbench_tf.hdf5 import whole_h5

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write over the limit fails then, as on a full disk
path, values = Path(sys.argv[1], "a.h5"), np.random.default_rng(0).normal(size=(300, 400, 4))
for limit in map(int, sys.argv[3:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit or resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        with whole_h5(path, most_bytes=int(sys.argv[2])) as h5:
            target = h5.create_dataset("scores", values.shape, np.float32, chunks=(128, 400, 4), compression="gzip")
            for first in range(0, 300, 128):
                target[first : first + 128] = values[first : first + 128]
            for number in range(300):
                h5.create_dataset(f"{number}/answers", data=values[:5, 0])
        print("written")
    except InputError as error:
        print(str(error).removeprefix(str(path)))
"""
WAYS = pytest.mark.parametrize("most_bytes", [0, 2**40], ids=["in memory", "on the disk"])


def fill(h5):
    rng = np.random.default_rng(3)
    target = h5.create_dataset("scores", (300, 50), np.float32, chunks=(128, 50), compression="gzip")
    for first in range(0, 300, 128):
        target[first : first + 128] = rng.normal(size=target[first : first + 128].shape)
    h5.create_dataset("seq_id", data=np.array([b"chr1:5-9", b"b"]))
    for number in range(50):
        h5.create_dataset(f"{number}/answers", data=rng.normal(size=(5, 4)))
    h5.attrs.update(model="basset", n=3)


@WAYS
def test_a_file_holds_what_was_written(tmp_path, most_bytes):
    with h5py.File(tmp_path / "plain.h5", "w") as h5:
        fill(h5)
    with whole_h5(tmp_path / "new" / "a.h5", most_bytes) as h5:
        fill(h5)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.h5"]
    with h5py.File(tmp_path / "plain.h5") as plain, h5py.File(tmp_path / "new" / "a.h5") as h5:
        assert list(h5) == list(plain)
        assert dict(h5.attrs) == dict(plain.attrs)
        np.testing.assert_array_equal(h5["scores"], plain["scores"])
        assert all((h5[name]["answers"][:] == plain[name]["answers"][:]).all() for name in map(str, range(50)))
        assert h5["scores"].compression == "gzip"


def test_the_bytes_are_those_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w") as h5:
        fill(h5)
    with whole_h5(tmp_path / "a.h5", most_bytes=hdf5._IN_MEMORY) as h5:
        fill(h5)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


@WAYS
def test_what_is_not_finished_leaves_the_older_file(tmp_path, most_bytes):
    with whole_h5(tmp_path / "a.h5") as h5:
        fill(h5)
    before = checksums(tmp_path)
    with pytest.raises(ValueError, match="name already exists"), whole_h5(tmp_path / "a.h5", most_bytes) as h5:
        [fill(h5) for _ in range(2)]
    assert checksums(tmp_path) == before


@WAYS
def test_a_full_disk_is_one_line_wherever_it_is_met(tmp_path, most_bytes):
    limits = ["1", "100", "2000", "50000", "300000", "1000000", "1700000", "0"]
    command = [sys.executable, "-c", FULL, tmp_path, most_bytes, *limits]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True)
    failed = ": cannot be written: File too large; choose another output folder or free some space"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [failed] * 7 + ["written"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


@WAYS
def test_a_small_file_system_is_one_line(tmp_path, most_bytes):
    mount = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    try:
        tried = subprocess.run([*prefix, "1m", tmp_path, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no `unshare`, to mount a small file system")
    if tried.returncode:
        pytest.skip(f"no file system can be mounted here: {tried.stderr.strip()}")
    for size, expected in (
        ("1m", ": cannot be written: No space left on device; choose another output folder or free some space"),
        ("9m", "written"),
    ):
        command = [*prefix, size, tmp_path, sys.executable, "-c", FULL, tmp_path, str(most_bytes), "0"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected + "\n", "")


@pytest.mark.slow
def test_a_run_on_a_full_disk_ends_with_one_line_and_goes_on_later(copied_run):
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), -1));"
        "from simbench_tf.cli import main; main()"
    )
    before = checksums(copied_run / "attributions")
    for path in (copied_run / "attributions").rglob("*.h5"):
        path.unlink()
    for limit, code in (("5000", 2), ("-1", 0)):
        command = [sys.executable, "-c", limited, limit, "attribute", str(copied_run)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        if code:
            assert ".h5: cannot be written: File too large; choose another" in done.stderr.splitlines()[-1]
    assert checksums(copied_run / "attributions") == before


def test_an_array_that_lies_elsewhere_or_fills_the_memory_is_not_read(tmp_path):
    """A file of others could have any file of ours read as its array, or say that it has terabytes."""
    (tmp_path / "secret").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as h5:
        h5["scores"] = np.ones(3)
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["plain"] = np.ones(3)
        h5["kept/plain"] = h5["plain"]
        h5.create_dataset("external", (6,), "f4", external=[(str(tmp_path / "secret"), 0, 24)])
        h5["linked"] = h5py.ExternalLink("other.h5", "scores")
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "scores", (3,))
        h5.create_virtual_dataset("virtual", layout)
        h5.create_dataset("huge", (10**12,), "f4", chunks=(1000,))
    with h5py.File(tmp_path / "a.h5") as h5:
        np.testing.assert_array_equal(read_array(h5, "plain"), np.ones(3))
        np.testing.assert_array_equal(read_array(h5["kept"], "plain"), np.ones(3))
        for name in ("external", "linked", "virtual"):
            with pytest.raises(InputError, match=rf"a\.h5: keeps {name} in another file"):
                read_array(h5, name)
        with pytest.raises(InputError, match="holds huge of 4,000 GB, 16 GB are the most"):
            read_array(h5, "huge")
        with pytest.raises(InputError, match="kept is no array"):
            read_array(h5, "kept")
    assert (tmp_path / "a.h5").stat().st_size < 20_000


def test_damage_names_the_file(tmp_path):
    path = tmp_path / "a.h5"
    with whole_h5(path) as h5:
        h5["scores"] = [1.0]
    with pytest.raises(InputError, match=r"a\.h5: cannot be read: .*contributions"), read_h5(path) as h5:
        h5["contributions"][:]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"a\.h5: cannot be read: .*; delete it, and make it again"), read_h5(path):
        pass
