"""Download of one file over HTTP that resumes where it was cut off, as a downloader that pooch can call.

Pooch's own downloader starts over after a cut. This one keeps what was received in a `.part` file, and beside it the
server's name for that version of the file (its ETag, or else its date), so that parts of two versions are never joined:
the server sends the rest only of that version (If-Range, RFC 9110 section 13.1.5), and otherwise the whole file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from simbench_tf.errors import InputError
from simbench_tf.parallel import Track, silent

_CHUNK_BYTES = 1 << 18


#: Seconds to connect, and between two chunks.
_TIMEOUTS_SECONDS = (30, 60)
_MOST_REDIRECTS = 10
_OFFLINE = "check the network, or name a proxy in HTTPS_PROXY or a mirror by --mirror"


def is_safe(url: str) -> bool:
    """Whether nobody between the server and this machine can change what is sent: https, or a server of this machine.

    Examples
    --------
    >>> is_safe("https://hgdownload.soe.ucsc.edu"), is_safe("http://127.0.0.1:8000"), is_safe("http://ucsc.edu")
    (True, True, False)
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return parts.scheme == "https" and bool(parts.hostname)
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def download(url: str, output_file: str, _pooch: Any = None, *, part: Path, track: Track = silent) -> None:
    """Download `url` to `output_file` through the file `part`, resuming from what `part` already holds.

    After a cut the server is contacted again, as long as each connection adds to the file. Bytes are written as the
    server stores them: a content encoding is not undone. Proxies of the environment are used, as `requests` does.

    Parameters
    ----------
    url : str
    output_file : str
        On the file system of `part`.
    _pooch : object
        What pooch passes to every downloader; not used.
    part : path
        Where an unfinished download is kept; ``PART.version`` beside it holds the server's name of its version.
    track : callable
        ``track(description, total)`` is a context manager that yields ``advance(n)``; counts bytes.

    Raises
    ------
    InputError
        The server cannot be reached or answers with an error, sends on to an address that is not `is_safe`, or the file
        is cut off.
    """
    furthest = _size(part)
    while not _received(url, part, track):
        if _size(part) <= furthest:
            raise InputError(url, f"was cut off after {_size(part):,} bytes", "the same command resumes from there")
        furthest = _size(part)
    part.replace(output_file)
    _version_file(part).unlink(missing_ok=True)


def _received(url: str, part: Path, track: Track) -> bool:
    """Request once what `part` lacks and append what is received; True where the file is whole then."""
    had, version = _size(part), _read(_version_file(part))
    rest = {"Range": f"bytes={had}-", "If-Range": version} if had and version else {}
    with _answer(url, {"Accept-Encoding": "identity", **rest}) as response:
        first, total = _extent(response)
        if response.status_code == 416 and total == had:  # it was whole, and not yet renamed
            return True
        if first not in (0, had):
            raise InputError(url, "the server sends other bytes than requested", f"delete {part} to start over")
        try:
            with part.open("ab" if first else "wb") as handle, track(part.stem, total or 0) as advance:
                advance(first)
                if not first:  # only now are the bytes gone that the old name stood for
                    _version_file(part).write_text(_version(response), encoding="utf-8")
                for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                    handle.write(chunk)
                    advance(len(chunk))
        except urllib3.exceptions.HTTPError:
            return False
    return total is None or _size(part) == total


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    try:
        response = _followed(url, headers)
    except requests.exceptions.RequestException as error:
        raise InputError(url, f"cannot be reached: {_reason(error)}", _OFFLINE) from error
    with response:
        if response.status_code >= 400 and not (response.status_code == 416 and "Range" in headers):
            what = f"the server answers {response.status_code} {response.reason}"
            raise InputError(url, what, "try again later, or another server by --mirror")
        yield response


def _followed(url: str, headers: dict[str, str]) -> requests.Response:
    """The answer after all redirects, none of them to an address that is not `is_safe`."""
    address = url
    with requests.Session() as session:
        for _ in range(_MOST_REDIRECTS + 1):
            response = session.get(
                address, headers=headers, stream=True, timeout=_TIMEOUTS_SECONDS, allow_redirects=False
            )
            if response.next is None:
                return response
            response.close()
            address = str(response.next.url)
            if not is_safe(address):
                what = f"the server sends on to {address}, where others could change what is sent"
                raise InputError(url, what, "name a server that answers over https by --mirror")
    raise InputError(url, f"the server sends on more than {_MOST_REDIRECTS} times", "name another by --mirror")


def _reason(error: BaseException) -> str:
    """The message of the innermost of a chain of exceptions: the outer ones repeat it among addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Where in the file the answer's bytes begin, and how many bytes the whole file has, if the server says so."""
    if response.status_code in (206, 416):
        stated = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
        first, total = stated.groups() if stated else (None, "*")
        return int(first if first is not None else -1), None if total == "*" else int(total)
    length = response.headers.get("Content-Length")
    return 0, int(length) if length is not None else None


def _version(response: requests.Response) -> str:
    """The server's name for this version of the file, "" where it gives none; a weak ETag is no promise of bytes."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
