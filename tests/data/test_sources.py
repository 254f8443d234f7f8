import numpy as np
import pytest
from conftest import write_split
from scipy.io import savemat

from lettergpu.data import sources
from lettergpu.errors import LettergpuError

LINE = ",".join(["{}", *["0"] * 784]) + "\n"


def csv(path, *labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(LINE.format(label) for label in labels))
    return path


def labels_of(source):
    return {part: table.labels.tolist() for part, table in source.parts.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("emnist-letters-train.csv", "emnist-letters-test.csv"),
        ("Train.csv", "Test.csv"),
        ("train-00000-of-00001.csv", "test-00000-of-00001.csv"),
    ],
)
@pytest.mark.parametrize("named", ["folder", "file"])
def test_files_to_train_and_to_test_on_are_a_pair(named, train, test, tmp_path):
    path = csv(tmp_path / train, 1, 2, 26)
    csv(tmp_path / test, 3)
    source = sources.read(path if named == "file" else tmp_path, "letters")
    assert labels_of(source) == {"train": [0, 1, 25], "test": [2]}
    assert source.usual.transposed == train.startswith("emnist-")


def test_a_file_alone_is_all_there_is(tmp_path):
    assert labels_of(sources.read(csv(tmp_path / "my letters.csv", "A", "C"), "letters")) == {"": [0, 2]}
    assert labels_of(sources.read(csv(tmp_path / "a" / "emnist-letters-test.csv", 1, 2), "letters")) == {"": [0, 1]}
    assert labels_of(sources.read(tmp_path / "a", "letters")) == {"": [0, 1]}


def test_of_several_official_files_the_splits_are_taken(tmp_path):
    for split in ("letters", "balanced", "mnist"):
        csv(tmp_path / f"emnist-{split}-train.csv", 1, 2)
        csv(tmp_path / f"emnist-{split}-test.csv", 3)
    assert labels_of(sources.read(tmp_path, "letters")) == {"train": [0, 1], "test": [2]}
    source = sources.read(tmp_path, "mnist")
    assert labels_of(source) == {"train": [1, 2], "test": [3]}
    assert source.classes == tuple("0123456789")
    assert source.what == "mnist in CSV"


def test_matlab_files_hold_both_parts(tmp_path):
    part = {"images": np.zeros((2, 784), np.uint8), "labels": np.array([[1], [26]])}
    for split in ("letters", "digits"):
        savemat(tmp_path / f"emnist-{split}.mat", {"dataset": {"train": part, "test": part}})
    source = sources.read(tmp_path, "letters")
    assert labels_of(source) == {"train": [0, 25], "test": [0, 25]}
    assert source.usual.transposed


def test_idx_goes_before_all_else(few_letters, tmp_path):
    csv(write_split(tmp_path / "data", few_letters) / "other.csv", 1)
    assert sources.read(tmp_path / "data", "letters").kind == "IDX"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], " is empty: no letters that are known; lettergpu reads EMNIST's IDX files"),
        (["a.txt", "b.png"], " holds a.txt, b.png: no letters that are known; .*a folder of pictures for each class"),
        (["a.csv", "b.npz"], " holds a.csv, b.npz: name the one that you mean"),
        (["train.csv", "test.csv", "validation.csv"], " holds test.csv, train.csv, validation.csv: name the one"),
    ],
)
def test_what_is_not_one_thing_is_listed(names, message, tmp_path):
    (folder := tmp_path / "letters").mkdir()
    for name in names:
        (folder / name).write_text("")
    with pytest.raises(LettergpuError, match=f"--data .*letters{message}"):
        sources.read(folder, "letters")


@pytest.mark.parametrize("name", ["letters.txt", "letters", "letters.h5", "letters.csv.zip"])
def test_a_file_of_another_kind_is_told_what_is_read(name, tmp_path):
    (path := tmp_path / name).write_text("")
    with pytest.raises(LettergpuError, match=f"--data .*{name}: it is of a kind that is not known; lettergpu reads"):
        sources.read(path, "letters")


def test_one_of_the_idx_files_leads_to_their_folder(few_letters, tmp_path):
    folder = write_split(tmp_path / "data", few_letters)
    with pytest.raises(LettergpuError, match="is one of four IDX files: name the folder"):
        sources.read(next(folder.iterdir()), "letters")


def test_a_part_that_is_there_twice_is_refused(tmp_path):
    arrays = {"x_train": np.zeros((2, 784)), "y_train": [1, 2], "x_test": np.zeros((2, 784)), "y_test": [1, 2]}
    for name in ("train.npz", "test.npz"):
        np.savez(tmp_path / name, **arrays)
    with pytest.raises(LettergpuError, match=r"train.npz: it holds letters to train and to test on, and so does"):
        sources.read(tmp_path, "letters")
