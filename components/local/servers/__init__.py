"""The real servers of the local target: addresses, processes, PostgreSQL, Valkey, Envoy, delays. Knows no pulumi."""
