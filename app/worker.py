"""gunicorn's gevent worker, which when it ends waits for requests, and not for connections that nobody is using."""

from types import TracebackType

import gevent
from gevent.hub import get_hub
from gunicorn.workers.ggevent import GeventWorker

_GRACE_SECONDS = 2.0  # for a request that is just on its way on a kept connection; it is answered, and told to close


class Worker(GeventWorker):
    """Without this, one idle browser makes every stop and every reload last gunicorn's whole ``graceful_timeout``."""

    def run(self) -> None:
        """As gunicorn's."""
        self._idle: set[_Idle] = set()
        gevent.spawn(self._end_idle)
        super().run()

    def timeout_ctx(self) -> "_Idle":  # type: ignore[override]  # the stubs say that it gives nothing
        """Entered while a connection waits for its next request."""
        return _Idle(self.cfg.keepalive, self._idle)

    def _end_idle(self) -> None:
        while self.alive:
            gevent.sleep(0.5)
        gevent.sleep(_GRACE_SECONDS)
        for idle in list(self._idle):
            get_hub().loop.run_callback(idle.end)


class _Idle(gevent.Timeout):  # type: ignore[misc]  # untyped
    """gevent's time-out, which can also be brought about."""

    def __init__(self, seconds: float, register: "set[_Idle]") -> None:
        super().__init__(seconds, False)
        self._register = register

    def __enter__(self) -> "_Idle":
        self._greenlet = gevent.getcurrent()
        self._register.add(self)
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self._register.discard(self)
        return bool(super().__exit__(kind, error, at))

    def end(self) -> None:
        """For the hub to call, as it calls what a timer sets off: nothing happens between this look and the throw."""
        if self in self._register:
            self._greenlet.throw(self)
