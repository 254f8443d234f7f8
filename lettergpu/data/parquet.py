"""Parquet files as Hugging Face has data sets: columns `image`, {bytes, path} or bytes, and `label`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LettergpuError, brief
from .tables import MOST, MOST_IMAGES, Table, check_text, damaged, labels_of

COLUMNS = ("image", "label")
ROWS = 256  # that are unpacked together
LARGE = 1_000_000  # bytes of a picture of a letter, at most


def read(path: Path) -> dict[str, Table]:
    """The one part that a file holds, its images as the pictures in it. Raises LettergpuError for all else."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise LettergpuError(f"{path}: Parquet needs pyarrow: pip install 'lettergpu[parquet]'") from None
    try:
        with parquet.ParquetFile(path) as file:
            _check_sizes(file, path)
            pictures: list[bytes] = []
            labels: list[Any] = []
            size = 0
            for batch in file.iter_batches(ROWS, columns=list(COLUMNS)):
                rows = batch.to_pydict()
                pictures += [_content(held, path, row) for row, held in enumerate(rows["image"], len(pictures) + 1)]
                labels += rows["label"]
                if (size := size + sum(map(len, pictures[-batch.num_rows :]))) > MOST:
                    raise LettergpuError(f"{path} has more than {MOST:,} bytes of pictures: too many for letters")
            names = _names(file.schema_arrow.metadata or {})
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        raise damaged(path, error, "Parquet file") from error
    if not pictures:
        raise LettergpuError(f"{path} holds no images")
    for row, label in enumerate(labels, 1):
        check_text(label, f"{path}, row {row:,}")
        if label is None:
            raise LettergpuError(f"{path}, row {row:,}: it has no label")
    return {"": Table(pictures, labels_of(np.array(labels), len(pictures), path), path, names=names)}


def _check_sizes(file: Any, path: Path) -> None:
    """Raises LettergpuError where the file has other columns, or promises more than letters can come to."""
    found = file.schema_arrow.names
    if not set(COLUMNS) <= set(found):
        raise LettergpuError(f"{path} has the columns {brief(', '.join(found))}; it needs image and label")
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if file.metadata.num_rows > MOST_IMAGES or size > MOST:
        raise LettergpuError(f"{path} promises {file.metadata.num_rows:,} rows of {size:,} bytes: too many for letters")


def _content(held: Any, path: Path, row: int) -> bytes:
    """What the file of a row's picture holds."""
    content = held.get("bytes") if isinstance(held, dict) else held
    if not isinstance(content, bytes) or len(content) > LARGE:
        raise LettergpuError(f"{path}, row {row:,}: its image is no picture's bytes, or more than {LARGE:,}")
    return content


def _names(metadata: dict[bytes, bytes]) -> tuple[str, ...]:
    """What Hugging Face's header calls the labels 0, 1, ...; nothing where it does not."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
