"""The store in a folder."""

import builtins
import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from consort.errors import Busy, MissingKey
from consort.store.base import TEMPORARY_PREFIX, check_key, check_prefix
from consort.store.files import explain, replacing, write_whole


class FolderStore:
    """Objects are files; a write goes to a temporary file beside the target and is renamed into place."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)
        with self._explained("creating it"):
            self.root.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"FolderStore({self.uri!r})"

    def read(self, key: str) -> bytes:
        with self._explained(key), self._missing(key):
            return self._path(key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        with self._explained(key):
            write_whole(self._path(key), data)

    def exists(self, key: str) -> bool:
        with self._explained(key):
            return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        with self._explained(prefix):
            files = self._files_below(self._path(check_prefix(prefix)))
            return iter(sorted(file.relative_to(self.root).as_posix() for file in files
                               if not file.name.startswith(TEMPORARY_PREFIX)))

    def delete(self, prefix: str) -> None:
        path = self._path(check_prefix(prefix))
        with self._explained(prefix):
            if not path.is_dir():
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
                return
            for file in self._files_below(path):
                file.unlink(missing_ok=True)
            for folder, _, _ in os.walk(path, topdown=False):
                _remove_if_empty(Path(folder))

    def put_file(self, key: str, path: Path) -> None:
        target = self._path(key)
        with (open(path, "rb") as source, self._explained(key), replacing(target) as temporary,
              open(temporary, "wb") as copy):
            shutil.copyfileobj(source, copy, 1 << 20)

    def get_file(self, key: str, cache: Path) -> Path:
        if not self.exists(key):
            raise MissingKey(f"the store {self.uri} has no object {key}.")
        return self._path(key)

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Held through flock, which the kernel releases with the process."""
        path = self._path(key)
        with contextlib.ExitStack() as held:
            with self._explained(key):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = held.enter_context(open(path, "a"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as e:
                    raise Busy(f"{key} is held by another process; try again when it has ended.") from e
            yield

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _files_below(self, top: Path) -> builtins.list[Path]:
        def refuse(error: OSError) -> None:
            # Absent, or deleted by another process meanwhile, is an empty folder; what cannot be read is not.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise error

        return [Path(folder) / name for folder, _, names in os.walk(top, onerror=refuse) for name in names]

    @contextlib.contextmanager
    def _missing(self, key: str) -> Iterator[None]:
        """A path that is absent, a folder, or below a file is no object."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as e:
            raise MissingKey(f"the store {self.uri} has no object {key}.") from e

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn the operating system's errors into ours."""
        try:
            yield
        except OSError as e:
            raise explain(e, f"the store {self.uri}", what, "Choose a folder that you may write to.") from e


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as e:
        # Another process deleted it, or writes into it at this moment: both are its own business.
        if e.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
