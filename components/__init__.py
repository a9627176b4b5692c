"""The components that build a topology, one folder a target, all with the same files, classes and contracts."""
