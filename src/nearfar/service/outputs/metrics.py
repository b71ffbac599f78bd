"""Pages for those who look after many programs: /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING

from nearfar.errors import needs, visible
from nearfar.service.news import Bulletin, OutputHealth, WatchNow
from nearfar.service.outputs.gauges import families
from nearfar.service.outputs.teller import Teller
from nearfar.service.outputs.web import PageServer, Reply, parse_address

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class MetricsOutput(Teller):
    """Tells whoever asks how all is now; it pushes nothing, and has no queue.

    Args:
        address: HOST:PORT. Without a host it is of this computer alone; another host than a
            loopback one lets others ask, who then learn machines' names and scores.
        now: how the watch is; called in many threads.

    Raises:
        SettingError: it is no address.

    >>> from nearfar.service.incoming import now
    >>> told = MetricsOutput("127.0.0.1:0", lambda: WatchNow(now(), ready=True))
    >>> told.start()
    >>> told.url.startswith("http://127.0.0.1:"), told.health.up
    (True, True)
    >>> told.close()
    """

    name = "metrics"
    verbs = frozenset()  # of events it has nothing to say: it shows states

    def __init__(self, address: str, now: Callable[[], WatchNow]) -> None:
        super().__init__(most=1)
        parse_address(address)
        self._address = address
        self._now = now
        self._server: PageServer | None = None
        self._lock = Lock()
        self._counts: Counter[tuple[tuple[str, str], str]] = Counter()

    def start(self) -> None:
        """Begin.

        Raises:
            SettingError: nobody can listen there: the port is taken, or there is no such host.
            NearfarError: prometheus-client is not installed.
        """
        with needs("plant", "metrics need prometheus-client"):
            import prometheus_client.core  # noqa: F401
        pages = {"/metrics": self._metrics, "/healthz": _alive, "/readyz": self._ready}
        self._server = PageServer(self._address, pages)
        # Not the thread of our own: there is no queue to be worked off.
        self._server.start()

    def tell(self, bulletin: Bulletin) -> None:
        """Count the clip."""
        if (seen := bulletin.observation) is not None:
            with self._lock:
                self._counts[(seen.machine, seen.section), seen.status] += 1
        super().tell(bulletin)

    def close(self, patience: float = 5.0) -> None:
        """End; who is being answered is cut off."""
        if self._server is not None:
            self._server.stop()

    @property
    def health(self) -> OutputHealth:
        """Whether anybody is answered."""
        return OutputHealth(self.name, up=self._server is not None and self._server.serves)

    @property
    def url(self) -> str:
        """Where it is, once it has started."""
        return "" if self._server is None else self._server.url

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks of a collector: all, of one moment."""
        with self._lock:
            counts = dict(self._counts)
        return families(self._now(), counts)

    def _metrics(self, accept: str) -> Reply:
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

        encode, kind = choose_encoder(accept)
        # Who does not mind gets OpenMetrics too; the older text is for who asks for it.
        if not accept or accept.strip() == "*/*":
            encode, kind = generate_latest, CONTENT_TYPE_LATEST
        return Reply(encode(self).decode(), kind=kind)

    def _ready(self, accept: str) -> Reply:
        watch = self._now()
        troubles = [f"{name}: {trouble}" for name, trouble in watch.sources.items() if trouble]
        if watch.ready and not troubles:
            # These wait in memory: whoever restarts what is not ready would only lose them.
            down = [f"history: {watch.history}"] if watch.history else []
            down += [f"{out.name}: {out.trouble}" for out in watch.outputs if out.trouble]
            return Reply(visible("; ".join(["ready", *down])))
        why = "; ".join(troubles) or "detectors are being loaded, or sources are not open yet"
        return Reply(f"not ready: {visible(why)}", 503)


def _alive(accept: str) -> Reply:
    return Reply("alive")
