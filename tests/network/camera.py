"""A camera at an address of its own: GStreamer's server, which binds to 127.0.0.1, and a door.

    python -m tests.network.camera ADDRESS

Prints its URL, and ends when its standard input is closed.
"""

import asyncio
import sys
from contextlib import suppress

from tests.rtsp import RtspServer, rtsp_server

_BLOCK_BYTES = 16_384
_FPS = 10


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    writer.close()


async def _serve(address: str, server: RtspServer) -> None:
    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside = await asyncio.open_connection("127.0.0.1", server.port, limit=_BLOCK_BYTES)
        await asyncio.gather(_copy(reader, inside[1]), _copy(inside[0], writer))

    door = await asyncio.start_server(enter, address, 0, limit=_BLOCK_BYTES)
    print(f"rtsp://{address}:{door.sockets[0].getsockname()[1]}/cam", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Serve until told to end."""
    with rtsp_server(fps=_FPS) as server:
        asyncio.run(_serve(sys.argv[1], server))


if __name__ == "__main__":
    main()
