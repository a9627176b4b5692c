"""What every component has in common: its type token, how it hands options to its children, its outputs."""

from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A `ComponentResource` whose children always have it as parent.

    The caller's options go to the component alone: merged into a child they would replace the child's parent and
    copy aliases onto it. Guards (protect, ignore_changes) do not all reach children by inheritance, so they are
    set on the stateful child itself.
    """

    def __init__(self, target: str, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"meridian:{target}:{type(self).__name__}", name, None, opts)
        self.name = name

    def child(
        self,
        *,
        depends_on: list[pulumi.Input[pulumi.Resource]] | None = None,
        protect: bool | None = None,
        ignore_changes: list[str] | None = None,
        additional_secret_outputs: list[str] | None = None,
    ) -> pulumi.ResourceOptions:
        """Options for one child: this component as parent, plus the guards named."""
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=depends_on,
            protect=protect,
            ignore_changes=ignore_changes,
            additional_secret_outputs=additional_secret_outputs,
        )

    def expose(self, **outputs: pulumi.Input[Any]) -> None:
        """Register the outputs: the same keys on every target."""
        self.register_outputs(outputs)
