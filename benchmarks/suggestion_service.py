"""Seconds in which Katib's suggestion service answers a call that brings 1,000 finished trials, for every sampler.

    python benchmarks/suggestion_service.py [trials]

A joint space of three networks of three stages; a server of its own process, a client here, over gRPC on this machine.
Of each sampler: the first call, the median of further ones, and how that compares with a call without history (what
gRPC and the samplers' own beginning take). Aim: under 1 s with 1,000 trials for Consort's samplers.
"""

import random
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from consort import samplers
from suggestion_calls import Client, experiment, reward_of, small_space, trial

ROUNDS = 5
SLOW = {"gp": 20}
"""Fits a Gaussian process with torch in every call: one round, one in so many of the trials. Katib waits 60 s."""


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    space, rng = small_space(members=3, stages=3), random.Random(0)
    drawn = [space.assignments(space.draw(rng)) for _ in range(number)]
    trials = [trial(n, chosen, reward_of(chosen)) for n, chosen in enumerate(drawn)]
    command = [sys.executable, "-m", "consort", "suggest-serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        client = Client(int(re.findall(r"\d+", server.stdout.readline())[0]))
        print(f"{'sampler':14} {'trials':>7} {'first s':>8} {'median s':>9} {'without history s':>18} {'times':>6}")
        for name in samplers.NAMES:
            history = trials[:number // SLOW.get(name, 1)]
            rounds = 1 if name in SLOW else ROUNDS
            asked = experiment(space.parameters, f"consort-{name}", {"target_latency_ms": "1"})
            empty = [seconds(client, asked, []) for _ in range(ROUNDS)]
            full = [seconds(client, asked, history) for _ in range(rounds + 1)]
            usual, base = median(full[1:]), median(empty)
            print(f"{name:14} {len(history):7d} {full[0]:8.3f} {usual:9.3f} {base:18.4f} {usual / base:6.0f}")
        server.terminate()


def seconds(client: Client, asked, history) -> float:
    begin = time.perf_counter()
    assert len(client.suggest(asked, history, 1)) == 1
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
