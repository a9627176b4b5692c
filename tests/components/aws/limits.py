"""Limits that cfn-lint's schemas do not know, as JSON schemas over Pulumi's own argument names, and traps that AWS
accepts without a word. Each row names its source in `$comment`; an API's word is that of botocore 1.44.5.
"""

from __future__ import annotations

from typing import Any

_ELB_NAME = {
    "pattern": "^(?!internal-)[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?$",
    "$comment": "pulumi_aws.lb: at most 32 letters, digits, hyphens; ELB API: not internal-",
}
_CACHE_NAME = {
    "pattern": "^[a-z](?:-?[a-z0-9]){0,39}$",
    "$comment": "ElastiCache API: 1 to 40 letters, digits, single hyphens; stored in lower case",
}
_GROUP_NAME = {
    "pattern": "^[a-z](?:-?[a-z0-9]){0,254}$",
    "$comment": "RDS API: DBParameterGroupName; stored in lower case",
}
_MONITORING = {"enum": [0, 1, 5, 10, 15, 30, 60], "$comment": "RDS API: MonitoringInterval"}
_INSIGHTS = {
    "enum": [7, *(31 * month for month in range(1, 24)), 731],
    "$comment": "pulumi_aws.rds.Cluster: 7, month * 31, 731",
}
_CAPACITY = {"minimum": 0, "maximum": 256, "multipleOf": 0.5, "$comment": "pulumi_aws.rds: 0 to 256 in steps of 0.5"}
_CRON = {"pattern": r"^(cron\(\S+( \S+){5}\)|rate\(\d+ \w+\))$", "$comment": "EventBridge: six fields"}
_LIFECYCLE = {
    "properties": {
        "coldStorageAfter": {"minimum": 1},
        "deleteAfter": {"minimum": 1},
    },
    "atLeast": {"deleteAfter": ("coldStorageAfter", 90)},
    "$comment": "Backup API: Lifecycle",
}
_KEY = {
    "pattern": "^arn:",
    "$comment": "pulumi_aws: the key's ARN; it is what AWS answers, an id would differ for ever",
}
_TIMES = r"\d\d:\d\d"
_POLICIES = (
    "failoverRoutingPolicies",
    "geolocationRoutingPolicies",
    "latencyRoutingPolicies",
    "weightedRoutingPolicies",
)

LIMITS: dict[str, dict[str, Any]] = {
    "aws:backup/plan:Plan": {
        "properties": {
            "name": {"pattern": "^[A-Za-z0-9_.-]{1,50}$", "$comment": "Backup API: BackupPlanName"},
            "rules": {
                "items": {
                    "properties": {
                        "schedule": _CRON,
                        "startWindow": {"minimum": 60, "$comment": "Backup API: at least 60 minutes"},
                        "ruleName": {"pattern": "^[A-Za-z0-9_.-]{1,50}$", "$comment": "Backup API: RuleName"},
                        "lifecycle": _LIFECYCLE,
                        "copyActions": {"items": {"properties": {"lifecycle": _LIFECYCLE}}},
                    }
                }
            },
        }
    },
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": {
        "properties": {
            "changeableForDays": {"minimum": 3, "maximum": 36500},
            "minRetentionDays": {"minimum": 1, "maximum": 36500},
            "maxRetentionDays": {"minimum": 1, "maximum": 36500},
        },
        "atLeast": {"maxRetentionDays": ("minRetentionDays", 0)},
        "$comment": "Backup API: PutBackupVaultLockConfiguration",
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "properties": {
            "extendedStatistic": {"pattern": r"^((p|tm|tc|ts|wm)\d{1,2}(\.\d+)?|p100|IQM|(PR|TC|TM|TS|WM)\(.+\))$"},
            "evaluateLowSampleCountPercentiles": {"enum": ["evaluate", "ignore"]},
        },
        "$comment": "CloudWatch API: PutMetricAlarm",
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "properties": {
            "replicationGroupId": _CACHE_NAME,
            "kmsKeyId": _KEY,
            "authToken": {"minLength": 16, "maxLength": 128, "$comment": "ElastiCache API: AuthToken"},
            "snapshotWindow": {"pattern": f"^{_TIMES}-{_TIMES}$", "$comment": "ElastiCache API"},
        }
    },
    "aws:elasticache/serverlessCache:ServerlessCache": {
        "properties": {
            "name": _CACHE_NAME,
            "kmsKeyId": _KEY,
            "snapshotRetentionLimit": {"minimum": 0, "maximum": 35, "$comment": "ElastiCache API"},
        }
    },
    "aws:elasticache/subnetGroup:SubnetGroup": {
        "properties": {"name": {"maxLength": 255, "$comment": "ElastiCache API: CacheSubnetGroupName"}}
    },
    "aws:globalaccelerator/endpointGroup:EndpointGroup": {
        "required": ["endpointGroupRegion"],
        "properties": {
            "healthCheckIntervalSeconds": {"enum": [10, 30]},
            "endpointConfigurations": {
                "items": {
                    "required": ["weight", "clientIpPreservationEnabled"],
                    "$comment": "terraform-provider-aws expandEndpointConfiguration: left out, 0 and false are sent",
                }
            },
        },
        "$comment": "pulumi_aws.globalaccelerator: 10 or 30; without a region it is the provider's, for ever",
    },
    "aws:lb/listener:Listener": {
        "if": {"properties": {"protocol": {"enum": ["HTTPS", "TLS"]}}, "required": ["protocol"]},
        "then": {"required": ["certificateArn"]},
        "properties": {"sslPolicy": {"pattern": "^ELBSecurityPolicy-", "$comment": "ELB: predefined policies"}},
        "$comment": "ELB API: CreateListener",
    },
    "aws:lb/loadBalancer:LoadBalancer": {
        "properties": {"name": _ELB_NAME, "idleTimeout": {"minimum": 1, "maximum": 4000, "$comment": "ELB API"}}
    },
    "aws:lb/targetGroup:TargetGroup": {
        "properties": {
            "name": _ELB_NAME,
            "deregistrationDelay": {"minimum": 0, "maximum": 3600},
            "slowStart": {"anyOf": [{"const": 0}, {"minimum": 30, "maximum": 900}]},
        },
        "$comment": "pulumi_aws.lb.TargetGroup",
    },
    "aws:rds/cluster:Cluster": {
        "properties": {
            "kmsKeyId": _KEY,
            "monitoringInterval": _MONITORING,
            "performanceInsightsRetentionPeriod": _INSIGHTS,
            "preferredBackupWindow": {"pattern": f"^{_TIMES}-{_TIMES}$", "$comment": "RDS API"},
            "preferredMaintenanceWindow": {
                "pattern": f"^(?i:[a-z]{{3}}:{_TIMES}-[a-z]{{3}}:{_TIMES})$",
                "$comment": "RDS API",
            },
            "serverlessv2ScalingConfiguration": {
                "properties": {
                    "minCapacity": _CAPACITY,
                    "maxCapacity": {**_CAPACITY, "minimum": 1},
                    "secondsUntilAutoPause": {"minimum": 300, "maximum": 86400, "$comment": "pulumi_aws.rds"},
                },
                "atLeast": {"maxCapacity": ("minCapacity", 0)},
                "$comment": "pulumi_aws.rds",
            },
        }
    },
    "aws:rds/clusterInstance:ClusterInstance": {
        "properties": {
            "monitoringInterval": _MONITORING,
            "performanceInsightsKmsKeyId": _KEY,
            "performanceInsightsRetentionPeriod": _INSIGHTS,
        }
    },
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": {"properties": {"name": _GROUP_NAME}},
    "aws:rds/parameterGroup:ParameterGroup": {"properties": {"name": _GROUP_NAME}},
    "aws:rds/subnetGroup:SubnetGroup": {
        "properties": {"name": {"pattern": "^[a-z][a-z0-9 ._-]{0,254}$", "$comment": "RDS API: DBSubnetGroupName"}}
    },
    "aws:route53/healthCheck:HealthCheck": {
        "properties": {
            "requestInterval": {"enum": [10, 30], "$comment": "Route 53 API: RequestInterval"},
            "disabled": {
                "const": False,
                "$comment": "Route 53: a disabled check counts as healthy; use invertHealthcheck",
            },
        }
    },
    "aws:route53/record:Record": {
        "allOf": [
            {
                "if": {"properties": {"type": {"const": type_}}},
                "then": {"properties": {"records": records}},
                "$comment": "Route 53: ResourceRecord",
            }
            for type_, records in (
                ("A", {"items": {"format": "ipv4"}}),
                ("AAAA", {"items": {"format": "ipv6"}}),
                ("CNAME", {"maxItems": 1}),
            )
        ]
        + [
            {
                "if": {"required": [policy]},
                "then": {"required": ["setIdentifier"]},
                "dependentExcluded": {policy: [other for other in _POLICIES if other != policy]},
                "$comment": "pulumi_aws.route53.Record",
            }
            for policy in _POLICIES
        ],
    },
    "aws:secretsmanager/secret:Secret": {
        "properties": {
            "recoveryWindowInDays": {"anyOf": [{"const": 0}, {"minimum": 7, "maximum": 30}]},
            "name": {"pattern": "^[A-Za-z0-9/_+=.@-]{1,512}$"},
        },
        "$comment": "pulumi_aws.secretsmanager.Secret",
    },
    "aws:ec2/securityGroup:SecurityGroup": {
        "properties": {"name": {"pattern": "^(?!sg-).{1,255}$", "$comment": "EC2 API: GroupName"}}
    },
    "aws:sns/topic:Topic": {
        "properties": {"name": {"pattern": r"^[A-Za-z0-9_-]{1,256}(\.fifo)?$", "$comment": "SNS API: Name"}}
    },
    "aws:wafv2/webAcl:WebAcl": {
        "properties": {
            "scope": {"enum": ["REGIONAL", "CLOUDFRONT"]},
            "rules": {
                "items": {
                    "properties": {
                        "statement": {
                            "properties": {
                                "rateBasedStatement": {
                                    "properties": {
                                        "limit": {"minimum": 10, "maximum": 2000000000},
                                        "evaluationWindowSec": {"enum": [60, 120, 300, 600]},
                                        "aggregateKeyType": {"enum": ["CONSTANT", "CUSTOM_KEYS", "FORWARDED_IP", "IP"]},
                                    }
                                }
                            }
                        }
                    }
                }
            },
        },
        "$comment": "WAFV2 API: RateBasedStatement",
    },
}
