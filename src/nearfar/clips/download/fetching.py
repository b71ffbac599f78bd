"""Files from a server onto a disk: gone on with where they broke off, and checked.

HTTP is httpx's; what is ours is when to try again, and what to believe. A server's own words about
lengths are not believed: only the size and the MD5 in its list of files are.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nearfar.clips.download.published import Archive
from nearfar.errors import (
    FormatError,
    NearfarError,
    NetworkError,
    SettingError,
    first_line,
    needs,
    visible,
)
from nearfar.files import storage_errors, write_text
from nearfar.version import __version__

if TYPE_CHECKING:
    import ssl

    import httpx

SERVER = "https://zenodo.org"
VARIABLE = "NEARFAR_ZENODO"  # names another server
TRIES = 5  # that gain nothing, one behind the other; then it is given up
FIRST_WAIT = 1.0  # s, doubled at each try
LONGEST_WAIT = 300.0  # s; a server that asks for more is left alone
CONNECT, READ = 20.0, 60.0  # s without an answer, without a byte
GAIN = 1_000_000  # bytes that begin the count of tries anew; or a twentieth of the file
MOST_LISTED = 20_000_000  # bytes of a list of files; more is something else
MORE = ".facts"  # ends the name of what is known of a file that is not whole yet
wait = time.sleep  # replaced by tests, which have no time

Moved = Callable[[int], None]  # bytes of the file that are there
Tell = Callable[[str], None]  # a line for a person


def server_url(server: str | None) -> str:
    """The server's address, without a slash at its end: as said, $NEARFAR_ZENODO, or Zenodo.

    Raises:
        SettingError: it is no address.

    >>> server_url("http://127.0.0.1:8000/zenodo/")
    'http://127.0.0.1:8000/zenodo'
    """
    url = server or os.environ.get(VARIABLE) or SERVER
    with suppress(ValueError):
        parts = urlsplit(url)
        # A name and password would be printed with every message.
        if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc:
            return url.rstrip("/")
    raise SettingError(f"server {url!r} is no address; it is one like {SERVER}, in ${VARIABLE} too")


class Broken(Exception):
    """Something that may be better the next time.

    >>> str(Broken("the server is busy", after=30))
    'the server is busy'
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after  # s that the server asks to wait


class Tries:
    """How often something went wrong without any gain, and when it is enough.

    >>> Tries("dev_fan.zip", print).count
    0
    """

    def __init__(self, what: str, tell: Tell) -> None:
        self.what, self.count, self._tell = what, 0, tell

    def failed(self, broken: Broken, gained: bool = False) -> None:
        """Wait for the next try.

        Raises:
            NetworkError: there were enough.
        """
        self.count = 1 if gained else self.count + 1
        pause = FIRST_WAIT * 2 ** (self.count - 1) if broken.after is None else broken.after
        if self.count >= TRIES or pause > LONGEST_WAIT:
            asks = f"; it asks to wait {pause:.0f} s" if pause > LONGEST_WAIT else ""
            times = f", {self.count} times in a row" * (self.count > 1)
            raise NetworkError(
                f"{self.what}: {broken}{times}{asks}. What has come is kept, the same command "
                "goes on from there; --server URL names another server"
            )
        self._tell(f"{self.what}: {broken}; trying again in {pause:.0f} s")
        wait(pause)


@cache
def _authorities() -> ssl.SSLContext:
    """Whose word counts for who a server is; read once, for it takes longer than a small file."""
    import httpx

    return httpx.create_ssl_context()


class Server:
    """A server like Zenodo: records by number, and their files.

    >>> with Server("https://zenodo.org") as server:  # nothing is asked yet
    ...     server.page(19336329)
    'https://zenodo.org/records/19336329'
    """

    def __init__(self, url: str, tell: Tell = lambda line: None) -> None:
        with needs("download", "downloading needs httpx", NetworkError):
            import httpx
        self.url, self._tell = url, tell
        try:
            self._client = httpx.Client(
                follow_redirects=True,
                verify=_authorities(),
                timeout=httpx.Timeout(READ, connect=CONNECT),
                # Packed once more on the way, the bytes would not be those of the list.
                headers={"User-Agent": f"nearfar/{__version__}", "Accept-Encoding": "identity"},
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:  # of the variables
            raise NetworkError(
                f"{url}: no way to it ({first_line(error)}); look at the variables HTTPS_PROXY, "
                "ALL_PROXY and SSL_CERT_FILE"
            ) from None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def page(self, record: int) -> str:
        """Where people read of a record."""
        return f"{self.url}/records/{record}"

    def record(self, number: int) -> tuple[Any, str]:
        """A record's JSON, and the address that it came from in the end.

        Raises:
            NetworkError: no connection, no such record.
            FormatError: no JSON.
        """
        url, tries = f"{self.url}/api/records/{number}", Tries(f"record {number}", self._tell)
        while True:
            try:
                with self._answer(url, {}, f"record {number}") as answer:
                    text = b"".join(_at_most(answer.iter_bytes(), MOST_LISTED))
                    base = str(answer.url)
                return json.loads(text), base
            except Broken as broken:
                tries.failed(broken)
            except (ValueError, RecursionError):
                raise FormatError(
                    f"{url}: answers with something that is no JSON; is the server one like Zenodo?"
                ) from None

    def fetch(self, archive: Archive, place: Path, moved: Moved) -> None:
        """Make a file whole, from wherever it broke off.

        Args:
            archive: what it is to be.
            place: the file; what is there of it, by what lies beside it in `MORE`, is kept.
            moved: is told how many bytes are there.

        Raises:
            NetworkError: given up, refused, or another content than listed.
            StorageError: it cannot be written; what has come stays.
        """
        _forget_others(archive, place)
        for anew in (False, True):
            tries = Tries(archive.key, self._tell)
            # The most that was ever there: what is lost and comes again is no gain, else a server
            # that breaks off and then cannot go on would be asked for ever.
            most = size_of(place)
            while (have := size_of(place)) < archive.size:
                try:
                    self._go_on(archive, place, have, moved)
                except Broken as broken:
                    there = size_of(place)
                    tries.failed(broken, gained=there - most >= min(GAIN, archive.size / 20))
                    most = max(most, there)
            moved(archive.size)
            if (found := md5(place)) == archive.md5:
                return
            forget(place)
            if not anew:  # two halves may be of different files, or the disk has failed
                self._tell(f"{archive.key}: is damaged on its way; fetched anew")
        raise NetworkError(
            f"{archive.key}: has MD5 {found}, {self.url} lists {archive.md5}, twice; try again "
            "later, or another server"
        )

    def _go_on(self, archive: Archive, place: Path, have: int, moved: Moved) -> None:
        """Fetch what is missing, as far as it comes."""
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag := _strong(_facts(place).get("etag")):
                headers["If-Range"] = tag  # of another content all is sent, from the begin
        with self._answer(archive.url, headers, archive.key, place) as answer:
            _refuse_packed(answer, archive.key, self.url)
            if answer.status_code != 206 or not have:
                have = 0  # all of it comes, asked for or not
                _remember(archive, place, answer.headers.get("ETag", ""))
            elif not _fits(answer.headers.get("Content-Range", ""), have, archive.size):
                forget(place)
                raise Broken("the server sends another part than asked for")
            with storage_errors(place), place.open("ab" if have else "wb") as file:
                moved(have)
                # As they come: a larger piece would be lost when the connection breaks.
                for piece in answer.iter_raw():
                    piece = piece[: archive.size - have]
                    file.write(piece)
                    have += len(piece)
                    moved(have)
                    if have == archive.size:
                        return  # whatever else would come
        raise Broken(f"the server ends at {have:,} of {archive.size:,} bytes")

    @contextmanager
    def _answer(
        self, url: str, headers: dict[str, str], what: str, place: Path | None = None
    ) -> Iterator[httpx.Response]:
        """An answer that is none of the many refusals.

        Raises:
            Broken: to be tried again.
            NetworkError: that would not help.
        """
        import httpx

        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                _refuse_plain(self.url, answer, what)
                if answer.status_code == 416 and place is not None:
                    forget(place)  # it is longer than theirs: not the same file
                    raise Broken("the server has no such part")
                _refuse_status(answer, what, self.url)
                yield answer
        except NearfarError:
            raise
        except (
            httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.LocalProtocolError,
            httpx.InvalidURL, httpx.DecodingError, ValueError,  # half a character in an address
        ) as error:  # fmt: skip
            raise NetworkError(
                f"{what}: {visible(url)} leads nowhere ({first_line(error)}); take another server"
            ) from None
        except httpx.TransportError as error:
            if "CERTIFICATE" in str(error):  # time mends none
                raise NetworkError(
                    f"{what}: {_host(url)} does not prove who it is ({_said(error)}); is a proxy "
                    "between? Its certificate's file may be named by SSL_CERT_FILE"
                ) from None
            never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
            what = "no connection to" if never else "the connection breaks off to"
            raise Broken(f"{what} {_host(url)} ({_said(error)})") from None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or visible(url)
    except ValueError:
        return visible(url)


def _said(error: Exception) -> str:
    return first_line(error) or type(error).__name__  # time-outs have no text


def _at_most(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            raise FormatError("a list of files is too long")
        yield piece


def _refuse_plain(asked: str, answer: httpx.Response, what: str) -> None:
    """Refuse a way that begins sealed and ends open: whoever is on it could change the list."""
    if asked.startswith("https:") and answer.url.scheme != "https":
        raise NetworkError(
            f"{what}: {asked} leads to {answer.url.host} without encryption; take another server"
        )


def _refuse_packed(answer: httpx.Response, what: str, server: str) -> None:
    """Refuse bytes that were packed once more, though asked not to be: no part of them fits."""
    how = answer.headers.get("Content-Encoding", "identity")
    if how.strip().casefold() not in ("", "identity"):
        raise NetworkError(
            f"{what}: {server} packs it on its way (Content-Encoding {visible(how)[:20]}), so that "
            "its bytes are not those that are listed; take another server, or mend that one"
        )


def _refuse_status(answer: httpx.Response, what: str, server: str) -> None:
    code = answer.status_code
    if code in (200, 206):
        return
    if code in (408, 425, 429) or code >= 500:
        after = _after(answer.headers.get("Retry-After", "")) if code in (429, 503) else None
        raise Broken(f"{server} answers {code}", after)
    why = {
        401: "it is not for everybody", 403: "it is not for everybody, or not yet",
        404: "it is not there", 410: "it was taken away",
    }.get(code, "it is refused")  # fmt: skip
    raise NetworkError(
        f"{what}: {why} (HTTP {code} of {server}); look at the record's page, or take another "
        "server or record"
    )


def _after(text: str) -> float | None:
    """Seconds that a server asks to wait, by a number or a date; None if it asks nothing."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _fits(text: str, begin: int, size: int) -> bool:
    """Is a part, by its Content-Range, the one that was asked for, of that file?"""
    found = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", text)
    return found is not None and int(found[1]) == begin and found[2] in ("*", str(size))


def size_of(place: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    try:
        return place.stat().st_size
    except OSError:
        return 0


def md5(place: Path) -> str:
    """What a record knows a file by: its MD5, hexadecimal; "" if there is none."""
    if not place.is_file():
        return ""
    with storage_errors(place), place.open("rb") as file:
        # Against damage, not against forgers: the list came over a sealed way.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


# ---- what is known of a file that is not whole yet -----------------------------------------------


def _beside(place: Path) -> Path:
    return place.with_name(place.name + MORE)


def _facts(place: Path) -> dict[str, Any]:
    try:
        facts = json.loads(_beside(place).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _remember(archive: Archive, place: Path, tag: str) -> None:
    facts = {"size": archive.size, "md5": archive.md5, "etag": _strong(tag)}
    write_text(_beside(place), json.dumps(facts) + "\n")


def _strong(tag: object) -> str:
    # A weak tag does not say that bytes are equal, and may not be asked for a part.
    return tag if isinstance(tag, str) and re.fullmatch(r'"[ -~]*"', tag) else ""


def _forget_others(archive: Archive, place: Path) -> None:
    """Remove what is there of a file that was listed otherwise."""
    facts = _facts(place)
    known = (facts.get("size"), facts.get("md5")) == (archive.size, archive.md5)
    # Through a link the file that it leads to would be written over.
    if not known or place.is_symlink() or size_of(place) > archive.size:
        forget(place)


def forget(place: Path) -> None:
    """Remove a file that is not whole, and what is known of it."""
    with storage_errors(place):
        place.unlink(missing_ok=True)
        _beside(place).unlink(missing_ok=True)
