"""An HTTP client for calls that overlap: as many keep-alive connections as it takes."""

import asyncio
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 10


@dataclass
class Reply:
    """Whether there was a result, and the reply's header fields, names in lower case."""

    ok: bool = False
    fields: dict = field(default_factory=dict)


class Client:
    def __init__(self, address, fields=()):
        """`fields` are further lines of each request's head."""
        self.host, self.port = address.rsplit(":", 1)
        lines = [f"host: {address}", "content-type: application/json", *fields]
        self.head = "POST / HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines)
        self.idle = []

    async def call(self, body):
        """One call. What goes wrong is a reply that is not ok."""
        request = f"{self.head}content-length: {len(body)}\r\n\r\n{body}".encode()
        return await self.exchange(request, b'"result"')

    async def get(self, target, fields=None):
        """One GET of Jupiter's API, ok if it is answered with a quote."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (fields or {}).items())
        head = f"GET {target} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n{lines}\r\n"
        return await self.exchange(head.encode(), b'"outAmount"')

    async def exchange(self, request, holds):
        """A reply is ok if its status is 200 and its body holds these bytes."""
        reply = Reply()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                connection = await self.connection()
                reader, writer = connection
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                lines = head.split("\r\n")
                reply.fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
                answer = await reader.readexactly(int(reply.fields["content-length"]))
                reply.ok = " 200 " in lines[0] and holds in answer
                self.idle.append(connection)
        except (OSError, EOFError, KeyError, TimeoutError):
            pass
        return reply

    async def connection(self):
        if self.idle:
            return self.idle.pop()
        return await asyncio.open_connection(self.host, self.port)

    def close(self):
        for _, writer in self.idle:
            writer.close()
