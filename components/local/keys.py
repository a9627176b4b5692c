"""A region's own key and certificate, with which its gateway proves itself to the other regions."""

import pulumi

from components.component import Component
from components.contracts import KeysArgs
from components.local.resource import Props, Real, RealProvider, stack_folder
from components.local.servers import certificates


class CertificateProvider(RealProvider):
    """Signed by the stack's authority; renewed by the next `up` once it is about to run out."""

    identity = ("stack", "region")

    def ensure(self, props: Props) -> Props:
        certificates.ensure_region_certificate(stack_folder(props), str(props["region"]))
        return {}

    def is_in_place(self, props: Props) -> bool:
        return certificates.has_region_certificate(stack_folder(props), str(props["region"]))

    def remove(self, props: Props) -> None:
        certificates.remove_region_certificate(stack_folder(props), str(props["region"]))


class Certificate(Real, module="local", name="Certificate"):
    provider = CertificateProvider


class Keys(Component):
    """Outputs: `key_ids` by use; here the one use is `transit`."""

    key_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("local", name, opts)
        certificate = Certificate(
            f"{name}-transit",
            {"stack": args.topology.environment, "region": args.region.name, "ground": args.ground},
            self.child(),
        )
        self.key_ids = {"transit": certificate.id}
        self.expose(key_ids=self.key_ids)
