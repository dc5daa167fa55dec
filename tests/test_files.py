"""Files are written whole or not at all; text is read in any packing; names that files can have."""

import errno
import gzip
import os
import random
import signal
import subprocess
import sys

import pytest

from helpers.folders import files_below
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, known_checksum, safe_name, text_lines, whole_file
from simbench_tf.genome import open_genome


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), whole_file(path) as partial, partial.open("w", encoding="ascii") as handle:
        handle.writelines(["half", "é"])
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="written: No space left on device") as error, whole_file(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value).startswith(str(tmp_path / "a.txt"))
    assert not list(tmp_path.iterdir())


def test_a_write_that_really_fails_midway_leaves_nothing(tmp_path):
    """A file-size limit stops the write at 4 kB, as a full disk would."""
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from simbench_tf.files import whole_file
from simbench_tf.errors import InputError
try:
    with whole_file({str(tmp_path / "a.txt")!r}) as partial:
        partial.write_bytes(bytes(100_000))
except InputError as error:
    assert "File too large" in str(error), error
else:
    raise SystemExit("written?")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), whole_file(tmp_path / "file" / "a.txt"):
        pass


def test_a_folder_or_file_in_the_place_of_the_other_is_told(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with (
        pytest.raises(
            InputError, match=r"a\.csv: cannot be written: Is a directory; remove or rename the folder that has"
        ),
        whole_file(tmp_path / "a.csv"),
    ):
        pass
    (tmp_path / "b").write_text("")
    with (
        pytest.raises(
            InputError, match=r"c\.csv: cannot be written: .*; remove or rename the file that stands where a"
        ),
        whole_file(tmp_path / "b" / "c.csv"),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b"]


def test_errors_of_other_files_are_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.txt"):
        (tmp_path / "elsewhere" / "b.txt").read_text()


def test_a_killed_write_leaves_the_old_file_and_the_next_clears_up(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = f"""
import os, signal
from simbench_tf.files import whole_file
with whole_file({str(path)!r}) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(files_below(tmp_path)) == 2
    with whole_file(tmp_path / "b.txt") as partial:
        partial.write_text("new")
    assert set(files_below(tmp_path)) == {"a.txt", "b.txt"}


def test_a_file_gets_the_modes_the_umask_grants(tmp_path):
    with whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("x")
    (tmp_path / "b.txt").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_checksum_tells_contents_apart(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(text)
    assert checksum(tmp_path / "a") == checksum(tmp_path / "b") != checksum(tmp_path / "c")


def test_lines_of_a_text_file_whatever_its_ends_mark_and_packing(tmp_path):
    lines = [(1, "one"), (2, "  two\t"), (3, ""), (4, "β")]
    for end in ("\n", "\r\n", "\r"):
        for mark in ("", "\ufeff"):
            for close in ("", end):
                content = (mark + end.join(text for _, text in lines) + close).encode()
                for name, packed in (("plain.gz", content), ("packed.txt", gzip.compress(content))):
                    (tmp_path / name).write_bytes(packed)
                    assert list(text_lines(tmp_path / name, "give text")) == lines


def test_a_file_that_is_no_text_is_refused_with_its_line(tmp_path):
    path = tmp_path / "a"
    for content in (b"ok\n" * 9_000 + b"\x80\n", gzip.compress(b"ok\n" * 9_000 + b"a\xff")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"^{path}:9001: is not text; give text$"):
            list(text_lines(path, "give text"))
    with pytest.raises(InputError, match=f"^{path}x: cannot be read: No such file or directory; check the path$"):
        list(text_lines(tmp_path / "ax", "give text"))


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_would_fill_the_memory_is_refused(tmp_path, packed, monkeypatch):
    monkeypatch.setattr("simbench_tf.files.MOST_LETTERS", 2_000_000)
    content = b"one\n" + b"A" * 1_999_998 + b"\n" + b"A" * 50_000_000
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(content) if packed else content)
    lines = text_lines(path, "give a text file")
    assert [len(next(lines)[1]) for _ in range(2)] == [3, 1_999_998]
    with pytest.raises(InputError, match="a:3: is a line of over 2 million letters; give a text file"):
        next(lines)


def test_a_gzip_file_that_would_fill_memory_or_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("simbench_tf.files._BOMB_BYTES", 10**6)
    bomb, data = tmp_path / "bomb.gz", tmp_path / "data.gz"
    bomb.write_bytes(gzip.compress(b">chr1\n" + b"A" * 99 + b"\n" * 3_000_000))
    data.write_bytes(gzip.compress(b">chr1\n" + (random.Random(0).randbytes(1_000_000).hex().encode() + b"\n")))
    message = r"bomb\.gz: expands to over .* GB, more than 200 times its size; give a file of data"
    with pytest.raises(InputError, match=message):
        list(text_lines(bomb, "give text"))
    with pytest.raises(InputError, match=message):
        open_genome(bomb)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bomb.gz", "data.gz"]
    assert len(list(text_lines(data, "give text"))) == 2


def test_a_known_checksum_follows_a_change(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    os.utime(path, (1, 1))
    assert known_checksum(path) == checksum(path)
    path.write_bytes(b"new")
    assert known_checksum(path) == checksum(path)
    os.utime(path, (2, 2))
    assert known_checksum(path) == checksum(path)


@pytest.mark.parametrize(
    ("name", "safe"), [("a.b-c_1", True), ("é", True), ("a b", False), ("a/b", False), ("-a", False)]
)
def test_names_that_a_file_can_have(name, safe):
    assert safe_name(name) is safe
