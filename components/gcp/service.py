"""A region's instance of the service: the image on Cloud Run, or on a group of machines by setting."""

import pulumi

from components.component import Component
from components.contracts import ServiceArgs
from components.gcp.machines import Machines
from components.gcp.run import Run


class Service(Component):
    """Outputs: `service_id` (the service's full name, or the group manager's), `endpoint` (the region's own URL),
    `attachments`: `backend_group` (what a backend of the entry names), `service_name`, `service_account`.
    """

    service_id: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    attachments: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        assert args.topology.gcp is not None, "checked with the settings"
        adapter = Machines if args.topology.gcp.service == "instance-group" else Run
        built = adapter(self, args)
        self.service_id = built.service_id
        self.endpoint = pulumi.Output.from_input(f"https://{args.region.name}.{args.topology.entry.hostname}")
        self.attachments = {
            "backend_group": built.group,
            "service_name": built.name,
            "service_account": pulumi.Output.from_input(built.roles.email),
        }
        self.expose(service_id=self.service_id, endpoint=self.endpoint, attachments=self.attachments)
