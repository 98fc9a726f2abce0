"""What is said where a store's folder is writable and a write fails all the same."""

import errno
import os
import resource

import pytest

from consort.errors import InputError, StoreUnavailable
from consort.store.files import explain
from consort.store.folder import FolderStore

REMEDY = "Choose a folder that you may write to."


def test_a_limit_on_the_size_of_a_file_is_not_answered_with_another_folder(tmp_path):
    store = FolderStore(tmp_path / "store")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(InputError, match=r"\(members/a/weights\): File too large\. .*`ulimit -f unlim") as said:
            store.write("members/a/weights", bytes((1 << 20) + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert REMEDY not in str(said.value)
    assert list(store.list("members")) == []


@pytest.mark.parametrize("number, kind, remedy", [
    (errno.ENOSPC, StoreUnavailable, "Free some room"), (errno.EDQUOT, StoreUnavailable, "Free some room"),
    (errno.EFBIG, InputError, "ulimit -f"), (errno.EMFILE, InputError, "ulimit -n"),
    (errno.ENFILE, InputError, "end what"), (errno.EACCES, InputError, REMEDY), (errno.EROFS, InputError, REMEDY)])
def test_the_remedy_is_that_of_the_trouble(number, kind, remedy):
    said = explain(OSError(number, os.strerror(number)), "the store /s", "key", REMEDY)
    assert type(said) is kind and remedy in str(said)
    assert (REMEDY in str(said)) == (remedy == REMEDY)
