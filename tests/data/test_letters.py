import hashlib
import http.server
import os
import stat
import threading
import zipfile

import numpy as np
import pytest
from conftest import write_idx, write_split
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from lettergpu.data import emnist, glyphs
from lettergpu.data.letters import Examples, Letters, find_source, load_letters
from lettergpu.data.splits import SPLITS
from lettergpu.errors import LettergpuError

IMAGES, LABELS = "emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("split", SPLITS)
def test_every_split_is_read_upright_from_zero(split, ending, tmp_path):
    classes = SPLITS[split].classes
    rng = np.random.default_rng(15)
    count = len(classes)
    parts = [Examples(rng.integers(0, 256, (count, 28, 28)).astype(np.uint8), np.arange(count)) for _ in range(2)]
    written = Letters(*parts, classes, "", "")
    letters = load_letters(str(write_split(tmp_path / "data", written, split, ending)), split)
    assert letters.classes == classes
    for part in ("train", "test"):
        np.testing.assert_array_equal(getattr(letters, part).images, getattr(written, part).images)
        np.testing.assert_array_equal(getattr(letters, part).labels, np.arange(count))
    assert letters.fingerprint == written.fingerprint


def test_the_splits_have_the_papers_classes():
    assert {name: len(split.classes) for name, split in SPLITS.items()} == {
        "letters": 26,
        "balanced": 47,
        "byclass": 62,
        "bymerge": 47,
        "digits": 10,
        "mnist": 10,
    }
    assert all(len(set(split.classes)) == len(split.classes) for split in SPLITS.values())


def breaks(folder, how):
    images, labels = folder / IMAGES, folder / LABELS
    match how:
        case "no labels":
            labels.unlink()
        case "truncated":
            images.write_bytes(images.read_bytes()[:1000])
        case "images and labels swapped":
            images.rename(folder / "x")
            labels.rename(images)
            (folder / "x").rename(labels)
        case "fewer labels":
            write_idx(labels, np.ones(399))
        case "label 0":
            write_idx(labels, np.zeros(400))
        case "label 27":
            write_idx(labels, np.full(400, 27))
        case "other size":
            write_idx(images, np.zeros((400, 32, 32)))
        case "nothing":
            write_idx(images, np.zeros((0, 28, 28)))
            write_idx(labels, np.zeros(0))


BROKEN = {
    "no labels": "there is no emnist-letters-train-labels-idx1-ubyte",
    "truncated": f"{IMAGES} is truncated or damaged",
    "images and labels swapped": f"{IMAGES} begins with 00000801",
    "fewer labels": "400 images and .* 399 labels",
    "label 0": "holds the label 0; the split letters has 1 to 26",
    "label 27": "holds the label 27; the split letters has 1 to 26",
    "other size": "32 x 32 pixels, not 28 x 28",
    "nothing": "holds no images",
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_folders_are_told_apart(how, folder):
    breaks(folder, how)
    with pytest.raises(LettergpuError, match=BROKEN[how]) as error:
        load_letters(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        ("/no/such/folder", "letters", "--data /no/such/folder: there is no such folder"),
        ("x" * 5000, "letters", r"--data x{300}\.\.\.: there is no such folder"),
        ("~nobody at all/letters", "letters", "--data ~nobody at all/letters: there is no such folder"),
        ("builtin", "digits", "only letters are built in"),
        ("auto", "byclass", "lettergpu data download --split byclass"),
        ("auto", "alphabet", "--split alphabet: choose one of letters"),
    ],
)
def test_sources_that_do_not_exist(data, split, message):
    with pytest.raises(LettergpuError, match=message):
        find_source(data, split)


@pytest.fixture(params=[("images", "labels"), ("x_train", "y_train")], ids=" and ".join)
def untested(few_letters, tmp_path, request):
    """A file without a test part, in which each image tells its row."""
    images = few_letters.train.images.copy()
    images[:, 0, 0], images[:, 0, 1] = np.arange(400) % 256, np.arange(400) // 256
    arrays = zip(request.param, (images, few_letters.train.labels), strict=True)
    np.savez(path := tmp_path / "letters.npz", **dict(arrays))
    return path


def rows_of(examples):
    return examples.images[:, 0, 0].astype(int) + 256 * examples.images[:, 0, 1].astype(int)


def test_without_a_test_part_a_share_of_each_class_is_held_out(untested, few_letters):
    letters = load_letters(str(untested), held_out=0.3)
    labels = few_letters.train.labels
    assert sorted([*rows_of(letters.train), *rows_of(letters.test)]) == [*range(400)]
    np.testing.assert_array_equal(letters.train.labels, labels[rows_of(letters.train)])
    np.testing.assert_array_equal(letters.test.labels, labels[rows_of(letters.test)])
    expected = np.rint(0.3 * np.bincount(labels))
    np.testing.assert_array_equal(np.bincount(letters.test.labels), expected)
    assert letters.description.endswith("30% of each class, held out here (--test))")
    again = load_letters(str(untested), held_out=0.3, test_only=True)
    np.testing.assert_array_equal(again.test.images, letters.test.images)


def test_a_share_however_small_tests_each_class_and_all_is_all(untested):
    letters = load_letters(str(untested), held_out=0.001)
    assert np.bincount(letters.test.labels).tolist() == [1, 1, 1, 1]
    letters = load_letters(str(untested), held_out=1)
    assert (len(letters.train), len(letters.test)) == (0, 400)
    for share in (0, 1.1, float("nan")):
        with pytest.raises(LettergpuError, match=f"--test {share}: give a share above 0, or 1 for all"):
            load_letters(str(untested), held_out=share)


def test_a_class_of_one_image_is_trained_on(tmp_path):
    np.savez(path := tmp_path / "letters.npz", images=np.ones((5, 784)), labels=["A", "B", "B", "B", "B"])
    letters = load_letters(str(path), held_out=0.4)
    assert np.bincount(letters.train.labels).tolist() == [1, 2]
    assert letters.test.labels.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("own", "classes", "expected"),
    [
        (("A", "B"), ("A", "B"), [0, 1]),
        (("B", "D"), ("A", "B", "C", "D"), [1, 3]),
        (("b", "D"), ("A", "B", "C", "D"), [1, 3]),
        (("A", "a"), ("A", "B"), [0, 0]),
        (("A", "a"), ("A", "a", "B"), [0, 1]),
    ],
)
def test_letters_are_labelled_for_a_network_that_knows_more(own, classes, expected):
    part = Examples(np.zeros((2, 28, 28), np.uint8), np.arange(2))
    letters = Letters(part, part, own, "here", "").named(classes)
    assert letters.classes == classes
    assert letters.test.labels.tolist() == letters.train.labels.tolist() == expected


@pytest.mark.parametrize(("own", "classes"), [(("A", "Ä"), ("A", "B")), (("B", "b"), ("A", "a", "B"))])
def test_a_class_that_a_network_does_not_know_is_named(own, classes):
    part = Examples(np.zeros((2, 28, 28), np.uint8), np.arange(2))
    with pytest.raises(LettergpuError, match=f"here: the network knows no class {own[1]}, but A, "):
        Letters(part, part, own, "here", "").named(classes)


def test_real_letters(emnist):
    letters = load_letters(str(emnist))
    assert letters.train.images.shape == (92_788, 28, 28)
    assert np.bincount(letters.test.labels).tolist() == [800] * 26
    # upright: the stem of an L or I stands, so its columns differ more than its rows do
    stems = letters.train.images[letters.train.labels == 8].mean(axis=0)
    assert stems.sum(axis=0).std() > 2 * stems.sum(axis=1).std()
    assert "not all of them the official files" in letters.description


def test_builtin_letters_have_emnists_form():
    images, labels = glyphs.draw(each=20, seed=0)
    assert images.shape == (520, 28, 28)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [20] * 26
    lit = images > 0
    height = lit.any(axis=2).sum(axis=1)
    width = lit.any(axis=1).sum(axis=1)
    side = np.maximum(height, width)  # the longer one fills all but the border of 2 pixels
    assert (side <= 26).all()
    assert np.quantile(side, 0.02) >= 24  # a thin point may stay under half a grey level
    assert not images[:, 0].any()
    assert not images[:, :, -1].any()
    assert ((images > 0) & (images < 255)).any(axis=(1, 2)).all()  # anti-aliased
    tall = height[labels == 8].mean() / width[labels == 8].mean()  # an I keeps its aspect
    assert tall > 1.5
    columns = images[labels == 11].mean(axis=0).sum(axis=0)  # an L stands upright, its foot to the right
    rows = images[labels == 11].mean(axis=0).sum(axis=1)
    assert rows[20:].sum() > rows[:8].sum()
    assert columns[:14].sum() > columns[14:].sum()


def test_builtin_letters_follow_from_the_seed_and_are_cached(cache, monkeypatch):
    np.testing.assert_array_equal(glyphs.draw(2, seed=5)[0], glyphs.draw(2, seed=5)[0])
    assert (glyphs.draw(2, seed=5)[0] != glyphs.draw(2, seed=6)[0]).any()
    monkeypatch.setitem(glyphs.EACH, "test", 3)
    monkeypatch.setattr(glyphs, "VERSION", "of this test")
    first = glyphs.load("test")
    monkeypatch.setattr(glyphs, "draw", None)
    again = glyphs.load("test")
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_every_face_has_every_letter():
    shapes = {(face, letter): glyphs._outline(face, letter)[0].shape for face in glyphs.FACES for letter in "AaZz"}
    assert len(shapes) == 4 * len(glyphs.FACES)
    assert all(count > 20 for count, _ in shapes.values())


def letters_of(count, test_count):
    parts = [Examples(np.zeros((n, 28, 28), np.uint8), np.zeros(n, np.int64)) for n in (count, test_count)]
    return Letters(*parts, SPLITS["letters"].classes, "", "")


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_hold_out_is_a_seeded_partition(share):
    letters = letters_of(1000, 50)
    rows, held = letters.hold_out(share, seed=0)
    assert len(held) == 1000 * share
    assert sorted([*rows, *held]) == list(range(1000))
    assert sorted(held) != list(range(1000 - len(held), 1000))
    np.testing.assert_array_equal(letters.hold_out(share, 0)[1], held)
    assert (letters.hold_out(share, 1)[1] != held).any()


def test_hold_out_of_the_last_is_the_papers():
    rows, held = letters_of(1248, 208).hold_out("last", seed=0)
    assert held.tolist() == list(range(1040, 1248))
    assert rows.tolist() == list(range(1040))


@pytest.mark.parametrize(
    ("count", "validation"), [(1, 0.2), (80, "last"), (60, "last"), (1000, 0.0001), (1000, 0.9999)]
)
def test_too_few_letters_to_split(count, validation):
    with pytest.raises(LettergpuError, match=f"--validation {validation}: of {count:,} images that leaves"):
        letters_of(count, 80).hold_out(validation, seed=0)


def test_a_damaged_cache_is_drawn_again(cache, monkeypatch):
    monkeypatch.setitem(glyphs.EACH, "test", 1)
    monkeypatch.setattr(glyphs, "VERSION", "damaged")
    whole = glyphs.load("test")
    path, older = cache / "glyphs-damaged-test.safetensors", cache / "glyphs-damaged-test.npz"
    older.write_bytes(b"of an earlier version")
    images, labels = whole
    point = np.zeros((), np.int64)
    others = [
        {"images": images},
        {"images": images[:3], "labels": labels},
        {"images": images, "labels": labels * 2**40},
        {"images": images.astype(np.int16), "labels": labels},
        {"images": point, "labels": point},
        {"images": images, "labels": labels, "more": np.zeros(10**6)},
    ]
    contents = [b"", b"nonsense", path.read_bytes()[:1000], *map(to_bytes, others)]
    for content in contents:
        path.write_bytes(content)
        np.testing.assert_array_equal(glyphs.load("test")[0], images)
        assert load_file(path).keys() == {"images", "labels"}
    assert not older.exists()


def test_no_damage_to_a_cache_goes_unseen(cache, monkeypatch):
    """Wherever a byte differs, the letters are those that were drawn."""
    monkeypatch.setitem(glyphs.EACH, "test", 1)
    monkeypatch.setattr(glyphs, "VERSION", "of a byte")
    whole = glyphs.load("test")
    path = cache / "glyphs-of a byte-test.safetensors"
    content = path.read_bytes()
    monkeypatch.setattr(glyphs, "draw", lambda *how: whole)
    for place in (*range(250), *range(250, len(content) - 500, 997), *range(len(content) - 500, len(content), 3)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        for got, drawn in zip(glyphs.load("test"), whole, strict=True):
            np.testing.assert_array_equal(got, drawn, err_msg=f"byte {place}")


def test_others_may_read_a_cache_that_is_shared_but_not_write(tmp_path, monkeypatch):
    monkeypatch.setenv("LETTERGPU_CACHE", str(tmp_path / "new"))
    monkeypatch.setitem(glyphs.EACH, "test", 1)
    before = os.umask(0)
    try:
        glyphs.load("test")
    finally:
        os.umask(before)
    (kept,) = (tmp_path / "new").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new", kept)] == [0o700, 0o644]


@pytest.mark.parametrize("cache", ["file", "long" * 100])
def test_letters_are_drawn_where_they_cannot_be_kept(cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LETTERGPU_CACHE", str(tmp_path / cache))
    monkeypatch.setitem(glyphs.EACH, "test", 1)
    assert find_source("auto", "letters") is None
    with pytest.warns(UserWarning, match=r"drawn each time, as they cannot be kept: .*LETTERGPU_CACHE"):
        images, labels = glyphs.load("test")
    np.testing.assert_array_equal(images, glyphs.draw(1, glyphs.SEED["test"])[0])
    assert len(labels) == 26


# Downloads, from a server of the test's own


@pytest.fixture
def archive(tmp_path, few_letters, monkeypatch):
    """A gzip.zip of two splits, taken for the official one."""
    inside = write_split(tmp_path / "inside", few_letters)
    path = tmp_path / "served" / "gzip.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        for name in sorted(inside.iterdir()):
            file.write(name, f"gzip/{name.name}")
            file.write(name, f"gzip/{name.name.replace('letters', 'balanced')}")
    monkeypatch.setattr(emnist, "ARCHIVE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def serve(archive):
    """The archive's address, on this machine; `serve.cut` limits how much of it is sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = archive.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: server.cut])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.cut, server.url = None, f"http://127.0.0.1:{server.server_port}/gzip.zip"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LETTERGPU_CACHE", str(tmp_path / "own cache"))
    return tmp_path / "own cache"


def test_download_verifies_and_unpacks_one_split(serve, own_cache, few_letters):
    assert find_source("auto", "letters") is None
    folder = emnist.download("letters", url=serve.url)
    assert find_source("auto", "letters") == folder
    assert len(list(folder.iterdir())) == 4
    np.testing.assert_array_equal(load_letters("auto").train.images, few_letters.train.images)
    assert emnist.archive_path().is_file()
    emnist.download("letters", url="http://127.0.0.1:9/", remove_archive=True)  # kept, so not fetched again
    assert not emnist.archive_path().exists()


def test_interrupted_download_leaves_nothing(serve, own_cache):
    serve.cut = 5000
    with pytest.raises(LettergpuError, match=f"could not be fetched .*put it at {emnist.archive_path()}"):
        emnist.download("letters", url=serve.url)
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []
    assert find_source("auto", "letters") is None


def test_another_archive_is_refused(serve, own_cache, monkeypatch):
    monkeypatch.setattr(emnist, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(LettergpuError, match="gave another file than the official archive"):
        emnist.download("letters", url=serve.url)
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []


def test_an_unknown_split_is_refused_before_anything_is_fetched(own_cache):
    with pytest.raises(LettergpuError, match="--split alphabet: choose one of letters"):
        emnist.download("alphabet", url="http://127.0.0.1:9/x")


def test_a_cache_that_cannot_be_written_is_named(archive, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LETTERGPU_CACHE", str(tmp_path / "file"))
    with pytest.raises(LettergpuError, match=r"cannot be written .*LETTERGPU_CACHE"):
        emnist.download("letters", archive=archive)


def test_no_network_says_what_to_do(own_cache):
    with pytest.raises(LettergpuError, match=r"127.0.0.1:9/x could not be fetched .*--archive FILE") as error:
        emnist.download("letters", url="http://127.0.0.1:9/x")
    assert "\n" not in str(error.value)


def test_archive_fetched_by_hand(archive, own_cache, tmp_path):
    folder = emnist.download("balanced", archive=archive)
    assert {path.name.split("-")[1] for path in folder.iterdir()} == {"balanced"}
    with pytest.raises(LettergpuError, match="there is no such file"):
        emnist.download("letters", archive=tmp_path / "nowhere.zip")
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(LettergpuError, match=r"this is not the official gzip.zip"):
        emnist.download("letters", archive=archive)


def test_damaged_archive_leaves_nothing(archive, own_cache, monkeypatch):
    with pytest.raises(LettergpuError, match=r"is not EMNIST's gzip.zip"):
        emnist.download("mnist", archive=archive)  # it holds two other splits
    assert list((own_cache / "emnist").iterdir()) == []


@pytest.mark.parametrize("how", ["no deflate", "not its checksum", "encrypted", "of another method", "too large"])
def test_an_archive_damaged_within_is_said_in_a_sentence(how, archive, own_cache, monkeypatch):
    with zipfile.ZipFile(archive) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in contents.items():
            file.writestr(name, text)
        first = file.getinfo(f"gzip/{IMAGES}")
    damaged, name = bytearray(archive.read_bytes()), first.filename.encode()
    local, listed = first.header_offset, damaged.rindex(name) - 46  # where the archive tells of the file, twice
    start = local + 30 + len(name)
    match how:
        case "no deflate":
            damaged[start : start + 100] = b"\xff" * 100
        case "not its checksum":
            damaged[start + first.compress_size - 100] ^= 1
        case "encrypted":
            damaged[local + 6] = damaged[listed + 8] = 1
        case "of another method":
            damaged[local + 8] = damaged[listed + 10] = 99
        case "too large":
            monkeypatch.setattr(emnist, "ARCHIVE_BYTES", 1000)
    archive.write_bytes(damaged)
    monkeypatch.setattr(emnist, "ARCHIVE_SHA256", hashlib.sha256(damaged).hexdigest())
    with pytest.raises(
        LettergpuError, match=r"gzip.zip is not EMNIST's gzip.zip, or is damaged \(.*fetch it again"
    ) as error:
        emnist.download("letters", archive=archive)
    assert "\n" not in str(error.value)
    assert list((own_cache / "emnist").iterdir()) == []


def test_official_files_are_recognised(folder, monkeypatch):
    assert emnist.verify(folder, "letters") == "not the official file"
    digests = {path.stem: digest for path, (digest, _) in emnist.checksums(folder, "letters").items()}
    monkeypatch.setattr(emnist, "OFFICIAL_SHA256", digests)
    assert emnist.verify(folder, "letters") == "official"
