"""consort suggest-serve: the samplers for Katib."""

import os
import time
from typing import Annotated

import typer

from consort.cli.signals import stop_when_asked

KATIB_PORT = 6789
LOOK_SECONDS = 0.5


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
    asked = stop_when_asked()
    server = SuggestionServer(port)
    server.start()
    print(f"listening on port {server.port}", flush=True)
    while not asked():
        time.sleep(LOOK_SECONDS)
    server.stop()
