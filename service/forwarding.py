"""Passing a request on to the region that writes a partition."""

import logging
from collections.abc import Iterable

from service.context import FORWARDED_BY, PARTITION, USER_REGION, Context
from service.deadlines import HEADER as DEADLINE
from service.deadlines import Deadline
from service.egress import Answer, Egress, NoAnswerError, NotSentError
from service.metrics import Metrics
from service.problems import Problem, unavailable, unknown_outcome

log = logging.getLogger("service.forwarding")

SERVED_REGION = "x-served-region"  # in every answer of a service, and in none that a gateway makes up itself


class Forwarder:
    def __init__(self, region: str, egress: Egress | None, metrics: Metrics) -> None:
        self._region = region
        self._egress = egress
        self._metrics = metrics

    async def forward(
        self,
        context: Context,
        target: str,
        *,
        partition: str,
        region: str,
        user_region: str,
        deadline: Deadline,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """The other region's answer, whatever it says. Raises Problem when there is none."""
        if context.forwarded_by is not None:
            raise unavailable(f"region {self._region} cannot answer for partition {partition}")
        if self._egress is None:
            raise unavailable(f"region {self._region} has no way to region {region}")
        context.notes["forwarded_to"] = region
        outcome = "failed"
        try:
            answer = await self._send(context, target, partition, user_region, deadline, tuple(headers), body)
            outcome = "answered"
            return answer
        except Problem as problem:
            log.warning("no answer from region %s for partition %s: %s", region, partition, problem.detail)
            raise
        finally:
            self._metrics.forwards.labels(partition, region, outcome).inc()

    async def _send(
        self,
        context: Context,
        target: str,
        partition: str,
        user_region: str,
        deadline: Deadline,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
    ) -> Answer:
        assert self._egress is not None
        method = "GET" if context.method == "HEAD" else context.method  # an answer to HEAD has no body to read
        silent = unavailable if method == "GET" else unknown_outcome
        for attempt in (1, 2):
            passed_on = [
                *headers,
                (PARTITION, partition),
                (FORWARDED_BY, self._region),
                (USER_REGION, user_region),
                (DEADLINE, str(int(deadline.left() * 1000))),
                ("x-request-id", context.request_id),
                ("traceparent", context.trace.traceparent()),
            ]
            if context.tracestate:
                passed_on.append(("tracestate", context.tracestate))
            try:
                answer = await self._egress.ask(method, target, passed_on, body, deadline)
            except NotSentError as fault:
                if attempt == 1 and deadline.left() > 0:
                    continue
                raise unavailable(f"the way to the other region is closed ({fault})") from None
            except (NoAnswerError, TimeoutError) as fault:
                detail = f"the other region did not answer ({str(fault) or 'deadline'})"
                raise silent(detail) from None
            if SERVED_REGION not in answer.headers:
                # The gateway speaks for itself. It may have given up on a request that had already arrived.
                detail = f"the gateway answered {answer.status} in place of the other region"
                raise silent(detail)
            return answer
        raise AssertionError("unreachable")
