"""The wide area network between the regions of a stack: one delay proxy, told by files what to do.

`up` owns the links, operations own the cuts, and neither has to wait for the other or to restart anything.
"""

import sys
from pathlib import Path
from typing import Any

from components.local.servers import paths, process, progress
from components.local.servers.addresses import Endpoint
from components.local.servers.errors import ServerFault
from components.local.servers.process import Running, ServerSpec
from components.local.servers.progress import OnWait

START_SECONDS = 15.0


def link_name(source: str, target: str, *, users: bool) -> str:
    """The name of a directed path. `users`: from where users are, not from a region's gateway."""
    return f"users-{source}--{target}" if users else f"{source}--{target}"


def keeper_link_name(source: str, target: str) -> str:
    """The way that two regions' keepers speak over: a part of the path between the regions, and cut with it."""
    return f"{link_name(source, target, users=False)}.keeper"


def ensure_wan(stack_folder: Path, *, on_wait: OnWait = progress.report) -> Running:
    folder = paths.wan_folder(stack_folder)
    for name in ("links", "cuts"):
        paths.make_folder(folder / name)
    server = process.start(
        ServerSpec(
            name="the delay proxy",
            folder=folder,
            stack_folder=stack_folder,
            log=folder / "wan.log",
            command=(sys.executable, "-m", "components.local.servers.wan_proxy", str(folder)),
            environment={"PYTHONPATH": str(paths.PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    )
    process.wait_ready(
        lambda: _applied(folder, server) is not None,
        timeout=START_SECONDS,
        what="the delay proxy",
        server=server,
        on_wait=on_wait,
    )
    return server


def is_running(stack_folder: Path) -> bool:
    return process.running(paths.wan_folder(stack_folder)) is not None


def stop(stack_folder: Path) -> bool:
    return process.stop(paths.wan_folder(stack_folder), timeout=5.0)


def put_link(
    stack_folder: Path,
    name: str,
    listen: Endpoint,
    target: Endpoint,
    one_way_ms: float,
    *,
    on_wait: OnWait = progress.report,
) -> None:
    """Make or change a link, and return once the proxy serves it so. Open connections take a new delay over at once."""
    folder = paths.wan_folder(stack_folder)
    wanted = {
        "listen": {"host": listen.host, "port": listen.port},
        "target": {"host": target.host, "port": target.port},
        "one_way_ms": round(float(one_way_ms), 6),
    }
    path = folder / "links" / f"{name}.json"
    if paths.read_json(path) != wanted:
        process.require_free(f"the link {name}", listen, unless=lambda: _served(folder, listen))
        paths.write_json(path, wanted)
    server = ensure_wan(stack_folder, on_wait=on_wait)

    def taken_over() -> bool:
        applied = (_applied(folder, server) or {}).get(name)
        if applied is None or any(applied[key] != value for key, value in wanted.items()):
            return False
        if applied["fault"] is not None:
            raise ServerFault(f"the link {name} cannot listen on {listen}: {applied['fault']}")
        return True

    process.wait_ready(taken_over, timeout=START_SECONDS, what=f"the link {name}", server=server, on_wait=on_wait)


def has_link(stack_folder: Path, name: str) -> bool:
    """Whether the link is served."""
    folder = paths.wan_folder(stack_folder)
    server = process.running(folder)
    applied = (_applied(folder, server) or {}).get(name) if server else None
    return applied is not None and applied["fault"] is None and (folder / "links" / f"{name}.json").exists()


def remove_link(stack_folder: Path, name: str) -> None:
    """Take the link away, with the connections that lead through it."""
    (paths.wan_folder(stack_folder) / "links" / f"{name}.json").unlink(missing_ok=True)
    _settle(stack_folder, (name,), lambda applied: applied is None)


def cut_file(stack_folder: Path, name: str) -> Path:
    """The file that makes a black hole of a link while it is there."""
    return paths.wan_folder(stack_folder) / "cuts" / f"{name}.json"


def cut(stack_folder: Path, name: str) -> None:
    """Make a black hole of the link until it is restored: of connections that are open, and of those that come."""
    paths.write_json(cut_file(stack_folder, name), {})
    _settle(stack_folder, (name, f"{name}.keeper"), lambda applied: applied is None or applied["cut"])


def restore(stack_folder: Path, name: str) -> None:
    cut_file(stack_folder, name).unlink(missing_ok=True)
    _settle(stack_folder, (name, f"{name}.keeper"), lambda applied: applied is None or not applied["cut"])


def cuts(stack_folder: Path) -> list[str]:
    """The links that are cut now."""
    return sorted(path.stem for path in (paths.wan_folder(stack_folder) / "cuts").glob("[!.]*.json"))


def _settle(stack_folder: Path, names: tuple[str, ...], done: Any) -> None:
    """Wait for the proxy to take a change over, if it runs; when it starts it will."""
    folder = paths.wan_folder(stack_folder)
    server = process.running(folder)
    if server is not None:
        process.wait_ready(
            lambda: all(map(done, map((_applied(folder, server) or {}).get, names))),
            timeout=START_SECONDS,
            what=f"the link {names[0]}",
            server=server,
        )


def _applied(folder: Path, server: Running) -> dict[str, Any] | None:
    """What this very proxy has taken over; a report of an earlier one does not count."""
    match paths.read_json(folder / "applied.json"):
        case {"nonce": nonce, "links": dict(links)} if nonce == server.nonce:
            return links
    return None


def _served(folder: Path, listen: Endpoint) -> bool:
    server = process.running(folder)
    wanted = {"host": listen.host, "port": listen.port}
    return server is not None and any(link["listen"] == wanted for link in (_applied(folder, server) or {}).values())
