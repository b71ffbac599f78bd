"""The gate before all routes: who comes in, and as whom."""

from __future__ import annotations

from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from nearfar.page.guard.knock import Knock, check_query
from nearfar.page.guard.origins import Origins
from nearfar.page.guard.rates import Rates, TooOften
from nearfar.page.guard.signins import MISSING, SignIns
from nearfar.page.guard.visitor import Role, Visitor
from nearfar.page.refusal import Refusal
from nearfar.page.replies import refusal
from nearfar.service.plant import PageSettings

CHANGES = 1200  # requests of an address within a minute that ask for more than to look
# What says nothing of machines; all else is closed, also what somebody adds one day.
OPEN = {("GET", path) for path in ("/", "/healthz", "/readyz", "/api/about", "/api/v1/about")}
OPEN |= {("HEAD", path) for _, path in OPEN}
OPEN |= {
    (verb, path) for verb in ("POST", "DELETE") for path in ("/api/session", "/api/v1/session")
}


class Gate:
    """Lets requests in, or answers them itself.

    It says who asks in the scope's state, as "visitor", where that is known; the address that
    they are counted by as "address"; "stays" tells later whether who came in still may.

    Args:
        app: what is behind it.
        settings: of the page.
        signins: who has come in.

    >>> cookie_name(8080)
    'nearfar_8080'
    """

    def __init__(self, app: ASGIApp, settings: PageSettings, signins: SignIns) -> None:
        self._app, self._signins = app, signins
        self._origins = Origins(settings)
        self._behind = bool(settings.proxy)
        self._changes = Rates(CHANGES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return  # there is nothing else here that could be guarded
        try:
            self._let_in(scope)
        except Refusal as no:
            await refusal(no)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _let_in(self, scope: Scope) -> None:
        knock = Knock.of(scope)
        address = knock.address(self._behind)
        check_query(knock.query)
        token = knock.bearer if self._signins.needs_token else None
        # The site first: no other one's requests are worth a count of tries.
        self._origins.check(knock, by_token=token is not None)
        if knock.changes and (wait := self._changes.count(address)):
            raise TooOften(f"{CHANGES:,} requests in a minute", wait)
        state = scope.setdefault("state", {})
        state["address"] = address
        role = self._role(knock, token, address)
        if role is not None:
            state["visitor"] = Visitor(role, address)
            cookie = knock.cookie(cookie_name(knock.port))
            state["stays"] = partial(self._signins.still, role, token, cookie)
        if not _is_open(knock):
            self._check_role(role, knock)

    def _role(self, knock: Knock, token: bytes | None, address: str) -> Role | None:
        if not self._signins.needs_token:
            return "operator"  # only this computer, or whom a proxy lets in
        if token is not None:
            return self._signins.check(token, address)
        cookie = knock.cookie(cookie_name(knock.port))
        return self._signins.role(cookie) if cookie else None

    def _check_role(self, role: Role | None, knock: Knock) -> None:
        if role is None:
            raise Refusal(401, f"no token; {MISSING}")
        if role == "reader" and not knock.looks:
            raise Refusal(403, "you may look and not change; sign in with the operators' token")


def cookie_name(port: int) -> str:
    """Cookies are of a host, whatever the port: two pages of one computer have two names."""
    return f"nearfar_{port}"


def _is_open(knock: Knock) -> bool:
    if knock.path.startswith("/static/") and not knock.changes:
        return True
    return (knock.method, knock.path) in OPEN
