"""Real servers on loopback that say who they are, and clients that ask them: for tests that need traffic."""

from __future__ import annotations

import asyncio
import contextlib

from lvsagent.core.table import ServerKey


class RealServers:
    """Servers that say their name, then echo until the client's end, then say goodbye."""

    def __init__(self) -> None:
        self.keys: list[ServerKey] = []
        self.open = 0
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, host: str = "127.0.0.1", port: int = 0) -> ServerKey:
        """One more; its name is ``number`` and how many there are with it."""
        name = f"number{len(self.keys) + 1}\n".encode()

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            self.open += 1
            try:
                writer.write(name)
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
                writer.write(b"bye")
                writer.close()
                await writer.wait_closed()
            except (ConnectionError, asyncio.CancelledError):
                writer.transport.abort()
            finally:
                self.open -= 1

        server = await asyncio.start_server(behave, host, port)
        self._servers.append(server)
        self.keys.append(ServerKey(host, server.sockets[0].getsockname()[1]))
        return self.keys[-1]

    async def close(self) -> None:
        """End them with their connections."""
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)


class Caller:
    """A client's connection through the VIP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self.reader = reader
        self.writer = writer
        self.name = name

    async def echo(self, data: bytes = b"ping") -> bytes:
        self.writer.write(data)
        await self.writer.drain()
        return await self.reader.readexactly(len(data))

    async def end(self) -> bytes:
        """Half-close, and hear the rest."""
        self.writer.write_eof()
        rest = await self.reader.read()
        await self.hang_up()
        return rest

    async def hang_up(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def call(host: str, port: int, source: str = "127.0.0.1") -> Caller:
    """Connect from ``source`` and hear who answers."""
    reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
    try:
        name = (await reader.readline()).decode().strip()
    except ConnectionError:
        writer.transport.abort()
        raise
    return Caller(reader, writer, name)
