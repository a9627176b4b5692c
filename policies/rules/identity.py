"""Whoever acts is somebody, may do little, and not for long."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .documents import statements
from .resource import UNKNOWN, Resource, is_list
from .rule import rule
from .settings import Settings
from .table import GIVEN, NOT_TRUE, TRUE, Expect, fixed, number, one_of, row, table_rule

THEME = "identity"

HOUR = 3600

ROLE = "aws:iam/role:Role"
CACHE_USER = "aws:elasticache/user:User"
TASK = "aws:ecs/taskDefinition:TaskDefinition"
RUN = "gcp:cloudrunv2/service:Service"
SQL = "gcp:sql/databaseInstance:DatabaseInstance"

# What lets somebody in for as long as nobody remembers it.
LASTING: Mapping[str, str] = {
    "aws:iam/accessKey:AccessKey": "an access key",
    "aws:iam/serviceSpecificCredential:ServiceSpecificCredential": "a service's password",
    "aws:iam/user:User": "a user of IAM",
    "aws:iam/userLoginProfile:UserLoginProfile": "a password for the console",
    "gcp:projects/apiKey:ApiKey": "an API key",
    "gcp:serviceaccount/key:Key": "a key of a service account",
    "gcp:storage/hmacKey:HmacKey": "an HMAC key",
}

# Where a Google role is granted.
GRANTS = (
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    "gcp:projects/iAMBinding:IAMBinding",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
)
# Basic roles hold thousands of permissions, and whoever administers or impersonates grants himself the rest
# (cloud.google.com/iam/docs/roles-overview).
BROAD_ROLE = re.compile(
    r"roles/(owner|editor|viewer|[\w.]+\.admin|iam\.serviceAccount(TokenCreator|User|KeyAdmin)|iam\.securityAdmin)"
)
BROAD_POLICY = re.compile(r"(AdministratorAccess|PowerUserAccess|IAMFullAccess|\w*FullAccess)(-\w+)?$")
READ_ONLY = re.compile(r"[\w-]+:(Describe|List|Get(Metric|Account|Region|Authorization))\w*\*?$")
# These cannot be limited to a resource (the service authorization reference lists none for them).
UNLIMITABLE = frozenset(("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"))
# Granted in a project, these open every database or cache in it, other stacks' too.
NEEDS_CONDITION = frozenset(
    ("roles/cloudsql.client", "roles/cloudsql.instanceUser", "roles/memorystore.dbConnectionUser")
)
OWN_ROLE = Expect(
    words=lambda settings: f"a role of the account {settings.account}",
    holds=lambda value, settings: value is None or not settings.account or f":{settings.account}:" in str(value),
)
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|TOKEN|PRIVATE_KEY|ACCESS_KEY|CREDENTIAL")
DEFAULT_ACCOUNT = re.compile(r"\d+-compute@developer\.gserviceaccount\.com|.*@appspot\.gserviceaccount\.com")
OWN_ACCOUNT = fixed(
    "an account of its own",
    lambda value: isinstance(value, str) and bool(value) and not DEFAULT_ACCOUNT.fullmatch(value),
)


def nothing_lasts(resource: Resource, _: Settings) -> Iterator[str]:
    yield f"the resource is {LASTING[resource.type]}, which does not end by itself"


def role_is_small(resource: Resource, _: Settings) -> Iterator[str]:
    role = resource.at("role")
    if role is not UNKNOWN and isinstance(role, str) and BROAD_ROLE.fullmatch(role):
        yield f"role is {role!r}"


def policy_is_small(resource: Resource, _: Settings) -> Iterator[str]:
    for path in ("policyArn", "managedPolicyArns"):
        found = resource.at(path)
        for arn in found if is_list(found) else [found]:
            if arn is not UNKNOWN and isinstance(arn, str) and BROAD_POLICY.search(arn):
                yield f"{path} is {arn!r}"


def statements_name_resources(resource: Resource, _: Settings) -> Iterator[str]:
    for each in statements(resource):
        if not each.allows or "*" not in each.resources or each.conditions:
            continue
        for action in each.actions:
            if not READ_ONLY.fullmatch(action) and action not in UNLIMITABLE:
                yield f"{each.name} allows {action!r} on the resource '*'"


def session_is_short(resource: Resource, _: Settings) -> Iterator[str]:
    seconds = resource.at("maxSessionDuration")
    if seconds is not UNKNOWN and (number(seconds) or 0) > HOUR:
        yield f"maxSessionDuration is {seconds}, and must be at most {HOUR}"


def cache_user_is_limited(resource: Resource, _: Settings) -> Iterator[str]:
    rights = resource.at("accessString")
    if rights is UNKNOWN:
        return
    words = str(rights or "").split()
    if resource.at("userName") == "default" and "off" not in words:
        yield f"accessString is {rights!r}, and the default user must be off"
    elif "on" in words and "+@all" in words and "-@dangerous" not in words:
        yield f"accessString is {rights!r}, and must take the dangerous commands away"


def containers(resource: Resource) -> list[Mapping[str, Any]]:
    """Those of a task; the document is one text, and may hold what only the deployment knows."""
    text = resource.at("containerDefinitions")
    if not isinstance(text, str):
        return []
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def no_secret_in_the_open(resource: Resource, _: Settings) -> Iterator[str]:
    variables = [
        *(each for one in containers(resource) for each in one.get("environment") or ()),
        *(each for each in resource.values("template.containers.envs") if is_list(each) for each in each),
    ]
    for each in variables:
        if each is UNKNOWN or not isinstance(each, Mapping):
            continue
        name, value = each.get("name"), each.get("value")
        if isinstance(name, str) and SECRET_NAME.search(name) and value is not UNKNOWN and value:
            yield f"the variable {name} is written out"


def container_is_confined(resource: Resource, _: Settings) -> Iterator[str]:
    for each in containers(resource):
        name = each.get("name")
        if each.get("privileged"):
            yield f"the container {name} is privileged"
        if str(each.get("user") or "root").split(":")[0] in ("root", "0"):
            yield f"the container {name} runs as {each.get('user') or 'root'}"
        if not each.get("readonlyRootFilesystem"):
            yield f"the container {name} may write to its own image"


def flag_is_on(resource: Resource, _: Settings) -> Iterator[str]:
    flags = resource.at("settings.databaseFlags")
    if flags is UNKNOWN:
        return
    found = {each["name"]: each.get("value") for each in flags or () if each is not UNKNOWN}
    if found.get("cloudsql.iam_authentication") != "on":
        yield f"the flag cloudsql.iam_authentication is {found.get('cloudsql.iam_authentication') or 'not given'}"


RULES = (
    rule(
        "identity-lasting",
        nothing_lasts,
        LASTING,
        "A key that never ends is found one day in a log, an image or a laptop, and still opens.",
        "Let the service act as its role or its service account.",
    ),
    rule(
        "identity-role",
        role_is_small,
        GRANTS,
        "A basic or administrative role grants far more than any part of this stack does.",
        "Name the smallest predefined role that has the permission, on the resource itself where it can be.",
    ),
    table_rule(
        name="identity-condition",
        theme=THEME,
        level="mandatory",
        reason="Google grants these roles on a project alone, and only a condition keeps them to one resource.",
        mend="Add a condition that names the instance.",
        rows=(
            row(
                "gcp:projects/iAMMember:IAMMember",
                "condition",
                GIVEN,
                lambda grant: grant.at("role") in NEEDS_CONDITION,
            ),
        ),
    ),
    table_rule(
        name="identity-foreign-role",
        theme=THEME,
        level="mandatory",
        reason="What acts as another account's role does what that account says.",
        mend="Name the role that was made for it.",
        rows=(
            row("aws:backup/selection:Selection", "iamRoleArn", OWN_ROLE),
            row("aws:ec2/flowLog:FlowLog", "iamRoleArn", OWN_ROLE),
            row("aws:rds/clusterInstance:ClusterInstance", "monitoringRoleArn", OWN_ROLE),
            row(TASK, "executionRoleArn", OWN_ROLE),
            row(TASK, "taskRoleArn", OWN_ROLE),
        ),
    ),
    rule(
        "identity-managed-policy",
        policy_is_small,
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", ROLE),
        "A policy for administrators in a service's hands makes every fault of the service theirs.",
        "Attach a policy that names the few actions that are needed.",
    ),
    rule(
        "identity-resource",
        statements_name_resources,
        ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy"),
        "An action on every resource reaches other stacks' secrets and databases in the account.",
        "Name the resources, or add a condition.",
    ),
    rule(
        "identity-session",
        session_is_short,
        (ROLE,),
        "Credentials that are stolen are of use until they end.",
        "Leave maxSessionDuration at an hour.",
    ),
    table_rule(
        name="identity-database",
        theme=THEME,
        level="mandatory",
        reason="A token for some minutes, given to a role, replaces a password that everyone has.",
        mend="Let the service log in with its cloud identity.",
        rows=(
            row("aws:rds/cluster:Cluster", "iamDatabaseAuthenticationEnabled", TRUE),
            row("gcp:memorystore/instance:Instance", "authorizationMode", one_of("IAM_AUTH")),
            row("aws:elasticache/serverlessCache:ServerlessCache", "userGroupId", GIVEN),
            row("aws:elasticache/replicationGroup:ReplicationGroup", "userGroupIds", GIVEN),
            row(CACHE_USER, "noPasswordRequired", NOT_TRUE),
            row(
                CACHE_USER,
                "authenticationMode.type",
                fixed("password or iam", lambda value: value in (None, "password", "iam")),
            ),
        ),
    ),
    rule(
        "identity-database-flag",
        flag_is_on,
        (SQL,),
        "Without the flag Cloud SQL takes passwords alone.",
        "Set cloudsql.iam_authentication to on.",
    ),
    rule(
        "identity-cache-user",
        cache_user_is_limited,
        (CACHE_USER,),
        "Valkey's default user may do everything, and nothing needs it.",
        "Switch the default user off, and take +@dangerous from the others.",
    ),
    table_rule(
        name="identity-own-account",
        theme=THEME,
        level="mandatory",
        reason="Google's default service account may change most of the project.",
        mend="Name the service account that was made for it.",
        rows=(
            row(RUN, "template.serviceAccount", OWN_ACCOUNT),
            row("gcp:workflows/workflow:Workflow", "serviceAccount", OWN_ACCOUNT),
            row("gcp:cloudscheduler/job:Job", "httpTarget.oauthToken.serviceAccountEmail", OWN_ACCOUNT),
            row("gcp:compute/regionInstanceTemplate:RegionInstanceTemplate", "serviceAccount.email", OWN_ACCOUNT),
        ),
    ),
    rule(
        "identity-secret-variable",
        no_secret_in_the_open,
        (TASK, RUN),
        "A variable stands in the console, in the state and in every description of the service.",
        "Name the secret instead: `secrets` of the container, or `valueSource`.",
    ),
    rule(
        "identity-container",
        container_is_confined,
        (TASK,),
        "A container that is root or rewrites itself helps whoever breaks into it to stay.",
        "Run it as another user, with a root filesystem that is read-only.",
    ),
)
