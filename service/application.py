"""The service put together: routes, what runs in the background, and what surrounds every request."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import VERSION
from service.api import OrdersApi
from service.cache import OrderCache
from service.context import Context
from service.egress import Egress
from service.forwarding import Forwarder
from service.holding import Hold
from service.homes import PATH as HOMES
from service.homes import Homes
from service.logs import FIELDS
from service.member import Member, keep_keys_short
from service.metrics import Metrics
from service.partitions import MapFile
from service.problems import MEDIA_TYPE, Problem
from service.settings import Endpoint, Settings, SettingsError, load

log = logging.getLogger("service.requests")

DRAIN_SECONDS = 3.0
ROUTES = {"/healthz/live", "/healthz/ready", "/version", "/metrics"}  # asked by machines all the time, not logged
METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE"}
SETTINGS_SECONDS = 0.2


class Service:
    def __init__(self, settings: Settings, file: Path | None = None) -> None:
        """`file`: where the settings stand, to be read again when it changes."""
        self.settings = settings
        self._file = file
        self.metrics = Metrics(settings.region, VERSION)
        self.hold = Hold()
        self.map_file = MapFile(settings.partition_map, on_change=self.hold.news)
        self.members = {
            name: Member(name, endpoint, settings.database, capacity=settings.capacity)
            for name, endpoint in settings.members.items()
        }
        self._tasks: dict[str, list[asyncio.Future[None]]] = {}  # by member
        self.cache = OrderCache(settings.cache, self.metrics)
        self.egress = Egress(settings.egress) if settings.egress else None
        self.draining = False

    @property
    def ready(self) -> bool:
        """What this region can do by itself. The writer's health is no part of it: one region would fail them all."""
        return bool(self.members) and not self.draining and not any(each.missing for each in self.members.values())

    def drain(self) -> None:
        self.draining = True
        self.hold.drain()

    def application(self) -> Starlette:
        forwarder = Forwarder(self.settings.region, self.egress, self.metrics)
        homes = Homes(self.settings.region, self.settings.home_key_file, self.members, forwarder, self.map_file)
        api = OrdersApi(
            self.settings, self.map_file, self.members, self.cache, forwarder, self.hold, homes, self.metrics
        )
        return Starlette(
            routes=[
                Route("/orders", api.place, methods=["POST"]),
                Route("/orders", api.list, methods=["GET"]),
                Route("/orders/{id}", api.read, methods=["GET"]),
                Route("/orders/{id}", api.change, methods=["PATCH"]),
                Route("/orders/{id}", api.cancel, methods=["DELETE"]),
                Route(HOMES, api.settle, methods=["POST"]),
                Route("/healthz/live", self._live),
                Route("/healthz/ready", self._ready),
                Route("/version", self._version),
                Route("/metrics", self._metrics),
            ],
            middleware=[Middleware(Surroundings, service=self)],
            # Left to Surroundings, which knows the request id.
            exception_handlers={HTTPException: _raise, Problem: _raise},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.map_file.refresh()
        tasks = [asyncio.ensure_future(self.map_file.watch())]
        if self._file is not None:
            tasks.append(asyncio.ensure_future(self._watch_settings(self._file)))
        for name in self.members:
            self._look_after(name)
        try:
            yield
        finally:
            tasks += [task for group in self._tasks.values() for task in group]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(member.close(DRAIN_SECONDS) for member in self.members.values()))
            await self.cache.close()
            if self.egress is not None:
                self.egress.close()

    def _look_after(self, name: str) -> None:
        member = self.members[name]
        self._tasks[name] = [asyncio.ensure_future(member.watch()), asyncio.ensure_future(keep_keys_short(member))]

    async def _watch_settings(self, file: Path) -> None:
        """Members come and go as a stack climbs: a restart of every region's service at once would be an outage."""
        seen = 0  # it may have changed while this process started
        while True:
            await asyncio.sleep(SETTINGS_SECONDS)
            try:
                now = file.stat().st_mtime_ns
            except OSError:
                continue  # it is being replaced, or the whole stack is taken down
            if now == seen:
                continue
            seen = now
            try:
                wanted = load(file).members
            except SettingsError as fault:
                log.error("the settings cannot be used, the members stay as they are: %s", fault)
                continue
            await self._take_over(wanted)

    async def _take_over(self, wanted: Mapping[str, Endpoint]) -> None:
        settings = self.settings
        for name in [name for name, member in self.members.items() if wanted.get(name) != member.endpoint]:
            member = self.members.pop(name)
            for task in self._tasks.pop(name, []):
                task.cancel()
            await member.close(DRAIN_SECONDS)
            log.info("the member of %s left", name)
        for name in wanted.keys() - self.members.keys():
            self.members[name] = Member(name, wanted[name], settings.database, capacity=settings.capacity, joining=True)
            self._look_after(name)
            log.info("a member of %s joins", name)

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "live", "region": self.settings.region})

    async def _ready(self, _: Request) -> Response:
        members = {name: "up" if member.answering else "down" for name, member in self.members.items()}
        document = {"status": "ready", "region": self.settings.region, "members": members}
        if not self.ready:
            return JSONResponse({**document, "status": "draining" if self.draining else "not ready"}, 503)
        ages = {name: age for name, member in self.members.items() if (age := member.age_ms) is not None}
        # One partition whose writer is lost makes no region worse than another for the users of the rest.
        if len(ages) == len(self.members):
            # Envoy's own header, read from the answer to a health check: such a host is used only where no healthy one
            # is left, in whatever priority (Envoy, "Degraded endpoints").
            document |= {"status": "degraded", "age_ms": ages}
            return JSONResponse(document, headers={"x-envoy-degraded": "true"})
        return JSONResponse(document)

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"version": VERSION, "region": self.settings.region})

    async def _metrics(self, _: Request) -> Response:
        metrics = self.metrics
        metrics.map_version.set(self.map_file.current.version if self.map_file.current else 0)
        metrics.writes_held.set(self.hold.held)
        for name, member in self.members.items():
            metrics.answering.labels(name).set(member.answering)
            if member.state is not None:
                metrics.in_recovery.labels(name).set(member.state.in_recovery)
                metrics.position.labels(name).set(member.state.lsn)
                metrics.replayed_at.labels(name).set((member.state.replayed_at_ms or 0) / 1000)
            for kind, pool in (("read", member.reads), ("write", member.writes)):
                metrics.connections.labels(name, kind, "busy").set(pool.busy)
                metrics.connections.labels(name, kind, "idle").set(pool.idle)
                metrics.pool_size.labels(name, kind).set(pool.size)
                metrics.pool_waiting.labels(name, kind).set(pool.waiting)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


class Surroundings:
    """Around every request: its context, the headers that every answer carries, errors as problems, counts, the log."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._region = service.settings.region
        self._metrics = service.metrics
        self._counters: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = Context.of_request(scope["method"], headers)
        context.enter(scope)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = MutableHeaders(scope=message)
                more["X-Served-Region"] = self._region
                more["X-Request-Id"] = context.request_id
                more["traceparent"] = context.trace.traceparent()
                if context.read_age_ms is not None:
                    more["X-Read-Age-Ms"] = str(context.read_age_ms)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as fault:
            problem = _problem(fault)
            if problem.status == 500:
                log.error("the request failed", exc_info=fault, extra={FIELDS: {"request_id": context.request_id}})
            else:
                context.notes["problem"] = problem.detail
            if status:
                raise  # half an answer is out: all that is left is to close the connection
            response = Response(problem.document(context.request_id), problem.status, problem.headers, MEDIA_TYPE)
            await response(scope, receive, sending)
        finally:
            self._record(scope, context, status)

    def _record(self, scope: Scope, context: Context, status: int) -> None:
        seconds = time.perf_counter() - context.began
        path: str = scope["path"]
        # A template, never the path itself: the number of time series must not depend on what clients ask for.
        if path in ROUTES or path in ("/orders", HOMES):
            route = path
        else:
            route = "/orders/{id}" if path.startswith("/orders/") else "other"
        method = context.method if context.method in METHODS else "other"
        found = self._counters.get((route, method, status))
        if found is None:
            found = (
                self._metrics.requests.labels(route, method, str(status)),
                self._metrics.seconds.labels(route, method),
            )
            self._counters[route, method, status] = found
        found[0].inc()
        found[1].observe(seconds)
        if route in ROUTES:
            return
        log.info(
            "request",
            extra={
                FIELDS: {
                    "request_id": context.request_id,
                    "trace_id": context.trace.trace_id,
                    "span_id": context.trace.span_id,
                    "method": context.method,
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    **context.notes,
                }
            },
        )


def _problem(fault: Exception) -> Problem:
    if isinstance(fault, Problem):
        return fault
    if isinstance(fault, HTTPException):
        names = {404: "not-found", 405: "method-not-allowed"}
        detail = "the service knows no such path" if fault.status_code == 404 else "the path takes other methods"
        problem = Problem(fault.status_code, names.get(fault.status_code, "http"), fault.detail, detail)
        problem.headers.update(fault.headers or {})
        return problem
    return Problem(500, "internal", "The service failed", "the fault is in the log under this request's id")


async def _raise(_: Request, fault: Exception) -> Response:
    raise fault
