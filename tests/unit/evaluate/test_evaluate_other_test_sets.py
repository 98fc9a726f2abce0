"""Evaluating on further test sets."""

import json

import numpy as np
import pytest

from consort.data.prepared import Prepared
from consort.documents import sha256
from consort.errors import InputError, IntegrityError, MissingKey
from consort.store import keys, open_store
from owl_members import Small, npy, row_of, voting, write_data


@pytest.fixture
def small(tmp_path) -> Small:
    return Small(open_store(str(tmp_path / "store")), tmp_path / "cache")


class TestFurtherTestSets:
    def write_extra(self, small: Small, shifted: Prepared, right) -> None:
        for member in small.ids:
            key = keys.extra_logits(member, shifted.fingerprint)
            content = npy(voting([2, 1], right, 4).astype(np.float32))
            small.store.write(key, content)
            small.store.write(key.removesuffix(".npy") + ".json", json.dumps({"sha256": sha256(content)}).encode())

    def test_rows_of_their_own_with_the_same_selection(self, small):
        shifted = write_data(small.store, small.cache, test=[2, 1])
        self.write_extra(small, shifted, {0})
        summary = small.evaluate(also={"fog": shifted})
        assert [row["test_set"] for row in summary["rows"]] == ["test"] * 10 + ["fog"] * 10
        fog, test = row_of(summary, "3 x wrn-10-1", test_set="fog"), row_of(summary, "3 x wrn-10-1")
        assert (fog["accuracy_mean"], test["accuracy_mean"]) == (0.5, 0.5)
        assert fog["temperature"] == test["temperature"]
        assert (fog["versus_macs"], fog["gain_macs"]) == ("1 x wrn-10-1", 0.0)
        assert fog["gain_macs_low"] < 0 < fog["gain_macs_high"]  # equal on every image, of few

    def test_without_logits_the_file_and_the_remedy_are_named(self, small):
        shifted = write_data(small.store, small.cache, test=[2, 1])
        key = keys.extra_logits(small.ids[0], shifted.fingerprint)
        with pytest.raises(MissingKey, match=f"{key} is not in the store.*consort predict"):
            small.evaluate(also={"fog": shifted})

    def test_altered_logits_are_named(self, small):
        shifted = write_data(small.store, small.cache, test=[2, 1])
        self.write_extra(small, shifted, {0})
        key = keys.extra_logits(small.ids[1], shifted.fingerprint)
        small.store.write(key, npy(np.zeros((2, 3), dtype=np.float32)))
        with pytest.raises(IntegrityError, match=f"{key} was altered"):
            small.evaluate(also={"fog": shifted})

    def test_other_classes_are_refused(self, small):
        shifted = write_data(small.store, small.cache, classes=["cat", "dog", "emu"], test=[2, 1])
        with pytest.raises(InputError, match=r"'fog' must be prepared with the classes .*got cat, dog, emu\. Plan"):
            small.evaluate(also={"fog": shifted})
