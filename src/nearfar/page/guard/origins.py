"""From which pages a request may come: no other site acts in the name of who looks at ours.

Browsers say of a request whence it comes (Origin, RFC 6454; Sec-Fetch-Site, W3C Fetch Metadata) and
a page cannot make them lie. What says neither is no browser, and does only what its user types.
"""

from __future__ import annotations

from nearfar.page.guard.knock import Knock
from nearfar.page.refusal import Refusal
from nearfar.service.outputs.web import parse_address
from nearfar.service.page_checks import is_loopback, origin_of
from nearfar.service.plant import PageSettings

OURS = ("", "same-origin", "none")  # none: typed, or a bookmark
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain", "")


class Origins:
    """Knows where our own page is.

    Args:
        settings: of the page.

    >>> origins = Origins(PageSettings("127.0.0.1:8080"))
    >>> origins.check(Knock("GET", "/", {"host": "localhost:8080"}, port=8080))
    """

    def __init__(self, settings: PageSettings) -> None:
        self._bound = parse_address(settings.address)[0]
        self._proxy, self._place = origin_of(settings.proxy) if settings.proxy else ("", "")
        self._needs_token = settings.token_file is not None

    def check(self, knock: Knock, by_token: bool = False) -> None:
        """Refuse what another site sends.

        Args:
            knock: the request's head.
            by_token: it brings a token, which no browser adds by itself.

        Raises:
            Refusal: says what is wrong.
        """
        self._check_host(knock)
        if not by_token:
            self._check_site(knock)
            if knock.changes:
                self._check_form(knock)
        is_other = knock.has_body and knock.kind != "application/json"
        if knock.changes and is_other and not knock.uploads:  # forms cannot call themselves JSON
            raise Refusal(415, f"Content-Type {knock.kind!r}; it is application/json here")

    def _check_host(self, knock: Knock) -> None:
        """A name of another that leads to us may be a trick (DNS rebinding): its page is theirs.

        Where tokens are needed that page has none, and names of a plant's own network work.
        """
        said = knock.header("host")
        if self._needs_token or (self._place and said.lower() == self._place):
            return
        host, port = _parted(said)
        if port == knock.port and host and (is_loopback(host) or host == self._bound):
            return
        raise Refusal(
            403, f"Host {said!r} is not this page's; open http://127.0.0.1:{knock.port}/, or have "
            "it begun with proxy or token_file",
        )  # fmt: skip

    def _check_site(self, knock: Knock) -> None:
        origin, site = knock.header("origin").lower(), knock.header("sec-fetch-site").lower()
        # What others link to is the page itself, which then asks for the rest on its own.
        opens = (
            knock.path == "/" and not knock.changes
            and knock.header("sec-fetch-mode").lower() == "navigate"
            and knock.header("sec-fetch-dest").lower() in ("", "document")
        )  # fmt: skip
        if site not in OURS and not opens:
            raise Refusal(403, f"asked by another site (Sec-Fetch-Site {site}); use this page")
        if origin and origin not in (self._proxy, f"http://{knock.header('host').lower()}"):
            raise Refusal(403, f"asked by {origin!r}, another origin; use this page, or have it "
                          "begun with proxy, if that is its address")  # fmt: skip

    def _check_form(self, knock: Knock) -> None:
        """What a form could send needs a header that no form can send."""
        browser = knock.header("origin") or knock.header("sec-fetch-site")
        if browser and knock.kind in FORMS and "x-nearfar" not in knock.headers:
            raise Refusal(403, "sent like a form; send the header X-Nearfar: 1 with it")


def _parted(host: str) -> tuple[str, int]:
    """Name and port of a Host header; what is none is no name."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, "80"
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        return "", 0
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1].lower(), int(port)
    return ("" if ":" in name else name.lower()), int(port)
