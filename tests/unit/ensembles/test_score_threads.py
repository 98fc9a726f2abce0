"""How many threads score subsets."""

import threading
from pathlib import Path

import numpy as np
import pytest

from consort import hardware
from consort.ensembles import subset_scores
from consort.ensembles.subset_scores import score_subsets


@pytest.mark.skipif(hardware.cores() < 2, reason="one core has one thread with any quota")
def test_a_quota_of_one_cpu_scores_in_one_thread(monkeypatch, tmp_path: Path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setattr("consort.cores.CGROUP", tmp_path)
    monkeypatch.setattr(subset_scores, "BLOCK_BYTES", 1)
    random = np.random.default_rng(0)
    scores = random.normal(size=(3, 64 * 200, 5)).astype(np.float32)
    log_probs = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    threads: set[int] = set()
    threading.setprofile(lambda *event: threads.add(threading.get_ident()))
    try:
        score_subsets(log_probs, random.integers(0, 5, 64 * 200), [(0,), (0, 1), (0, 1, 2)], "geometric")
    finally:
        threading.setprofile(None)
    assert len(threads) == 1
