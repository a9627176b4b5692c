"""`python -m service CONFIG.json`: serve one region until SIGTERM."""

import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from service.settings import SettingsError, load

DESCRIPTORS = 8192


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m service CONFIG.json", file=sys.stderr)
        return 2
    try:
        settings = load(Path(arguments[0]))
    except SettingsError as problem:
        print(problem, file=sys.stderr)
        return 2

    # After the settings, so that a mistake there is told at once.
    import uvicorn
    import uvloop

    from service import logs
    from service.application import DRAIN_SECONDS, Service

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own way ends with raising the signal again, which would make an orderly stop look like a kill.
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop)
            yield

        def _stop(self) -> None:
            service.drain()
            self.should_exit = True

    # A held request is a connection here and another at the gateway. A service that has run out of descriptors accepts
    # nobody any more, not even those who ask whether it is ready; the soft limit is usually 1024.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    logs.start(settings.region)
    service = Service(settings, Path(arguments[0]))
    server = Server(
        uvicorn.Config(
            service.application(),
            host=settings.listen.host,
            port=settings.listen.port,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=3660,  # longer than Envoy keeps an idle connection (1 h), or requests meet a closed one
            timeout_graceful_shutdown=int(DRAIN_SECONDS),
        )
    )
    try:
        uvloop.run(server.serve())
    except SystemExit as fault:  # uvicorn's answer to an address in use, which it has logged
        return 1 if fault.code else 0
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
