"""Who has which token, and who has signed in with it."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nearfar.errors import SettingError
from nearfar.page.guard.rates import Rates, TooOften
from nearfar.page.guard.visitor import Role
from nearfar.page.refusal import Refusal
from nearfar.service.page_checks import digest, token_of
from nearfar.service.plant import PageSettings

UNUSED = 30 * 86400.0  # s after which a sign-in is forgotten
MOST = 1000  # sign-ins; of more, who has not come for longest signs in anew
WRONG = 20  # tokens of an address within a minute
MISSING = "sign in on the page, or send the header Authorization: Bearer TOKEN"
_log = logging.getLogger("nearfar.page")


class TokenFile:
    """A token on disk, read anew when its file changes: so one is revoked without a new start.

    Args:
        path: of the file.

    >>> TokenFile(Path("gone")).current is None
    True
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._digest: bytes | None = None
        self._told = False

    @property
    def current(self) -> bytes | None:
        """Its digest; None lets nobody in: the file is gone, or has no token any more."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._digest, self._stamp, self._told = token_of(self._path), stamp, False
        except (OSError, SettingError) as error:
            self._digest = self._stamp = None
            if not self._told:  # once, not with each request
                _log.warning("nobody comes in with the token of %s: %s", self._path, error)
            self._told = True
        return self._digest


@dataclass
class SignIn:
    """Somebody who has signed in.

    >>> SignIn("reader", b"", 0.0).role
    'reader'
    """

    role: Role
    token: bytes  # digest of what they signed in with
    used: float  # s


class SignIns:
    """Tokens and who came in by them, all of it in memory: a new start asks anew.

    Args:
        settings: of the page.
        clock: seconds that only rise.

    >>> SignIns(PageSettings("127.0.0.1:8080")).needs_token
    False
    """

    def __init__(self, settings: PageSettings, clock: Callable[[], float] = time.monotonic) -> None:
        # Readers first: should both files come to hold the same token, it is worth the less.
        roles: tuple[tuple[Role, Path | None], ...] = (
            ("reader", settings.reader_token_file), ("operator", settings.token_file),
        )  # fmt: skip
        self._files = {role: TokenFile(path) for role, path in roles if path is not None}
        self._clock = clock
        self._known: OrderedDict[bytes, SignIn] = OrderedDict()  # digest of its cookie →
        self._wrong, self._lines = Rates(WRONG), Rates(1, clock)

    @property
    def needs_token(self) -> bool:
        """Is anybody kept out?"""
        return bool(self._files)

    def check(self, token: bytes, address: str) -> Role:
        """Whose token it is.

        Raises:
            Refusal: nobody's; 429 where that address tries too often.
        """
        role = self._owner(digest(token))
        if role is not None:
            # However many wrong ones came before: 16 random signs are not found by trying, at no
            # rate that a server answers, and whoever could lock an address could lock out all who
            # come through the same proxy. Being told 429 only saves the log and the line.
            return role
        wait = self._wrong.count(address)
        if wait:
            # One line a minute, whoever tries: who has many addresses fills no log either.
            if not self._lines.count("all"):
                _log.warning("%s: %d wrong tokens in a minute, and more", address, WRONG)
            raise TooOften(f"{WRONG} wrong tokens in a minute", wait)
        raise Refusal(401, f"a wrong token; {MISSING}")

    def begin(self, token: bytes, address: str) -> tuple[str, Role]:
        """Sign in: what the cookie says, 256 random bits, and as whom.

        Raises:
            Refusal: as of `check`.
        """
        role, cookie = self.check(token, address), secrets.token_urlsafe(32)
        self._forget()
        self._known[digest(cookie.encode())] = SignIn(role, digest(token), self._clock())
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return cookie, role

    def role(self, cookie: str) -> Role | None:
        """Who has this cookie; None if nobody, any more."""
        key = digest(cookie.encode("latin-1", "replace"))
        found = self._known.get(key)
        if found is None:
            return None
        if self._clock() - found.used > UNUSED or self._owner(found.token) != found.role:
            del self._known[key]
            return None
        found.used = self._clock()
        self._known.move_to_end(key)
        return found.role

    def still(self, role: Role, token: bytes | None, cookie: str) -> bool:
        """Is who came in as this still let in? Asked of who stays, and counted as no try."""
        if not self.needs_token:
            return True
        return (self.role(cookie) if token is None else self._owner(digest(token))) == role

    def end(self, cookie: str) -> None:
        """Sign out."""
        self._known.pop(digest(cookie.encode("latin-1", "replace")), None)

    def _owner(self, given: bytes) -> Role | None:
        # All are compared, in constant time each: how long it takes says nothing.
        found = [
            role for role, file in self._files.items()
            if hmac.compare_digest(given, file.current or b"")
        ]  # fmt: skip
        return found[0] if found else None

    def _forget(self) -> None:
        # They are in the order of their last use.
        since = self._clock() - UNUSED
        while self._known and next(iter(self._known.values())).used < since:
            self._known.popitem(last=False)
