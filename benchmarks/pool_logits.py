"""The logits of all finished members of a store in one file, in float16: a pool to work on evaluation with.

    python benchmarks/pool_logits.py STORE OUTPUT.npz

Arrays val/<member id> and test/<member id> [N, classes], and labels/val and labels/test, rows in the prepared data's
order.
"""

import sys
from pathlib import Path

import numpy as np

from consort import members
from consort.data.prepared import open_prepared
from consort.members.logits import read_logits
from consort.store import open_store

CACHE = Path("unused")
"""Nothing is cached of a store that is a folder."""


def main() -> None:
    store, output = open_store(sys.argv[1]), Path(sys.argv[2])
    found: dict[str, np.ndarray] = {}
    for member in sorted({key.split("/")[1] for key in store.list("members")}):
        record = members.read_record(store, member)
        if record is None:
            continue
        for split in ("val", "test"):
            data = open_prepared(store, record.data, CACHE)
            logits = read_logits(store, record, data, split, None, CACHE)
            found[f"{split}/{member}"] = logits.astype(np.float16)
            found[f"labels/{split}"] = data.labels(split).astype(np.uint16)
    np.savez_compressed(output, allow_pickle=False, **found)
    print(f"{output}: {sum(name.startswith('test/') for name in found)} members, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
