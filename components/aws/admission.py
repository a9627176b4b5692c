"""What a region's load balancer answers at `PATH`, and so whether Route 53 sends users there.

One answer of three, which operations alone change, by API in the region itself. The phase decides who is let in with
it, by the health check that stands behind the region's record:

| answer | phases 1 to 3: users go home | phases 4 and 5: to the nearest |
| --- | --- | --- |
| 200 admitted | in | in |
| 202 standby | out | in |
| 503 held out | out | out |

So a standby that nobody has decided about begins to serve with the step to phase 4, a region that was held out stays
out, and `up` writes neither.
"""

from dataclasses import dataclass

from topology import Serving

PATH = "/healthz/admitted"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A fixed response of a listener rule. Route 53 takes 2xx for healthy, and may look for a word in the body."""

    status: str
    body: str


ADMITTED = Answer(status="200", body="admitted")
STANDBY = Answer(status="202", body="standby")
HELD_OUT = Answer(status="503", body="held out")


def at_birth(serving: Serving) -> Answer:
    """What a new region answers; nobody is born held out, because that is a decision."""
    return STANDBY if serving is Serving.STANDBY else ADMITTED
