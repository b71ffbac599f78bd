"""What of a request's head says who asks, and from where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl

from nearfar.page.refusal import Refusal
from nearfar.service.page_checks import is_loopback

SAFE = ("GET", "HEAD")
# Anything may be sent there, and much of it.
UPLOAD = re.compile(r"/api(/v1)?/(machines/.+/score|setup/recordings)")
# A second one of these could mean one thing to a proxy and another to us.
ONCE = (
    "host", "origin", "authorization", "content-type", "content-length", "transfer-encoding",
    "sec-fetch-site",
)  # fmt: skip
# Changes nothing, though it is a POST: a browser cannot send sound in a GET.
SCORE = re.compile(r"/api(/v1)?/machines/.+/score")
SECRETS = {"token", "access_token", "bearer", "authorization"}  # never in an address


@dataclass(frozen=True)
class Knock:
    """A request's head.

    >>> knock = Knock("POST", "/api/machines/pump/score", {"host": "127.0.0.1:8080"})
    >>> knock.changes, knock.uploads, knock.header("host")
    (True, True, '127.0.0.1:8080')
    """

    method: str
    path: str
    headers: dict[str, str]  # by names in small letters; cookies and the like joined
    query: bytes = b""
    port: int = 0  # of ours
    peer: str = ""  # the address of the other end

    @classmethod
    def of(cls, scope: Any) -> Knock:
        """Of an ASGI scope.

        Raises:
            Refusal: a header that may be there once is there twice.
        """
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
            if name in headers and name in ONCE:
                raise Refusal(400, f"two headers {name}; send one")
            between = "; " if name == "cookie" else ", "
            headers[name] = f"{headers[name]}{between}{text}" if name in headers else text
        peer, server = scope.get("client") or ("", 0), scope.get("server") or ("", 0)
        return cls(
            scope["method"], scope["path"], headers, scope.get("query_string", b""),
            server[1] or 0, peer[0],
        )  # fmt: skip

    def header(self, name: str) -> str:
        """What a header says; "" if it is not there."""
        return self.headers.get(name, "")

    @property
    def changes(self) -> bool:
        """Does it ask for more than to look?"""
        return self.method not in SAFE

    @property
    def uploads(self) -> bool:
        """Is sound sent?"""
        return self.method == "POST" and UPLOAD.fullmatch(self.path) is not None

    @property
    def looks(self) -> bool:
        """Does it change nothing, so that who may only look may ask it?"""
        return not self.changes or (
            self.method == "POST" and SCORE.fullmatch(self.path) is not None
        )

    @property
    def has_body(self) -> bool:
        """Does anything follow the head?"""
        return self.header("content-length") not in ("", "0") or "transfer-encoding" in self.headers

    @property
    def kind(self) -> str:
        """What the body is, as in application/json."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> bytes | None:
        """The token that it brings; the scheme is of any case (RFC 9110, section 11.1)."""
        scheme, _, token = self.header("authorization").strip().partition(" ")
        return token.strip().encode("latin-1") if scheme.lower() == "bearer" else None

    def cookie(self, name: str) -> str:
        """What a cookie says; "" if it is not there."""
        pairs = (pair.strip().partition("=") for pair in self.header("cookie").split(";"))
        return next((value for key, _, value in pairs if key == name), "")

    def address(self, behind: bool) -> str:
        """Whom it is counted as: behind a proxy on this computer, whom that says it is of.

        Only the last of a list is the proxy's own word; those before may be anybody's.
        """
        said = self.header("x-forwarded-for").rpartition(",")[2].strip()
        if not (behind and said and is_loopback(self.peer)):
            return self.peer
        try:
            return str(ip_address(said))
        except ValueError:
            return self.peer


def check_query(query: bytes) -> None:
    """Refuse a token in an address: addresses are kept by browsers, proxies and logs.

    Raises:
        Refusal: there is one.
    """
    names = {name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    if names & SECRETS:
        raise Refusal(400, "a token in an address is kept by logs and browsers; send it as "
                      "Authorization: Bearer TOKEN, and make a new one")  # fmt: skip
