"""What is refused before a page begins: an address open to all, and tokens that keep nobody out."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from nearfar.errors import SettingError, warn

SHORTEST = 16  # characters of a token
LONGEST = 1024
MAKE = "python -c 'import secrets; print(secrets.token_urlsafe())' writes a good one"
OTHERS = stat.S_IRGRP | stat.S_IROTH


def is_loopback(host: str) -> bool:
    """Is it this computer alone? A name other than localhost may be anywhere.

    >>> is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("pi")
    (True, True, False, False)
    """
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        found = ip_address(host)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def token_of(path: Path) -> bytes:
    """What is compared of a token: its SHA-256, 32 bytes, so that all are of a length.

    Args:
        path: a file with the token in its only line.

    Raises:
        SettingError: it cannot be read, or what is in it is no token.
    """
    try:
        # It is read anew when it changes, which of a pipe nobody could tell.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise SettingError(f"{path}: no file, and a token is kept in one; {MAKE}")
        with open(path, "rb") as file:
            text = file.read(LONGEST + 3)
    except (OSError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f"{path}: no token can be read ({why}); {MAKE}") from None
    line = text.removesuffix(b"\n").removesuffix(b"\r")
    if not SHORTEST <= len(line) <= LONGEST or not all(33 <= byte <= 126 for byte in line):
        # Never what is in it: this may be a token with a blank too many.
        raise SettingError(
            f"{path}: no token; it is one line of {SHORTEST} to {LONGEST:,} letters, digits and "
            f"signs of ASCII; {MAKE}"
        )
    return digest(line)


def digest(token: bytes) -> bytes:
    """What is kept and compared of a token."""
    return hashlib.sha256(token).digest()


def origin_of(proxy: str) -> tuple[str, str]:
    """Of a reverse proxy: its origin as browsers write it, and the Host that they send.

    Raises:
        SettingError: it is none.

    >>> origin_of("https://Plant.example/"), origin_of("http://plant:8080")
    (('https://plant.example', 'plant.example'), ('http://plant:8080', 'plant:8080'))
    """
    form = "it is http(s)://NAME[:PORT], such as https://plant.example"
    try:
        found = urlsplit(proxy)
        port, host = found.port, found.hostname
    except ValueError:
        raise SettingError(f"proxy {proxy!r}: no origin; {form}") from None
    rest = found.path.strip("/") or found.query or found.fragment
    if found.scheme not in ("http", "https") or not host or rest or "@" in found.netloc:
        raise SettingError(f"proxy {proxy!r}: no origin; {form}")
    if not (proxy.isascii() and proxy.isprintable()) or " " in proxy:
        raise SettingError(f"proxy {proxy!r}: no origin of ASCII; {form}, other letters as xn--…")
    usual = {"http": 80, "https": 443}[found.scheme]
    name = f"[{host}]" if ":" in host else host
    place = name if port in (None, usual) else f"{name}:{port}"
    return f"{found.scheme}://{place}", place


def check_page(address: str, token: Path | None, readers: Path | None, proxy: str) -> None:
    """Refuse a page that strangers could use; see `PageSettings`.

    Args:
        address: HOST:PORT.
        token: the file of who may change things.
        readers: the file of who may look.
        proxy: the origin of a reverse proxy, or "".

    Raises:
        SettingError: says what is missing; nothing has begun yet.
    """
    # Late: whoever has no page needs no server.
    from nearfar.service.outputs.web import parse_address

    host, _ = parse_address(address)
    if proxy:
        origin_of(proxy)
    if readers is not None and token is None:
        raise SettingError(
            "reader_token_file without token_file: whoever has no token could change all; "
            "give token_file too"
        )
    if token is None and not proxy and not is_loopback(host):
        raise SettingError(
            f"address {address}: others can reach it; give token_file, or say proxy, "
            "where a reverse proxy lets in whom it will, or take 127.0.0.1"
        )
    check_tokens([path for path in (token, readers) if path is not None])


def check_tokens(files: Sequence[Path]) -> None:
    """Refuse files that hold no token, and one token for both.

    Raises:
        SettingError: names the file.
    """
    tokens = [token_of(path) for path in files]
    if len(tokens) == 2 and hmac.compare_digest(*tokens):
        raise SettingError(f"{files[1]}: the same token as {files[0]}; give readers one of theirs")
    for path in files:
        if os.name == "posix" and path.stat().st_mode & OTHERS:
            warn(f"{path}: others on this computer can read the token; chmod 600 it", str(path))


def check_normals(folders: Sequence[Path]) -> None:
    """Refuse folders of normal recordings that are not there.

    Raises:
        SettingError: names the first; a mistyped one would be missed only by whoever listens.
    """
    for folder in folders:
        if not folder.is_dir():
            raise SettingError(f'"{folder}"; it is a folder of recordings, and there is none')


@dataclass(frozen=True)
class PageSettings:
    """Where the page is served, and to whom.

    Raises:
        SettingError: an address that others reach, and nothing that keeps them out; or a file that
            holds no token.

    >>> PageSettings("127.0.0.1:8080").upload_limit
    200000000
    """

    address: str  # HOST:PORT
    token_file: Path | None = None  # of who may change things
    reader_token_file: Path | None = None  # of who may look
    # http(s)://NAME[:PORT] as browsers have it, of a reverse proxy that lets in whom it will
    proxy: str = ""
    normals: tuple[Path, ...] = ()  # where the normal recordings are, to be heard
    upload_limit: int = 200_000_000  # bytes of one request

    def __post_init__(self) -> None:
        check_page(self.address, self.token_file, self.reader_token_file, self.proxy)
