"""How a machine with Container-Optimized OS begins to run the service.

By cloud-init, because the agent that used to start containers is not developed any more
(github.com/GoogleCloudPlatform/konlet). The system's /etc is made anew at every start, and this with it.
"""

import json
import shlex
from collections.abc import Mapping

from components.gcp.roles import ARTIFACTS
from topology import ServicePlan

NOBODY = "65532:65532"  # any number but root's; this one is what distroless images call nonroot

# The one place to write to; in memory, so that nothing outlives the container.
SCRATCH = "/tmp:size=64m,nodev,noexec,nosuid"  # noqa: S108

# SIGTERM comes when the machine goes, and a machine gets about 90 seconds (cloud.google.com/compute/docs/instances
# /deleting-instance).
STOP_SECONDS = 60

SCRIPT, UNIT = "/etc/meridian/service.sh", "meridian.service"


def cloud_config(name: str, service: ServicePlan, environment: Mapping[str, str]) -> str:
    """JSON is YAML too (yaml.org/spec/1.2.2)."""
    files = {SCRIPT: script(name, service, environment), f"/etc/systemd/system/{UNIT}": unit(name)}
    config = {
        # It holds what the service is told, which is no secret, but nobody else's either.
        "write_files": [
            {"path": path, "permissions": "0600", "owner": "root", "content": content}
            for path, content in files.items()
        ],
        "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "start", UNIT]],
    }
    return "#cloud-config\n" + json.dumps(config, sort_keys=True)


def unit(name: str) -> str:
    # /etc cannot be executed from, so a shell reads the script. The credential helper writes below HOME.
    return f"""[Unit]
Description=The service
Wants=gcr-online.target docker.socket
After=gcr-online.target docker.socket

[Service]
Environment=HOME=/run/meridian
RuntimeDirectory=meridian
ExecStartPre=-/usr/bin/docker rm --force {name}
ExecStart=/bin/bash {SCRIPT}
ExecStop=/usr/bin/docker stop --time {STOP_SECONDS} {name}
TimeoutStopSec={STOP_SECONDS + 15}
Restart=always
RestartSec=5
"""


def script(name: str, service: ServicePlan, environment: Mapping[str, str]) -> str:
    """The host's own firewall lets in SSH alone (cloud.google.com/container-optimized-os/docs/how-to/firewall)."""
    port = ["--protocol", "tcp", "--dport", str(service.port), "--jump", "ACCEPT"]
    allowed, allow = (shlex.join(["iptables", "--wait", how, "INPUT", *port]) for how in ("--check", "--append"))
    artifacts = ARTIFACTS.match(service.image)
    signs_in = [f"docker-credential-gcr configure-docker --registries={artifacts['host']}"] if artifacts else []
    run = [
        *("docker", "run", "--name", name, "--rm", "--init"),
        # The container's ports are the machine's, and so is its way to the metadata server.
        *("--network", "host", "--user", NOBODY, "--read-only", "--tmpfs", SCRATCH),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--memory", f"{service.memory_mib}m"),
        *(part for key in sorted(environment) for part in ("--env", f"{key}={environment[key]}")),
        service.image,
    ]
    return "\n".join(["set -eu", f"{allowed} || {allow}", *signs_in, f"exec {shlex.join(run)}", ""])
