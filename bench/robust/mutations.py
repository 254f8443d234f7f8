"""Damage to files, small and such as parsers trip over: each a function of the bytes and a seeded generator."""

import gzip
import json
import re
import struct
import zipfile
import zlib
from io import BytesIO
from random import Random

EXTREMES = [0, 1, 2, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
FIELDS = [">B", ">H", "<H", ">I", "<I", ">Q", "<Q"]
HEAD = 96  # bytes: where most formats tell what follows
WORDS = [
    "0",
    "-1",
    "1",
    "1e309",
    "-1e309",
    "nan",
    "inf",
    "0.5",
    str(2**63),
    "9" * 400,
    '""',
    "[]",
    "{}",
    "true",
    "null",
]
WORDS += ["[" * 2000, '"\\ud800"', '"\\u0000"', '"\u00fc"', "[[[]]]", '"a"', "'", "=", "\n", "1979-05-27", "F32"]
TOKEN = re.compile(rb'"[^"\n]*"|-?[\w.]+|[\[\]{}=:,]')


def damaged(content: bytes, rng: Random) -> bytes:
    """One to four changes to the bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        content = rng.choice(CHANGES)(content, rng)
    return content


def _place(content: bytes, rng: Random) -> int:
    """Half of all places are at the head."""
    end = min(len(content), HEAD) if rng.random() < 0.5 else len(content)
    return rng.randrange(end + 1)


def _flip(content: bytes, rng: Random) -> bytes:
    place = min(_place(content, rng), len(content) - 1)
    flipped = bytes(byte ^ 1 << rng.randrange(8) for byte in content[place : place + 1])
    return content[:place] + flipped + content[place + 1 :]


def _overwrite(content: bytes, rng: Random) -> bytes:
    place, count = _place(content, rng), rng.choice((1, 2, 4, 16, 64))
    return content[:place] + rng.randbytes(count) + content[place + count :]


def _field(content: bytes, rng: Random) -> bytes:
    """A number of one to eight bytes at one of its extremes."""
    place, kind = _place(content, rng), rng.choice(FIELDS)
    size = struct.calcsize(kind)
    return content[:place] + struct.pack(kind, rng.choice(EXTREMES) % 256**size) + content[place + size :]


def _cut(content: bytes, rng: Random) -> bytes:
    return content[: _place(content, rng)]


def _left_out(content: bytes, rng: Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + content[place + rng.choice((1, 2, 8, 100, 1000)) :]


def _inserted(content: bytes, rng: Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.randbytes(rng.choice((1, 2, 8, 100))) + content[place:]


def _repeated(content: bytes, rng: Random) -> bytes:
    """A block several times, as it is or somewhere else."""
    first, place = _place(content, rng), _place(content, rng)
    block = content[first : first + rng.choice((1, 4, 12, 100, 1000))] * rng.choice((1, 2, 50))
    return content[:place] + block + content[place:]


CHANGES = [_flip, _flip, _overwrite, _field, _field, _cut, _left_out, _inserted, _repeated]


def reworded(content: bytes, rng: Random) -> bytes:
    """Text, a word of it another, left out or repeated, if it is not damaged like any bytes."""
    if rng.random() < 0.3:
        return damaged(content, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not (word := _word(content, rng)):
            return content
        others = *(other.encode() for other in WORDS), b"", 3 * word[0], _word(content, rng)[0]
        content = content[: word.start()] + rng.choice(others) + content[word.end() :]
    return content


def _word(content: bytes, rng: Random) -> re.Match[bytes] | None:
    """A word, or the rest of one, that a random place is before or in; to list them all takes longer than to read."""
    return TOKEN.search(content, rng.randrange(len(content) + 1)) or TOKEN.search(content)


def in_gzip(content: bytes, rng: Random) -> bytes:
    """The compressed bytes or those within."""
    if rng.random() < 0.5:
        return damaged(content, rng)
    return gzip.compress(damaged(gzip.decompress(content), rng), 1)


def in_zip(content: bytes, rng: Random) -> bytes:
    """The archive, or one of its files, gzipped or not."""
    if rng.random() < 0.5:
        return damaged(content, rng)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(files))
    files[name] = (in_gzip if name.endswith(".gz") else damaged)(files[name], rng)
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, inside in files.items():
            archive.writestr(zipfile.ZipInfo(name), inside)
    return made.getvalue()


def in_safetensors(content: bytes, rng: Random) -> bytes:
    """The bytes, the words of the header, or those of a text in it, under a length that fits."""
    if rng.random() < 0.3:
        return damaged(content, rng)
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    if rng.random() < 0.5:
        table = json.loads(header)
        name = rng.choice(sorted(table["__metadata__"]))
        table["__metadata__"][name] = reworded(table["__metadata__"][name].encode(), rng).decode(errors="replace")
        header = json.dumps(table).encode()
    else:
        header = reworded(header, rng)
    return len(header).to_bytes(8, "little") + header + (damaged(data, rng) if rng.random() < 0.2 else data)


def in_png(content: bytes, rng: Random) -> bytes:
    """The bytes, half of the time with checksums that fit, so that decoders look at what is in the chunks."""
    content = damaged(content, rng)
    if rng.random() < 0.5:
        return content
    mended, place = content[:8], 8
    while place + 12 <= len(content):
        size = min(int.from_bytes(content[place : place + 4], "big"), len(content) - place - 12)
        chunk = content[place + 4 : place + 8 + size]
        mended += content[place : place + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        place += size + 12
    return mended + content[place:]
