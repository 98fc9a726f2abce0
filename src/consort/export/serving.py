"""A server for a bundle: the Open Inference Protocol v2 over HTTP, pictures as files, and a page to try it on.

This file is part of every bundle and stands alone: `python serving.py BUNDLE` needs Python, onnxruntime (of a bundle
for PyTorch: torch), numpy, pillow, starlette and uvicorn, and no Consort. `consort serve` runs the same code.
"""

import argparse
import asyncio
import contextlib
import html
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

try:
    import numpy as np
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    from consort.cores import cores
    from consort.export.batching import Batcher, Full
    from consort.export.connections import Connection
    from consort.export.counts import Counts
    from consort.export.running import BundleError, model_of, open_session, read_image, read_manifest
    from consort.export.tensors import busy, read_request, refusal
    from consort.export.verify import files_check
except ModuleNotFoundError as e:
    if __name__ != "__main__":
        raise
    print(f"error: {e}: pip install numpy pillow starlette uvicorn, and keep the bundle's files together.",
          file=sys.stderr)
    sys.exit(2)

VERSION = "1"
PLATFORMS = {"onnxruntime": "onnxruntime_onnx", "torch": "torch_export"}
"""By runtime, as the protocol calls a model's kind."""
PAGE = Path(__file__).with_name("page.html")
BACKLOG = 2048
"""Connections that may wait to be accepted."""
SHOWN = 5
"""Classes that an answer about a picture lists, the likeliest first."""

Handler = Callable[[Request], Awaitable[Response]]
Read = TypeVar("Read")


@dataclass(frozen=True)
class Limits:
    """What one request may ask of the server. More is refused with a 4xx or, where it is busy, 503."""

    body_bytes: int = 32 * 2**20
    images: int = 256
    waiting: int = 4096
    """Images of all requests that wait together."""
    held_bytes: int = 512 * 2**20
    """Of the bodies of all requests together, until each is answered."""
    seconds: float = 30.0
    """For a request to begin, for reading it, and again for answering it."""
    connections: int = 768
    """At a time; further ones are closed. A process may usually have 1,024 files and connections."""


class Server:
    """The routes, over one session that runs what arrives together."""

    def __init__(self, bundle: Path, threads: int, largest_batch: int, limits: Limits) -> None:
        self.manifest, self.limits, self.counts = read_manifest(bundle), limits, Counts()
        check = files_check(bundle, self.manifest)
        if not check.ok:
            raise BundleError(f"{bundle} is not what was exported: {check.text}.")
        self.name, self.labels, self.rule = self.manifest["name"], self.manifest["labels"], self.manifest["input"]
        self.shape = [self.rule["height"], self.rule["width"], 3]
        session = open_session(bundle / model_of(self.manifest), threads)
        self.readers = ThreadPoolExecutor(cores())  # an image or its JSON takes up to hundreds of MiB to be read
        self.held_bytes = 0
        self.batcher = Batcher(lambda images: session.run(["probabilities", "members_asked"], {"images": images}),
                               largest_batch, most_waiting=limits.waiting, seen=self._seen)

    def app(self) -> Starlette:
        model = "/v2/models/{model}"
        routes = [("/", self.page, ["GET"]), ("/metrics", self.metrics, ["GET"]), ("/v2", self.about, ["GET"]),
                  ("/v2/health/live", self.alive, ["GET"]), ("/v2/health/ready", self.alive, ["GET"])]
        for place in (model, model + "/versions/{version}"):
            routes += [(place, self.model, ["GET"]), (place + "/ready", self.model_ready, ["GET"]),
                       (place + "/infer", self.infer, ["POST"]), (place + "/classify", self.classify, ["POST"])]
        return Starlette(routes=[Route(path, self._counted(path, handler), methods=methods)
                                 for path, handler, methods in routes],
                         lifespan=self._lifespan, exception_handlers={HTTPException: refusal})  # type: ignore[dict-item]

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.worker = asyncio.create_task(self.batcher.work())
        yield
        self.worker.cancel()

    def _counted(self, path: str, handler: Handler) -> Handler:
        async def counted(request: Request) -> Response:
            status, request.state.held_bytes = 500, 0
            try:
                self._check_model(request)
                response = await handler(request)
                status = response.status_code
            except HTTPException as e:
                response, status = refusal(request, e), e.status_code
            finally:
                self.held_bytes -= request.state.held_bytes
                self.counts.requests[path, status] += 1
            return response
        return counted

    def _check_model(self, request: Request) -> None:
        model, version = request.path_params.get("model", self.name), request.path_params.get("version", VERSION)
        if (model, version) != (self.name, VERSION):
            raise HTTPException(404, f"there is no model {model[:80]} version {version[:80]} here, only {self.name} "
                                     f"{VERSION}")

    def _seen(self, images: int, seconds: float) -> None:
        self.counts.batch.see(images)
        self.counts.passes.see(seconds)

    async def page(self, request: Request) -> Response:
        text = PAGE.read_text()
        for name, value in (("name", self.name), ("label", self.manifest["label"]),
                            ("members", str(len(self.manifest["members"])))):
            text = text.replace("{{" + name + "}}", html.escape(value))
        return HTMLResponse(text)

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(self.counts.text(self.batcher.num_waiting), media_type="text/plain; version=0.0.4")

    async def about(self, request: Request) -> Response:
        return JSONResponse({"name": "consort", "version": self.manifest["versions"]["consort"], "extensions": []})

    async def alive(self, request: Request) -> Response:
        alive = not self.worker.done()  # without it nothing is answered any more: to be started again
        return JSONResponse({"live": alive, "ready": alive}, 200 if alive else 503)

    async def model(self, request: Request) -> Response:
        platform = PLATFORMS[self.manifest["latency"]["runtime"]]
        return JSONResponse({"name": self.name, "versions": [VERSION], "platform": platform,
                             "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, *self.shape]}],
                             "outputs": [{"name": "probabilities", "datatype": "FP32",
                                          "shape": [-1, len(self.labels)]},
                                         {"name": "members_asked", "datatype": "INT32", "shape": [-1]}]})

    async def model_ready(self, request: Request) -> Response:
        return JSONResponse({"name": self.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        if "inference-header-content-length" in request.headers:
            raise HTTPException(400, "binary tensors are not read here: send JSON, or a file to /classify")
        wanted = await self._read(read_request, await self._body(request), self.shape, self.limits.images)
        probabilities, asked = await self._answer(wanted.images)
        outputs = [{"name": "probabilities", "datatype": "FP32", "shape": list(probabilities.shape),
                    "data": probabilities.ravel().tolist()},
                   {"name": "members_asked", "datatype": "INT32", "shape": list(asked.shape), "data": asked.tolist()}]
        answer = {"model_name": self.name, "model_version": VERSION,
                  "outputs": [output for output in outputs if output["name"] in wanted.outputs]}
        return JSONResponse(answer | wanted.id)

    async def classify(self, request: Request) -> Response:
        """The body is the bytes of one image file."""
        content = await self._body(request)
        try:
            image = await self._read(read_image, content, self.rule)
        except ValueError as e:
            raise HTTPException(400, f"the body is no image file: {e}. Send the bytes of one file, as `curl "
                                     "--data-binary @photo.jpg` does") from e
        probabilities, asked = await self._answer(image[None])
        best = np.argsort(-probabilities[0], kind="stable")[:SHOWN]
        return JSONResponse({"label": self.labels[best[0]], "probability": float(probabilities[0, best[0]]),
                             "members_asked": int(asked[0]), "members": len(self.manifest["members"]),
                             "classes": [{"label": self.labels[i], "probability": float(probabilities[0, i])}
                                         for i in best]})

    async def _answer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        started = time.perf_counter()
        try:
            probabilities, asked = await self.batcher.answer(images, self.limits.seconds)
        except Full as e:
            raise busy(str(e)) from e
        except TimeoutError as e:
            raise busy(f"no answer within {self.limits.seconds:g} s") from e
        self.counts.seconds.see(time.perf_counter() - started)
        for count in asked.tolist():
            self.counts.images[count] += 1
        return probabilities, asked

    async def _read(self, read: Callable[..., Read], *arguments: Any) -> Read:
        """What `read` makes of a request, in one of as many threads as there are cores."""
        reading = asyncio.get_running_loop().run_in_executor(self.readers, read, *arguments)
        try:
            return await asyncio.wait_for(reading, self.limits.seconds)
        except TimeoutError as e:
            raise busy(f"not read within {self.limits.seconds:g} s") from e

    async def _body(self, request: Request) -> bytes:
        """All of it, within the limits of size and time."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > self.limits.body_bytes:
                        raise HTTPException(413, f"a request may have {self.limits.body_bytes:,} bytes")
                    if self.held_bytes + len(part) > self.limits.held_bytes:
                        raise busy(f"requests of {self.held_bytes:,} bytes wait")
                    self.held_bytes += len(part)
                    request.state.held_bytes += len(part)
                    parts.append(part)
        except TimeoutError as e:
            raise HTTPException(408, f"the request did not arrive within {self.limits.seconds:g} s") from e
        except ClientDisconnect as e:
            raise HTTPException(400, "the request ended before its body did") from e
        return b"".join(parts)


def listening(host: str, port: int) -> socket.socket:
    """A socket at this address; raises BundleError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # who connects from now on waits, rather than being refused
    except (OSError, OverflowError) as e:
        listener.close()
        why = getattr(e, "strerror", None) or e
        raise BundleError(f"cannot listen at {host}, port {port}: {why}. Another program may have it: choose another "
                          "with --port.") from e
    return listener


def configured(server: Server) -> uvicorn.Config:
    """How uvicorn is to run it: nothing of a request is logged."""
    limits = server.limits
    return uvicorn.Config(server.app(), http=Connection, ws="none", lifespan="on", log_level="warning",
                          access_log=False, backlog=BACKLOG, limit_concurrency=limits.connections + 1,
                          timeout_keep_alive=int(limits.seconds), timeout_graceful_shutdown=int(limits.seconds) + 1)


def serve(bundle: Path, host: str, port: int, threads: int | None, largest_batch: int, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT; what was asked before is still answered."""
    server = Server(bundle, threads or cores(), largest_batch, limits)
    listener = listening(host, port)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has stopped: that is no failure
        signal.signal(number, lambda number, frame: None)
    print(f"serving {server.name} at http://{host}:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(configured(server)).run(sockets=[listener])


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve a bundle over HTTP.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).parent, help="its folder")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all of the machine's addresses")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--threads", type=int, help="of a pass; by default one per core")
    parser.add_argument("--batch", type=int, default=64, help="images of a pass")
    asked = parser.parse_args()
    try:
        serve(asked.bundle, asked.host, asked.port, asked.threads, asked.batch, Limits())
    except BundleError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
