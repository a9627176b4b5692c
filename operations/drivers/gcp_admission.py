"""Who takes users on Google Cloud: the backend service that the map of the hostname leads to.

`up` writes what lies behind each of them, operations where the map leads (components/gcp/admission.py).
"""

from collections.abc import Callable, Collection, Mapping
from time import sleep

from components.gcp.admission import PLANNED
from operations.drivers.gcp_api import Api
from operations.drivers.managed import Ground
from operations.errors import Fault
from operations.failover.driver import Done

TRIES = 60


class Admission:
    pause: Callable[[float], None] = staticmethod(sleep)

    def __init__(self, api: Api, ground: Ground) -> None:
        self.api = api
        self.levers = ground.traffic
        self.map = f"compute/v1/{self.levers['map']}"
        regions = [key.partition("/")[2] for key in self.levers if key.startswith("alone/")]
        planned = {ground.summary.home} & set(regions) if ground.home_only else set(regions)
        self.choices: Mapping[str, frozenset[str]] = {
            PLANNED: frozenset(planned),
            **{f"without/{region}": frozenset(regions) - {region} for region in regions},
            **{f"alone/{region}": frozenset({region}) for region in regions},
        }

    @property
    def regions(self) -> frozenset[str]:
        """Those that have a service."""
        return frozenset(key.partition("/")[2] for key in self.choices if key.startswith("alone/"))

    def now(self) -> str | None:
        """The choice that the map leads to; None where it is none of them, or weighs several."""
        service = self.api("compute", "GET", self.map).get("defaultService", "")
        return next((choice for choice in self.choices if _same(service, self.levers.get(choice))), None)

    def admitted(self) -> frozenset[str]:
        return self.choices.get(self.now() or "", frozenset())

    def admit(self, target: str, hold_out: Collection[str]) -> Done:
        """Of the choices that there are, the one that comes nearest to letting the target in and changing no other."""
        if target not in self.regions:
            return Done(detail=f"{target} has no service", already=True)
        now = self.now()
        before = self.choices.get(now or "", frozenset())
        wanted = (before | {target}) - set(hold_out)
        fit = [
            choice
            for choice, regions in self.choices.items()
            if choice in self.levers and target in regions and not regions & set(hold_out)
        ]
        if not fit:
            raise Fault(f"nothing that the map may lead to has {target} and not {', '.join(sorted(hold_out))}")
        # Undecided before decided, so that a later step means what it says; else as it is.
        best = min(fit, key=lambda each: (len(self.choices[each] ^ wanted), each != PLANNED, each != now))
        if best == now:
            return Done(detail=best, already=True)
        self._lead_to(self.levers[best])
        return Done(detail=best)

    def _lead_to(self, service: str) -> None:
        operation = self.api("compute", "PATCH", self.map, None, {"defaultService": service})
        project = self.map.partition("/global/")[0]
        for _ in range(TRIES):
            if operation.get("status") == "DONE":
                break
            self.pause(1.0)
            operation = self.api("compute", "GET", f"{project}/global/operations/{operation['name']}")
        else:
            raise Fault(f"the map does not lead to {service} after {TRIES} s")
        if errors := (operation.get("error") or {}).get("errors"):
            raise Fault(f"the map does not lead to {service}: {'; '.join(error['message'] for error in errors)}")


def _same(link: str, lever: str | None) -> bool:
    """The API answers with whole addresses, the stack's outputs have what follows the version."""
    return lever is not None and link.partition("/v1/")[2] in (lever, lever.partition("/v1/")[2])
