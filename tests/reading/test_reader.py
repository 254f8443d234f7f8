import io
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pictures
import pytest
from PIL import Image
from test_spans import set_in_print

import lettergpu
from lettergpu.config import Config
from lettergpu.data.letters import load_test
from lettergpu.errors import LettergpuError
from lettergpu.nn.network import Network
from lettergpu.reading.reader import Reader
from lettergpu.training import checkpoint
from lettergpu.training.checkpoint import BOXED, FIGURES, LETTERLIKE


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


@pytest.fixture(scope="module")
def words():
    return [pictures.word(0, index, source="strokes") for index in range(8)]


@pytest.fixture
def files(tmp_path, words):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, word in enumerate(words[:3]):
        (folder / f"{number}.png").write_bytes(word.file)
    return folder


def test_the_network_in_the_package(reader):
    assert sum(file.stat().st_size for file in (BOXED, LETTERLIKE, FIGURES)) <= 1_500_000
    assert reader.network.sizes == (784, 600, 300, 150, 26)
    assert reader.network.parameters.dtype == np.float32
    assert "/" not in checkpoint.read(BOXED).config.data
    assert (BOXED.parent / "README.md").is_file()


def test_the_network_in_the_package_reads_real_letters(reader, emnist):
    examples, _ = load_test(str(emnist), "letters")
    right = reader.network.predict_proba(examples.images).argmax(axis=1) == examples.labels
    assert right.mean() > 0.948


def test_an_emnist_image_is_read_as_the_network_reads_it(reader, emnist):
    examples, _ = load_test(str(emnist), "letters")
    images = examples.images[::40]
    direct = reader.network.predict_proba(images)
    for image, row in zip(images, direct, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        (letter,) = reader.read(file.getvalue()).letters
        assert letter.top[0][0] == reader.network.classes[row.argmax()]


def test_words_are_read(reader, words):
    assert [reader.read(word.file).text for word in words] == [word.text for word in words]


def test_the_public_names(words):
    reading = lettergpu.read(words[0].file, top=2)
    assert isinstance(reading, lettergpu.Reading)
    assert isinstance(reading.letters[0], lettergpu.Letter)
    assert [len(letter.top) for letter in reading.letters] == [2] * len(words[0].text)
    assert all(p >= q for letter in reading.letters for (_, p), (_, q) in [letter.top])


def test_threads_may_share_a_reader(reader, words):
    alone = [reader.read(word.file).table() for word in words]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda word: reader.read(word.file).table(), words * 8))
    assert together == alone * 8


def test_hidden_activations_are_those_of_the_forward_pass(reader, words):
    letters = reader.read(words[0].file).letters
    hidden = reader.hidden(letters)
    assert [layer.shape for layer in hidden] == [(len(letters), nodes) for nodes in (600, 300, 150)]
    last = reader.network.layers[-1]
    logits = hidden[-1] @ last.weight + last.bias
    assert [reader.network.classes[i] for i in logits.argmax(axis=1)] == [letter.top[0][0] for letter in letters]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"form": "poem"}, "form poem: choose one of auto, single, text"),
        ({"binarize": "magic"}, "binarize magic: choose one of otsu, sauvola, kmeans"),
        ({"top": 0}, "top 0: give a number from 1 to 26"),
        ({"top": 27}, "top 27"),
        ({"binarize": "kmeans", "form": "text"}, "single letter"),
    ],
)
def test_what_cannot_be_asked_for(reader, words, how, said):
    with pytest.raises(LettergpuError, match=said):
        reader.read(words[0].file, **how)


def test_a_network_for_other_images_is_refused():
    with pytest.raises(LettergpuError, match="not 28x28"):
        Reader(Network((100, 26)))


def test_half_floats_are_read_as_floats(tmp_path):
    network = Network((784, 40, 26), classes=Reader.of().network.classes)
    network.initialize(np.random.default_rng(0), "uniform")
    checkpoint.save(tmp_path / "half.safetensors", network, Config(), "", half=True)
    checkpoint.save(tmp_path / "full.safetensors", network, Config(), "")
    half = checkpoint.load(tmp_path / "half.safetensors")
    assert half.parameters.dtype == np.float32
    assert 0 < np.abs(half.parameters - network.parameters).max() < 1e-4
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size


def predict(*words, **kwargs):
    command = [sys.executable, "-m", "lettergpu", "predict", *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=120, **kwargs)


def test_predict_prints_the_text_and_each_letter(files, words):
    done = predict(files / "0.png", "--top", 3)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == f"{files / '0.png'}: {words[0].text}"
    assert [line.split()[0] for line in lines[2:]] == list(words[0].text)
    assert all(line.count("%") == 3 for line in lines[2:])


def test_predict_as_json_of_files_folders_and_standard_input(files, words):
    done = predict(files, "-", files / "1.png", "--json", stdin=(files / "2.png").open("rb"))
    found = json.loads(done.stdout)
    assert [reading["file"] for reading in found] == [
        *(str(files / f"{i}.png") for i in range(3)),
        "-",
        str(files / "1.png"),
    ]
    assert [reading["text"] for reading in found] == [words[i].text for i in (0, 1, 2, 2, 1)]
    for letter, box in zip(found[0]["letters"], words[0].boxes, strict=True):
        assert np.abs(np.subtract(letter["box"], box)).max() < 8
        assert len(letter["top"]) == 5
        assert set(letter["top"][0]) == {"letter", "probability"}


def test_predict_draws_what_it_read(files, tmp_path):
    assert predict(files / "0.png", "--show", tmp_path / "one.png").returncode == 0
    assert predict(files, "--show", tmp_path / "all").returncode == 0
    drawings = [tmp_path / "one.png", *(tmp_path / "all" / f"{i}.png.png" for i in range(3))]
    for drawing in drawings:
        assert np.asarray(Image.open(drawing)).std() > 10


def test_drawings_of_pictures_with_one_name_do_not_replace_each_other(files, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(files / "1.png", other / "0.png")
    assert predict(files / "0.png", other / "0.png", "--show", tmp_path / "all").returncode == 0
    first, second = (np.asarray(Image.open(tmp_path / "all" / name)) for name in ("0.png.png", "0.png-2.png"))
    assert not np.array_equal(first, second)


def test_predict_counts_what_is_right(files, words, tmp_path):
    truth = {f"{i}.png": {"truth": words[i].text.lower(), "kind": "one" if i else ""} for i in range(2)}
    (tmp_path / "truth.json").write_text(json.dumps(truth | {"elsewhere.png": "A"}))
    found = json.loads(predict(files, "--truth", tmp_path / "truth.json", "--json").stdout)
    counts = [len(word.text) for word in words[:2]]
    assert [(row["right"], row["extra"]) for row in found["pictures"]] == [(count, 0) for count in counts]
    assert {kind: row["right"] for kind, row in found["score"].items()} == {"all": sum(counts), "one": counts[1]}
    assert found["score"]["all"]["whole"] == found["score"]["all"]["words"]
    (files / "1.png").write_bytes(b"no picture")
    done = predict(files, "--truth", tmp_path / "truth.json")
    lines = done.stdout.decode().splitlines()
    assert (
        lines[0]
        == f"{files / '0.png'}: {counts[0]} of {counts[0]}   {words[0].text.lower()}   read as   {words[0].text}"
    )
    assert lines[1].startswith(f"{files / '1.png'}: 0 of {counts[1]} ")
    assert lines[-3].split() == ["all", "2", str(counts[0]), "of", str(sum(counts)), "0", "1", "of", "2"]
    assert lines[-1] == "1 more of the pictures, whose truth is not told, not counted"
    (tmp_path / "truth.json").write_text('{"other.png": "A"}')
    assert (
        b"tells of none of these pictures: it names other.png"
        in predict(files, "--truth", tmp_path / "truth.json").stderr
    )


def test_a_bad_picture_is_told_and_the_others_are_read(files, words):
    (files / "3.png").write_bytes(b"no picture")
    alone = predict(files / "3.png")
    assert (alone.returncode, alone.stdout) == (2, b"")
    assert alone.stderr.decode().startswith(f"error: {files / '3.png'} is no image that can be read")
    among = predict(files, "--json")
    assert among.returncode == 2
    assert [reading["text"] for reading in json.loads(among.stdout)] == [word.text for word in words[:3]]
    assert among.stderr == alone.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere.png"], "there is no such file"),
        (["."], "no picture in this folder"),
        (["-"], "is empty"),
        (["-", "--single", "--text"], "choose one"),
        ([BOXED.parents[2] / "web" / "static" / "icon.svg"], "is no image that can be read"),
        (["-", "--model", "nowhere"], "there is no such file"),
    ],
)
def test_predict_says_what_is_wrong(words, said, tmp_path):
    done = predict(*words, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_a_run_of_ones_own_reads(files, folder, tmp_path):
    train = ("train", "--data", folder, "--hidden", "24", "--epochs", "1", "--device", "cpu", "--out", tmp_path / "run")
    subprocess.run([sys.executable, "-m", "lettergpu", *map(str, train)], check=True, capture_output=True)
    found = json.loads(predict(files / "0.png", "--model", tmp_path / "run", "--json").stdout)
    assert found[0]["letters"]


@pytest.mark.parametrize("by", [1.5, 1.6, 1.7])
def test_an_m_alone_may_be_twice_as_wide_as_high(by, reader):
    image = set_in_print("m", 70)
    assert reader.read(image.resize((round(by * image.width), image.height))).text == "M"
    for word in ("in", "ON", "we"):
        assert reader.read(set_in_print(word, apart=-0.05)).text == word.upper()
