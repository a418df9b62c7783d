"""Fetch one file from one place, a URL or a folder: retried, checked, and there whole or not at all."""

import hashlib
import http.client
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, urlsplit

from reprogan.atomic import atomic_path
from reprogan.data.transfer import transfer

MAXIMUM_BYTES = 1 << 30  # of one file; MNIST's largest has 10 MB
TIMEOUT_SECONDS = 10.0  # without a connection or a byte
TRIES = 3
PAUSE_SECONDS = 0.5  # before the second try; doubled before each one after it
_CHUNK_BYTES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"


class Unavailable(Exception):
    """Why a place does not give a file. `passing`: another try may go better."""

    def __init__(self, reason: str, passing: bool) -> None:
        super().__init__(" ".join(reason.split()))
        self.passing = passing


class WrongHash(Unavailable):
    """A file came whole, but it is another one."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"sha256 {found[:12]}…, expected {expected[:12]}…", passing=False)


@dataclass(frozen=True)
class Incoming:
    """A file on its way: its size in bytes where the place tells, and its bytes, once."""

    size: int | None
    chunks: Iterator[bytes]


def fetch(place: str, name: str, sha256: str, destination: Path) -> None:
    """Copy the file `name` of `place` to `destination`, if its sha256 is right.

    `place` is an http, https or file URL, or a folder. Tries again, with a pause that doubles, after what may
    pass: no connection, no answer, a server's error, a body cut short. Raises Unavailable for the rest and when
    all tries are used up; OSError, with the file's name, where `destination` cannot be written.
    """
    for attempt in range(TRIES):
        try:
            return _copy(place, name, sha256, destination)
        except Unavailable as error:
            if not error.passing or attempt == TRIES - 1:
                raise
            wait = PAUSE_SECONDS * 2**attempt
            print(f"{place}: {name}: {error}; trying again in {wait:g} s", file=sys.stderr)
            time.sleep(wait)


@contextmanager
def opened(place: str, name: str, timeout: float = TIMEOUT_SECONDS) -> Iterator[Incoming]:
    """Open the file `name` of `place`. Raises Unavailable, from here and while its chunks are read.

    A web page in the place of the file (a proxy's login page, a mirror that has moved) is refused.
    """
    with _unavailable(timeout):
        stream: BinaryIO
        size: int | None
        if (folder := local_folder(place)) is not None:
            stream = open(folder / name, "rb")  # noqa: SIM115 - closed below
            size, page = os.fstat(stream.fileno()).st_size, False
        else:
            response = _request(f"{place.rstrip('/')}/{quote(name)}", timeout)
            size, page = response.length, response.headers.get_content_type() == "text/html"
            stream = cast(BinaryIO, response)
    with stream:
        yield Incoming(size, _chunks(stream, size, page, timeout))


def local_folder(place: str) -> Path | None:
    """The folder that a place is (relative ones from the current directory), or None for a URL of the network."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", place):  # one letter: a Windows drive
        return Path(place).expanduser()
    parts = urlsplit(place)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise Unavailable("a file URL with a host; expected file:///folder", passing=False)
    return Path(urllib.request.url2pathname(parts.path))


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(place: str, name: str, sha256: str, destination: Path) -> None:
    """One try of `fetch`."""
    digest = hashlib.sha256()
    with (
        opened(place, name) as incoming,
        _errors_name(destination),
        atomic_path(destination) as temporary,
        open(temporary, "wb") as file,
        transfer(name, incoming.size) as show,
    ):
        for chunk in incoming.chunks:
            file.write(chunk)
            digest.update(chunk)
            show(len(chunk))
        if digest.hexdigest() != sha256:
            raise WrongHash(digest.hexdigest(), sha256)


def _chunks(stream: BinaryIO, size: int | None, page: bool, timeout: float) -> Iterator[bytes]:
    """The bytes of an open file in chunks. Raises Unavailable for a web page and a body that is cut short."""
    received = 0
    while True:
        with _unavailable(timeout):
            chunk = stream.read(_CHUNK_BYTES)
        if received == 0 and not chunk.startswith(_GZIP_MAGIC) and (page or chunk.lstrip().startswith(b"<")):
            raise Unavailable("a web page (HTML) came, not the file", passing=False)
        if not chunk:
            break
        received += len(chunk)
        if received > MAXIMUM_BYTES:
            raise Unavailable(f"more than {MAXIMUM_BYTES:,} bytes came", passing=False)
        yield chunk
    if size is not None and received < size:
        raise Unavailable(f"cut short after {received:,} of {size:,} bytes", passing=True)


def _request(url: str, timeout: float) -> http.client.HTTPResponse:
    """Ask for a URL; the answer's body is still to be read."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Unavailable("not a URL we can read; expected http, https, file or a folder", passing=False)
    # Some mirrors turn away urllib's own name.
    request = urllib.request.Request(url, headers={"User-Agent": "reprogan"})
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)
    return response


@contextmanager
def _unavailable(timeout: float) -> Iterator[None]:
    """Turn every way in which a network or a folder can fail into Unavailable."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        passing = error.code >= 500 or error.code in (408, 425, 429)
        raise Unavailable(f"HTTP {error.code} {error.reason}", passing) from None
    except urllib.error.URLError as error:
        passing = not isinstance(error.reason, ssl.SSLCertVerificationError)
        raise Unavailable(_brief(error.reason, timeout), passing) from None
    except (ValueError, http.client.InvalidURL) as error:
        raise Unavailable(f"not a URL we can read ({error})", passing=False) from None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise Unavailable(_brief(error, timeout), passing=False) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(_brief(error, timeout), passing=True) from None


def _brief(error: BaseException | str, timeout: float) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let an error of writing (a full disk) name the file: the system's own does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
