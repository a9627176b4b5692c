"""The components on AWS: pulumi-aws 7, one provider, `region=` on every regional resource."""
