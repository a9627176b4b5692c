"""The same values as CloudFormation would have them, held against the schemas that cfn-lint ships.

Arguments find their property by name; TWINS (cloudformation.py) and RENAMED below list the others. What finds none is
not looked at here, and neither is what is required: the SDK's own signature knows both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from engine.values import UNKNOWN
from tests.components.aws.cloudformation import TWINS, schema, twin
from tests.components.aws.schemas import faults, is_type, shipped
from tests.components.fault import Fault, Path

# Where CloudFormation keeps all properties inside one.
INSIDE = {
    "backup.Plan": "BackupPlan",
    "backup.Selection": "BackupSelection",
    "route53.HealthCheck": "HealthCheckConfig",
}

# An argument with dots comes out of a block that CloudFormation does not have; a plain one counts at every depth.
RENAMED: dict[str, dict[str, str]] = {
    "appautoscaling.Policy": {"metricType": "PredefinedMetricType"},
    "backup.Plan": {
        "coldStorageAfter": "MoveToColdStorageAfterDays",
        "completionWindow": "CompletionWindowMinutes",
        "deleteAfter": "DeleteAfterDays",
        "rules": "BackupPlan/BackupPlanRule",
        "startWindow": "StartWindowMinutes",
    },
    "cloudwatch.MetricAlarm": {"metricQueries": "Metrics"},
    "ecs.Cluster": {"settings": "ClusterSettings"},
    "ecs.Service": {
        "deploymentCircuitBreaker": "DeploymentConfiguration/DeploymentCircuitBreaker",
        "deploymentMaximumPercent": "DeploymentConfiguration/MaximumPercent",
        "deploymentMinimumHealthyPercent": "DeploymentConfiguration/MinimumHealthyPercent",
    },
    "elasticache.ReplicationGroup": {
        "description": "ReplicationGroupDescription",
        "nodeType": "CacheNodeType",
    },
    "kms.Key": {"deletionWindowInDays": "PendingWindowInDays"},
    "lb.LoadBalancer": {"internal": ""},  # a flag, where CloudFormation has a word
    "lb.TargetGroup": {
        "healthCheck.healthyThreshold": "HealthyThresholdCount",
        "healthCheck.interval": "HealthCheckIntervalSeconds",
        "healthCheck.path": "HealthCheckPath",
        "healthCheck.protocol": "HealthCheckProtocol",
        "healthCheck.timeout": "HealthCheckTimeoutSeconds",
        "healthCheck.unhealthyThreshold": "UnhealthyThresholdCount",
    },
    "rds.Cluster": {"enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports"},
    "rds.ClusterInstance": {
        "instanceClass": "DBInstanceClass",
        "performanceInsightsEnabled": "EnablePerformanceInsights",
    },
    "route53.HealthCheck": {
        "childHealthThreshold": "HealthCheckConfig/HealthThreshold",
        "cloudwatchAlarmName": "HealthCheckConfig/AlarmIdentifier/Name",
        "cloudwatchAlarmRegion": "HealthCheckConfig/AlarmIdentifier/Region",
        "fqdn": "HealthCheckConfig/FullyQualifiedDomainName",
        "tags": "HealthCheckTags",
    },
    "route53.Record": {
        "aliases": "AliasTarget",
        "geolocationRoutingPolicies.continent": "GeoLocation/ContinentCode",
        "geolocationRoutingPolicies.country": "GeoLocation/CountryCode",
        "latencyRoutingPolicies.region": "Region",
        "records": "ResourceRecords",
        "weightedRoutingPolicies.weight": "Weight",
    },
}

# cfn-lint's further schemas: the file, and the place in the resource that it speaks of (`*` is every item). Those that
# list values by region are told apart by their keys.
EXTENSIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "cloudwatch.MetricAlarm": {"aws_cloudwatch_alarm/period": ()},
    "ecs.Service": {"aws_ecs_service/fargate": ()},
    "ecs.TaskDefinition": {
        "aws_ecs_taskdefinition/containerdefinitions_essential": ("ContainerDefinitions",),
        "aws_ecs_taskdefinition/fargate_cpu_memory": (),
        "aws_ecs_taskdefinition/fargate_properties": (),
        "aws_ecs_taskdefinition/logging_configuration": ("ContainerDefinitions", "*", "LogConfiguration"),
    },
    "elasticache.ReplicationGroup": {
        "aws_elasticache_cachecluster/cachenodetype_enum": ("CacheNodeType",),
        "aws_elasticache_cachecluster/engine_version": (),
        "aws_elasticache_replicationgroup/transitencryptionenabled_valkey": (),
    },
    "lb.LoadBalancer": {"aws_elasticloadbalancingv2_loadbalancer/application_subnets": ()},
    "lb.TargetGroup": {
        "aws_elasticloadbalancingv2_targetgroup/healthcheckprotocol_restrictions": (),
        "aws_elasticloadbalancingv2_targetgroup/targettype_restrictions": (),
    },
    "rds.Cluster": {
        "aws_rds_dbcluster/aurora": (),
        "aws_rds_dbcluster/engine_version": (),
        "aws_rds_dbcluster/engine_version_deprecated": (),
        "aws_rds_dbcluster/monitoring": (),
        "aws_rds_dbcluster/serverless_exclusive": (),
        "aws_rds_dbcluster/snapshotidentifier": (),
    },
    "rds.ClusterInstance": {
        "aws_rds_dbinstance/db_instance_class": (),
        "aws_rds_dbinstance/dbinstanceclass_enum": (),
        "aws_rds_dbinstance/engine_version": (),
        "aws_rds_dbinstance/engine_version_deprecated": (),
    },
    "rds.GlobalCluster": {
        "aws_rds_dbcluster/engine_version": (),
        "aws_rds_dbcluster/engine_version_deprecated": (),
    },
    "route53.HealthCheck": {"aws_route53_healthcheck/healthcheckconfig_type_inclusive": ("HealthCheckConfig",)},
    "route53.Record": {"aws_route53_recordset/recordset_alias": ()},
}


def short(token: str) -> str:
    """`aws:rds/cluster:Cluster` as `rds.Cluster`."""
    _, place, name = token.split(":")
    return f"{place.split('/')[0]}.{name}"


@cache
def regions() -> frozenset[str]:
    return frozenset(path.stem for path in (shipped() / "schemas" / "providers").glob("*-*.json"))


def value_faults(token: str, inputs: Mapping[str, Any], region: str) -> Iterator[Fault]:
    """Every value that the twin's schema, or cfn-lint beside it, does not allow in this region."""
    name = short(token)
    if name not in TWINS:
        return
    root = schema(TWINS[name][0])
    translation = _Translation(name, root)
    translated = translation.resource(inputs)
    for fault in faults(translated, root, source=f"cfn-lint: {TWINS[name][0]}", partial=True):
        yield translation.back(fault)
    for file, place in EXTENSIONS.get(name, {}).items():
        rule = _extension(file)
        if "us-east-1" in rule:
            rule = rule.get(region, {})
        for path, value in _at(translated, place):
            for fault in faults(value, rule, source=f"cfn-lint: {file}"):
                yield translation.back(fault, path)


@cache
def _extension(file: str) -> dict[str, Any]:
    return json.loads((shipped() / "schemas" / "extensions" / f"{file}.json").read_text(encoding="utf-8"))


@cache
def _property(name: str, argument: str) -> str | None:
    """The path of an argument's property; its first step only counts below the resource itself."""
    type_, twins = TWINS[name]
    found = RENAMED.get(name, {}).get(argument) or twin(type_, twins, argument)
    if found is None and name in INSIDE:
        inner = _resolved(schema(type_)["properties"][INSIDE[name]], schema(type_))
        below = _spelt(argument, tuple(inner.get("properties", ())))
        found = below and f"{INSIDE[name]}/{below}"
    return found


@cache
def _spelt(argument: str, names: tuple[str, ...]) -> str | None:
    """CloudFormation writes some abbreviations in capitals and some lists in the singular."""
    known = {name.lower(): name for name in names}
    spellings = (argument.lower(), argument.lower().removesuffix("s"), f"{argument.lower()}s")
    return next((known[spelling] for spelling in spellings if spelling in known), None)


def _resolved(rule: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    while isinstance(rule, dict) and "$ref" in rule:
        found: Any = root
        for step in rule["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        rule = found
    return rule if isinstance(rule, dict) else {}


class _Translation:
    """One resource on its way to CloudFormation's names, and back again for the report."""

    def __init__(self, name: str, root: Mapping[str, Any]) -> None:
        self._name, self._root = name, root
        self._origins: dict[Path, Path] = {}

    def resource(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        renamed = RENAMED.get(self._name, {})
        for argument, value in inputs.items():
            if argument == "region" or renamed.get(argument) == "":
                continue
            inner = {key: path for key, path in renamed.items() if key.startswith(f"{argument}.")}
            block = value[0] if isinstance(value, list) and len(value) == 1 else value
            for key, target in inner.items():
                name = key.partition(".")[2]
                if isinstance(block, dict) and name in block:
                    self._put(result, target, block[name], (argument, name))
            if not inner and (path := _property(self._name, argument)) is not None:
                self._put(result, path, value, (argument,))
        return result

    def _put(self, result: dict[str, Any], target: str, value: Any, origin: Path) -> None:
        steps = tuple(target.split("/"))
        rule: dict[str, Any] = dict(self._root)
        for step in steps:
            rule = _resolved(rule.get("properties", {}).get(step, {}), self._root)
        translated = self._value(value, rule, steps, origin)
        if translated is not None:
            for step in steps[:-1]:
                result = result.setdefault(step, {})
            result[steps[-1]] = translated

    def _value(self, value: Any, rule: dict[str, Any], path: Path, origin: Path) -> Any:
        """The value in the form of the rule; None for one that CloudFormation has in a form of its own."""
        self._origins[path] = origin
        kind = rule.get("type")
        if value is UNKNOWN or not kind:
            return value
        items = _resolved(rule.get("items", {}), self._root)
        if isinstance(value, str) and kind == "array" and value.startswith("["):
            value = json.loads(value)
        if kind == "array" and isinstance(value, dict):
            pair = _pair(items)
            value = [{pair[0]: key, pair[1]: item} for key, item in value.items()] if pair else [value]
        elif kind == "object" and isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        if isinstance(value, list) and kind == "array":
            done = [self._value(item, items, (*path, i), (*origin, i)) for i, item in enumerate(value)]
            return [item for item in done if item is not None]
        if isinstance(value, dict) and kind == "object":
            return self._object(value, rule, path, origin)
        return _scalar(value, kind)

    def _object(self, value: dict[str, Any], rule: dict[str, Any], path: Path, origin: Path) -> dict[str, Any]:
        members = rule.get("properties")
        if not members:
            return value
        result: dict[str, Any] = {}
        for key, item in value.items():
            wanted = RENAMED.get(self._name, {}).get(key, key)
            name = _spelt(wanted, tuple(members))
            if name is not None:
                inner = self._value(item, _resolved(members[name], self._root), (*path, name), (*origin, key))
                if inner is not None:
                    result[name] = inner
        return result

    def back(self, fault: Fault, place: Path = ()) -> Fault:
        path = (*place, *fault.path)
        for length in range(len(path), 0, -1):
            if path[:length] in self._origins:
                origin = (*self._origins[path[:length]], *path[length:])
                break
        else:
            origin = path
        return Fault(path=origin, value=fault.value, allowed=fault.allowed, source=fault.source, missing=fault.missing)


def _pair(items: dict[str, Any]) -> tuple[str, str] | None:
    """The names of an item's key and value where a list stands for a map."""
    members = set(items.get("properties", ()))
    return next((pair for pair in (("Key", "Value"), ("Name", "Value")) if set(pair) <= members), None)


def _scalar(value: Any, kind: str | list[str]) -> Any:
    if is_type(value, kind):
        return value
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind in ("integer", "number") and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    return None


def _at(value: Any, place: tuple[str, ...], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if not place:
        yield path, value
    elif place[0] == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _at(item, place[1:], (*path, index))
    elif isinstance(value, dict) and place[0] in value:
        yield from _at(value[place[0]], place[1:], (*path, place[0]))
