"""Which targets exist, how far up the ladder, and which components each has. Importable without Pulumi, for those who
only plan.
"""

from topology import Phase, SettingsError, Topology

HIGHEST: dict[str, Phase] = {
    "local": Phase.ACTIVE_ACTIVE,
    "aws": Phase.ACTIVE_ACTIVE,
    "gcp": Phase.ACTIVE_ACTIVE,
}

EVERYWHERE = ("Foundation", "Keys", "Network", "Database", "Cache", "Service", "Traffic")
# The clouds' own: locally, passwords are files and `status` is what watches. See components/contracts.py.
CLOUDS = ("Secrets", "Vault", "Backup", "Signals")

COMPONENTS: dict[str, tuple[str, ...]] = {
    "local": (*EVERYWHERE, "Replication", "Keeper", "Lease", "Homes"),
    "aws": (*EVERYWHERE, *CLOUDS),
    "gcp": (*EVERYWHERE, *CLOUDS),
}


def missing(topology: Topology) -> str | None:
    """Why a topology can be planned but not built, as one sentence that names the setting; None where it can."""
    highest = HIGHEST.get(topology.target)
    if highest is None:
        return (
            f"target: {topology.target!r} can be planned but not built: its components are not built yet. "
            f"Built are: {', '.join(HIGHEST)}."
        )
    if topology.phase > highest:
        return (
            f"phase: {topology.phase.label} can be planned but not built on the target {topology.target!r} yet. "
            f"The highest that is built is {highest.label}."
        )
    return None


def require_built(topology: Topology) -> None:
    """Raises `SettingsError` for what cannot be built."""
    if (reason := missing(topology)) is not None:
        raise SettingsError((reason,))
