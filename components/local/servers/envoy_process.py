"""An Envoy as a process: found, started, and waited for until it uses what its files say."""

import time
from pathlib import Path

from components.local.servers import binaries, envoy_admin, inotify, process
from components.local.servers.addresses import Endpoint
from components.local.servers.envoy import DRAIN_SECONDS
from components.local.servers.errors import ServerFault
from components.local.servers.process import Running, ServerSpec

LOG = "envoy.log"
READY_SECONDS = 15.0

# A file takes Envoy milliseconds. After this long without effect, ask it whether it rejected one.
_PATIENCE = 1.0


def command(folder: Path, programs: Path | None = None) -> tuple[str, ...]:
    """One worker thread: with several Envoys on a small machine, more cost memory and gain nothing."""
    return (
        str(binaries.envoy(programs)),
        *("--config-path", str(folder / "bootstrap.json")),
        "--disable-hot-restart",  # several Envoys on one host would fight over base id 0
        *("--concurrency", "1"),
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "1000"),  # of the error log; 10 s by default
        *("--drain-time-s", str(DRAIN_SECONDS)),
        *("--drain-strategy", "immediate"),
    )


def ensure(
    folder: Path,
    *,
    name: str,
    stack: Path,
    admin: Endpoint,
    endpoints: tuple[Endpoint, ...],
    watches: int,
    programs: Path | None = None,
    restart: bool = False,
) -> Running:
    """Starts Envoy, or finds it running, and returns once it uses its files. Only a changed bootstrap, which is read
    once, is a reason for `restart`."""
    if restart:
        process.stop(folder)
    if process.running(folder) is None:
        inotify.require(watches, name)
    spec = ServerSpec(
        name=name,
        folder=folder,
        command=command(folder, programs),
        log=folder / LOG,
        endpoints=(admin, *endpoints),
        stack_folder=stack,
    )
    server = process.start(spec)
    wait_applied(folder, admin, name=name, server=server)
    return server


def wait_applied(folder: Path, admin: Endpoint, *, name: str, server: Running | None = None) -> None:
    """Returns once Envoy uses what its files say.

    Envoy keeps its former configuration when it rejects a file, and says so only in its log: an `up` that did not
    look would report a success that nobody sees.
    """
    began = time.monotonic()

    def applied() -> bool:
        if envoy_admin.is_ready(admin) and not envoy_admin.unapplied(folder, admin):
            return True
        if time.monotonic() - began > _PATIENCE and (reason := envoy_admin.rejection(admin)):
            refused = ", ".join(envoy_admin.unapplied(folder, admin))
            raise ServerFault(f"{name} rejected {refused} in {folder / 'xds'}: {reason}{process.quote(server)}")
        return False

    process.wait_ready(applied, timeout=READY_SECONDS, what=name, server=server)


def stop(folder: Path) -> bool:
    """Whether there was one to stop. Connections are cut: whoever wants them drained moves its users away first."""
    return process.stop(folder, timeout=5.0)
