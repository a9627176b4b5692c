"""The firewall before the load balancer: a limit per address, and what Google knows to be an attack."""

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.gcp import names, paths
from topology import Topology

# 50 a second for a minute, as on AWS: a company behind one address fits, a flood does not.
REQUESTS, WINDOW_SECONDS = 3000, 60

# Google's sets of rules by what becomes of a match. The first is attacks on known holes (Log4j), and next to nothing
# else. The others also stop what an API may well be sent, and a firewall's mistake is an outage for somebody: they are
# in preview, and the log says what they would have stopped (cloud.google.com/armor/docs/waf-rules).
BLOCKED = ("cve-canary",)
WATCHED = ("sqli-v33-stable", "xss-v33-stable", "lfi-v33-stable", "rce-v33-stable", "protocolattack-v33-stable")

# Of 1 to 4: the signatures that are least often wrong (…/docs/waf-rules, sensitivity).
SENSITIVITY = 1

# Whoever matches a rule is not asked further, but for previews: what denies comes before what allows within a limit
# (cloud.google.com/armor/docs/create-security-policy-rules). The last one is in every policy.
PRIORITIES = {"known-attacks": 1000, "common-attacks": 1100, "requests-per-address": 2000, "default": 2**31 - 1}

EVERYBODY = gcp.compute.SecurityPolicyRuleMatchArgs(
    versioned_expr="SRC_IPS_V1", config=gcp.compute.SecurityPolicyRuleMatchConfigArgs(src_ip_ranges=["*"])
)


class Armor:
    """One for the whole entry. Each backend service counts for itself, so who calls a region by its own name takes
    nothing from the users' limit (cloud.google.com/armor/docs/rate-limiting-overview).
    """

    policy_id: pulumi.Output[str]

    def __init__(self, owner: Component, topology: Topology, project: pulumi.Input[str]) -> None:
        self.policy_id = gcp.compute.SecurityPolicy(
            f"{owner.name}-firewall",
            name=names.name(topology, "entry", limit=paths.LIMIT),
            project=project,
            type="CLOUD_ARMOR",
            advanced_options_config=gcp.compute.SecurityPolicyAdvancedOptionsConfigArgs(
                # Or a body in JSON is read as plain text, and taken for attacks that it is not.
                json_parsing="STANDARD",
                # The other one writes what matched, which may be a password.
                log_level="NORMAL",
            ),
            rules=[
                rule("known-attacks", "deny(403)", preconfigured(*BLOCKED)),
                rule("common-attacks", "deny(403)", preconfigured(*WATCHED), preview=True),
                rule("requests-per-address", "throttle", EVERYBODY, limit=LIMIT),
                rule("default", "allow", EVERYBODY),
            ],
            opts=owner.child(),
        ).id


LIMIT = gcp.compute.SecurityPolicyRuleRateLimitOptionsArgs(
    enforce_on_key="IP",
    conform_action="allow",
    exceed_action="deny(429)",
    rate_limit_threshold=gcp.compute.SecurityPolicyRuleRateLimitOptionsRateLimitThresholdArgs(
        count=REQUESTS, interval_sec=WINDOW_SECONDS
    ),
)


def preconfigured(*sets: str) -> gcp.compute.SecurityPolicyRuleMatchArgs:
    """Five in one expression at most (cloud.google.com/armor/docs/create-security-policy-rules)."""
    asked = " || ".join(f"evaluatePreconfiguredWaf('{name}', {{'sensitivity': {SENSITIVITY}}})" for name in sets)
    return gcp.compute.SecurityPolicyRuleMatchArgs(expr=gcp.compute.SecurityPolicyRuleMatchExprArgs(expression=asked))


def rule(
    name: str,
    action: str,
    match: gcp.compute.SecurityPolicyRuleMatchArgs,
    *,
    preview: bool = False,
    limit: gcp.compute.SecurityPolicyRuleRateLimitOptionsArgs | None = None,
) -> gcp.compute.SecurityPolicyRuleArgs:
    return gcp.compute.SecurityPolicyRuleArgs(
        description=name,
        priority=PRIORITIES[name],
        action=action,
        match=match,
        preview=preview,
        rate_limit_options=limit,
    )
