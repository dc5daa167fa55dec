"""Fetching: resumed to the same bytes, held to recorded checksums, and one line for whatever goes wrong on the way."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.program import simbench
from helpers.web_server import Site, serving
from simbench_tf.errors import InputError
from simbench_tf.genome import download as _download
from simbench_tf.genome.public_data import fetch_public
from simbench_tf.genome.sources import PEAKS, PUBLISHED_MD5, SERVER, SETS, check_fetched

HG38 = f"/{SETS['hg38'][0]}"
#: Does not compress, so the file is as long, and any splice shows.
GENOME = gzip.compress(b">chr1\n" + random.Random(1).randbytes(3_000_000), mtime=0)
SHA256 = hashlib.sha256(GENOME).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SIMBENCH_MIRROR", raising=False)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """MD5 of the files that are served here, which are no genomes of UCSC; none, until a test names one."""
    published: dict[str, str] = {}
    monkeypatch.setattr("simbench_tf.genome.public_data.PUBLISHED_MD5", published)
    return published


@pytest.fixture
def site() -> Iterator[Site]:
    with serving({HG38: GENOME}) as site:
        yield site


def get(site: Site, folder: Path, **options: Any) -> str:
    (fetched,) = fetch_public("hg38", folder, mirror=site.url, **options)
    assert fetched.path == folder / "hg38.fa.gz"
    assert fetched.path.read_bytes() == site.files[HG38]
    return fetched.state


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def ranges(site: Site) -> list[str | None]:
    return [asked for _, asked in site.asked]


WHOLE = {"hg38.fa.gz", "hg38.fa.gz.sha256"}


def test_a_file_is_fetched_once_and_its_checksum_recorded_and_checked(site: Site, tmp_path: Path) -> None:
    assert get(site, tmp_path / "new" / "data") == "fetched"
    folder = tmp_path / "new" / "data"
    assert names(folder) == WHOLE
    assert (folder / "hg38.fa.gz.sha256").read_text() == f"{SHA256}  hg38.fa.gz\n"
    umask = os.umask(0)
    os.umask(umask)
    assert all(path.stat().st_mode & 0o777 == 0o666 & ~umask for path in folder.iterdir())
    site.status = 503
    assert get(site, folder) == "unchanged", "without asking the server"
    assert len(site.asked) == 1


def test_encode_five_is_hg19_and_the_peaks_of_five_lines(tmp_path: Path) -> None:
    files = {f"/{file}": gzip.compress(file.encode()) for file in SETS["encode-five"]}
    with serving(files) as site:
        fetched = list(fetch_public("encode-five", tmp_path, mirror=site.url + "/"))
        assert [each.state for each in fetched] == ["fetched"] * 6
        for each, body in zip(fetched, files.values(), strict=True):
            assert each.path.read_bytes() == body
        (tmp_path / "hg19.fa.gz").unlink()
        site.asked.clear()
        states = [each.state for each in fetch_public("encode-five", tmp_path, mirror=site.url)]
        assert states == ["fetched"] + ["unchanged"] * 5
        assert [path for path, _ in site.asked] == [f"/{SETS['hg19'][0]}"]
    assert list(PEAKS) == ["A549", "GM12878", "H1", "HepG2", "K562"]
    assert SERVER == "https://hgdownload.soe.ucsc.edu"
    # the addresses of the task's issue, letter by letter
    assert SETS["hg38"] == ("goldenPath/hg38/bigZips/hg38.fa.gz",)
    assert SETS["encode-five"][:2] == (
        "goldenPath/hg19/bigZips/hg19.fa.gz",
        "goldenPath/hg19/encodeDCC/wgEncodeAwgDnaseUniform/wgEncodeAwgDnaseUwdukeA549UniPk.narrowPeak.gz",
    )


# cut off --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validator", ["etag", "date"])
def test_a_connection_cut_off_in_the_middle_is_taken_up_where_it_broke(
    site: Site, tmp_path: Path, validator: str
) -> None:
    site.validator, site.cuts = validator, [1_000_000, 500_001]
    assert get(site, tmp_path) == "fetched"
    assert ranges(site) == [None, "bytes=1000000-", "bytes=1500001-"]
    assert names(tmp_path) == WHOLE


def test_a_later_command_goes_on_where_an_earlier_one_was_stopped(site: Site, tmp_path: Path) -> None:
    site.cuts = [1_000_000, 0]
    with pytest.raises(InputError, match=r"hg38\.fa\.gz: was cut off after 1,000,000 bytes; the same command resumes"):
        get(site, tmp_path)
    assert names(tmp_path) == {"hg38.fa.gz.part", "hg38.fa.gz.part.version"}
    done = []

    @contextmanager
    def track(description: str, total: int) -> Iterator[Any]:
        assert (description, total) == ("hg38.fa.gz", len(GENOME))
        yield done.append

    assert get(site, tmp_path, track=track) == "fetched"
    assert ranges(site)[-1] == "bytes=1000000-"
    assert done[0] == 1_000_000
    assert sum(done) == len(GENOME)


def test_an_interrupted_download_is_kept(site: Site, tmp_path: Path) -> None:
    @contextmanager
    def track(description: str, total: int) -> Iterator[Any]:
        def advance(n: int) -> None:
            if n:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        get(site, tmp_path, track=track)
    assert names(tmp_path) == {"hg38.fa.gz.part", "hg38.fa.gz.part.version"}
    kept = (tmp_path / "hg38.fa.gz.part").stat().st_size
    assert kept > 0
    get(site, tmp_path)
    assert ranges(site) == [None, f"bytes={kept}-"]


def test_a_file_that_changed_between_two_pieces_is_not_spliced(site: Site, tmp_path: Path) -> None:
    site.cuts = [1_000_000, 0]
    with pytest.raises(InputError, match="cut off"):
        get(site, tmp_path)
    site.files[HG38] = gzip.compress(b">chr1\n" + random.Random(2).randbytes(3_000_000))
    get(site, tmp_path)


@pytest.mark.parametrize(("ranges_taken", "validator"), [(False, "etag"), (True, "weak"), (True, "none")])
def test_a_server_that_cannot_go_on_sends_the_whole_again(
    site: Site, tmp_path: Path, ranges_taken: bool, validator: str
) -> None:
    site.ranges, site.validator, site.cuts = ranges_taken, validator, [1_000_000]
    get(site, tmp_path)
    assert len(site.asked) == 2
    site.cuts = [1_000_000] * 9
    (tmp_path / "hg38.fa.gz").unlink()
    with pytest.raises(InputError, match="cut off after 1,000,000 bytes"):
        get(site, tmp_path)
    assert len(site.asked) == 4, "one more try, which came no further"


def test_a_part_that_is_whole_is_taken(site: Site, tmp_path: Path) -> None:
    (tmp_path / "hg38.fa.gz.part").write_bytes(GENOME)
    (tmp_path / "hg38.fa.gz.part.version").write_text(str(site.version(GENOME)[1]))
    get(site, tmp_path)
    assert ranges(site) == [f"bytes={len(GENOME)}-"]
    assert names(tmp_path) == WHOLE


def test_a_part_longer_than_the_file_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "hg38.fa.gz.part").write_bytes(GENOME + b"x")
    (tmp_path / "hg38.fa.gz.part.version").write_text(str(site.version(GENOME)[1]))
    with pytest.raises(InputError, match=r"other bytes than requested; delete .*hg38\.fa\.gz\.part to start over"):
        get(site, tmp_path)


def test_a_server_need_not_tell_the_length(site: Site, tmp_path: Path) -> None:
    site.length_told = False
    assert get(site, tmp_path) == "fetched"


# others between the server and here -----------------------------------------------------------------------------------


def test_genomes_have_the_checksums_that_ucsc_publishes() -> None:
    assert {
        SETS["hg19"][0]: "806c02398f5ac5da8ffd6da2d1d5d1a9",
        SETS["hg38"][0]: "1c9dcaddfa41027f17cd8f7a82c7293b",
    } == PUBLISHED_MD5


def test_another_file_under_the_name_of_a_genome_is_not_taken(
    site: Site, tmp_path: Path, published: dict[str, str]
) -> None:
    published[HG38[1:]] = hashlib.md5(GENOME).hexdigest()
    assert get(site, tmp_path / "right") == "fetched"
    site.files[HG38] = gzip.compress(b">chr1\n" + random.Random(2).randbytes(3_000))
    with pytest.raises(
        InputError, match=r"hg38\.fa\.gz: is not the file that UCSC publishes, whose MD5 is [0-9a-f]{32}; "
    ):
        get(site, tmp_path / "wrong")
    assert names(tmp_path / "wrong") == set()


@pytest.mark.parametrize(
    "to", ["http://mirror.invalid/hg38.fa.gz", "ftp://mirror.invalid/hg38.fa.gz", "file:///etc/hosts"]
)
def test_a_server_that_sends_on_to_where_others_could_change_it_is_told(site: Site, tmp_path: Path, to: str) -> None:
    site.redirects[HG38] = to
    with pytest.raises(InputError, match=f"the server sends on to {to}, where others could change what is sent"):
        get(site, tmp_path)
    assert names(tmp_path) == set()


def test_a_server_that_sends_on_is_followed_and_not_for_ever(site: Site, tmp_path: Path) -> None:
    site.redirects["/old"] = HG38
    site.redirects[HG38] = "/new/hg38.fa.gz"
    site.files["/new/hg38.fa.gz"] = GENOME
    assert get(site, tmp_path) == "fetched"
    site.redirects["/new/hg38.fa.gz"] = HG38
    with pytest.raises(InputError, match="the server sends on more than 10 times"):
        get(site, tmp_path / "again")


# changed --------------------------------------------------------------------------------------------------------------


def test_a_file_that_changed_on_the_disk_is_told_and_left(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path)
    changed = GENOME[:-1] + bytes([GENOME[-1] ^ 1])
    (tmp_path / "hg38.fa.gz").write_bytes(changed)
    message = r"hg38\.fa\.gz: changed since hg38\.fa\.gz\.sha256 was recorded; delete it to fetch it again"
    with pytest.raises(InputError, match=message):
        get(site, tmp_path)
    assert (tmp_path / "hg38.fa.gz").read_bytes() == changed


def test_a_file_that_changed_on_the_server_is_told_and_not_taken(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path)
    (tmp_path / "hg38.fa.gz").unlink()
    site.files[HG38] = gzip.compress(b"other")
    message = r"http://.*/hg38\.fa\.gz: is not the file whose checksum is in .*hg38\.fa\.gz\.sha256; it changed on the"
    with pytest.raises(InputError, match=message):
        get(site, tmp_path)
    assert names(tmp_path) == {"hg38.fa.gz.sha256"}
    (tmp_path / "hg38.fa.gz.sha256").unlink()
    assert get(site, tmp_path) == "fetched"


def test_a_file_put_there_by_hand_is_recorded(site: Site, tmp_path: Path) -> None:
    (tmp_path / "hg38.fa.gz").write_bytes(GENOME)
    assert [get(site, tmp_path) for _ in range(2)] == ["found", "unchanged"]
    assert (tmp_path / "hg38.fa.gz.sha256").read_text().startswith(SHA256)
    assert not site.asked


@pytest.mark.parametrize("where", ["server", "disk"])
def test_what_is_no_gzip_is_not_taken(site: Site, tmp_path: Path, where: str) -> None:
    page = b"<html>log in</html>"
    if where == "server":
        site.files[HG38] = page
    else:
        (tmp_path / "hg38.fa.gz").write_bytes(page)
    with pytest.raises(InputError, match=r"hg38\.fa\.gz: is no gzip file"):
        get(site, tmp_path)
    assert names(tmp_path) == (set() if where == "server" else {"hg38.fa.gz"})


def test_a_broken_record_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "hg38.fa.gz.sha256").write_text("abc\n")
    with pytest.raises(InputError, match=r"hg38\.fa\.gz\.sha256: holds no SHA-256; delete it"):
        get(site, tmp_path)


# what goes wrong, from the command line -------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def test_the_command_puts_files_into_data_and_says_so(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMBENCH_MIRROR", site.url)
    assert simbench(monkeypatch, capsys, "fetch", "hg38") == (0, "data/hg38.fa.gz: fetched\n", "")
    assert simbench(monkeypatch, capsys, "fetch", "hg38") == (0, "data/hg38.fa.gz: unchanged\n", "")
    assert (tmp_path / "data" / "hg38.fa.gz").read_bytes() == GENOME


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("404", "hg38.fa.gz: the server answers 404 Not Found; try again later, or another server by --mirror"),
        ("503", "hg38.fa.gz: the server answers 503 Service Unavailable"),
        ("refused", "hg38.fa.gz: cannot be reached: Connection refused; check the network, or name a proxy"),
        ("unknown host", "hg38.fa.gz: cannot be reached: "),
        ("proxy", "hg38.fa.gz: cannot be reached: "),
        ("silent", "hg38.fa.gz: cannot be reached: timed out"),
        ("http", "--mirror http://x: is no https address, and others could change what is sent; write"),
        ("ftp", "--mirror ftp://x: is no https address; write it as https://hgdownload.soe.ucsc.edu"),
        ("set", "hg39: is no set of files to fetch; did you mean 'hg38'?"),
        ("folder", "hg38.fa.gz: cannot be written: "),
        ("file", "hg38.fa.gz: cannot be written: "),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_exit_code_2(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    case: str,
    message: str,
) -> None:
    mirror, out, what = site.url, tmp_path / "data", "hg38"
    listener = socket.create_server(("127.0.0.1", 0))
    if case in ("404", "503"):
        site.status = int(case)
    elif case == "refused":
        mirror = f"http://127.0.0.1:{free_port()}"
    elif case == "unknown host":
        mirror = "https://no-such-host.invalid"
    elif case == "proxy":
        mirror = "https://hgdownload.soe.ucsc.edu"
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    elif case == "silent":
        monkeypatch.setattr(_download, "_TIMEOUTS_SECONDS", (1, 0.2))
        mirror = f"http://127.0.0.1:{listener.getsockname()[1]}"
    elif case in ("http", "ftp"):
        mirror = f"{case}://x"
    elif case == "set":
        what = "hg39"
    elif case == "folder":  # root may write into any folder, but not even root into this one
        out = tmp_path / "locked"
        out.mkdir(mode=0o500)
        out = Path("/proc/self") if os.geteuid() == 0 and Path("/proc/self").is_dir() else out
    elif case == "file":
        out.write_text("")
    with listener:
        code, printed, err = simbench(monkeypatch, capsys, "fetch", what, "--out", out, "--mirror", mirror)
    assert (code, printed) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert "object at 0x" not in err
    assert not any(path.is_file() and path != out for path in tmp_path.rglob("*"))


def test_a_full_disk_is_told_and_what_came_is_kept(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def track(description: str, total: int) -> Iterator[Any]:
        def advance(n: int) -> None:
            if n:
                raise OSError(28, "No space left on device")

        yield advance

    with pytest.raises(InputError, match=r"hg38\.fa\.gz: cannot be written: No space left on device"):
        get(site, tmp_path, track=track)
    assert names(tmp_path) == {"hg38.fa.gz.part", "hg38.fa.gz.part.version"}


def test_a_proxy_of_the_environment_is_asked(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    list(fetch_public("hg38", tmp_path, mirror="http://localhost:9"))
    assert site.asked == [(f"http://localhost:9{HG38}", None)]
    assert (tmp_path / "hg38.fa.gz").read_bytes() == GENOME


# what presets say where files are missing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["data/hg19.fa.gz"], "data/hg19.fa.gz: is no file, but k0 names it; fetch it with `simbench fetch hg19`"),
        (["data/mine.fa", "data/hg38.fa.gz"], "data/hg38.fa.gz: is no file, but k1 names it; fetch it with `simbench"),
        ([f"data/{Path(PEAKS['H1']).name}"], "fetch it with `simbench fetch encode-five`"),
        (["data/hg19.fa.gz", f"data/{Path(PEAKS['H1']).name}"], "fetch them with `simbench fetch encode-five`"),
        (["my data/hg19.fa.gz"], "fetch it with `simbench fetch hg19 --out 'my data'`"),
    ],
)
def test_a_missing_public_file_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {f"k{number}": Path(file) for number, file in enumerate(files)}
    with pytest.raises(InputError, match=re.escape(message)):
        check_fetched(paths)
    for path in paths.values():
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    check_fetched(paths)
    check_fetched({"simulation.genome": Path("nowhere/mine.fa")})
