"""Every architecture of a small search space, trained on a part of the real CIFAR-10, for comparing samplers.

    python benchmarks/architecture_table.py STORE path/to/cifar10.zip [--workers 2] > benchmarks/architecture_table.csv

256 networks x 3 seeds at 16x16 pixels: 4,000 training images, 5 epochs, one thread each. Members are content-addressed
in STORE, so the command goes on where it was stopped. Latencies are measured after all members are trained: the median
of 50 forward passes of one image, one thread, nothing else running.
"""

import argparse
import csv
import io
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from consort import members
from consort.costs.conditions import Conditions
from consort.costs.latency import find_or_measure
from consort.data.prepare import prepare
from consort.data.prepared import open_prepared
from consort.ensembles.metrics import accuracy
from consort.events import unheard
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.space.choices import Space, StageChoices
from consort.store import open_store
from consort.study.data import Data
from consort.study.recipe import Recipe
from consort.train.settings import Settings
from consort.train.step import train

SEEDS = (0, 1, 2)
SPACE = Space("small", (
    StageChoices(("wide", "mbconv"), (8, 16), (1,), (3,), (2,), (True,)),
    StageChoices(("wide", "mbconv"), (16, 32), (1, 2), (3,), (2,), (True,)),
    StageChoices(("wide", "mbconv"), (16, 32), (1,), (3, 5), (2,), (True,))))
RECIPE = Recipe(epochs=5, batch_size=64, learning_rate=0.1, schedule="one-cycle", crop_padding=2)
DATA = {"train_images": 4000, "val_images": 5000, "image_size": 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("source", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    store, cache = open_store(options.store), Path(options.store) / "cache"
    data = prepare(store, Data(source=str(options.source.resolve()), **DATA), Path(), cache)
    names = [SPACE.decode(candidate)[0] for candidate in SPACE.candidates()]
    specs = [MemberSpec(name, data.fingerprint, RECIPE, seed) for seed in SEEDS for name in names]
    members.write_specs(store, specs)
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = [pool.submit(train_one, options.store, spec.to_dict()) for spec in specs]
        records = [job.result() for job in jobs]
    labels = np.asarray(data.labels("test"))
    rows = {name: [r for r in records if r.architecture == name] for name in names}
    write_table(rows, {name: find_or_measure(store, name, Conditions((16, 16), 10)).median_ms for name in names},
                {r.id: test_accuracy(store, r, labels) for r in records})


def train_one(uri: str, spec: dict) -> MemberRecord:
    torch.set_num_threads(1)
    store, member = open_store(uri), MemberSpec.from_dict(spec)
    if (done := members.read_record(store, member.id)) is not None:
        return done
    data = open_prepared(store, member.data, Path(uri) / "cache")
    record = train(store, member, data, Settings(patience_seconds=60), unheard)
    print(f"{member.architecture} s{member.seed}: {record.val_accuracy:.4f}, {record.train_seconds:.1f} s",
          file=sys.stderr, flush=True)
    return record


def test_accuracy(store, record: MemberRecord, labels: np.ndarray) -> float:
    logits = np.load(io.BytesIO(members.read_file(store, record, "logits-test.npy")))
    return accuracy(logits, labels)


def write_table(rows: dict[str, list[MemberRecord]], latencies: dict[str, float], test: dict[str, float]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["architecture", "macs", "params", "latency_ms", *(f"val_accuracy_s{s}" for s in SEEDS),
                  *(f"test_accuracy_s{s}" for s in SEEDS)])
    for name, records in rows.items():
        by_seed = sorted(records, key=lambda r: r.seed)
        out.writerow([name, by_seed[0].macs, by_seed[0].params, f"{latencies[name]:.4f}",
                      *(f"{r.val_accuracy:.4f}" for r in by_seed), *(f"{test[r.id]:.4f}" for r in by_seed)])


if __name__ == "__main__":
    main()
