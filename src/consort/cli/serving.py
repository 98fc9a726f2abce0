"""consort suggest-serve: the samplers for Katib."""

import os
import signal
import threading
from typing import Annotated

import typer

from consort.cli.app import app

KATIB_PORT = 6789
LOOK_SECONDS = 0.5


@app.command("suggest-serve")
def suggest_serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = KATIB_PORT,
) -> None:
    """Answer Katib's suggestion calls with Consort's samplers, until SIGTERM.

    Katib starts this in a pod for each experiment whose algorithm is consort-<sampler>. It keeps nothing: every call
    brings the whole history.
    """
    from consort.errors import InputError

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # gp's matrices are small: threads only wait for each other
    try:
        from consort.suggestion.server import SuggestionServer
    except ModuleNotFoundError as e:
        raise InputError(f"the suggestion service needs {e.name}: pip install 'consort[search]'.") from e
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.set())
    server = SuggestionServer(port)
    server.start()
    print(f"listening on port {server.port}", flush=True)
    while not asked.wait(LOOK_SECONDS):  # one that comes just before a wait without end would never be seen
        pass
    server.stop()
