"""The sample regional order service."""

VERSION = "0.1.0"
