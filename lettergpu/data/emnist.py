"""EMNIST's files: find them, read them, verify them, download them."""

import hashlib
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import LettergpuError, brief
from ..files import cache_folder, unwritable
from . import SIDE
from .idx import Images, read_idx, settled
from .splits import find_split

URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
ARCHIVE_BYTES = 561_753_746
ARCHIVE_SHA256 = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"
# what zipfile raises for an archive that is damaged, or made to harm
BROKEN = (KeyError, ValueError, EOFError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)
UNKNOWN = "no official checksum is known for this split"
OFFICIAL_SHA256 = {  # of the gzipped files
    "emnist-letters-train-images-idx3-ubyte": "6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f",
    "emnist-letters-train-labels-idx1-ubyte": "9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c",
    "emnist-letters-test-images-idx3-ubyte": "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d",
    "emnist-letters-test-labels-idx1-ubyte": "924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb",
}


def file_names(split: str, part: str) -> tuple[str, str]:
    """The official names of the images and the labels, without .gz. part: train or test."""
    return f"emnist-{split}-{part}-images-idx3-ubyte", f"emnist-{split}-{part}-labels-idx1-ubyte"


def find(folder: Path, name: str) -> Path:
    """The file of that name in the folder, plain or gzipped."""
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise LettergpuError(f"--data {folder}: there is no {name} (or {name}.gz) in this folder")


def read(folder: Path, split: str, part: str) -> tuple[Images, np.ndarray]:
    """Upright uint8 images (n, 28, 28) and int64 labels (n,) from 0."""
    image_path, label_path = (find(folder, name) for name in file_names(split, part))
    images, labels = read_idx(image_path, 3), np.asarray(read_idx(label_path, 1))
    if images.shape[1:] != (SIDE, SIDE):
        raise LettergpuError(f"{image_path} holds images of {images.shape[1]} x {images.shape[2]} pixels, not 28 x 28")
    if len(images) != len(labels):
        raise LettergpuError(f"{image_path} holds {len(images):,} images and {label_path.name} {len(labels):,} labels")
    if len(images) == 0:
        raise LettergpuError(f"{image_path} holds no images")
    classes, first = find_split(split)
    last = first + len(classes) - 1
    if labels.min() < first or labels.max() > last:
        wrong = labels.min() if labels.min() < first else labels.max()
        raise LettergpuError(f"{label_path} holds the label {wrong}; the split {split} has {first} to {last}")
    return settled(images.swapaxes(1, 2)), labels.astype(np.int64) - first  # EMNIST stores each image transposed


def checksums(folder: Path, split: str) -> dict[Path, tuple[str, str]]:
    """For each of the four files its sha256 and, in words, what that says."""
    table = {}
    for part in ("train", "test"):
        for name in file_names(split, part):
            path = find(folder, name)
            digest = _sha256(path)
            official = OFFICIAL_SHA256.get(name)
            if official is None:
                verdict = UNKNOWN
            elif digest == official:
                verdict = "official"
            elif path.suffix != ".gz":
                verdict = "unpacked: the official checksum is of the .gz file"
            else:
                verdict = "not the official file"
            table[path] = digest, verdict
    return table


def verify(folder: Path, split: str) -> str:
    """In a few words, whether these are the official files."""
    if not any(name in OFFICIAL_SHA256 for part in ("train", "test") for name in file_names(split, part)):
        return UNKNOWN  # without reading all of them
    verdicts = {verdict for _, verdict in checksums(folder, split).values()}
    return verdicts.pop() if len(verdicts) == 1 else "not all of them the official files"


def download_folder(split: str) -> Path:
    """Where `download` puts a split. It exists only once all four files of the split are in it."""
    return cache_folder() / "emnist" / split


def archive_path() -> Path:
    """Where `download` puts the archive, and finds one that was fetched by hand."""
    return cache_folder() / "gzip.zip"


def download(
    split: str, *, archive: Path | None = None, remove_archive: bool = False, url: str = URL, show: bool = False
) -> Path:
    """Fetch and verify the official archive, unpack the split, and return the folder it is in.

    archive: one that was fetched by hand; nothing is downloaded. remove_archive: delete the archive afterwards.
    show: how far the download is, on a terminal.
    """
    find_split(split)
    if archive is None:
        archive = _fetch(url, show)
    elif not archive.is_file():
        raise LettergpuError(f"--archive {archive}: there is no such file")
    elif _sha256(archive) != ARCHIVE_SHA256:
        raise LettergpuError(
            f"--archive {archive}: this is not the official gzip.zip ({ARCHIVE_BYTES:,} bytes, sha256 "
            f"{ARCHIVE_SHA256[:12]}...), or only a part of it: fetch it again from {URL}"
        )
    folder = _unpack(archive, split)
    if remove_archive:
        archive.unlink()
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, show: bool) -> Path:
    import pooch
    import requests

    path = archive_path()
    pooch.get_logger().setLevel("WARNING")
    try:
        # pooch writes to a temporary name beside it, verifies, and only then renames
        pooch.retrieve(url, ARCHIVE_SHA256, path.name, path.parent, downloader=pooch.HTTPDownloader(progressbar=show))
    except requests.RequestException as error:
        wrong = " (what is there now is not the whole archive)" if path.exists() else ""
        raise LettergpuError(
            f"{url} could not be fetched ({type(error).__name__}): fetch it by hand, put it at {path}{wrong}, and run "
            "this again, or name it with --archive FILE"
        ) from error
    except OSError as error:
        raise unwritable(path, error) from error
    except ValueError as error:
        raise LettergpuError(f"{url} gave another file than the official archive: try again later") from error
    return path


def _unpack(archive: Path, split: str) -> Path:
    target = download_folder(split)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{split}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        with zipfile.ZipFile(archive) as opened:
            for part in ("train", "test"):
                for name in file_names(split, part):
                    with _opened(opened, f"gzip/{name}.gz") as source, (partial / f"{name}.gz").open("wb") as copy:
                        shutil.copyfileobj(source, copy)
        if target.exists():
            shutil.rmtree(target)
        os.rename(partial, target)
    except BROKEN as error:
        raise LettergpuError(
            f"{archive} is not EMNIST's gzip.zip, or is damaged ({brief(error)}): fetch it again"
        ) from error
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _opened(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A file in the archive, which are gzipped: none comes to more than all of the official archive."""
    entry = archive.getinfo(name)
    if entry.file_size > ARCHIVE_BYTES or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} would come to {entry.file_size:,} bytes")
    return archive.open(entry)
