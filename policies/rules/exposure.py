"""Nothing but the entry is open to the world, and nothing is open to everyone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from .documents import ARGUMENTS, Statement, statements
from .resource import UNKNOWN, Resource, is_empty, is_list
from .rule import rule, stack_rule
from .settings import Settings
from .table import ABSENT, FALSE, GIVEN, NOT_TRUE, TRUE, fixed, one_of, row, table_rule

THEME = "exposure"

WEB_PORTS = {80, 443}
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
INLINE = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "ingress",
    "aws:ec2/securityGroup:SecurityGroup": "ingress",
}
# The groups that each type is a member of.
GROUPS: Mapping[str, str] = {
    "aws:ec2/vpcEndpoint:VpcEndpoint": "securityGroupIds",
    "aws:ecs/service:Service": "networkConfiguration.securityGroups",
    "aws:elasticache/replicationGroup:ReplicationGroup": "securityGroupIds",
    "aws:elasticache/serverlessCache:ServerlessCache": "securityGroupIds",
    "aws:rds/cluster:Cluster": "vpcSecurityGroupIds",
}
FIREWALL = "gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule"
CLASSIC_FIREWALL = "gcp:compute/firewall:Firewall"
# Google's load balancers and health checks reach backends from these alone
# (cloud.google.com/load-balancing/docs/firewall-rules).
GOOGLE_FRONT_ENDS = ("35.191.0.0/16", "130.211.0.0/22")

# A principal of another account: its number alone, or an ARN with it.
ACCOUNT = re.compile(r"(?:arn:aws[\w-]*:(?:iam|sts)::)?(?P<account>\d{12})(?::|$)")

# A condition on these says how somebody comes, not who.
MANNER = frozenset(("aws:SecureTransport", "aws:SourceIp"))
EVERYBODY = ("allUsers", "allAuthenticatedUsers")


def is_wide(cidr: Any) -> bool:
    """A range of public addresses that is wider than what one organisation would call its own."""
    if not isinstance(cidr, str):
        return False
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        return False
    return (
        not network.is_private and network.prefixlen <= (16 if network.version == 4 else 32)
    ) or network.prefixlen == 0


def ingress_is_narrow(resource: Resource, _: Settings) -> Iterator[str]:
    """What is open to the world takes HTTP and HTTPS alone."""
    for argument in ("cidrIpv4", "cidrIpv6"):
        cidr = resource.at(argument)
        if cidr is not UNKNOWN and is_wide(cidr) and not _web_only(resource):
            ports = f"{resource.at('fromPort')} to {resource.at('toPort')}"
            yield f"{argument} is {cidr!r} for {resource.at('ipProtocol')} {ports}, and the world may reach 80 and 443"


def _web_only(resource: Resource) -> bool:
    return resource.at("fromPort") == resource.at("toPort") and resource.at("toPort") in WEB_PORTS


def group_is_empty(resource: Resource, _: Settings) -> Iterator[str]:
    """Rules stand on their own, where the others of this theme see them; the default group has none at all."""
    argument = INLINE[resource.type]
    found = resource.at(argument)
    if found is not UNKNOWN and found:
        yield f"{argument} has {len(found)} rules of its own"


def open_groups(resources: Sequence[Resource]) -> set[str]:
    return {
        group
        for each in resources
        if each.type == INGRESS and (is_wide(each.at("cidrIpv4")) or is_wide(each.at("cidrIpv6")))
        if isinstance(group := each.at("securityGroupId"), str)
    }


def only_entry_is_open(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A group that the world may enter belongs to load balancers; before a deployment its id may not be known."""
    opened = open_groups(resources)
    for each in resources:
        path = GROUPS.get(each.type)
        groups: Any = each.at(path) if path else None
        for group in groups if is_list(groups) else ():
            if isinstance(group, str) and group in opened:
                yield each, f"{path} has {group!r}, which is open to the world"


def entry_has_firewall(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A regional web ACL can only be associated within its region, and each region has one entry, so the region tells
    them together also while the load balancer's id is not known.
    """
    facing = [
        each for each in resources if each.type == "aws:lb/loadBalancer:LoadBalancer" and each.at("internal") is False
    ]
    guarded = [each for each in resources if each.type == "aws:wafv2/webAclAssociation:WebAclAssociation"]
    regions = {each.at("region") for each in guarded if each.at("region") is not UNKNOWN}
    for each in facing:
        if each.at("region") not in regions:
            yield each, "internal is false, and no web ACL is associated with it"


def bucket_is_blocked(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    blocks = {
        each.parent for each in resources if each.type == "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    }
    for each in resources:
        if each.type == "aws:s3/bucket:Bucket" and each.parent not in blocks:
            yield each, "the bucket has no public access block"


def firewall_is_narrow(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.at("direction") not in ("INGRESS", None):
        return
    if resource.type == FIREWALL:
        path, allows = "match.srcIpRanges", resource.at("action") == "allow"
    else:
        path, allows = "sourceRanges", bool(resource.at("allows"))
    ranges = resource.at(path)
    if not allows or not is_list(ranges):
        return
    for cidr in ranges:
        if cidr is not UNKNOWN and is_wide(cidr) and cidr not in GOOGLE_FRONT_ENDS:
            yield f"{path} has {cidr!r}, and users come through the load balancer"


def names_no_wildcard(resource: Resource, _: Settings) -> Iterator[str]:
    for each in statements(resource):
        if not each.allows:
            continue
        limited = bool(each.conditions - MANNER)
        for action in each.actions:
            if re.fullmatch(r"\*|[\w-]+:\*", action) and not limited:
                yield f"{each.name} allows the action {action!r}"
        if "*" in each.principals and not limited and not _is_narrow_endpoint(resource, each):
            yield f"{each.name} allows the principal '*'"


def names_own_account(resource: Resource, settings: Settings) -> Iterator[str]:
    for each in statements(resource):
        for principal in each.principals if each.allows else ():
            found = ACCOUNT.match(principal)
            if found and settings.account and found["account"] != settings.account:
                yield f"{each.name} allows the account {found['account']!r}, and this stack's is {settings.account}"


def _is_narrow_endpoint(resource: Resource, statement: Statement) -> bool:
    """An endpoint's policy filters requests that are signed and allowed elsewhere: there, a resource is a limit too."""
    return resource.type == "aws:ec2/vpcEndpoint:VpcEndpoint" and "*" not in statement.resources


def names_somebody(resource: Resource, _: Settings) -> Iterator[str]:
    for path in ("member", "members"):
        found = resource.at(path)
        for member in found if is_list(found) else [found]:
            if member is not UNKNOWN and member in EVERYBODY:
                yield f"{path} is {member!r}"


MEMBERS = (
    "gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    "gcp:projects/iAMBinding:IAMBinding",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:pubsub/topicIAMMember:TopicIAMMember",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucketIAMBinding:BucketIAMBinding",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
)


RULES = (
    table_rule(
        name="exposure-public-address",
        theme=THEME,
        level="mandatory",
        reason="Databases, caches and tasks are reached from inside their network, so none needs a public address.",
        mend="Take the public address away.",
        rows=(
            row("aws:ec2/subnet:Subnet", "mapPublicIpOnLaunch", NOT_TRUE),
            row("aws:ecs/service:Service", "networkConfiguration.assignPublicIp", NOT_TRUE),
            row("aws:rds/clusterInstance:ClusterInstance", "publiclyAccessible", FALSE),
            row("gcp:compute/instanceTemplate:InstanceTemplate", "networkInterfaces.accessConfigs", ABSENT),
            row("gcp:compute/regionInstanceTemplate:RegionInstanceTemplate", "networkInterfaces.accessConfigs", ABSENT),
            row("gcp:sql/databaseInstance:DatabaseInstance", "settings.ipConfiguration.ipv4Enabled", FALSE),
            row("gcp:sql/databaseInstance:DatabaseInstance", "settings.ipConfiguration.authorizedNetworks", ABSENT),
        ),
    ),
    table_rule(
        name="exposure-bucket",
        theme=THEME,
        level="mandatory",
        reason="A bucket holds backups and logs; nobody outside has business with either.",
        mend="Block public access.",
        rows=(
            *(
                row("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", argument, TRUE)
                for argument in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
            ),
            row("aws:secretsmanager/secretPolicy:SecretPolicy", "blockPublicPolicy", TRUE),
            row("gcp:storage/bucket:Bucket", "publicAccessPrevention", one_of("enforced")),
            row("gcp:storage/bucket:Bucket", "uniformBucketLevelAccess", TRUE),
        ),
    ),
    stack_rule(
        "exposure-bucket-block",
        bucket_is_blocked,
        "Without a block, one policy or one ACL makes a bucket public.",
        "Register a BucketPublicAccessBlock beside the bucket.",
    ),
    rule(
        "exposure-ingress",
        ingress_is_narrow,
        (INGRESS,),
        "Only the entry takes connections from the world, and it speaks HTTPS, and HTTP to redirect.",
        "Name the group that may connect in referencedSecurityGroupId.",
    ),
    rule(
        "exposure-group-rules",
        group_is_empty,
        INLINE,
        "Rules inside a group and rules of their own undo each other, and the default group belongs to whoever forgets "
        "to name one.",
        "Use SecurityGroupIngressRule for a group; leave the default group empty.",
    ),
    stack_rule(
        "exposure-open-group",
        only_entry_is_open,
        "A group that is open to the world opens everything that is in it.",
        "Leave it to the load balancer, and let this one take connections from the load balancer's group.",
    ),
    stack_rule(
        "exposure-firewall",
        entry_has_firewall,
        "The entry is open to everyone, so something has to tell users from floods and known attacks.",
        "Associate a web ACL with the load balancer.",
    ),
    table_rule(
        name="exposure-cloud-firewall",
        theme=THEME,
        level="mandatory",
        reason="Google's entry is open to everyone too, and Cloud Armor guards only the backends that name it.",
        mend="Name a security policy.",
        rows=(
            row(
                "gcp:compute/backendService:BackendService",
                "securityPolicy",
                GIVEN,
                lambda backend: str(backend.at("loadBalancingScheme")).startswith("EXTERNAL"),
            ),
        ),
    ),
    table_rule(
        name="exposure-entry-ports",
        theme=THEME,
        level="mandatory",
        reason="The entry speaks HTTPS, and HTTP to redirect.",
        mend="Take the forwarding rule away.",
        rows=(
            row(
                "gcp:compute/globalForwardingRule:GlobalForwardingRule",
                "portRange",
                one_of("80", "443", "80-80", "443-443"),
                lambda forwarding: str(forwarding.at("loadBalancingScheme")).startswith("EXTERNAL"),
            ),
        ),
    ),
    rule(
        "exposure-cloud-ingress",
        firewall_is_narrow,
        (FIREWALL, CLASSIC_FIREWALL),
        "On Google Cloud nothing in the network takes connections from the world: the load balancer is outside of it.",
        "Name the ranges of the network, or of Google's front ends.",
    ),
    table_rule(
        name="exposure-service",
        theme=THEME,
        level="mandatory",
        reason="A way to the service beside the entry goes around the firewall, the certificate and the failover.",
        mend="Leave the load balancer as the only way in.",
        rows=(
            row(
                "gcp:cloudrunv2/service:Service",
                "ingress",
                one_of("INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
            ),
            row("gcp:cloudrunv2/service:Service", "defaultUriDisabled", TRUE),
            row("aws:ecs/service:Service", "enableExecuteCommand", NOT_TRUE),
        ),
    ),
    table_rule(
        name="exposure-egress",
        theme=THEME,
        level="mandatory",
        reason="What leaves beside the network is not seen by its firewall and its records, and has no address that "
        "others can allow.",
        mend='Set vpcAccess.egress to "ALL_TRAFFIC", and name the subnet that it leaves through.',
        # The other is PRIVATE_RANGES_ONLY; no document says which holds where it is left out.
        rows=(
            row("gcp:cloudrunv2/service:Service", "template.vpcAccess.egress", one_of("ALL_TRAFFIC")),
            row(
                "gcp:cloudrunv2/service:Service",
                "template.vpcAccess.networkInterfaces",
                GIVEN,
                lambda service: is_empty(service.at("template.vpcAccess.connector")),
            ),
        ),
    ),
    table_rule(
        name="exposure-malformed-requests",
        theme=THEME,
        level="mandatory",
        reason="What two servers read differently lets a request hide inside another.",
        mend="Let the load balancer refuse it.",
        rows=(
            row("aws:lb/loadBalancer:LoadBalancer", "dropInvalidHeaderFields", TRUE),
            row(
                "aws:lb/loadBalancer:LoadBalancer",
                "desyncMitigationMode",
                fixed("defensive, strictest or left out", lambda value: value in (None, "defensive", "strictest")),
            ),
        ),
    ),
    rule(
        "exposure-foreign-account",
        names_own_account,
        ARGUMENTS,
        "Whoever holds another account may use what this one trusts it with, and nobody here sees who that is.",
        "Name a principal of the stack's own account.",
    ),
    rule(
        "exposure-wildcard",
        names_no_wildcard,
        ARGUMENTS,
        "A wildcard grants what nobody thought of, today's and tomorrow's.",
        "Name the actions and who may use them, or add a condition that says who.",
    ),
    rule(
        "exposure-everybody",
        names_somebody,
        MEMBERS,
        "allUsers is the internet, and allAuthenticatedUsers is everyone with any Google account.",
        "Name the service account.",
    ),
)
