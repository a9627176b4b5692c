"""All rules, gathered from the modules beside this one that have RULES: one module to a theme."""

from importlib import import_module
from pkgutil import iter_modules

from .rule import Rule

# The one that needs pulumi-policy, and that reads RULES itself.
ADAPTER = "adapter"

RULES: tuple[Rule, ...] = tuple(
    rule
    for module in sorted(module.name for module in iter_modules(__path__) if module.name != ADAPTER)
    for rule in getattr(import_module(f".{module}", __name__), "RULES", ())
)
