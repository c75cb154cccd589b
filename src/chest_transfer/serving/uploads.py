"""Uploads over HTTP: received into bounded memory, so that slow clients cannot keep others from being answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.h11_impl import H11Protocol

MEBIBYTE = 1024 * 1024
MAX_UPLOAD_BYTES = 40 * MEBIBYTE  # of one upload; 4,288 x 3,520 pixels of 16 bits take 29 MiB
# All uploads together, those still arriving and those waiting for the model, hold at most MAX_TOTAL_BYTES. Beside it
# there may be an eighth more that growing buffers reserve, one copy of the upload that has just arrived (40 MiB), and
# what Uvicorn reads ahead (64 KiB for each connection): less than 640 MiB in all.
MAX_TOTAL_BYTES = 512 * MEBIBYTE
MAX_UPLOADS = 64  # arriving at the same time; fewer than the connections that the server accepts
TIMEOUT = 60  # seconds, both for the head of a request and for an upload to arrive


class RequestError(Exception):
    """A request that is answered with an HTTP error status and a one-line reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class _Upload:
    """One upload while it is in memory."""

    def __init__(self):
        self.content = bytearray()
        self.received = 0  # bytes, including those that were discarded
        self.held = 0  # bytes that count towards the total
        self.last_chunk = asyncio.get_running_loop().time()
        self.timeout: asyncio.Timeout | None = None
        self.dropped = False


class Uploads:
    """Receives uploads and limits the memory that they take together.

    An upload costs nothing but its connection and the bytes that have arrived so far. If there is no room for more, the
    upload that has been silent for longest is dropped: a stalled client never holds up one that is sending.
    """

    def __init__(self, max_total_bytes: int = MAX_TOTAL_BYTES, max_uploads: int = MAX_UPLOADS):
        self.held = 0  # bytes of all uploads in memory
        self._max_total_bytes, self._max_uploads = max_total_bytes, max_uploads
        self._arriving: set[_Upload] = set()

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Receive the body of a request, and count its memory until the block ends.

        Raises:
            RequestError: the upload is too large, empty, too slow, or was interrupted.
        """
        upload = _Upload()
        if len(self._arriving) >= self._max_uploads:
            self._drop_most_silent()
        try:
            yield await self._read(request, upload)
        finally:
            self._release(upload)

    async def _read(self, request: Request, upload: _Upload) -> bytes:
        self._arriving.add(upload)
        try:
            async with asyncio.timeout(TIMEOUT) as upload.timeout:
                async for chunk in request.stream():
                    self._add(upload, chunk)
                    if upload.dropped or upload.received > 8 * MAX_UPLOAD_BYTES:
                        break
        except TimeoutError:
            if not upload.dropped:
                raise RequestError(408, f"the image did not arrive within {TIMEOUT} seconds") from None
        except ClientDisconnect:
            raise RequestError(400, "the connection ended before the whole image had arrived") from None
        finally:
            self._arriving.discard(upload)
        if upload.dropped:
            raise RequestError(503, "too many images arrived at once, and this one was the slowest; send it again")
        if upload.received > MAX_UPLOAD_BYTES:
            raise RequestError(413, f"the image is larger than {MAX_UPLOAD_BYTES:,} bytes")
        if not upload.received:
            raise RequestError(400, "no image in the request; send the bytes of the file as the request body")
        content = bytes(upload.content)
        upload.content.clear()
        return content

    def _add(self, upload: _Upload, chunk: bytes) -> None:
        upload.received += len(chunk)
        upload.last_chunk = asyncio.get_running_loop().time()
        if upload.received > MAX_UPLOAD_BYTES:
            # Read on and discard: a client that is still sending would not see the error.
            self._release(upload)
            return
        while self.held + len(chunk) > self._max_total_bytes and not upload.dropped:
            self._drop_most_silent()
        if not upload.dropped:
            upload.content += chunk
            upload.held += len(chunk)
            self.held += len(chunk)

    def _drop_most_silent(self) -> None:
        upload = min(self._arriving, key=lambda arriving: arriving.last_chunk)
        self._arriving.discard(upload)
        self._release(upload)
        upload.dropped = True
        if not upload.timeout.expired():
            upload.timeout.reschedule(0)  # wakes the task that waits for its next chunk

    def _release(self, upload: _Upload) -> None:
        self.held -= upload.held
        upload.held = 0
        upload.content.clear()


class TimedProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection if the head of its next request does not arrive within `TIMEOUT`.

    Uvicorn itself waits for it without end, and every connection counts towards its limit.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._restart_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._restart_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(TIMEOUT, self._close_unless_answering)

    def _close_unless_answering(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
