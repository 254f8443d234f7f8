"""What lettergpu reads: for each format a few valid files, how to damage them, and the call that takes them."""

import gzip
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any

import mutations
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.io import savemat

import lettergpu
from lettergpu.config import RECIPES, Config
from lettergpu.data import emnist
from lettergpu.data.letters import load_letters
from lettergpu.interop import onnx, weights
from lettergpu.nn.network import Network
from lettergpu.reading.truth import read_truth
from lettergpu.training import checkpoint
from lettergpu.training.loop import State

COUNT = 52  # letters of a part
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")
WIDE = {"PNG": ("I;16",), "TIFF": ("I;16", "F")}  # modes of more than 8 bits, by who has them


@dataclass(frozen=True)
class Format:
    """files: makes valid ones, by name. damage: to one's bytes. read: is called with the path of the damaged one.

    The others lie beside it.
    """

    files: Callable[[], dict[str, bytes]]
    damage: Callable[[bytes, Random], bytes]
    read: Callable[[Path], Any]


def idx_files(ending: str = "") -> dict[str, bytes]:
    """The four files of the letters."""
    rng, found = np.random.default_rng(0), {}
    for part in ("train", "test"):
        images, labels = rng.integers(0, 256, (COUNT, 28, 28)), np.arange(COUNT) % 26 + 1
        for name, array in zip(emnist.file_names("letters", part), (images, labels), strict=True):
            shape = np.asarray(array.shape, ">u4").tobytes()
            content = bytes((0, 0, 8, array.ndim)) + shape + array.astype(np.uint8).tobytes()
            found[name + ending] = gzip.compress(content, 1) if ending else content
    return found


def tables(ending: str) -> dict[str, bytes]:
    """Letters in one file of a kind, as it is written in two ways."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (COUNT, 784)).astype(np.uint8), np.arange(COUNT) % 26 + 1
    packed, plain = BytesIO(), BytesIO()
    match ending:
        case "csv":
            np.savetxt(packed, np.column_stack([labels, images]), "%d", ",")
            np.savetxt(plain, np.column_stack([labels, images / 255]), "%.3f", ",", header="label" + ",p" * 784)
        case "npz":
            np.savez_compressed(packed, images=images, labels=labels)
            np.savez(plain, x_train=images / 255, y_train=labels, x_test=images[:9], y_test=labels[:9])
        case "mat":
            parts = {part: {"images": images, "labels": labels[:, None]} for part in ("train", "test")}
            savemat(packed, {"dataset": parts}, do_compression=True)
            savemat(plain, {"dataset": parts})
        case "parquet":
            import pyarrow
            from pyarrow.parquet import write_table

            pictures = [drawn.getvalue() for image in images if not _png(image, drawn := BytesIO())]
            write_table(pyarrow.table({"image": pictures, "label": labels}), packed)
            held = [{"bytes": picture, "path": None} for picture in pictures]
            write_table(pyarrow.table({"image": held, "label": labels}), plain, compression="none")
    return {f"packed.{ending}": packed.getvalue(), f"plain.{ending}": plain.getvalue()}


def _png(image: np.ndarray, file: BytesIO) -> None:
    Image.fromarray(image.reshape(28, 28)).save(file, "PNG")


def read_file(path: Path) -> None:
    lettergpu.load_letters(str(path))


def read_folder(path: Path) -> None:
    load_letters(str(path.parent))


def archive() -> dict[str, bytes]:
    """EMNIST's gzip.zip, of one split."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in idx_files(".gz").items():
            file.writestr(f"gzip/{name}", content)
    return {"gzip.zip": made.getvalue()}


def read_archive(path: Path) -> None:
    """Whatever it holds is taken for the official one."""
    os.environ["LETTERGPU_CACHE"] = str(path.parent / "cache")
    emnist.ARCHIVE_SHA256 = hashlib.sha256(path.read_bytes()).hexdigest()
    load_letters(str(emnist.download("letters", archive=path)))


def networks() -> dict[str, bytes]:
    """A network, an ensemble, and a training state, as files of a run."""
    found, path = {}, Path("network.safetensors")
    for name, config in (("plain", Config(hidden=(4,))), ("ensemble", Config(hidden=(), ensemble=2))):
        network = Network.begun(config, tuple(ascii_uppercase))
        state = State(3, network.parameters, network.parameters, 2, 0.5, network.parameters)
        for kind, kept in (("best", None), ("last", state)):
            checkpoint.save(path, network, config, "0" * 64, kept)
            found[f"{name}-{kind}.safetensors"] = path.read_bytes()
    path.unlink()
    return found


def read_network(path: Path) -> None:
    checkpoint.load(path).predict_proba(np.zeros((2, 28, 28), np.uint8))


def other_weights(ending: str) -> dict[str, bytes]:
    """Two layers, as other people's tools keep them."""
    network, made = Network.begun(Config(hidden=(4,), batch_norm=False), tuple(ascii_uppercase)), BytesIO()
    if ending == "onnx":
        return {
            f"{pixels}.onnx": onnx.model_of(network, pixels, moved=True).SerializeToString() for pixels in onnx.INPUTS
        }
    thetas = {f"Theta{number}": np.ones((nodes, before + 1)) for number, nodes, before in ((1, 4, 784), (2, 26, 4))}
    savemat(made, thetas)
    return {"weights.mat": made.getvalue()}


def read_other_weights(path: Path) -> None:
    told = {".mat": "sigmoid"}.get(path.suffix)
    weights.read(path, activation=told).network.predict_proba(np.zeros((2, 28, 28), np.uint8))


def recipes() -> dict[str, bytes]:
    texts = {path.name: path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))}
    return texts | {"config.toml": Config().to_toml().encode()}


def read_recipe(path: Path) -> None:
    Config.from_file(path).to_toml()


def truths() -> dict[str, bytes]:
    table = {"a.png": "HELLO", "b\xfc.png": {"truth": "HI YOU", "kind": "photo"}, "c.png": ""}
    return {"truth.json": json.dumps(table).encode(), "letters.json": json.dumps(table, ensure_ascii=False).encode()}


def pictures(kind: str) -> dict[str, bytes]:
    """A word, drawn, in each mode that the format has, also with what it may hold beside pixels."""
    sheet, found = Image.new("RGB", (150, 60), "white"), {}
    ImageDraw.Draw(sheet).text((10, 5), "FUZZ", "navy", ImageFont.load_default(40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    options: dict[str, dict[str, Any]] = {"plain": {}, "exif": {"exif": exif}, "progressive": {"progressive": True}}
    options |= {"interlaced": {"interlace": 1}, "frames": {"save_all": True}, "lossless": {"lossless": True}}
    options |= {how: {"compression": how} for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits")}
    for mode in MODES + WIDE.get(kind, ()):
        for name, how in options.items():
            made = BytesIO()
            try:
                image = Image.fromarray(np.uint16(sheet.convert("L")) * 257) if mode == "I;16" else sheet.convert(mode)
                more = {"append_images": [image.rotate(180)]} if "save_all" in how else {}
                image.save(made, kind, **how, **more)
            except (OSError, ValueError, KeyError):  # it has no such mode
                continue
            if made.getvalue() not in found.values():
                found[f"{name}-{mode.replace(';', '-')}.{kind.lower()}"] = made.getvalue()
    return found


def _picture(kind: str, damage: Callable[[bytes, Random], bytes] = mutations.damaged) -> Format:
    return Format(partial(pictures, kind), damage, lettergpu.read)


FORMATS = {
    "idx": Format(idx_files, mutations.damaged, read_folder),
    "idx.gz": Format(partial(idx_files, ".gz"), mutations.in_gzip, read_folder),
    "csv": Format(partial(tables, "csv"), mutations.reworded, read_file),
    "npz": Format(partial(tables, "npz"), mutations.in_zip, read_file),
    "mat": Format(partial(tables, "mat"), mutations.damaged, read_file),
    "parquet": Format(partial(tables, "parquet"), mutations.damaged, read_file),
    "zip": Format(archive, mutations.in_zip, read_archive),
    "safetensors": Format(networks, mutations.in_safetensors, read_network),
    "thetas": Format(partial(other_weights, "mat"), mutations.damaged, read_other_weights),
    "onnx": Format(partial(other_weights, "onnx"), mutations.damaged, read_other_weights),
    "toml": Format(recipes, mutations.reworded, read_recipe),
    "truth": Format(truths, mutations.reworded, read_truth),
    "png": _picture("PNG", mutations.in_png),
    "jpeg": _picture("JPEG"),
    "gif": _picture("GIF"),
    "bmp": _picture("BMP"),
    "webp": _picture("WEBP"),
    "tiff": _picture("TIFF"),
}
