import numpy as np
import pytest

from lettergpu.data import folders
from lettergpu.data.folders import Eyes, seen
from lettergpu.errors import LettergpuError


def opened(source):
    """What a file of one text tells: the level of its pixels and their number a side."""
    level, side, *colours = source.read_text().split()
    if level == "broken":
        raise LettergpuError(f"{source} is damaged: broken")
    pixels = np.full((int(side), int(side), 3), int(level), np.uint8)
    pixels[..., 0] += len(colours)
    return pixels


def normalised(pixels):
    if not pixels.any():
        raise LettergpuError("there is no letter in the picture")
    return np.full((28, 28), 255 - pixels[0, 0, 0], np.uint8)


EYES = Eyes(opened, normalised, lambda images: None)


def made(folder, tree):
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_text(content)
    return folder


def held(table, classes):
    """What a part holds: (class, level) of each picture, in order."""
    images, _ = seen(table, EYES, iter)
    return sorted((classes[label], image[0, 0]) for label, image in zip(table.labels, images, strict=True))


def test_a_folder_is_a_class_and_classes_are_sorted_as_people_count(tmp_path):
    names = ["10", "2", "a", "B", "A", "é", "thumbs up", ".git"]
    tree = {f"{name}/{number}.png": f"{place} 28" for place, name in enumerate(names) for number in range(2)}
    parts, classes = folders.read(made(tmp_path, tree | {"README.txt": "", "A/.DS_Store": "", "B/Thumbs.db": ""}))
    assert classes == ("2", "10", "A", "a", "B", "thumbs up", "é")
    assert held(parts[""], classes) == sorted((name, names.index(name)) for name in classes for _ in range(2))


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "testing")])
def test_train_and_test_may_stand_above(train, test, tmp_path):
    tree = {f"{train}/A/1.png": "1 28", f"{train}/B/1.png": "2 28", f"{test}/B/1.png": "3 28"}
    parts, classes = folders.read(made(tmp_path, tree))
    assert classes == ("A", "B")
    assert held(parts["train"], classes) == [("A", 1), ("B", 2)]
    assert held(parts["test"], classes) == [("B", 3)]


def test_one_name_is_one_class_however_it_is_composed(tmp_path):
    tree = {"train/e\u0301/1.png": "1 28", "train/B/1.png": "2 28", "test/\u00e9/1.png": "3 28"}
    parts, classes = folders.read(made(tmp_path, tree))
    assert classes == ("B", "\u00e9")
    assert held(parts["test"], classes) == [("\u00e9", 3)]


def test_the_end_is_not_of_the_last_class_alone(tmp_path):
    tree = {f"{name}/{number}.png": "1 28" for name in "ABC" for number in range(30)}
    labels = folders.read(made(tmp_path, tree))[0][""].labels
    assert set(labels[-20:]) == {0, 1, 2}
    assert labels.tolist() == folders.read(tmp_path)[0][""].labels.tolist()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"A": None, "B": None}, ": 0 of its folders hold pictures; give one for each class, 2 to 1,000"),
        ({"A/1.png": "1 28", "B": None}, ": 1 of its folders hold pictures"),
        ({"train/A/1.png": "1 28", "train/B/1.png": "1 28", "test/A": None}, ": a part of it has 0 pictures"),
        (
            {"train/A/1.png": "1 28", "test/A/1.png": "1 28", "val/A/1.png": "1 28"},
            " holds test, train, val: give",
        ),
        (
            {"train/A/1.png": "1 28", "train/B/1.png": "1 28", "test/C/1.png": "1 28"},
            ": there is nothing to train on of the class C, only to test",
        ),
        ({"A/1.png": "1 28", "B\x1b[31m/1.png": "1 28"}, r": the folder B \[31m has no name to be printed"),
    ],
)
def test_other_folders_are_refused(tree, message, tmp_path):
    with pytest.raises(LettergpuError, match=f"letters{message}") as error:
        folders.read(made(tmp_path / "letters", tree))
    assert str(error.value).isprintable()


def test_more_classes_than_a_few_hundred_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_CLASSES", 2)
    with pytest.raises(LettergpuError, match="3 of its folders hold pictures; give one for each class, 2 to 2"):
        folders.read(made(tmp_path, {f"{name}/1.png": "1 28" for name in "ABC"}))


def test_grey_pictures_of_28_by_28_stay_and_others_are_brought_to_emnists_form(tmp_path):
    small = {"A/1.png": "1 28", "A/2.png": "2 28", "B/1.png": "3 28"}
    parts, classes = folders.read(made(tmp_path, small))
    assert held(parts[""], classes) == [("A", 1), ("A", 2), ("B", 3)]
    assert seen(parts[""], EYES, iter)[1] == folders.AS_THEY_ARE
    for name, other in {"B/2.png": "4 100", "B/3.png": "4 28 red"}.items():
        parts, classes = folders.read(made(tmp_path, {name: other}))
        level = 255 - 4 - ("red" in other)
        assert held(parts[""], classes) == [("A", 253), ("A", 254), ("B", level), ("B", 252)]
        assert seen(parts[""], EYES, iter)[1] == folders.NORMALISED
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("content", "message"),
    [("broken 28", "B/77.png is damaged: broken$"), ("0 50", "B/77.png: there is no letter in the picture$")],
)
def test_the_one_picture_of_many_that_cannot_be_read_is_named(content, message, tmp_path):
    tree = {f"{name}/{number}.png": "1 28" for name in "AB" for number in range(100)}
    parts, _ = folders.read(made(tmp_path / "letters", tree | {"B/77.png": content}))
    with pytest.raises(LettergpuError, match=message) as error:
        seen(parts[""], EYES, iter)
    assert str(error.value).count("77.png") == 1


def test_who_has_no_eyes_is_told(tmp_path):
    parts, _ = folders.read(made(tmp_path, {"A/1.png": "1 28", "B/1.png": "1 28"}))
    with pytest.raises(LettergpuError, match=r"holds pictures, which lettergpu.load_letters reads"):
        seen(parts[""], None, iter)
