"""A bundle's server under load: so many requests at once, for so long. Prints requests per second, p50, p99 and errors.

    python benchmarks/bundle_load.py [BUNDLE] [--at-once 200] [--seconds 60]

Without a BUNDLE one of small networks with random weights is exported first: what is measured is the server. Its
clients are processes on the same machine and take their share of it.
"""

import argparse
import asyncio
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np


async def client(port: int, path: str, bodies: list[bytes], until: float, times: list[float], codes: Counter) -> None:
    """One keep-alive connection that sends its next request when the last was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body in itertools.cycle(bodies):
        if time.perf_counter() >= until:
            break
        started = time.perf_counter()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
        await reader.readexactly(length)
        times.append(time.perf_counter() - started)
        codes[head.split()[1].decode()] += 1
    writer.close()


async def load(port: int, path: str, bodies: list[bytes], at_once: int, seconds: float) -> tuple[list[float], Counter]:
    times: list[float] = []
    codes: Counter = Counter()
    until = time.perf_counter() + seconds
    done = await asyncio.gather(*(client(port, path, bodies[i:] + bodies[:i], until, times, codes)
                                  for i in itertools.islice(itertools.cycle(range(len(bodies))), at_once)),
                                return_exceptions=True)
    codes.update(type(error).__name__ for error in done if error is not None)
    return times, codes


def measure(bundle: Path, at_once: int, seconds: float) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    bodies = [path.read_bytes() for path in sorted((bundle / "examples").glob("[0-9][0-9].*"))]
    server = subprocess.Popen([sys.executable, str(bundle / "serving.py"), str(bundle), "--port", "0"],
                              stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().rsplit(":", 1)[1].strip().rstrip("/"))
        path = f"/v2/models/{manifest['name']}/classify"
        times, codes = asyncio.run(load(port, path, bodies, at_once, seconds))
    finally:
        server.send_signal(signal.SIGTERM)
        ended = server.wait(60)
    if not times:
        sys.exit(f"no request was answered: {dict(codes)}")
    p50, p99 = 1000 * np.percentile(times, [50, 99])
    print(f"{at_once} at once for {seconds:g} s: {len(times):,} requests, {len(times) / seconds:,.0f} a second, p50 "
          f"{p50:.1f} ms, p99 {p99:.1f} ms, answers {dict(codes)}, the server ended with {ended}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(asked.bundle or random_bundle(Path(folder)), asked.at_once, asked.seconds)


def random_bundle(folder: Path) -> Path:
    """A cascade of two networks that were not trained."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import exported_members

    small = exported_members.digits(folder / "store", ["wrn-10-1", "wrn-10-2"])
    return small.export(small.cascade([0, 1]), folder / "bundle")


if __name__ == "__main__":
    main()
