"""Whether a region's own service and gateway answer, asked by the keeper beside them."""

import asyncio
import contextlib

SECONDS = 1.0


async def service_is_ready(place: list[object] | None) -> bool:
    """Whether it says so itself. A degraded one is ready too: it answers reads."""
    if place is None:
        return False
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(str(place[0]), int(str(place[1])))
            try:
                writer.write(f"GET /healthz/ready HTTP/1.1\r\nHost: {place[0]}\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.transport.abort()
    return False


async def gateway_is_up(place: list[object] | None) -> bool:
    """Whether somebody listens there: what it answers is the service's business."""
    if place is None:
        return False
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(str(place[0]), int(str(place[1])))
            writer.transport.abort()
            return True
    return False
