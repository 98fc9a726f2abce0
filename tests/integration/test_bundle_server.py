"""A bundle's own server, as a process without Consort and torch, over HTTP."""

import asyncio
import gzip
import http.client
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import exported_members
from bundle_checks import ALONE
from consort.export.connections import Connection
from consort.export.running import read_image, read_manifest
from consort.export.serving import Limits, Server, configured

NAME = "small-c1"


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """(Status, JSON or text) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if "json" in response.headers["content-type"] else text.decode()

    def infer(self, tensor: Any, **more: Any) -> tuple[int, Any]:
        return self.ask("POST", f"/v2/models/{NAME}/infer", json.dumps({"inputs": [tensor], **more}).encode())


@contextmanager
def running(bundle: Path, *arguments: str, code: str = ALONE) -> Iterator[Running]:
    process = subprocess.Popen([sys.executable, "-I", "-c", code, str(bundle / "serving.py"), str(bundle), "--port",
                                "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert "serving" in line, process.stderr.read()
        yield Running(process, int(line.rsplit(":", 1)[1].strip().rstrip("/")))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    small = exported_members.digits(folder / "store", ["wrn-10-1", "wrn-10-1"])
    return small.export(small.cascade([0, 1]), folder / "bundle")


@pytest.fixture(scope="module")
def server(bundle) -> Iterator[Running]:
    with running(bundle) as started:
        yield started


@pytest.fixture(scope="module")
def examples(bundle) -> list[tuple[bytes, dict]]:
    """(Image file, what must be answered)."""
    return [((bundle / "examples" / e["file"]).read_bytes(), e)
            for e in json.loads((bundle / "examples/expected.json").read_text())]


def test_tensors_are_answered_as_the_protocol_says(server, bundle, examples):
    rule = read_manifest(bundle)["input"]
    images = np.stack([read_image(file, rule) for file, _ in examples])
    status, answer = server.infer({"name": "images", "datatype": "UINT8", "shape": list(images.shape),
                                   "data": images.ravel().tolist()}, id="42")
    assert status == 200 and (answer["model_name"], answer["id"]) == (NAME, "42")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["members_asked"]["datatype"] == "INT32"
    assert outputs["members_asked"]["data"] == [e["members_asked"] for _, e in examples]
    probabilities = np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])
    np.testing.assert_allclose(probabilities, [e["probabilities"] for _, e in examples], atol=1e-5)
    status, nested = server.infer({"name": "images", "datatype": "UINT8", "shape": list(images.shape),
                                   "data": images.tolist()}, outputs=[{"name": "members_asked"}])
    assert status == 200 and [o["name"] for o in nested["outputs"]] == ["members_asked"]


def test_files_that_come_at_once_are_each_answered(server, examples):
    def classify(example):
        return server.ask("POST", f"/v2/models/{NAME}/classify", example[0])

    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(classify, examples * 6))
    for (status, answer), (_, expected) in zip(found, examples * 6, strict=True):
        assert status == 200 and answer["label"] == expected["answer"]
        assert answer["members_asked"] == expected["members_asked"] and answer["members"] == 2
        assert answer["probability"] == pytest.approx(max(expected["probabilities"]), abs=1e-5)
        assert answer["classes"][0]["label"] == answer["label"] and len(answer["classes"]) == 5


def test_it_tells_what_it_is(server):
    assert server.ask("GET", "/v2/health/ready")[0] == server.ask("GET", "/v2/health/live")[0] == 200
    assert server.ask("GET", "/v2")[1]["name"] == "consort"
    model = server.ask("GET", f"/v2/models/{NAME}/versions/1")[1]
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}]
    page = server.ask("GET", "/")[1]
    assert f"<title>{NAME}</title>" in page and "{{" not in page
    metrics = server.ask("GET", "/metrics")[1]
    assert 'consort_requests_total{route="/v2/health/ready",code="200"}' in metrics


GOOD = {"name": "images", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [0] * 192}


@pytest.mark.parametrize(("tensor", "status", "said"), [
    (GOOD | {"data": [0] * 191}, 400, "192 whole numbers"),
    (GOOD | {"data": [256] + [0] * 191}, 400, "0 to 255, got 0 to 256"),
    (GOOD | {"data": [-1] + [0] * 191}, 400, "0 to 255"),
    (GOOD | {"data": [0.5] * 192}, 400, "whole numbers"),
    (GOOD | {"data": [float("nan")] * 192}, 400, "whole numbers"),
    (GOOD | {"data": ["0"] * 192}, 400, "whole numbers"),
    (GOOD | {"data": [10**40] * 192}, 400, "whole numbers"),
    (GOOD | {"data": [[0], [0, 1]]}, 400, "equal lengths"),
    (GOOD | {"data": {"0": 1}}, 400, "whole numbers"),
    (GOOD | {"shape": [1, 8, 8]}, 400, "shape must be [N, 8, 8, 3]"),
    (GOOD | {"shape": [0, 8, 8, 3], "data": []}, 400, "1 or more"),
    (GOOD | {"shape": [True, 8, 8, 3]}, 400, "1 or more"),
    (GOOD | {"shape": [10**9, 8, 8, 3]}, 413, "256 images"),
    (GOOD | {"name": "pictures"}, 400, "images of datatype UINT8"),
    (GOOD | {"datatype": "FP32"}, 400, "images of datatype UINT8"),
    ("images", 400, "one tensor"),
    ({}, 400, "images of datatype UINT8"),
])
def test_a_malformed_tensor_is_refused_with_the_rule(server, tensor, status, said):
    found, answer = server.infer(tensor)
    assert found == status and said in answer["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"7", b"[" * 100_000, b'{"inputs": 3}',
                                  b'{"inputs": [' + b"{}," * 9 + b"{}]}",
                                  json.dumps({"inputs": [GOOD], "outputs": [{"name": ["x"]}]}).encode(),
                                  json.dumps({"inputs": [GOOD], "outputs": 5}).encode(),
                                  b'{"inputs": [{"name": "\\ud800"}]}',
                                  *(json.dumps({"inputs": [GOOD], "id": id}).encode()
                                    for id in (float("nan"), {}, None, True, "\ud800", "x" * 1001))])
def test_a_malformed_body_is_refused(server, body):
    status, answer = server.ask("POST", f"/v2/models/{NAME}/infer", body)
    assert status == 400 and answer["error"]


def test_what_is_not_there_or_too_much_is_refused(server):
    assert server.ask("POST", "/v2/models/other/infer", b"{}")[0] == 404
    assert server.ask("GET", f"/v2/models/{NAME}/versions/2")[0] == 404
    assert server.ask("GET", f"/v2/models/{NAME}/infer")[0] == 405
    status, answer = server.ask("POST", f"/v2/models/{NAME}/classify", bytes(33 * 2**20))
    assert (status, answer["error"]) == (413, "a request may have 33,554,432 bytes")
    binary = {"Inference-Header-Content-Length": "10"}
    assert server.ask("POST", f"/v2/models/{NAME}/infer", b"{}", **binary)[0] == 400


@pytest.mark.parametrize("path", ["/manifest.json", "/../manifest.json", "/%2e%2e/manifest.json", "/serving.py",
                                  "//etc/passwd", "/v2/models/..%2f..%2fmanifest.json", "/v2/models/%00",
                                  f"/v2/models/{NAME}/../../../manifest.json", "/v2/models/%ff%fe",
                                  f"/v2/models/{'a' * 60_000}"])
def test_files_of_the_bundle_are_not_served_whatever_the_path(server, path):
    status, answer = server.ask("GET", path)
    assert status == 404 and "sha256" not in json.dumps(answer) and len(json.dumps(answer)) < 500


def test_a_compressed_body_is_not_unpacked(server):
    bomb = gzip.compress(json.dumps({"inputs": [GOOD], "id": " " * 10_000_000}).encode())
    status, answer = server.ask("POST", f"/v2/models/{NAME}/infer", bomb, **{"Content-Encoding": "gzip"})
    assert status == 400 and "must be JSON" in answer["error"]


def png(mode: str, size: tuple[int, int], format: str = "PNG") -> bytes:
    written = io.BytesIO()
    Image.new(mode, size).save(written, format)
    return written.getvalue()


@pytest.mark.parametrize(("content", "said"), [
    (b"", "the file is empty"),
    (b"--x\r\nContent-Disposition: form-data; name=file\r\n", "not in a format that can be read"),
    (b"GIF89a", "no image file"),
    (png("RGB", (40, 40))[:50], "no image file"),
    (png("F", (8, 8), "TIFF"), "floating point"),
    (png("1", (9500, 9500)), "decompression bomb"),
])
def test_an_upload_that_is_no_image_is_told_what_to_send(server, content, said):
    status, answer = server.ask("POST", f"/v2/models/{NAME}/classify", content)
    assert status == 400 and said in answer["error"]
    assert answer["error"].endswith("Send the bytes of one file, as `curl --data-binary @photo.jpg` does")


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "JPEG"), ("I;16", "PNG"), ("LA", "PNG"), ("P", "GIF")])
def test_uploads_of_unusual_kinds_are_answered_whatever_they_are_called(server, mode, format):
    named = {"Content-Type": "text/plain"}
    status, answer = server.ask("POST", f"/v2/models/{NAME}/classify", png(mode, (31, 7), format), **named)
    assert status == 200 and answer["label"]


def test_a_bundle_for_torch_is_served_too(tmp_path):
    small = exported_members.digits(tmp_path / "store", ["wrn-10-1"])
    of_torch = small.export(small.candidate("c1", "single", [0]), tmp_path / "bundle", format="torch")
    [example, *_] = json.loads((of_torch / "examples/expected.json").read_text())
    with_torch = ALONE.replace('modules["torch"]', 'modules["onnxruntime"]')
    with running(of_torch, code=with_torch) as started:
        place = "/v2/models/small-c1-torch"
        assert started.ask("GET", place)[1]["platform"] == "torch_export"
        content = (of_torch / "examples" / example["file"]).read_bytes()
        status, answer = started.ask("POST", f"{place}/classify", content)
    assert status == 200 and (answer["label"], answer["members_asked"]) == (example["answer"], 1)


def test_it_ends_with_0_when_asked_to_and_answers_what_was_asked_before(bundle, examples):
    with running(bundle, "--threads", "1") as started:
        connection = http.client.HTTPConnection("127.0.0.1", started.port, timeout=60)
        content = examples[0][0]
        connection.putrequest("POST", f"/v2/models/{NAME}/classify")
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content[:10])
        started.ask("GET", "/v2/health/live")  # it came later and is answered: the other was accepted
        started.process.send_signal(signal.SIGTERM)
        connection.send(content[10:])
        response = connection.getresponse()
        assert response.status == 200 and json.loads(response.read())["label"] == examples[0][1]["answer"]
        connection.close()
        assert started.process.wait(60) == 0


def asked_in_process(server: Server, path: str, *parts: bytes) -> tuple[int, dict]:
    """(Status, JSON) of a POST whose body comes in these parts, or of a GET where there are none."""
    coming, sent = list(parts), []

    async def receive() -> dict:
        return {"type": "http.request", "body": coming.pop(0) if coming else b"", "more_body": bool(coming)}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST" if parts else "GET", "path": path, "headers": [], "query_string": b""}
    asyncio.run(server.app()(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_bodies_that_are_more_than_may_be_held_are_refused_and_make_room(bundle):
    server = Server(bundle, 1, 64, Limits(held_bytes=100))
    for _ in range(2):
        status, answer = asked_in_process(server, f"/v2/models/{NAME}/classify", bytes(60), bytes(60))
        assert (status, answer["error"]) == (503, "busy: requests of 60 bytes wait; try again")
        assert server.held_bytes == 0
    assert asked_in_process(server, f"/v2/models/{NAME}/classify", bytes(60))[0] == 400, "no image, but read"


def test_a_server_that_answers_nobody_says_that_it_is_not_alive(bundle):
    server = Server(bundle, 1, 64, Limits())

    async def ended() -> None:
        server.worker = asyncio.create_task(asyncio.sleep(0))
        await server.worker

    asyncio.run(ended())
    assert asked_in_process(server, "/v2/health/live") == (503, {"live": False, "ready": False})


def test_connections_are_limited_as_said(bundle):
    config = configured(Server(bundle, 1, 64, Limits(seconds=7, connections=9)))
    assert (config.http, config.limit_concurrency, config.timeout_keep_alive) == (Connection, 10, 7)


def test_a_port_in_use_and_an_altered_bundle_are_said(server, bundle, tmp_path):
    arguments = [sys.executable, str(bundle / "serving.py")]
    taken = subprocess.run([*arguments, str(bundle), "--port", str(server.port)], capture_output=True, text=True,
                           timeout=120, check=False)
    assert taken.returncode == 2 and "choose another with --port" in taken.stderr
    altered = tmp_path / "bundle"
    for path in bundle.rglob("*"):
        if path.is_file():
            (altered / path.relative_to(bundle)).parent.mkdir(parents=True, exist_ok=True)
            (altered / path.relative_to(bundle)).write_bytes(path.read_bytes())
    (altered / "labels.txt").write_text("cat\ndog\n")
    refused = subprocess.run([*arguments, str(altered), "--port", "0"], capture_output=True, text=True, timeout=120,
                             check=False)
    assert refused.returncode == 2 and "labels.txt was altered" in refused.stderr
