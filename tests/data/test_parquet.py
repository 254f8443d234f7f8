import io
import json

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow.parquet import write_table

from lettergpu.data import parquet
from lettergpu.errors import LettergpuError

LABELS = [number % 26 for number in range(300)]
HEADER = json.dumps({"info": {"features": {"label": {"names": ["A", "B"], "_type": "ClassLabel"}}}})


def png(level):
    Image.fromarray(np.full((28, 28), level, np.uint8)).save(content := io.BytesIO(), "PNG")
    return content.getvalue()


PICTURES = [{"bytes": png(number % 256), "path": f"{number}.png"} for number in range(300)]


def written(tmp_path, columns, header=None):
    table = pyarrow.table(columns)
    write_table(
        table.replace_schema_metadata({"huggingface": header}) if header else table, path := tmp_path / "a.parquet"
    )
    return path


@pytest.mark.parametrize("pictures", [PICTURES, [picture["bytes"] for picture in PICTURES]])
@pytest.mark.parametrize(("header", "names"), [(None, ()), (HEADER, ("A", "B")), ("{", ()), ('{"info": []}', ())])
def test_pictures_and_labels_are_read(pictures, header, names, tmp_path):
    (table,) = parquet.read(written(tmp_path, {"image": pictures, "label": LABELS, "other": LABELS}, header)).values()
    assert table.images == [picture["bytes"] for picture in PICTURES]
    assert table.labels.tolist() == LABELS
    assert table.names == names


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"img": PICTURES, "label": LABELS}, " has the columns img, label; it needs image and label"),
        ({"image": [b"x"] * 300, "label": [0.5] * 300}, " holds labels of float64: give whole numbers"),
        ({"image": [b"x"] * 300, "label": [*LABELS[:-1], None]}, ", row 300: it has no label"),
        ({"image": [*PICTURES[:-1], None], "label": LABELS}, ", row 300: its image is no picture's bytes"),
        ({"image": LABELS, "label": LABELS}, ", row 1: its image is no picture's bytes"),
        ({"image": [b"x", bytes(1_000_001)], "label": [1, 1]}, ", row 2: its image is .* more than 1,000,000"),
        ({"image": [b"x", b"x"], "label": ["A", "B" * 101]}, ", row 2: the label B{20}... is longer than 100"),
        (
            {"image": pyarrow.array([], pyarrow.binary()), "label": pyarrow.array([], pyarrow.int64())},
            " holds no images",
        ),
    ],
)
def test_other_contents_are_refused(columns, message, tmp_path):
    with pytest.raises(LettergpuError, match=f"a.parquet{message}") as error:
        parquet.read(written(tmp_path, columns))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_named(share, tmp_path):
    path = written(tmp_path, {"image": PICTURES, "label": LABELS})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(LettergpuError, match=r"a.parquet is damaged, or"):
        parquet.read(path)


@pytest.mark.parametrize(("limit", "message"), [("MOST_IMAGES", "promises 300 rows"), ("MOST", "promises 300 rows of")])
def test_a_promise_beyond_all_letters_is_refused(limit, message, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, limit, 200)
    with pytest.raises(LettergpuError, match=f"{message}.*too many for letters"):
        parquet.read(written(tmp_path, {"image": PICTURES, "label": LABELS}))
