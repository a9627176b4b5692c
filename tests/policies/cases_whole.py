"""As cases.py, for the rules that look at how a stack stands up, follows, acts, keeps and hangs together."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from policies.rules.resource import Resource
from tests.policies.cases import (
    AWS,
    BALANCER,
    BUCKET,
    CLUSTER,
    GCP,
    GLOBAL,
    INSTANCE,
    LOGS,
    RUN,
    SQL,
    TASKS,
    VALKEY,
    Case,
    Change,
    document,
    gone,
    to,
)
from tests.policies.graphs import changed

CACHE = "aws:elasticache/serverlessCache:ServerlessCache"
TARGETS = "aws:lb/targetGroup:TargetGroup"
PROBE = "aws:route53/healthCheck:HealthCheck"
RECORD = "aws:route53/record:Record"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
SCALING = "aws:appautoscaling/target:Target"
TASK = "aws:ecs/taskDefinition:TaskDefinition"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
CACHE_USER = "aws:elasticache/user:User"
GRANT = "gcp:projects/iAMMember:IAMMember"
PLAN = "aws:backup/plan:Plan"
SELECTION = "aws:backup/selection:Selection"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
NAME = "gcp:dns/recordSet:RecordSet"
BACKEND = "gcp:compute/backendService:BackendService"
POSTGRES = "pulumi-python:dynamic/local:Postgres"
ROUTE = "aws:ec2/route:Route"
LINK = "pulumi-python:dynamic/local:Link"
ROUTES = "pulumi-python:dynamic/local:Routes"


def added(type_: str, **props: Any) -> Change:
    new = Resource(urn=f"urn:pulumi:x::x::{type_}::planted", type=type_, name="planted", props=props)
    return lambda found: (*found, new)


def written(type_: str, *, name: str = "") -> Change:
    """Nothing is left to operations any more."""
    return lambda found: changed(found, type_, name=name, ignore_changes=())


def query(pattern: str, instead: str, *, name: str = "signals-main-lag") -> Change:
    """An alarm that asks for something else."""

    def change(found: Sequence[Resource]) -> tuple[Resource, ...]:
        for each in (each for each in found if each.type == POLICY and each.name.endswith(name)):
            (asked,) = each.values("conditions.conditionPrometheusQueryLanguage.query")
            path = "conditions.0.conditionPrometheusQueryLanguage.query"
            found = changed(found, POLICY, path, re.sub(pattern, instead, asked), name=each.name)
        return tuple(found)

    return change


def container(**more: Any) -> str:
    return json.dumps([{"name": "service", "user": "65532", "readonlyRootFilesystem": True, **more}])


RESILIENCE = (
    Case("resilience-zones", AWS, to(CACHE, "subnetIds", ["a", "a"]), "subnetIds is ['a', 'a']"),
    Case("resilience-zones", AWS, to(TASKS, "networkConfiguration.subnets", ["a"]), "subnets is ['a']"),
    Case("resilience-zones", AWS, to(TASKS, "availabilityZoneRebalancing", None), "not given"),
    Case("resilience-zones", GCP, to(VALKEY, "replicaCount", 0), "replicaCount is 0"),
    Case("resilience-database-zones", GCP, to(SQL, "settings.availabilityType", "ZONAL"), "'ZONAL'"),
    Case("resilience-database-servers", AWS, gone(INSTANCE, "central-1-instance-2"), "has 1 instances"),
    Case("resilience-database-servers", AWS, gone(INSTANCE), "has 0 instances", 1),
    Case("resilience-probes", AWS, to(TARGETS, "healthCheck.unhealthyThreshold", 1), "unhealthyThreshold is 1"),
    Case("resilience-probes", AWS, to(TARGETS, "healthCheck.interval", 300), "at every 300 s"),
    Case("resilience-probes", AWS, to(PROBE, "failureThreshold", 1, name="-ready"), "failureThreshold is 1"),
    Case("resilience-probes", AWS, to(PROBE, "childHealthThreshold", 1, name="-serves"), "and there are 2 checks"),
    Case(
        "resilience-probes",
        GCP,
        to(RUN, "template.containers.0.readinessProbe.failureThreshold", None),
        "readinessProbe.failureThreshold is not given",
    ),
    Case("resilience-probe-target", AWS, to(TARGETS, "healthCheck.path", "/"), "healthCheck.path is '/'"),
    Case("resilience-entry-check", AWS, to(RECORD, "healthCheckId", None, name="entry-eu-west-1"), "not given"),
    Case("resilience-probe-target", AWS, to(PROBE, "invertHealthcheck", True, name="-ready"), "true"),
    Case("resilience-probe-target", GCP, to(RUN, "template.containers.0.livenessProbe", None), "livenessProbe"),
    Case(
        "resilience-probe-target",
        GCP,
        to(BACKEND, "outlierDetection.consecutiveGatewayFailure", 1, name="entry-planned"),
        "consecutiveGatewayFailure is 1",
        5,
    ),
    Case(
        "resilience-flood",
        AWS,
        to("aws:wafv2/webAcl:WebAcl", "rules.0.action", {"count": {}}),
        "a limit of requests per address",
    ),
    Case("resilience-flood", GCP, to("gcp:compute/securityPolicy:SecurityPolicy", "rules.2.preview", True), "limit"),
    Case("resilience-writer-name", GCP, to(NAME, "ttl", 3600, name="write-endpoint"), "ttl is 3600"),
    Case("resilience-bad-deploy", AWS, to(TASKS, "deploymentCircuitBreaker.rollback", False), "rollback is false"),
    Case("resilience-bad-deploy", AWS, to(TASKS, "deploymentMinimumHealthyPercent", 50), "is 50"),
    Case("resilience-lag-alarm", AWS, gone(ALARM, "signals-main-lag"), "no alarm in eu-west-1"),
    Case("resilience-lag-alarm", GCP, gone(POLICY, "signals-main-lag"), "no alarm in europe-west3"),
    Case("resilience-lag-alarm", AWS, to(ALARM, "threshold", 60_000.0, name="signals-main-lag"), "rings at 60 s"),
    Case("resilience-lag-alarm", GCP, query(r"> 30$", "> 3.6e+06"), "rings at 3.6e+06 s"),
    Case("resilience-lag-alarm", GCP, query(r"> 30$", "> 0"), "no alarm in europe-west3"),
    Case("resilience-alarm-heard", AWS, to(ALARM, "alarmActions", []), "alarmActions is []"),
    Case("resilience-alarm-heard", GCP, to(POLICY, "enabled", False), "enabled is false"),
    Case("resilience-region-alone", AWS, gone(CACHE, "eu-central-1-cache-valkey"), "no cache of its own"),
    Case("resilience-region-alone", AWS, gone(TASKS, "eu-central-1-service-service"), "no service of its own"),
    Case("resilience-region-alone", AWS, gone(CLUSTER, "main-eu-central-1-cluster"), "main-eu-central-1"),
    Case("resilience-region-alone", GCP, gone("gcp:kms/keyRing:KeyRing", "west1-keys-ring"), "no keys of its own"),
    Case("resilience-region-alone", "dev", gone("pulumi-python:dynamic/local:Valkey", "us-east-cache-valkey"), "cache"),
    Case("resilience-standby", AWS, to(SCALING, "maxCapacity", 4, name="central-1-service-scaling"), "another region"),
    Case("resilience-standby", AWS, to(SCALING, "minCapacity", 0), "minCapacity is 0"),
    Case("resilience-standby", GCP, to(RUN, "scaling.minInstanceCount", 0), "minInstanceCount is 0"),
)

REPLICATION = (
    Case("replication-ignored", AWS, written(CLUSTER), "globalClusterIdentifier is not in ignore_changes"),
    Case("replication-ignored", AWS, written(GLOBAL), "sourceDbClusterIdentifier is not"),
    Case("replication-ignored", GCP, written(SQL), "masterInstanceName is not"),
    Case("replication-ignored", GCP, written(NAME, name="write-endpoint"), "rrdatas is not"),
    Case("replication-ignored", GCP, written("gcp:compute/uRLMap:URLMap", name="entry-map"), "defaultService is not"),
    Case("replication-ignored", "dev", written(POSTGRES), "source is not"),
    Case("replication-source", AWS, to(CLUSTER, "snapshotIdentifier", "old"), "snapshotIdentifier is 'old'"),
    Case("replication-source", AWS, to(CLUSTER, "replicationSourceIdentifier", "arn"), "'arn'"),
    Case("replication-source", GCP, to(SQL, "instanceType", "READ_REPLICA_INSTANCE"), "'READ_REPLICA_INSTANCE'"),
    Case("replication-able", AWS, to(CLUSTER, "dbClusterParameterGroupName", None), "not given"),
    Case("replication-able", GCP, to(SQL, "settings.edition", "ENTERPRISE"), "'ENTERPRISE'"),
    Case(
        "replication-equal",
        AWS,
        to(CLUSTER, "serverlessv2ScalingConfiguration.maxCapacity", 16, name="main-eu-central-1-cluster"),
        "main-eu-central-1-cluster has 16",
    ),
    Case("replication-equal", GCP, to(SQL, "settings.databaseFlags.0.value", "off", name="west1-instance"), "=off"),
    Case("replication-equal", "dev", to(POSTGRES, "size", "minimal", name="us-east-postgres"), "'minimal'"),
    Case(
        "replication-one-source",
        AWS,
        to(CLUSTER, "globalClusterIdentifier", "x", name="central-1-cluster"),
        "is in another",
    ),
)

IDENTITY = (
    Case("identity-lasting", AWS, added("aws:iam/accessKey:AccessKey", user="x"), "an access key"),
    Case("identity-lasting", GCP, added("gcp:serviceaccount/key:Key"), "a key of a service account"),
    *(
        Case("identity-role", GCP, to(GRANT, "role", role), f"'{role}'")
        for role in ("roles/owner", "roles/cloudsql.admin", "roles/iam.serviceAccountTokenCreator")
    ),
    Case("identity-condition", GCP, to(GRANT, "condition", None, name="-client"), "condition is not given"),
    Case("identity-foreign-role", AWS, to(SELECTION, "iamRoleArn", "arn:aws:iam::999999999999:role/x"), "999999999999"),
    Case(
        "identity-managed-policy",
        AWS,
        to(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "policyArn",
            "arn:aws:iam::aws:policy/AdministratorAccess",
        ),
        "AdministratorAccess",
    ),
    Case(
        "identity-resource",
        AWS,
        to(ROLE_POLICY, "policy", document(action="secretsmanager:GetSecretValue")),
        "'secretsmanager:GetSecretValue'",
    ),
    Case("identity-session", AWS, to(ROLE, "maxSessionDuration", 43200), "is 43200"),
    Case("identity-database", AWS, to(CLUSTER, "iamDatabaseAuthenticationEnabled", False), "is false"),
    Case("identity-database", AWS, to(CACHE_USER, "noPasswordRequired", True), "noPasswordRequired is true"),
    Case("identity-database", GCP, to(VALKEY, "authorizationMode", "AUTH_DISABLED"), "'AUTH_DISABLED'"),
    Case("identity-database-flag", GCP, to(SQL, "settings.databaseFlags", []), "not given"),
    Case("identity-cache-user", AWS, to(CACHE_USER, "accessString", "on ~* +@all", name="cache-default"), "be off"),
    Case("identity-cache-user", AWS, to(CACHE_USER, "accessString", "on ~* +@all", name="cache-service"), "dangerous"),
    Case("identity-own-account", GCP, to(RUN, "template.serviceAccount", None), "not given"),
    Case(
        "identity-own-account",
        GCP,
        to(RUN, "template.serviceAccount", "1-compute@developer.gserviceaccount.com"),
        "'1-compute@",
    ),
    Case(
        "identity-secret-variable",
        AWS,
        to(TASK, "containerDefinitions", container(environment=[{"name": "DB_PASSWORD", "value": "x"}])),
        "DB_PASSWORD",
    ),
    Case(
        "identity-secret-variable",
        GCP,
        to(RUN, "template.containers.0.envs.0", {"name": "API_TOKEN", "value": "x"}),
        "API_TOKEN",
    ),
    Case("identity-container", AWS, to(TASK, "containerDefinitions", container(user="0:0")), "runs as 0:0"),
    Case("identity-container", AWS, to(TASK, "containerDefinitions", container(privileged=True)), "privileged"),
)

LIFECYCLES = (
    Case("lifecycle-logs", AWS, to(LOGS, "retentionInDays", 1), "retentionInDays is 1, and must be at least 90 days"),
    Case("lifecycle-logs", AWS, to(LIFECYCLE, "rules.0.expiration", None), "expiration.days is not given"),
    Case(
        "lifecycle-logs",
        GCP,
        to("gcp:logging/projectBucketConfig:ProjectBucketConfig", "retentionDays", 1),
        "retentionDays is 1",
    ),
    Case("lifecycle-leftovers", AWS, to(LIFECYCLE, "rules.0.status", "Disabled"), "'Disabled'"),
    Case("lifecycle-bucket", AWS, gone(LIFECYCLE), "no lifecycle"),
    Case("lifecycle-backups", AWS, to(PLAN, "rules.0.lifecycle.deleteAfter", 1), "deleteAfter is 1"),
    Case("lifecycle-backups", AWS, to(PLAN, "rules.0.copyActions.0.lifecycle.deleteAfter", 2), "deleteAfter is 2"),
    Case("lifecycle-backups", GCP, to("gcp:cloudscheduler/job:Job", "paused", True), "paused is true"),
    Case("lifecycle-backup-bucket", GCP, to(BUCKET, "lifecycleRules.0.condition.age", 3), "after 3 days"),
    Case("lifecycle-backup-bucket", GCP, to(BUCKET, "lifecycleRules", []), "never delete"),
    Case("lifecycle-selected", AWS, gone(SELECTION), "no backup selection in eu-west-1"),
    Case("lifecycle-backup-maker", AWS, gone(PLAN), "nothing in eu-west-1 makes backups"),
    Case("lifecycle-backup-maker", GCP, gone("gcp:cloudscheduler/job:Job"), "nothing in europe-west3"),
    Case("lifecycle-backup-copy", AWS, to(PLAN, "rules.0.copyActions", []), "goes to nowhere"),
    Case("lifecycle-records", AWS, to(BALANCER, "accessLogs.enabled", False), "accessLogs.enabled is false"),
    Case("lifecycle-records", GCP, to(BACKEND, "logConfig.enable", False), "logConfig.enable is false"),
)

TAGS = (
    Case("tagging-required", AWS, to(CLUSTER, "tags", {}), "tags has no app, environment, owner"),
    Case("tagging-required", AWS, to(LOGS, "tags.owner", None), "tags has no owner"),
    Case("tagging-required", GCP, to(SQL, "settings.userLabels", None), "settings.userLabels has no app"),
    Case("tagging-truth", AWS, to(CLUSTER, "tags.data-class", "public"), "data-class is 'public'"),
    Case("tagging-truth", AWS, to(CLUSTER, "tags.region", "us-west-2"), "region is 'us-west-2'"),
    Case("tagging-truth", GCP, to(RUN, "labels.environment", "dev"), "environment is 'dev'"),
    Case("tagging-snapshots", AWS, to(CLUSTER, "copyTagsToSnapshot", False), "copyTagsToSnapshot is false"),
)

WHOLE = (
    Case(
        "whole-one-writer",
        AWS,
        to(CLUSTER, "globalClusterIdentifier", None, name="main-eu-central-1-cluster"),
        "has writers in eu-central-1",
    ),
    Case(
        "whole-one-writer",
        GCP,
        to(SQL, "masterInstanceName", None, name="main-europe-west1-instance"),
        "writers in europe-west1, europe-west3",
    ),
    Case("whole-one-writer", GCP, to(SQL, "masterInstanceName", "x", name="west3-instance"), "main has no writer"),
    Case("whole-one-writer", "dev", to(POSTGRES, "origin", True), "writers in eu-central, us-east"),
    Case("whole-way-back", AWS, gone(ROUTE, "from-eu-west-1-isolated"), "cannot answer it"),
    Case("whole-way-back", AWS, gone(ROUTE), "eu-west-1 has no route to eu-central-1"),
    Case("whole-way-back", "dev", gone(LINK, "to-us-east"), "eu-central has no link to us-east"),
    Case("whole-way-back", GCP, gone(NAME, "main-europe-west1-address"), "no record main-europe-west1"),
    Case("whole-way-back", GCP, gone(NAME, "write-endpoint"), "stands for the writer of main"),
    Case("whole-entry", AWS, to(RECORD, "setIdentifier", "us-east-1", name="entry-eu-west-1"), "us-east-1"),
    Case("whole-entry", AWS, gone(TASKS, "eu-central-1-service-service"), "eu-central-1, which has no service"),
    Case(
        "whole-entry",
        GCP,
        to(BACKEND, "backends", [{"group": "projects/p/regions/us-west1/networkEndpointGroups/n"}]),
        "us-west1",
    ),
    Case("whole-entry", "dev", to(ROUTES, "serving", ["eu-central", "ap-northeast"]), "ap-northeast"),
)

CASES = (*RESILIENCE, *REPLICATION, *IDENTITY, *LIFECYCLES, *TAGS, *WHOLE)
