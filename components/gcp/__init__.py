"""The components on Google Cloud: pulumi-gcp 10, one provider, one global network."""
