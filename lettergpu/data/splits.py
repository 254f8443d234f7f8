"""The six splits of EMNIST and the names of their classes. Cohen, Afshar, Tapson, van Schaik 2017, arXiv:1702.05373."""

from string import ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

from ..errors import one_of


class Split(NamedTuple):
    """classes: their names. first_label: how the files number the first of them."""

    classes: tuple[str, ...]
    first_label: int = 0


MERGED = digits + ascii_uppercase + "abdefghnqrt"  # the other lower case letters look like their capitals

SPLITS = {
    "letters": Split(tuple(ascii_uppercase), first_label=1),
    "balanced": Split(tuple(MERGED)),
    "byclass": Split(tuple(digits + ascii_uppercase + ascii_lowercase)),
    "bymerge": Split(tuple(MERGED)),
    "digits": Split(tuple(digits)),
    "mnist": Split(tuple(digits)),
}


def find_split(name: str) -> Split:
    """The split of that name. Raises LettergpuError if there is none."""
    one_of("--split", name, SPLITS)
    return SPLITS[name]
