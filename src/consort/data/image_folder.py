"""Images in `train/<class>/*` and `test/<class>/*`, in a folder or in a zip that is read where it is."""

import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from consort.data.file_tree import File, FolderTree, ZipTree
from consort.data.findings import HIDDEN, OTHER, Findings, printable, shortened
from consort.errors import InputError, near_names
from consort.plurals import counted

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
"""Split -> names of its folder, in capitals or not."""
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".ppm",
            ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".mpo")
NO_IMAGES = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".htm", ".pkl", ".py", ".sh",
             ".log", ".ini", ".db", ".lnk", ".zip", ".tar", ".gz", ".md5", ".sha256", ".pdf", ".doc", ".docx"}
"""Endings of what often lies beside images. A folder of nothing but others may be a class that was meant to count."""
SYSTEM = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "Thumbs.db",
          "desktop.ini", "Icon\r"}
"""What macOS, Windows and network storage put beside files, among it small copies of the images."""
ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
ABOVE = "not in a class folder"
RULE = "Put the images in train/<class>/ and test/<class>/, with val/<class>/ where you have one."


@dataclass(frozen=True)
class Entry:
    """One image file: its path inside the folder or zip and its class."""

    path: str
    label: str


class ImageFolder:
    """The images of a folder or zip, by split and class, in sorted order. Nothing is extracted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.is_zip = _is_zip(root)
        self.tree: FolderTree | ZipTree = ZipTree(root) if self.is_zip else FolderTree(root)

    def read(self, path: str) -> bytes:
        """The bytes of one image, in any thread; ValueError with the reason where they cannot be read."""
        return self.tree.read(path)

    def stamp(self) -> list:
        """What changes when the files do, cheap to read: paths, sizes and times."""
        if self.is_zip:
            status = self.root.stat()
            return [str(self.root.resolve()), status.st_size, status.st_mtime_ns]
        files = sorted((printable(f.path), f.stamp) for split in self.folders for f in self._files[split]
                       if _why_not(f) not in (HIDDEN, OTHER))
        return [str(self.root.resolve()), [[path, *stamp] for path, stamp in files]]

    @cached_property
    def folders(self) -> dict[str, str]:
        """Split -> its folder, all in the root or all in the one folder that stands there, as zips often have it.

        A folder of another place that is called train or test is none of this data.
        """
        names = [name for name in self.tree.folders("") if not _hidden(name)]
        found = self._named(names)
        if found:
            return found
        inside = {name: folders for name in names
                  if (folders := self._named([f"{name}/{child}" for child in self.tree.folders(name)]))}
        if len(inside) > 1:
            raise InputError(f"{self.root} has several folders with a train/ or test/ of their own: "
                             f"{shortened(list(inside))}. Name one of them as the source.")
        return next(iter(inside.values()), {})

    def _named(self, folders: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for split, names in SPLITS.items():
            fitting = [folder for folder in folders if folder.rsplit("/", 1)[-1].lower() in names]
            if len(fitting) > 1:
                raise InputError(f"{self.root} has several folders for the same images, {' and '.join(fitting)}: "
                                 f"rename or remove all but one.")
            if fitting:
                found[split] = fitting[0]
        return found

    @cached_property
    def _files(self) -> dict[str, list[File]]:
        return {split: sorted(self.tree.files(folder), key=lambda f: f.path) for split, folder in self.folders.items()}

    @cached_property
    def findings(self) -> Findings:
        """What was found; whoever prepares the images goes on counting in it."""
        return self._sorted[1]

    @cached_property
    def _sorted(self) -> tuple[dict[str, list[Entry]], Findings]:
        splits: dict[str, list[Entry]] = {}
        findings = Findings()
        for split, folder in self.folders.items():
            entries = splits.setdefault(split, [])
            name = folder.rsplit("/", 1)[-1]
            for label in self.tree.folders(folder):
                if not _hidden(label):
                    findings.counts.setdefault(name, {})[self._label(name, label)] = {}
            for file in self._files[split]:
                label, _, inner = file.path[len(folder) + 1:].partition("/")
                reason = _why_not(file) or ("" if inner else ABOVE)
                if reason:
                    findings.leave_out(name, self._label(name, label) if inner and not _hidden(label) else "", reason,
                                       file.path)
                    continue
                entries.append(Entry(file.path, self._label(name, label)))
                findings.take(name, entries[-1].label)
        self._say_what_is_beside(findings)
        return splits, findings

    def _label(self, split: str, label: str) -> str:
        if not label.isprintable() or any("\ud800" <= c <= "\udfff" for c in label):
            raise InputError(f"the class folder {split}/{printable(label)} of {self.root} has a name that is not "
                             "printable UTF-8. Rename it: tables and reports show the names of classes.")
        return label

    def _say_what_is_beside(self, findings: Findings) -> None:
        used = {folder.rsplit("/", 1)[-1] for folder in self.folders.values()}
        top = next(iter(self.folders.values()), "").rpartition("/")[0]
        beside = [name for name in self.tree.folders(top) if name not in used and not _hidden(name)]
        if beside and used:
            findings.notes.append(f"not looked at, beside {', '.join(f'{name}/' for name in sorted(used))}: "
                                  f"{shortened([f'{printable(name)}/' for name in beside])}.")
        if isinstance(self.tree, ZipTree):
            for names, one, more in (
                    (self.tree.unsafe, "leads outside of the archive; it is not read",
                     "lead outside of the archive; they are not read"),
                    (self.tree.repeated, "comes again in the archive; the last of them is used",
                     "come again in the archive; the last of each is used")):
                if names:
                    findings.notes.append(f"{counted(len(names), 'name')} {one if len(names) == 1 else more}: "
                                          f"{shortened([printable(n) for n in names])}.")

    def train(self) -> list[Entry]:
        return self._required("train")

    def val(self) -> list[Entry]:
        """The images of a validation folder, where there is a test folder too; else none."""
        return self._sorted[0].get("val", []) if self._sorted[0].get("test") else []

    def test(self) -> list[Entry]:
        """Those of test/; where it has no classes, those of val/, which is how ImageNet comes."""
        return self._sorted[0]["val"] if self._tests_on_val else self._required("test")

    @cached_property
    def _tests_on_val(self) -> bool:
        splits, findings = self._sorted
        chosen = bool(splits.get("val") and not splits.get("test") and not findings.emptied(self.name_of("test")))
        if chosen:
            findings.notes.append(f"{self.name_of('val')}/ is the test set, since there is no test/ with classes.")
        return chosen

    def name_of(self, split: str) -> str:
        """The name of a split's folder."""
        return self.folders.get(split, split).rsplit("/", 1)[-1]

    def test_name(self) -> str:
        return self.name_of("val" if self._tests_on_val else "test")

    def _required(self, split: str) -> list[Entry]:
        if entries := self._sorted[0].get(split):
            return entries
        self.refuse_empty()
        there = [f"{printable(name)}/" for name in self.tree.folders("") if not _hidden(name)]
        has = f"it has {shortened(there)}." if there else "it has no folders."
        raise InputError(f"{self.root} has no images in {split}/<class>/; {has}{self._packed_inside()} {RULE} Endings "
                         f"of images: {', '.join(SUFFIXES)}.")

    def _packed_inside(self) -> str:
        """What to do where the images are in a further archive, in the root or in one of its folders; else empty."""
        places = ["", *self.tree.folders("")]
        packed = [printable(f"{place}/{name}".lstrip("/")) for place in places for name in self.tree.standing_in(place)
                  if name.lower().endswith((".zip", *ARCHIVES)) and not _hidden(f"{place}/{name}".lstrip("/"))]
        if not packed:
            return ""
        one = len(packed) == 1
        return (f" Inside there {'is an archive' if one else 'are archives'}, {shortened(packed)}, which "
                f"{'is' if one else 'are'} not looked into: unpack {'it' if one else 'them'}, and name the folder with "
                "the images as the source.")

    def refuse_empty(self) -> None:
        """Raise InputError naming the classes that came with files and have no image that is used."""
        for split in self.findings.counts:
            if emptied := self.findings.emptied(split):
                reasons = "; ".join(f"{label}: {self.findings.why(split, label)}" for label in emptied[:3])
                raise InputError(f"{self.root}: of {'these classes' if len(emptied) > 1 else 'a class'} in {split}/ no "
                                 f"image can be used ({reasons}). Convert or repair the images (endings that are read: "
                                 f"{', '.join(SUFFIXES)}), or remove the folder.")

    def __reduce__(self) -> tuple:
        """For worker processes: each opens the zip by itself."""
        return type(self), (self.root,)


def same_names(entries: Sequence[Entry], classes: Sequence[str]) -> list[Entry]:
    """Entries with their labels as `classes` writes them: macOS takes accented letters apart, and the same name in two
    folders may differ in that."""
    known: Mapping[str, str] = {unicodedata.normalize("NFC", name): name for name in classes}
    return [e if e.label in classes else Entry(e.path, known.get(unicodedata.normalize("NFC", e.label), e.label))
            for e in entries]


def _is_zip(root: Path) -> bool:
    """False for a folder; InputError for what is neither."""
    try:
        if root.is_dir():
            return False
        if not root.exists():
            near = near_names(root.name, ("digits", "cifar10", "cifar100"))
            meant = f" Did you mean {near[0]}?" if near else ""
            raise InputError(f"the image folder {root} does not exist.{meant} [data] source is digits, cifar10, "
                             "cifar100, or the path of a folder or zip with train/<class>/* and test/<class>/*.")
        if root.is_file():
            with open(root, "rb"):
                pass
            if zipfile.is_zipfile(root):
                return True
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise InputError(f"{root} cannot be read: {reason}. [data] source is a folder or zip of images.") from e
    raise InputError(f"{root} is neither a folder nor a zip file." + (
        " Unpack it and give the folder, or make a zip of it." if root.name.lower().endswith(ARCHIVES) else ""))


def _why_not(file: File) -> str:
    """Why a file is none of the images, or nothing."""
    name = file.path.rsplit("/", 1)[-1]
    if _hidden(file.path):
        return HIDDEN
    if file.reason or name.lower().endswith(SUFFIXES):
        return file.reason
    ending = Path(name).suffix.lower()
    return OTHER if ending in NO_IMAGES else ending or "no ending"


def _hidden(path: str) -> bool:
    """What an editor or a shell hides, and what systems put beside files."""
    return any(part.startswith(".") or part in SYSTEM for part in path.split("/"))
