"""A web server on this machine that stands in for UCSC's, with the faults that one meets on the way there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATE = "Mon, 02 Jan 2012 10:00:00 GMT"


@dataclass
class Site:
    """What the server holds and how it behaves; tests change it as they go.

    `cuts` says after how many bytes of the body each of the next answers breaks off; `asked` is what was asked for,
    `redirects` says for some paths where it is sent on to.
    """

    files: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    validator: str = "etag"  # or: weak, date, none
    cuts: list[int] = field(default_factory=list)
    status: int | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    length_told: bool = True
    redirects: dict[str, str] = field(default_factory=dict)

    def version(self, body: bytes) -> tuple[str, str] | None:
        digest = hashlib.md5(body).hexdigest()
        return {
            "etag": ("ETag", f'"{digest}"'),
            "weak": ("ETag", f'W/"{digest}"'),
            "date": ("Last-Modified", DATE),
            "none": None,
        }[self.validator]


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Site]:
    """Serve `files` (path -> bytes) on a free port of this machine."""
    site = Site(dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, site)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(request: BaseHTTPRequestHandler, site: Site) -> None:
    # a proxy is asked for the whole address
    path = "/" + request.path.removeprefix("http://").partition("/")[2] if "://" in request.path else request.path
    asked = request.headers["Range"]
    site.asked.append((request.path, asked))
    if path in site.redirects:
        request.send_response(302)
        request.send_header("Location", site.redirects[path])
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    body = site.files.get(path)
    if body is None or site.status is not None:
        request.send_error(site.status or 404)
        return
    version, first, status = site.version(body), 0, 200
    if asked and site.ranges and version and request.headers["If-Range"] == version[1]:
        first, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
        if first >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.end_headers()
            return
    request.send_response(status)
    if status == 206:
        request.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
    if version:
        request.send_header(*version)
    # a gzip file is sent as it is, though some servers call that an encoding
    request.send_header("Content-Encoding", "gzip")
    if site.length_told:
        request.send_header("Content-Length", str(len(body) - first))
    request.end_headers()
    cut = site.cuts.pop(0) if site.cuts else len(body)
    request.wfile.write(body[first:][:cut])
