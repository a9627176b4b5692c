"""A network's own ways to AWS's services: what goes there stays off the internet and needs no NAT gateway.

Only the account's own people and roles may take them, so that nobody carries data out with credentials of another
account (after github.com/aws-samples/data-perimeter-policy-examples).
"""

import json
from typing import Any

import pulumi_aws as aws

from components.aws.labels import labels
from components.aws.names import ARN
from components.component import Component
from components.contracts import NetworkArgs, NetworkOutputs

# These lead through route tables and cost nothing; each of the others has an address in every zone, paid by the hour.
GATEWAYS = ("s3", "dynamodb")
INTERFACES = ("ecr.api", "ecr.dkr", "kms", "logs", "secretsmanager", "sts")


class Endpoints:
    def __init__(self, owner: Component, args: NetworkArgs, network: NetworkOutputs) -> None:
        self.owner, self.args, self.network = owner, args, network
        for service in GATEWAYS:
            self.gateway(service)
        if args.region.has_service:  # before that nobody in the region calls
            for service in INTERFACES:
                self.interface(service)

    def gateway(self, service: str) -> None:
        aws.ec2.VpcEndpoint(
            f"{self.owner.name}-{service}",
            vpc_endpoint_type="Gateway",
            service_name=self.service(service),
            vpc_id=self.network.network_id,
            route_table_ids=[
                table for name, table in self.network.route_table_ids.items() if name.startswith("private-")
            ],
            policy=self.policy(service),
            tags=labels(self.args.topology, self.args.region.name, service),
            region=self.args.region.name,
            opts=self.owner.child(),
        )

    def interface(self, service: str) -> None:
        part = service.replace(".", "-")
        aws.ec2.VpcEndpoint(
            f"{self.owner.name}-{part}",
            vpc_endpoint_type="Interface",
            service_name=self.service(service),
            vpc_id=self.network.network_id,
            subnet_ids=self.network.subnet_ids["private"],
            security_group_ids=[self.network.group_ids["endpoints"]],
            private_dns_enabled=True,  # the services' usual names lead here, so nothing has to know of it
            policy=self.policy(service),
            tags=labels(self.args.topology, self.args.region.name, part),
            region=self.args.region.name,
            opts=self.owner.child(),
        )

    def service(self, service: str) -> str:
        return f"com.amazonaws.{self.args.region.name}.{service}"

    def policy(self, service: str) -> str:
        plan = self.args.topology.aws
        assert plan is not None, "checked with the settings"
        anybody: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
        own = {"StringEquals": {"aws:PrincipalAccount": plan.account_id}}
        statements = [{**anybody, "Sid": "OwnAccount", "Condition": own}]
        if service == "s3":
            # Where ECR keeps the layers of images; they are fetched with ECR's signature and not the account's
            # (docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html).
            secure = {"Bool": {"aws:SecureTransport": "true"}}
            layers = f"{ARN}:s3:::prod-{self.args.region.name}-starport-layer-bucket/*"
            statements.append(
                {**anybody, "Sid": "Layers", "Action": "s3:GetObject", "Resource": layers, "Condition": secure}
            )
        return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)
