"""A server for a bundle: the Open Inference Protocol v2 over HTTP, pictures as files, and a page to try it on.

This file is part of every bundle and stands alone: `python serving.py BUNDLE` needs Python, onnxruntime (of a bundle
for PyTorch: torch), numpy, pillow, starlette and uvicorn, and no Consort. `consort serve` runs the same code.
"""

import argparse
import asyncio
import contextlib
import html
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from consort.cores import cores
from consort.export.batching import Batcher, Full
from consort.export.counts import Counts
from consort.export.running import BundleError, open_session, read_image, read_manifest
from consort.export.verify import files_check

VERSION = "1"
PLATFORMS = {"onnxruntime": "onnxruntime_onnx", "torch": "torch_export"}
"""By runtime, as the protocol calls a model's kind."""
PAGE = Path(__file__).with_name("page.html")
BACKLOG = 2048
"""Connections that may wait to be accepted."""
SHOWN = 5
"""Classes that an answer about a picture lists, the likeliest first."""

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """What one request may ask of the server. More is refused with a 4xx or, where it is busy, 503."""

    body_bytes: int = 32 * 2**20
    images: int = 256
    waiting: int = 4096
    """Images of all requests that wait together."""
    seconds: float = 30.0
    """For reading a request, and again for answering it."""


class Server:
    """The routes, over one session that runs what arrives together."""

    def __init__(self, bundle: Path, threads: int, largest_batch: int, limits: Limits) -> None:
        self.manifest, self.limits, self.counts = read_manifest(bundle), limits, Counts()
        check = files_check(bundle, self.manifest)
        if not check.ok:
            raise BundleError(f"{bundle} is not what was exported: {check.text}.")
        self.name, self.labels, self.rule = self.manifest["name"], self.manifest["labels"], self.manifest["input"]
        self.shape = [self.rule["height"], self.rule["width"], 3]
        session = open_session(bundle, threads)
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
        worker = asyncio.create_task(self.batcher.work())
        yield
        worker.cancel()

    def _counted(self, path: str, handler: Handler) -> Handler:
        async def counted(request: Request) -> Response:
            try:
                self._check_model(request)
                response = await handler(request)
            except HTTPException as e:
                response = refusal(request, e)
            self.counts.requests[path, response.status_code] += 1
            return response
        return counted

    def _check_model(self, request: Request) -> None:
        model, version = request.path_params.get("model", self.name), request.path_params.get("version", VERSION)
        if (model, version) != (self.name, VERSION):
            raise HTTPException(404, f"there is no model {model} version {version} here, only {self.name} {VERSION}")

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
        return JSONResponse({"live": True, "ready": True})

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
        body = await asyncio.to_thread(read_body, await self._body(request))
        images = await asyncio.to_thread(self.read_tensor, body)
        probabilities, asked = await self._answer(images)
        outputs = [{"name": "probabilities", "datatype": "FP32", "shape": list(probabilities.shape),
                    "data": probabilities.ravel().tolist()},
                   {"name": "members_asked", "datatype": "INT32", "shape": list(asked.shape), "data": asked.tolist()}]
        wanted = wanted_outputs(body, [output["name"] for output in outputs])
        answer = {"model_name": self.name, "model_version": VERSION,
                  "outputs": [output for output in outputs if output["name"] in wanted]}
        return JSONResponse(answer | ({"id": body["id"]} if "id" in body else {}))

    async def classify(self, request: Request) -> Response:
        """The body is the bytes of one image file."""
        content = await self._body(request)
        try:
            image = await asyncio.to_thread(read_image, content, self.rule)
        except ValueError as e:
            raise HTTPException(400, f"the body is no image file: {e}") from e
        probabilities, asked = await self._answer(image[None])
        best = np.argsort(-probabilities[0], kind="stable")[:SHOWN]
        return JSONResponse({"label": self.labels[best[0]], "probability": float(probabilities[0, best[0]]),
                             "members_asked": int(asked[0]), "members": len(self.manifest["members"]),
                             "classes": [{"label": self.labels[i], "probability": float(probabilities[0, i])}
                                         for i in best]})

    def read_tensor(self, body: dict[str, Any]) -> np.ndarray:
        """uint8 [n, height, width, 3] of the request's only input."""
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
            raise HTTPException(400, "inputs must be a list of one tensor, named images")
        tensor = inputs[0]
        if tensor.get("name") != "images" or tensor.get("datatype") != "UINT8":
            raise HTTPException(400, f"the input must be images of datatype UINT8, got {str(tensor.get('name'))[:40]} "
                                     f"of {str(tensor.get('datatype'))[:40]}")
        shape = tensor.get("shape")
        if not isinstance(shape, list) or shape[1:] != self.shape or type(shape[0]) is not int or shape[0] < 1:
            raise HTTPException(400, f"shape must be [N, {', '.join(map(str, self.shape))}] with N of 1 or more, got "
                                     f"{str(shape)[:80]}")
        if shape[0] > self.limits.images:
            raise HTTPException(413, f"a request may have {self.limits.images} images, got {shape[0]}")
        return pixels_of(tensor.get("data"), shape)

    async def _answer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        started = time.perf_counter()
        try:
            probabilities, asked = await self.batcher.answer(images, self.limits.seconds)
        except Full as e:
            raise HTTPException(503, f"busy: {e}; try again", headers={"Retry-After": "1"}) from e
        except TimeoutError as e:
            raise HTTPException(503, f"busy: no answer within {self.limits.seconds:g} s; try again",
                                headers={"Retry-After": "1"}) from e
        self.counts.seconds.see(time.perf_counter() - started)
        for count in asked.tolist():
            self.counts.images[count] += 1
        return probabilities, asked

    async def _body(self, request: Request) -> bytes:
        """All of it, within the limits of size and time."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > self.limits.body_bytes:
                        raise HTTPException(413, f"a request may have {self.limits.body_bytes:,} bytes")
                    parts.append(part)
        except TimeoutError as e:
            raise HTTPException(408, f"the request did not arrive within {self.limits.seconds:g} s") from e
        except ClientDisconnect as e:
            raise HTTPException(400, "the request ended before its body did") from e
        return b"".join(parts)


def refusal(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def read_body(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise HTTPException(400, f"the body must be JSON: {str(e)[:200]}") from e
    if not isinstance(values, dict):
        raise HTTPException(400, "the body must be a JSON object with inputs")
    return values


def pixels_of(data: Any, shape: list[int]) -> np.ndarray:
    """uint8 of this shape, from nested lists or one flat list of whole numbers of 0 to 255."""
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError) as e:
        raise HTTPException(400, f"data must be numbers in lists of equal lengths: {e}") from e
    if values.dtype.kind not in "iu" or values.size != np.prod(shape):
        raise HTTPException(400, f"data must be {int(np.prod(shape))} whole numbers of 0 to 255")
    if values.min() < 0 or values.max() > 255:
        raise HTTPException(400, f"data must be of 0 to 255, got {values.min()} to {values.max()}")
    return values.astype(np.uint8).reshape(shape)


def wanted_outputs(body: dict[str, Any], known: list[str]) -> list[str]:
    """The names under `outputs`; all of them where the request names none."""
    asked = body.get("outputs") or [{"name": name} for name in known]
    names = [one.get("name") if isinstance(one, dict) else None for one in asked] if isinstance(asked, list) else [""]
    if not all(isinstance(name, str) and name in known for name in names):
        raise HTTPException(400, f"outputs must be of {', '.join(known)}")
    return [str(name) for name in names]


def listening(host: str, port: int) -> socket.socket:
    """A socket at this address; raises BundleError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # who connects from now on waits, rather than being refused
    except OSError as e:
        listener.close()
        raise BundleError(f"cannot listen at {host}, port {port}: {e.strerror or e}. Another program may have it: "
                          "choose another with --port.") from e
    return listener


def serve(bundle: Path, host: str, port: int, threads: int | None, largest_batch: int, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT; what was asked before is still answered."""
    server = Server(bundle, threads or cores(), largest_batch, limits)
    listener = listening(host, port)
    config = uvicorn.Config(server.app(), log_level="warning", access_log=False, lifespan="on", timeout_keep_alive=30,
                            backlog=BACKLOG, timeout_graceful_shutdown=int(limits.seconds) + 1)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has stopped: that is no failure
        signal.signal(number, lambda number, frame: None)
    print(f"serving {server.name} at http://{host}:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


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
