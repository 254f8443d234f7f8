"""Random numbers drawn where the arrays live, as functions of (seed, purpose, epoch, row): everywhere the same bits.

A block of four words of 32 bits follows from a key, the seed, and a counter, (row, number of the block, epoch,
purpose), by Philox-4x32-10: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import math
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from ..backends.dispatch import dispatched
from ..randomness import PURPOSES, WHOLE

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57  # of the first and the third word of a counter
WEYL = 0x9E3779B9, 0xBB67AE85  # what the key grows by each round
PHILOX_ROUNDS = 10
SHUFFLE_ROUNDS = 12  # with 8 of them neighbours already part as by chance, where the sides are near each other
WORD = 0xFFFFFFFF
BLOCK, WINDOW = 256, 131_072  # neighbours that stay near each other, and how many are shuffled at once, beyond WHOLE
EPOCHS = 1 << 20  # more than a training can have


class Stream(NamedTuple):
    """The numbers of one purpose in one epoch; each is below 2^32."""

    low: int
    high: int
    epoch: int
    purpose: int


def stream(seed: int, purpose: str, epoch: int) -> Stream:
    """purpose: one of PURPOSES. Of a seed the lower 64 bits count."""
    return Stream(seed & WORD, seed >> 32 & WORD, epoch, PURPOSES.index(purpose))


@dispatched
def uniforms(rows: Any, count: int, of: Stream) -> Any:
    """(n, count) float32 from 0 to below 1, multiples of 2^-24, that follow from the rows (n,), int64 from 0."""
    xp = array_namespace(rows)
    blocks = -(-count // 4)
    first = xp.broadcast_to(rows[:, None], (rows.shape[0], blocks))
    second = xp.broadcast_to(xp.arange(blocks, dtype=xp.int64, device=device(rows))[None, :], first.shape)
    zero = xp.zeros_like(first)
    words = philox((first, second, zero + of.epoch, zero + of.purpose), (of.low, of.high))
    drawn = xp.reshape(xp.stack(words, axis=-1), (rows.shape[0], 4 * blocks))[:, :count]
    return xp.astype(drawn >> 8, xp.float32) * 2.0**-24


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Four words of each counter, int64 arrays of one shape with values below 2^32."""
    a, b, c, d = counter
    low, high = key
    for _ in range(PHILOX_ROUNDS):
        (left_high, left_low), (right_high, right_low) = _product(a, MULTIPLIERS[0]), _product(c, MULTIPLIERS[1])
        a, b, c, d = right_high ^ b ^ low, right_low, left_high ^ d ^ high, left_low
        low, high = low + WEYL[0] & WORD, high + WEYL[1] & WORD
    return a, b, c, d


def _product(word: Any, factor: int) -> tuple[Any, Any]:
    """The upper and the lower 32 bits of a product, by halves of the factor: int64 must not overflow."""
    low = word * (factor & 0xFFFF)
    high = word * (factor >> 16) + (low >> 16)
    return high >> 16, (high & 0xFFFF) << 16 | low & 0xFFFF


def shuffled(rows: Any, of: Stream) -> Any:
    """Rows (n,), int64, in the order of an epoch.

    More than WHOLE of them are of a file that memory may not hold, and of which neighbours are read at once. So of
    these the blocks are permuted, and then the rows of each window, which has blocks from everywhere.
    """
    xp, there, count = array_namespace(rows), device(rows), rows.shape[0]
    if count <= WHOLE:
        return xp.take(rows, permutation(xp.arange(count, dtype=xp.int64, device=there), of))
    numbers = xp.arange(max(WINDOW, count // BLOCK), dtype=xp.int64, device=there)
    order, even = xp.asarray(rows, copy=True), count // BLOCK * BLOCK
    blocks = xp.reshape(order[:even], (-1, BLOCK))
    order[:even] = xp.reshape(xp.take(blocks, permutation(numbers[: even // BLOCK], of), axis=0), (-1,))
    for window, begin in enumerate(range(0, count, WINDOW), 1):
        end = min(begin + WINDOW, count)
        places = permutation(numbers[: end - begin], of._replace(epoch=of.epoch + window * EPOCHS))
        order[begin:end] = xp.take(order[begin:end], places)
    return order


def permutation(numbers: Any, of: Stream) -> Any:
    """A permutation of 0, 1, ..., n - 1, which `numbers` (n,), int64, are: where each comes to lie, without a sort.

    To draw one as a cipher, for a shuffle: Mitchell, Stokes, Frank, Holmes 2022, arXiv:2106.06161.
    """
    xp, there = array_namespace(numbers), device(numbers)
    a, b = sides(numbers.shape[0])
    steps = uniforms(xp.arange(max(a, b), dtype=xp.int64, device=there), SHUFFLE_ROUNDS, of)
    below = xp.asarray([float((a, b)[i % 2]) for i in range(SHUFFLE_ROUNDS)], dtype=steps.dtype, device=there)
    return permuted(numbers, xp.astype(steps * below, xp.int64), a, b)


@dispatched
def permuted(numbers: Any, tables: Any, a: int, b: int) -> Any:
    """Where numbers 0, 1, ..., n - 1 come to lie, (n,), by random functions, `tables` (longer side, rounds).

    Numbers are pairs (left, right) below (a, b), and a round adds a function of one half to the other, modulo its
    side: a Feistel network over Z_a x Z_b, Black, Rogaway 2002, "Ciphers with arbitrary finite domains". What comes to
    lie at n or beyond goes on from there until it does not.
    """
    xp, count = array_namespace(numbers), numbers.shape[0]

    def folded(sums: Any, side: int) -> Any:  # into 0, ..., side - 1; a division would take longer
        return xp.where(sums >= side, sums - side, sums)

    def moved(places: Any) -> Any:
        left = places // b
        right = places - left * b
        for i in range(tables.shape[1]):
            if i % 2:
                right = folded(right + xp.take(tables[:, i], left), b)
            else:
                left = folded(left + xp.take(tables[:, i], right), a)
        return left * b + right

    places = moved(numbers)
    for _ in range(a * b - count):  # no place beyond is met twice on the way
        places = xp.where(places < count, places, moved(places))
    return places


def sides(count: int) -> tuple[int, int]:
    """Two sides of a rectangle of at least that many numbers, and of hardly more.

    They are near each other, 1 to 4 at the most: rounds mix the less the further they are apart.
    """
    root = max(2, math.isqrt(count))
    a = min(range(root, max(1, root // 2), -1), key=lambda a: -count % a)
    return a, -(-count // a)
