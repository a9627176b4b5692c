"""The HTTP interface for orders: where each request is answered, and how."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service import orders
from service.cache import OrderCache
from service.context import PARTITION, USER_REGION, Context, context_of
from service.deadlines import Deadline
from service.egress import Answer
from service.forwarding import Forwarder
from service.holding import Again, Hold
from service.member import Member, MemberError, NotWriterError, Placement, UnknownOutcomeError
from service.metrics import Metrics
from service.orders import NewOrder
from service.partitions import MapFile
from service.positions import HEADER as POSITION
from service.positions import TokenError, WritePosition
from service.problems import Problem, bad_request, not_found, unavailable, unknown_outcome
from service.settings import Settings

WAIT_FOR_REPLICA_SECONDS = 0.25
# An order is acknowledged some time after its id was made: it waited for locks and for standbys in between.
COMMIT_SECONDS = 5.0
PASSED_BACK = (
    "retry-after",
    "idempotency-replayed",
    "location",
    "x-written-region",
    "x-write-position",
    "x-read-age-ms",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a request belongs."""

    user_region: str
    partition: str
    writer: str
    member: Member | None


class OrdersApi:
    def __init__(
        self,
        settings: Settings,
        map_file: MapFile,
        members: Mapping[str, Member],
        cache: OrderCache,
        forwarder: Forwarder,
        hold: Hold,
        metrics: Metrics,
    ) -> None:
        self._region = settings.region
        self._planned = settings.planned_regions
        self._map_file = map_file
        self._members = members
        self._cache = cache
        self._forwarder = forwarder
        self._hold = hold
        self._metrics = metrics

    # Writes

    async def place(self, request: Request) -> Response:
        context = context_of(request)
        place = self._place(request, context, None)
        key = orders.checked_key(request.headers.getlist("idempotency-key"))
        body = await _body(request, context.deadline)
        order = NewOrder.parse(body)

        async def attempt() -> Response:
            # Anew each time: who writes may have changed, also to this very region.
            self._map_file.refresh()
            place = self._place(request, context, None)
            if place.writer == self._region:
                return await self._place_here(context, place, order, key)
            # Also where this region has heard nothing from the writer for long, and may not know of a new one. A write
            # that is passed on to the wrong region does no harm, as the database there has the last word; what is held
            # meanwhile goes the right way once the map says so.
            return await self._pass_on(context, place, key, body)

        if context.forwarded_by is None:
            return await self._hold.write(place.partition, attempt, context.deadline)
        # It is held where it came from, and that region may know a newer map.
        try:
            return await self._place_here(context, place, order, key)
        except Again as fault:
            raise fault.problem from None

    async def _pass_on(self, context: Context, place: Place, key: str, body: bytes) -> Response:
        asked = asyncio.ensure_future(
            self._forwarder.forward(
                context,
                "/orders",
                partition=place.partition,
                region=place.writer,
                user_region=place.user_region,
                deadline=context.deadline,
                headers=(("content-type", "application/json"), ("idempotency-key", key)),
                body=body,
            )
        )
        # A region that is lost does not refuse, it is silent: nobody waits for it once another one writes. Should it
        # have placed the order, and the new writer have it too, the same key gets the same order.
        moved = asyncio.ensure_future(self._map_file.moved(place.partition, place.writer))
        try:
            await asyncio.wait((asked, moved), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                detail = f"region {place.writer} was asked, and does not write partition {place.partition} any more"
                raise Again(unknown_outcome(detail), moved=True)
            answer = asked.result()
        except Problem as problem:
            raise Again(problem) from None
        finally:
            for task in (asked, moved):
                task.cancel()
        if answer.status in (409, 503):
            raise Again(_problem_of(answer), busy=answer.status == 409)
        return _passed_back(answer)

    async def _place_here(self, context: Context, place: Place, order: NewOrder, key: str) -> Response:
        if place.member is None:
            raise Again(unavailable(f"region {self._region} holds no member of partition {place.partition}"))
        try:
            placement = await place.member.place(order, home=place.user_region, key=key, deadline=context.deadline)
        except NotWriterError as fault:
            self._metrics.writes.labels("not_writer").inc()
            raise Again(
                unavailable(f"region {self._region} does not write partition {place.partition} now: {fault}")
            ) from None
        except MemberError as fault:
            self._metrics.writes.labels("unavailable").inc()
            raise Again(unavailable(f"the database of region {self._region} cannot take the order: {fault}")) from None
        except UnknownOutcomeError as fault:
            self._metrics.writes.labels("unknown").inc()
            raise unknown_outcome(f"the database of region {self._region} did not confirm the order: {fault}") from None
        self._metrics.writes.labels(placement.outcome).inc()
        return self._placed(placement, place.partition)

    def _placed(self, placement: Placement, partition: str) -> Response:
        if placement.outcome == "in_flight":
            problem = Problem(
                409,
                "in-flight",
                "A request with this key is under way",
                "another request with this Idempotency-Key has not ended yet; ask again for its answer",
                retry_after=1,
                X_Written_Region=self._region,
            )
            raise Again(problem, busy=True)
        if placement.outcome == "mismatch":
            raise Problem(
                422,
                "key-reused",
                "The key was used for another request",
                "this Idempotency-Key came with another order within the last 24 hours; send a new key",
                X_Written_Region=self._region,
            )
        assert placement.order is not None
        headers = {
            "Location": f"/orders/{placement.order.id}",
            "X-Written-Region": self._region,
            POSITION: WritePosition(partition=partition, lsn=placement.lsn).token(),
        }
        if placement.outcome == "replayed":
            headers["Idempotency-Replayed"] = "true"
        status = 201 if placement.outcome == "placed" else 200
        return Response(placement.order.document(), status, headers, "application/json")

    # Reads

    async def read(self, request: Request) -> Response:
        context = context_of(request)
        try:
            order_id = UUID(request.path_params["id"])
        except ValueError:
            raise not_found("no order has this id; ids are UUIDs") from None
        position = _position(request)
        place = self._place(request, context, position)

        # An order never changes, so one that is there is right whatever position the reader has seen.
        kept = await self._cache.get(str(order_id))
        if kept is not None:
            return Response(kept, media_type="application/json")
        try:
            member = await self._near(context, place, position)
            if member is not None:
                order = await member.order(str(order_id), context.deadline)
                if order is not None:
                    document = order.document()
                    self._cache.keep(order.id, document)
                    return Response(document, media_type="application/json")
                if position is not None or await self._surely_absent(member, order_id, context):
                    raise not_found("no order has this id")
        except MemberError as fault:
            context.notes["member"] = str(fault)
        return await self._ask_writer(context, place, f"/orders/{order_id}", position)

    async def list(self, request: Request) -> Response:
        context = context_of(request)
        parameters = request.query_params
        if "customer" not in parameters:
            raise bad_request("the parameter customer is missing; lists are of one customer's orders")
        customer = orders.checked_text("customer", parameters["customer"])
        limit = orders.checked_limit(parameters.get("limit"))
        after = orders.checked_cursor(parameters.get("cursor"))
        position = _position(request)
        place = self._place(request, context, position)
        try:
            member = await self._near(context, place, position)
            if member is not None:
                found = await member.orders(customer, after, limit + 1, context.deadline)
                return Response(orders.page(found, limit), media_type="application/json")
        except MemberError as fault:
            context.notes["member"] = str(fault)
        target = f"/orders?customer={quote(customer, safe='')}&limit={limit}"
        if after:
            target += f"&cursor={orders.cursor(after)}"
        return await self._ask_writer(context, place, target, position)

    async def _near(self, context: Context, place: Place, position: WritePosition | None) -> Member | None:
        """The near member, once it has replayed what the reader has seen; None where the writer must be asked."""
        member = place.member
        # A member that went quiet is only worth a try where there is nobody else to ask.
        if member is None or (not member.answering and place.writer != self._region and not context.forwarded_by):
            return None
        context.read_age_ms = member.age_ms
        if position is None:
            return member
        if await member.reached(position.lsn, context.deadline.within(WAIT_FOR_REPLICA_SECONDS)):
            self._metrics.token_reads.labels("local").inc()
            return member
        self._metrics.token_reads.labels("behind").inc()
        return None

    async def _surely_absent(self, member: Member, order_id: UUID, context: Context) -> bool:
        """Whether an order that a member lacks is lacking everywhere.

        A replica may merely be behind. Ids carry the time they were made (UUID version 7), so only an id newer than
        what the replica has replayed is worth a question to the writer; any other miss is answered here.
        """
        if order_id.version != 7:
            return True
        made_at = (order_id.int >> 80) / 1000
        if made_at > time.time() + 60:
            return True
        state = await member.fresh_state(context.deadline)
        if not state.in_recovery:
            return True
        return state.replayed_at_ms is not None and made_at + COMMIT_SECONDS < state.replayed_at_ms / 1000

    async def _ask_writer(
        self, context: Context, place: Place, target: str, position: WritePosition | None
    ) -> Response:
        context.read_age_ms = None
        if place.writer == self._region:
            raise unavailable(f"the database of region {self._region} does not answer")
        headers = () if position is None else ((POSITION.lower(), position.token()),)

        async def attempt(deadline: Deadline) -> Answer:
            try:
                answer = await self._forwarder.forward(
                    context,
                    target,
                    partition=place.partition,
                    region=place.writer,
                    user_region=place.user_region,
                    deadline=deadline,
                    headers=headers,
                )
            except Problem as problem:
                raise Again(problem) from None
            if answer.status == 503:
                raise Again(_problem_of(answer))
            return answer

        return _passed_back(await self._hold.read(place.partition, attempt, context.deadline))

    def _place(self, request: Request, context: Context, position: WritePosition | None) -> Place:
        user_region = request.headers.get(USER_REGION, self._region)
        if user_region not in self._planned:
            raise bad_request(f"X-User-Region must be one of {', '.join(sorted(self._planned))}")
        partitions = self._map_file.current
        if partitions is None:
            raise unavailable(f"region {self._region} has no partition map yet")
        partition = partitions.partition_of(user_region)
        if context.forwarded_by is not None:
            context.notes["forwarded_by"] = context.forwarded_by
            partition = request.headers.get(PARTITION, partition)
        elif position is not None:
            partition = position.partition
        writer = partitions.writers.get(partition)
        if writer is None:
            raise unavailable(f"partition {partition!r} is not known in region {self._region}")
        context.notes["user_region"] = user_region
        return Place(user_region=user_region, partition=partition, writer=writer, member=self._members.get(partition))


def _position(request: Request) -> WritePosition | None:
    token = request.headers.get(POSITION)
    if token is None:
        return None
    try:
        return WritePosition.parse(token)
    except TokenError:
        raise bad_request(f"{POSITION} is not a token that a write gave out; send it back unchanged") from None


async def _body(request: Request, deadline: Deadline) -> bytes:
    too_large = Problem(
        413, "too-large", "The body is too large", f"an order takes at most {orders.MAXIMUM_BODY} bytes"
    )
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length[:12]) > orders.MAXIMUM_BODY:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline.left()):
            async for part in request.stream():
                size += len(part)
                if size > orders.MAXIMUM_BODY:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise Problem(408, "too-slow", "The body did not arrive in time", "send the whole body at once") from None
    except ClientDisconnect:
        raise bad_request("the client left before the whole body had arrived") from None
    return b"".join(parts)


def _passed_back(answer: Answer) -> Response:
    headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    return Response(answer.body, answer.status, headers, answer.headers.get("content-type"))


def _problem_of(answer: Answer) -> Problem:
    """The refusal of another region's service, in its own words."""
    try:
        document = json.loads(answer.body)
        kind = str(document["type"]).rpartition(":")[2]
        problem = Problem(answer.status, kind, str(document["title"]), str(document["detail"]))
    except (ValueError, KeyError, TypeError):
        return unavailable(f"the other region answered {answer.status}")
    problem.headers |= {name.title(): answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    return problem
