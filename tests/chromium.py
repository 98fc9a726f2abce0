"""Debian's chromium, headless, driven over its DevTools pipe: JSON on file descriptors 3 and 4, ended by zero bytes."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = Path("/usr/bin/chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-pipe", "about:blank")
DEADLINE_SECONDS = 60.0


class Browser:
    """One page. `events` collects every DevTools event that arrived, as (method, params)."""

    def __init__(self, profile: Path) -> None:
        command_read, self._command = os.pipe()
        self._answers, answer_write = os.pipe()
        # The shell puts the pipe's ends where chromium looks for them; 91 keeps one safe while 3 is replaced.
        move = f'exec "$@" 91>&{answer_write} 3<&{command_read} 4>&91'
        argv = ["bash", "-c", move, "chromium", str(PROGRAM), *FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(argv, pass_fds=(command_read, answer_write), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(command_read)
        os.close(answer_write)
        os.set_blocking(self._answers, False)
        self._received = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[tuple[str, dict]] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._session = None
        try:
            self._send("Browser.close", {})
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._command)
        os.close(self._answers)

    def call(self, method: str, **params: Any) -> dict:
        """Send a DevTools command and return its result; an error answer raises RuntimeError."""
        number = self._send(method, params)
        answer = self._read_until(lambda message: message.get("id") == number, method)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url: str, width: int = 1280, height: int = 900, **media: str) -> None:
        """Load a page in a window of this size; `media` sets features such as prefers_color_scheme="dark"."""
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Page.navigate", url=url)
        self._read_until(lambda message: message.get("method") == "Page.loadEventFired", url)
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression (a promise is awaited); an exception raises RuntimeError."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", "thrown"))
        return result["result"].get("value")

    def mouse(self, kind: str, x: float, y: float) -> None:
        """A real mouse event: mouseMoved, mousePressed or mouseReleased."""
        button = "none" if kind == "mouseMoved" else "left"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=int(button == "left"))

    def tap(self, x: float, y: float) -> None:
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, name: str) -> None:
        codes = {"Tab": 9, "Escape": 27, "ArrowRight": 39}
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=codes[name])

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)["data"])

    def _send(self, method: str, params: dict) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._command, json.dumps(message).encode() + b"\0")
        return self._number

    def _read_until(self, wanted: Callable[[dict], bool], what: str) -> dict:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            message = self._next_message()
            if message is None:
                time.sleep(0.01)
                continue
            if "method" in message:
                self.events.append((message["method"], message["params"]))
            if wanted(message):
                return message
        raise TimeoutError(f"chromium did not answer {what} within {DEADLINE_SECONDS:.0f} s")

    def _next_message(self) -> dict | None:
        while b"\0" not in self._received:
            try:
                part = os.read(self._answers, 1 << 20)
            except BlockingIOError:
                return None
            if not part:
                raise RuntimeError(f"chromium ended with code {self._process.wait(10)}")
            self._received += part
        line, _, self._received = self._received.partition(b"\0")
        return json.loads(line)
