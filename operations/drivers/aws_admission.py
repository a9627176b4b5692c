"""Who takes users on AWS, and how operations say so: the answer of a listener rule, or an endpoint's weight."""

from collections.abc import Callable, Mapping
from typing import Any

from components.aws.admission import ADMITTED, HELD_OUT, STANDBY, Answer

# Global Accelerator's API is in one region (docs.aws.amazon.com/general/latest/gr/global_accelerator.html).
ACCELERATOR_REGION = "us-west-2"
WEIGHT = 128  # what components/aws/accelerator.py gives an endpoint that is admitted at birth


class Admission:
    """By the levers of components/aws/traffic.py: `admitted/<region>`, or `endpoint-group/<region>` in its place."""

    def __init__(self, client: Callable[[str, str], Any], levers: Mapping[str, str], *, home_only: bool) -> None:
        self.client = client
        self.rules = {key.partition("/")[2]: arn for key, arn in levers.items() if key.startswith("admitted/")}
        self.groups = {key.partition("/")[2]: arn for key, arn in levers.items() if key.startswith("endpoint-group/")}
        self.home_only = home_only

    @property
    def regions(self) -> tuple[str, ...]:
        """Those that have a service, and so can take users at all."""
        return tuple(self.rules or self.groups)

    def admitted(self, region: str) -> bool:
        if region in self.groups:
            return any(endpoint.get("Weight", WEIGHT) > 0 for endpoint in self._endpoints(region))
        status = self._answer(region).status
        return status == ADMITTED.status or (status == STANDBY.status and not self.home_only)

    def let_in(self, region: str) -> bool:
        """Whether there was something to change."""
        if region not in self.regions:
            return False
        if region in self.groups:
            return not self.admitted(region) and self._weigh(region, WEIGHT)
        # A standby that the phase lets in stays undecided.
        return not self.admitted(region) and self._say(region, ADMITTED)

    def hold_out(self, region: str) -> bool:
        if region in self.groups:
            return self.admitted(region) and self._weigh(region, 0)
        return region in self.rules and self._answer(region) != HELD_OUT and self._say(region, HELD_OUT)

    def _answer(self, region: str) -> Answer:
        balancer = self.client("elbv2", region)
        (rule,) = balancer.describe_rules(RuleArns=[self.rules[region]])["Rules"]
        said = rule["Actions"][0]["FixedResponseConfig"]
        return Answer(status=said["StatusCode"], body=said.get("MessageBody", ""))

    def _say(self, region: str, answer: Answer) -> bool:
        said = {"StatusCode": answer.status, "MessageBody": answer.body, "ContentType": "text/plain"}
        self.client("elbv2", region).modify_rule(
            RuleArn=self.rules[region], Actions=[{"Type": "fixed-response", "FixedResponseConfig": said}]
        )
        return True

    def _endpoints(self, region: str) -> list[dict[str, Any]]:
        accelerator = self.client("globalaccelerator", ACCELERATOR_REGION)
        group = accelerator.describe_endpoint_group(EndpointGroupArn=self.groups[region])["EndpointGroup"]
        return group["EndpointDescriptions"]

    def _weigh(self, region: str, weight: int) -> bool:
        """The list is written as a whole, so all that an endpoint is configured with is said again."""
        keys = ("EndpointId", "ClientIPPreservationEnabled")
        endpoints = [
            {**{key: endpoint[key] for key in keys if key in endpoint}, "Weight": weight}
            for endpoint in self._endpoints(region)
        ]
        self.client("globalaccelerator", ACCELERATOR_REGION).update_endpoint_group(
            EndpointGroupArn=self.groups[region], EndpointConfigurations=endpoints
        )
        return True
