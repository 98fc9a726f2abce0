"""Both stores behind one fixture."""

import uuid
from pathlib import Path

import pytest
from store_place import Place

from consort.store import Store


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.minio)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "store"))
    return Place(f"s3://test-{uuid.uuid4().hex[:12]}/some/prefix", request.getfixturevalue("minio"))


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()
