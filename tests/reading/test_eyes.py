"""Letters in files of all kinds, as train, evaluate and Python get them."""

import io
from importlib import import_module

import numpy as np
import pytest
from conftest import write_split
from PIL import Image
from scipy.io import savemat

import lettergpu
from lettergpu import Config, LettergpuError
from lettergpu.data import folders, glyphs
from lettergpu.data.letters import Examples, Letters
from lettergpu.data.splits import SPLITS
from lettergpu.reading.eyes import letters_of

CLASSES = SPLITS["letters"].classes


@pytest.fixture(scope="module")
def printed():
    """Ten of each letter to train on, three to test on."""
    train, test = (Examples(*glyphs.draw(each=each, seed=each)) for each in (10, 3))
    return Letters(train, test, CLASSES, "test", "letters made for tests")


def transposed(images):
    return images.swapaxes(1, 2)


WAYS = {
    "upright": lambda images: images,
    "transposed": transposed,
    "inverted": lambda images: 255 - images,
    "both": lambda images: 255 - transposed(images),
}


def write_csv(folder, letters, way):
    for part in ("train", "test"):
        examples = getattr(letters, part)
        rows = np.column_stack([examples.labels + 1, way(examples.images).reshape(-1, 784)])
        np.savetxt(folder / f"my-{part}.csv", rows, "%d", ",")


def write_mat(folder, letters, way):
    parts = {
        part: {"images": way(examples.images).reshape(-1, 784), "labels": examples.labels[:, None] + 1}
        for part, examples in (("train", letters.train), ("test", letters.test))
    }
    savemat(folder / "emnist-letters.mat", {"dataset": parts})


def write_npz(folder, letters, way):
    (x, y), (x_test, y_test) = ((way(part.images), part.labels) for part in (letters.train, letters.test))
    np.savez(folder / "letters.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def png(image):
    Image.fromarray(image).save(content := io.BytesIO(), "PNG")
    return content.getvalue()


def write_parquet(folder, letters, way):
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    for part in ("train", "test"):
        examples = getattr(letters, part)
        pictures = [{"bytes": png(image), "path": None} for image in way(examples.images)]
        columns = {"image": pictures, "label": examples.labels}
        parquet.write_table(pyarrow.table(columns), folder / f"{part}-00000-of-00001.parquet")


def write_idx(folder, letters, way):
    parts = [Examples(transposed(way(part.images)), part.labels) for part in (letters.train, letters.test)]
    write_split(folder, Letters(*parts, CLASSES, "", ""))


WRITERS = {"IDX": write_idx, "CSV": write_csv, "MATLAB": write_mat, ".npz": write_npz, "Parquet": write_parquet}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", WRITERS)
def test_letters_are_the_same_from_every_format_however_they_lie(kind, way, printed, tmp_path):
    WRITERS[kind](tmp_path, printed, WAYS[way])
    letters = lettergpu.load_letters(str(tmp_path))
    assert letters.fingerprint == printed.fingerprint
    np.testing.assert_array_equal(letters.test.images, printed.test.images)
    np.testing.assert_array_equal(letters.test.labels, printed.test.labels)
    assert letters.classes == CLASSES
    assert letters.orientation == ("transposed" if way in ("transposed", "both") else "upright")
    assert letters.found["kind"] == kind
    assert letters.found["orientation"].startswith(f"{letters.orientation}: boxed reads ")
    assert ("dark on light" in letters.description) == (way in ("inverted", "both"))


@pytest.mark.parametrize("asked", ["upright", "transposed"])
def test_what_is_asked_overrules_what_is_found(asked, printed, tmp_path):
    write_npz(tmp_path, printed, transposed)
    letters = letters_of(Config(data=str(tmp_path), orientation=asked))
    assert (letters.fingerprint == printed.fingerprint) == (asked == "transposed")
    assert letters.found["orientation"] == f"{asked}: as it was set"


def test_settings_lead_to_the_same_letters_again(printed, tmp_path):
    write_npz(tmp_path, printed, transposed)
    letters = lettergpu.load_letters(str(tmp_path), held_out=0.3)
    assert letters.settings == {"data": str(tmp_path), "orientation": "transposed", "test": 0.3}
    again = letters_of(Config(**letters.settings))
    assert (again.fingerprint, again.description) == (printed.fingerprint, letters.description)


def write_pictures(folder, letters, save):
    for number, (image, label) in enumerate(zip(letters.images, letters.labels, strict=True)):
        (place := folder / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        save(Image.fromarray(image), place / str(number))


def sorted_rows(examples):
    return sorted((label, image.tobytes()) for label, image in zip(examples.labels, examples.images, strict=True))


def test_pictures_of_emnists_form_are_the_letters_themselves(printed, tmp_path):
    for part in ("train", "test"):
        write_pictures(tmp_path / part, getattr(printed, part), lambda image, path: image.save(path, "PNG"))
    letters = lettergpu.load_letters(str(tmp_path))
    assert sorted_rows(letters.train) == sorted_rows(printed.train)
    assert sorted_rows(letters.test) == sorted_rows(printed.test)
    assert letters.description.startswith(f"pictures of 26 classes from {tmp_path} (upright; ")
    assert folders.AS_THEY_ARE in letters.description


def test_pictures_of_any_format_and_size_are_brought_to_emnists_form(printed, tmp_path):
    formats = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"]

    def save(image, path):
        number = int(path.name)
        page = Image.new("L", (80, 60), 250)
        page.paste(Image.eval(image.resize((56, 56)), lambda level: 250 - level * 240 // 255), (10, 2))
        side = 1 + number % 3
        page.resize((80 * side, 60 * side)).save(path, formats[number % 6])

    write_pictures(tmp_path, printed.test, save)
    letters = letters_of(Config(data=str(tmp_path), test=0.4))
    assert (len(letters.train), len(letters.test)) == (52, 26)
    assert folders.NORMALISED in letters.description
    network, right = lettergpu.load("boxed"), []
    for parts in ((printed.test,), (letters.train, letters.test)):
        answers = [network.predict_proba(part.images).argmax(axis=1) == part.labels for part in parts]
        right.append(np.concatenate(answers).mean())
    assert right[1] > right[0] - 0.06


def test_a_corrupt_picture_among_many_is_named(printed, tmp_path):
    write_pictures(tmp_path, printed.train, lambda image, path: image.save(path, "PNG"))
    (path := tmp_path / "Q" / "notes.txt").write_text("not a picture")
    with pytest.raises(LettergpuError, match=f"{path} is no image that can be read: give PNG"):
        lettergpu.load_letters(str(tmp_path))
    path.unlink()
    (path := next((tmp_path / "Q").iterdir())).write_bytes(path.read_bytes()[:-30])
    with pytest.raises(LettergpuError, match=f"{path} is damaged"):
        lettergpu.load_letters(str(tmp_path))


def test_a_corrupt_picture_in_parquet_is_named_by_its_row(printed, tmp_path):
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    pictures = [png(image) for image in printed.test.images]
    pictures[76] = pictures[76][:40]
    parquet.write_table(
        pyarrow.table({"image": pictures, "label": printed.test.labels}), path := tmp_path / "a.parquet"
    )
    with pytest.raises(LettergpuError, match=r"a.parquet, row 77: the picture is no image that can be read"):
        lettergpu.load_letters(str(path))
