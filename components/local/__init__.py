"""The local target: real servers on this machine, as Pulumi dynamic resources."""
