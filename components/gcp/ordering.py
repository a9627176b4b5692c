"""Outputs that are given out only once something else exists."""

from collections.abc import Awaitable
from typing import cast

import pulumi


def after(value: pulumi.Input[str], *made: pulumi.Resource) -> pulumi.Output[str]:
    """The value, for whoever must also wait for other resources.

    Not `Output.all`, whose result is unknown in a preview while any part of it is: a grant or a route that comes years
    later would make the id of a key or a network unknown there, and a preview counts that as a change. Where a change
    of it replaces, the preview would announce that the database is replaced.
    """
    output = pulumi.Output.from_input(value)

    async def resources() -> set[pulumi.Resource]:
        return await output.resources() | set(made)

    # `future` is None in a preview where the value is unknown, which `is_known` tells.
    return pulumi.Output(resources(), cast(Awaitable[str], output.future()), output.is_known(), output.is_secret())
