"""Logs as one JSON object a line on standard output."""

import json
import logging
import sys
import time
from typing import Any

FIELDS = "fields"


class Lines(logging.Formatter):
    def __init__(self, region: str) -> None:
        super().__init__()
        self._region = region

    def format(self, record: logging.LogRecord) -> str:
        seconds, fraction = divmod(record.created, 1)
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(fraction * 1000):03d}Z",
            "level": record.levelname.lower(),
            "region": self._region,
            "message": record.getMessage(),
        }
        line.update(getattr(record, FIELDS, {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


def start(region: str) -> None:
    logging.raiseExceptions = False  # a full disk under the log must not take the service down
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Lines(region))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("uvicorn", "psycopg", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
