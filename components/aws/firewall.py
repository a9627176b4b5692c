"""A region's firewall, in front of its load balancer: a limit per address, and what AWS knows to be an attack."""

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.names import ARN
from components.aws.tags import tags
from components.component import Component
from topology import Topology

# Letters, digits, hyphens and underscores (WAF API: CreateWebACL).
NAME_LIMIT = 128

# Where AWS WAF may log to; the prefix is its own rule (docs.aws.amazon.com/waf/latest/developerguide/
# logging-cw-logs.html, which also says that it writes the log group's resource policy itself).
LOG_PREFIX, LOG_LIMIT = "aws-waf-logs-", 512

# 50 a second for a minute: a company behind one address fits, a flood does not. Checkers send one a second at most.
REQUESTS, WINDOW_SECONDS = 3000, 60

# Sets of AWS's rules by what becomes of a match. The first two describe attackers and exploits, and next to nothing
# else. The common set also stops what an API may well be sent (bodies over 8 KiB, URLs in a query, clients without a
# User-Agent), and a firewall's mistake is an outage for somebody: it counts, and its log says what it would have
# stopped (docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html).
MANAGED = {
    "AWSManagedRulesAmazonIpReputationList": "block",
    "AWSManagedRulesKnownBadInputsRuleSet": "block",
    "AWSManagedRulesCommonRuleSet": "count",
}

# Not even in a log: who can read it could act as somebody.
REDACTED = ("authorization", "cookie")


class Firewall:
    association: aws.wafv2.WebAclAssociation

    def __init__(
        self,
        owner: Component,
        topology: Topology,
        region: str,
        *,
        load_balancer: pulumi.Input[str],
        key_id: pulumi.Input[str],
    ) -> None:
        self.owner, self.topology, self.region = owner, topology, region
        self.name = names.name(topology, region, limit=NAME_LIMIT)
        self.acl = aws.wafv2.WebAcl(
            f"{owner.name}-{region}-firewall",
            name=self.name,
            scope="REGIONAL",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            rules=[self.limit(), *(self.managed(number, rules) for number, rules in enumerate(MANAGED, start=1))],
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True, metric_name=self.name, sampled_requests_enabled=True
            ),
            tags=tags(topology, self.name, region=region),
            region=region,
            opts=owner.child(),
        )
        self.log(key_id)
        self.association = aws.wafv2.WebAclAssociation(
            f"{owner.name}-{region}-firewall-association",
            resource_arn=load_balancer,
            web_acl_arn=self.acl.arn,
            region=region,
            opts=owner.child(),
        )

    def limit(self) -> aws.wafv2.WebAclRuleArgs:
        return aws.wafv2.WebAclRuleArgs(
            name="requests-per-address",
            priority=0,
            statement=aws.wafv2.WebAclRuleStatementArgs(
                rate_based_statement=aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
                    aggregate_key_type="IP", limit=REQUESTS, evaluation_window_sec=WINDOW_SECONDS
                )
            ),
            action=aws.wafv2.WebAclRuleActionArgs(
                block=aws.wafv2.WebAclRuleActionBlockArgs(
                    custom_response=aws.wafv2.WebAclRuleActionBlockCustomResponseArgs(response_code=429)
                )
            ),
            visibility_config=visible("requests-per-address"),
        )

    def managed(self, number: int, rules: str) -> aws.wafv2.WebAclRuleArgs:
        override = (
            aws.wafv2.WebAclRuleOverrideActionArgs(none=aws.wafv2.WebAclRuleOverrideActionNoneArgs())
            if MANAGED[rules] == "block"
            else aws.wafv2.WebAclRuleOverrideActionArgs(count=aws.wafv2.WebAclRuleOverrideActionCountArgs())
        )
        return aws.wafv2.WebAclRuleArgs(
            name=rules,
            priority=number,
            override_action=override,
            statement=aws.wafv2.WebAclRuleStatementArgs(
                managed_rule_group_statement=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                    vendor_name="AWS", name=rules
                )
            ),
            visibility_config=visible(rules),
        )

    def log(self, key_id: pulumi.Input[str]) -> None:
        """What was stopped or counted, and nothing of the rest: that is in the load balancer's log."""
        topology, region = self.topology, self.region
        assert topology.aws is not None, "checked with the settings"
        assert topology.retention is not None, "checked with the settings"
        name = f"{LOG_PREFIX}{names.name(topology, region, limit=LOG_LIMIT - len(LOG_PREFIX))}"
        group = aws.cloudwatch.LogGroup(
            f"{self.owner.name}-{region}-firewall-logs",
            name=name,
            retention_in_days=topology.retention.log_days,
            kms_key_id=key_id,
            deletion_protection_enabled=True,
            tags=tags(topology, name, region=region),
            region=region,
            opts=self.owner.child(protect=True),
        )
        filters = aws.wafv2.WebAclLoggingConfigurationLoggingFilterArgs(
            default_behavior="DROP",
            filters=[
                aws.wafv2.WebAclLoggingConfigurationLoggingFilterFilterArgs(
                    behavior="KEEP",
                    requirement="MEETS_ANY",
                    conditions=[kept("BLOCK"), kept("COUNT")],
                )
            ],
        )
        aws.wafv2.WebAclLoggingConfiguration(
            f"{self.owner.name}-{region}-firewall-logging",
            resource_arn=self.acl.arn,
            # Put together from the name: another ARN replaces the configuration, and a recorder knows none.
            log_destination_configs=[
                pulumi.Output.format("{0}:logs:{1}:{2}:log-group:{3}", ARN, region, topology.aws.account_id, group.name)
            ],
            logging_filter=filters,
            redacted_fields=[
                aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs(
                    single_header=aws.wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header)
                )
                for header in REDACTED
            ],
            region=region,
            opts=self.owner.child(),
        )


def kept(action: str) -> aws.wafv2.WebAclLoggingConfigurationLoggingFilterFilterConditionArgs:
    return aws.wafv2.WebAclLoggingConfigurationLoggingFilterFilterConditionArgs(
        action_condition=aws.wafv2.WebAclLoggingConfigurationLoggingFilterFilterConditionActionConditionArgs(
            action=action
        )
    )


def visible(name: str) -> aws.wafv2.WebAclRuleVisibilityConfigArgs:
    return aws.wafv2.WebAclRuleVisibilityConfigArgs(
        cloudwatch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=True
    )
