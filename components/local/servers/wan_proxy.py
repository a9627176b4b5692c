"""The delay proxy: every path between regions leads through it, and it gives each the delay of its distance.

    python -m components.local.servers.wan_proxy FOLDER

One process serves all links of a stack. What there is to do lies in `FOLDER/links/*.json`; a file of the same name in
`FOLDER/cuts` turns a link, and what is named as a part of it, into a black hole. Both folders are watched, so nothing
ever needs a restart. What has been taken over is in `FOLDER/applied.json`.

A cut loses the bytes that are under way and swallows all that follow, without a word to either side. A stream that
lost bytes cannot go on, so it is reset when the link is restored, as a connection would be that outlived a long outage.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Literal, cast

WATCH_SECONDS = 0.03
SETTLED_SECONDS = 0.5  # a folder's time stamp is only as fine as the kernel's clock tick
BUFFER_LIMIT = 32 * 2**20  # bytes under way in one direction of one connection

END: Literal["end"] = "end"  # the sender has no more to say (a half-close)
RESET: Literal["reset"] = "reset"


class Direction:
    """One direction of one connection: what has been received waits here until its time has come."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.waiting: deque[tuple[float, bytes | str]] = deque()
        self.size = 0
        self.last_due = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.sink_is_full = False
        self.source_paused = False
        self.ended = False

    def receive(self, item: bytes | str) -> None:
        link = self.connection.link
        if link.is_cut:
            self.connection.has_lost_bytes = True
            return
        if link.delay == 0 and not self.waiting and self.sink is not None and not self.sink_is_full:
            self._deliver([item])
            return
        # Never before what came earlier, also when the delay has just become shorter.
        self.last_due = max(self.last_due, link.loop.time() + link.delay)
        self.waiting.append((self.last_due, item))
        self.size += len(item)
        if self.size > BUFFER_LIMIT and not self.source_paused and self.source is not None:
            self.source_paused = True
            self.source.pause_reading()
        self.schedule()

    def schedule(self) -> None:
        if self.timer is None and self.waiting and self.sink is not None and not self.sink_is_full:
            self.timer = self.connection.link.loop.call_at(self.waiting[0][0], self._on_time)

    def _on_time(self) -> None:
        self.timer = None
        # A timer may come a little early; its resolution is the loop's.
        now = self.connection.link.loop.time() + 0.0005
        due: list[bytes | str] = []
        while self.waiting and self.waiting[0][0] <= now:
            item = self.waiting.popleft()[1]
            self.size -= len(item)
            due.append(item)
        if due:
            self._deliver(due)
        if self.source_paused and self.size < BUFFER_LIMIT // 2 and self.source is not None:
            self.source_paused = False
            self.source.resume_reading()
        self.schedule()

    def _deliver(self, items: list[bytes | str]) -> None:
        sink = self.sink
        if sink is None or sink.is_closing():
            return
        data = [item for item in items if isinstance(item, bytes)]
        if data:
            sink.write(data[0] if len(data) == 1 else b"".join(data))
        if RESET in items:
            self.connection.reset()
        elif END in items:
            self.ended = True
            if sink.can_write_eof():
                sink.write_eof()
            self.connection.close_if_done()

    def clear(self) -> bool:
        """Lose what is under way. Whether there was anything."""
        lost = bool(self.waiting)
        self.waiting.clear()
        self.size = 0
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.source_paused and self.source is not None and not self.source.is_closing():
            self.source_paused = False
            self.source.resume_reading()
        return lost


class End(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, connection: "Connection", outgoing: Direction, incoming: Direction) -> None:
        self.connection = connection
        self.sends = outgoing
        """What this socket says, on its way to the other."""
        self.gets = incoming

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        socket_ = transport.get_extra_info("socket")
        if socket_ is not None:
            socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sends.source = self.gets.sink = cast("asyncio.Transport", transport)
        self.connection.opened(cast("asyncio.Transport", transport))
        self.gets.schedule()

    def data_received(self, data: bytes) -> None:
        self.sends.receive(data)

    def eof_received(self) -> bool:
        self.sends.receive(END)
        return True  # the other direction may go on

    def pause_writing(self) -> None:
        self.gets.sink_is_full = True

    def resume_writing(self) -> None:
        self.gets.sink_is_full = False
        self.gets.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.lost(self, exc)


class Connection:
    def __init__(self, link: "Link") -> None:
        self.link = link
        self.there, self.back = Direction(self), Direction(self)
        self.near = End(self, self.there, self.back)
        self.far = End(self, self.back, self.there)
        self.transports: list[asyncio.Transport] = []
        self.has_lost_bytes = False
        self.over = False
        link.connections.add(self)

    def opened(self, transport: asyncio.Transport) -> None:
        self.transports.append(transport)
        if self.over:
            transport.abort()
        elif len(self.transports) == 1:
            if self.link.is_cut:
                self.has_lost_bytes = True  # its very first packet
            else:
                self.link.loop.create_task(self._reach_target())

    async def _reach_target(self) -> None:
        try:
            await self.link.loop.create_connection(lambda: self.far, *self.link.target)
        except OSError:
            # The refusal, too, comes from the other side.
            self.link.loop.call_later(2 * self.link.delay, self._refuse)

    def _refuse(self) -> None:
        if self.link.is_cut:
            self.has_lost_bytes = True
        else:
            self.reset()

    def lost(self, end: End, exc: Exception | None) -> None:
        if self.over:
            return
        if end.sends.ended and end.gets.ended:
            self.finish()
        elif self.link.is_cut:
            self.has_lost_bytes = True
        else:
            end.sends.receive(RESET if exc is not None else END)
            if exc is None and end.sends.ended:
                self.close_if_done()

    def close_if_done(self) -> None:
        if self.there.ended and self.back.ended:
            self.finish()

    def finish(self) -> None:
        self.over = True
        self.link.connections.discard(self)
        for transport in self.transports:
            transport.close()  # after what is still to be written

    def reset(self) -> None:
        self.over = True
        self.link.connections.discard(self)
        self.there.clear()
        self.back.clear()
        for transport in self.transports:
            socket_ = transport.get_extra_info("socket")
            if socket_ is not None:
                # Closed with this, TCP sends a reset in place of a polite end.
                # uvloop says of a socket that is closed already that its number is negative.
                with contextlib.suppress(OSError, ValueError):
                    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()


class Link:
    """One directed path: where it listens, where it leads, and how long that takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listen: tuple[str, int]) -> None:
        self.loop = loop
        self.listen = listen
        self.target: tuple[str, int] = ("", 0)
        self.delay = 0.0
        self.is_cut = False
        self.connections: set[Connection] = set()
        self.server: asyncio.Server | None = None
        self.fault: str | None = None

    async def open(self) -> None:
        try:
            self.server = await self.loop.create_server(lambda: Connection(self).near, *self.listen, backlog=1024)
        except OSError as fault:
            self.fault = os.strerror(fault.errno) if fault.errno else str(fault)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
        self.reset()

    def reset(self) -> None:
        for connection in tuple(self.connections):
            connection.reset()

    def cut(self) -> None:
        self.is_cut = True
        for connection in self.connections:
            lost = [connection.there.clear(), connection.back.clear()]
            connection.has_lost_bytes |= any(lost)

    def restore(self) -> None:
        self.is_cut = False
        for connection in tuple(self.connections):
            if connection.has_lost_bytes:
                connection.reset()


class Folder:
    """The JSON files of a folder, read again when they change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, tuple[int, int, int]] = {}
        self.content: dict[str, Any] = {}
        self.stamp = -1

    def changed(self) -> bool:
        try:
            stamp = self.folder.stat().st_mtime_ns
        except OSError:
            stamp = 0
        if stamp == self.stamp and time.time() - stamp / 1e9 > SETTLED_SECONDS:
            return False
        self.stamp = stamp
        now: dict[str, tuple[int, int, int]] = {}
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    with contextlib.suppress(OSError):
                        stat = entry.stat()
                        now[entry.name[:-5]] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if now == self.seen:
            return False
        fresh: dict[str, Any] = {}
        for name, mark in now.items():
            if self.seen.get(name) == mark and name in self.content:
                fresh[name] = self.content[name]
                continue
            # Whatever a cut's file says, it cuts.
            fresh[name] = None
            with contextlib.suppress(OSError, ValueError):
                fresh[name] = json.loads((self.folder / f"{name}.json").read_bytes())
        self.seen, self.content = now, fresh
        return True


class Proxy:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.get_running_loop()
        self.links: dict[str, Link] = {}
        self.wanted = Folder(folder / "links")
        self.cuts = Folder(folder / "cuts")
        self.ended = asyncio.Event()

    async def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.ended.set)
        first = True
        while not self.ended.is_set():
            news = [self.wanted.changed(), self.cuts.changed()]
            if any(news) or first:
                first = False
                await self.apply()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), WATCH_SECONDS)
        for link in self.links.values():
            link.close()

    async def apply(self) -> None:
        plans = {name: plan for name, plan in self.wanted.content.items() if isinstance(plan, dict)}
        for name in self.links.keys() - plans.keys():
            self.links.pop(name).close()
        for name, plan in plans.items():
            listen = (str(plan["listen"]["host"]), int(plan["listen"]["port"]))
            target = (str(plan["target"]["host"]), int(plan["target"]["port"]))
            link = self.links.get(name)
            if link is None or link.listen != listen or link.fault is not None:
                if link is not None:
                    link.close()
                link = self.links[name] = Link(self.loop, listen)
                link.is_cut = self.is_cut(name)
                link.target = target
                link.delay = float(plan["one_way_ms"]) / 1000
                await link.open()
            if link.target != target:
                link.target = target
                link.reset()
            link.delay = float(plan["one_way_ms"]) / 1000
            if link.is_cut != self.is_cut(name):
                link.restore() if link.is_cut else link.cut()
        self.report()

    def is_cut(self, name: str) -> bool:
        """`a--b.keeper` is a part of the path `a--b`, and cut with it."""
        return name in self.cuts.content or name.partition(".")[0] in self.cuts.content

    def report(self) -> None:
        applied = {
            name: {
                "listen": {"host": link.listen[0], "port": link.listen[1]},
                "target": {"host": link.target[0], "port": link.target[1]},
                "one_way_ms": round(link.delay * 1000, 6),
                "cut": link.is_cut,
                "fault": link.fault,
            }
            for name, link in self.links.items()
        }
        draft = self.folder / ".applied.json.new"
        draft.write_text(json.dumps({"nonce": os.environ.get("MERIDIAN_NONCE"), "links": applied}))
        draft.rename(self.folder / "applied.json")


async def main(folder: Path) -> None:
    await Proxy(folder).run()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(main(Path(sys.argv[1])))
    except ImportError:
        asyncio.run(main(Path(sys.argv[1])))
