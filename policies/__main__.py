"""Starts the pack for the Pulumi CLI, and serves it until the CLI ends it: nothing else may import this file."""

from pulumi_policy import EnforcementLevel, PolicyPack
from rules.adapter import policies

PolicyPack(name="meridian", enforcement_level=EnforcementLevel.MANDATORY, policies=policies())
