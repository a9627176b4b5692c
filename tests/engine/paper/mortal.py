"""Runs the engine in children that kill themselves, for test_resume.py; forked, because imports and keys take a second.

A process of its own, because the tests' process may have had gRPC threads, and gRPC does not survive a fork then.
Reads a job a line, and answers with the child's wait status.
"""

import json
import os
import sys
from pathlib import Path

import engine
import engine.monitor
import engine.secrets


def work(job: dict[str, str]) -> None:
    os.environ.update(PAPER_CLOUD=job["cloud"], PAPER_KILL=job["moment"])
    program = engine.Program(project="toy", stack="dev", folder=Path(job["folder"]))
    file = engine.StateFile(Path(job["state"]), job["passphrase"])
    if job["what"] == "up":
        engine.up(program, file)
    else:
        engine.destroy(program, file)


salt, passphrase = sys.argv[1:]
engine.secrets._cipher(passphrase, salt.encode())
engine.secrets.fresh_salt = lambda: salt.encode()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(json.loads(line))
            status = 0
        finally:
            os._exit(status)
    print(os.waitpid(child, 0)[1], flush=True)
