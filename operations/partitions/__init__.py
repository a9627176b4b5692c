"""Homes moved between partitions."""
