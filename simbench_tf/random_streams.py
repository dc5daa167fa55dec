"""Counter-based random numbers: draw j of sequence i under seed s is the same number on any machine, in any order.

The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). A *key* is made
from the seed and a purpose (so that shuffles and grammars of one seed are unrelated), and a *stream* is addressed by
two integers: `index` (which sequence) and `replicate` (which shuffle of it). Streams never overlap: index, replicate
and block number are separate words of Philox's counter.
"""

from __future__ import annotations

import hashlib

import numba as nb
import numpy as np
import numpy.typing as npt

Stream = npt.NDArray[np.uint32]


# layout of a stream: 0 block number, 1 replicate, 2-3 index (low, high), 4-5 key, 6-9 buffered draws, 10 draws used
_LENGTH = 11


def stream_key(seed: int, purpose: str) -> np.uint64:
    """The 64-bit Philox key of one seed and one purpose.

    Examples
    --------
    >>> len({int(stream_key(1, purpose)) for purpose in ("shuffle", "grammar", "shuffle")})
    2
    """
    digest = hashlib.blake2b(f"{int(seed)}:{purpose}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


@nb.njit(inline="always")
def _round(
    c0: np.uint32, c1: np.uint32, c2: np.uint32, c3: np.uint32, k0: np.uint32, k1: np.uint32
) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32]:
    """One round of Philox4x32: the counter c under the key k of the round."""
    product0 = np.uint64(c0) * np.uint64(0xD2511F53)
    product1 = np.uint64(c2) * np.uint64(0xCD9E8D57)
    high0, high1 = np.uint32(product0 >> np.uint64(32)), np.uint32(product1 >> np.uint64(32))
    return high1 ^ c1 ^ k0, np.uint32(product1), high0 ^ c3 ^ k1, np.uint32(product0)


@nb.njit
def philox(stream: Stream) -> None:
    """Fill draws 6-9 of `stream` from its counter (0-3) and key (4-5): ten rounds of Philox4x32."""
    c0, c1, c2, c3 = stream[0], stream[1], stream[2], stream[3]
    k0, k1 = stream[4], stream[5]
    for _ in range(10):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 = np.uint32(k0 + np.uint32(0x9E3779B9))
        k1 = np.uint32(k1 + np.uint32(0xBB67AE85))
    stream[6], stream[7], stream[8], stream[9] = c0, c1, c2, c3


@nb.njit
def open_stream(key: np.uint64, index: int, replicate: int) -> Stream:
    """The stream `replicate` of sequence `index` under `key`, at its first draw."""
    stream = np.zeros(_LENGTH, np.uint32)
    stream[1] = np.uint32(replicate)
    stream[2] = np.uint32(np.uint64(index) & np.uint64(0xFFFFFFFF))
    stream[3] = np.uint32(np.uint64(index) >> np.uint64(32))
    stream[4] = np.uint32(key & np.uint64(0xFFFFFFFF))
    stream[5] = np.uint32(key >> np.uint64(32))
    stream[10] = np.uint32(4)
    return stream


@nb.njit
def next_uint32(stream: Stream) -> np.uint32:
    """The next 32 random bits of a stream."""
    if stream[10] == 4:
        philox(stream)
        stream[0] += np.uint32(1)
        stream[10] = np.uint32(0)
    draw = stream[6 + stream[10]]
    stream[10] += np.uint32(1)
    return draw


@nb.njit
def fill_uint32(stream: Stream, draws: npt.NDArray[np.uint32]) -> None:
    """Fill `draws` with the next draws of a stream, from the next whole block on: many at once, at a tenth of the time.

    What is left of the block that `next_uint32` drew from last is skipped, and so is what is left of the last one
    here. A fresh stream gives the same draws either way.
    """
    n_blocks = (draws.size + 3) // 4
    blocks = np.empty((4, n_blocks), np.uint32)
    # blocks do not depend on each other: the compiler takes them through the rounds side by side, in vectors
    for block in range(n_blocks):
        c0, c1, c2, c3 = np.uint32(stream[0] + np.uint32(block)), stream[1], stream[2], stream[3]
        k0, k1 = stream[4], stream[5]
        for _ in range(10):
            c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
            k0 = np.uint32(k0 + np.uint32(0x9E3779B9))
            k1 = np.uint32(k1 + np.uint32(0xBB67AE85))
        blocks[0, block], blocks[1, block], blocks[2, block], blocks[3, block] = c0, c1, c2, c3
    for block in range(draws.size // 4):
        for word in range(4):
            draws[4 * block + word] = blocks[word, block]
    for draw in range(draws.size // 4 * 4, draws.size):
        draws[draw] = blocks[draw % 4, n_blocks - 1]
    stream[0] += np.uint32(n_blocks)
    stream[10] = np.uint32(4)


@nb.njit
def next_below(stream: Stream, n: int) -> int:
    """A uniform integer in [0, n), n < 2^32, without modulo bias (Lemire 2019)."""
    bound = np.uint64(n)
    product = np.uint64(next_uint32(stream)) * bound
    if np.uint64(np.uint32(product)) < bound:
        threshold = (np.uint64(0x100000000) - bound) % bound
        while np.uint64(np.uint32(product)) < threshold:
            product = np.uint64(next_uint32(stream)) * bound
    return int(product >> np.uint64(32))


@nb.njit
def next_uniform(stream: Stream) -> float:
    """A uniform float64 in [0, 1) of 53 random bits (two draws)."""
    high = np.uint64(next_uint32(stream) >> np.uint32(5))
    low = np.uint64(next_uint32(stream) >> np.uint32(6))
    return (np.float64(high) * 67108864.0 + np.float64(low)) * (1.0 / 9007199254740992.0)


@nb.njit
def _uniforms(key: np.uint64, indices: npt.NDArray[np.int64], n_draws: int) -> npt.NDArray[np.float64]:
    draws = np.empty((indices.size, n_draws))
    for row in range(indices.size):
        stream = open_stream(key, indices[row], 0)
        for column in range(n_draws):
            draws[row, column] = next_uniform(stream)
    return draws


def uniforms(seed: int, purpose: str, indices: npt.ArrayLike, n_draws: int = 1) -> npt.NDArray[np.float64]:
    """Uniform draws in [0, 1) for each index, shape (len(indices), n_draws), independent of the order of `indices`.

    Examples
    --------
    >>> bool((uniforms(7, "labels", [3, 5]) == uniforms(7, "labels", [5, 3])[::-1]).all())
    True
    """
    return _uniforms(stream_key(seed, purpose), np.asarray(indices, np.int64), n_draws)


def permutation(seed: int, purpose: str, n: int) -> npt.NDArray[np.int64]:
    """A random order of the numbers 0 to n - 1, int64 (n,).

    Examples
    --------
    >>> sorted(permutation(7, "order", 4).tolist())
    [0, 1, 2, 3]
    """
    return np.argsort(uniforms(seed, purpose, np.arange(n))[:, 0], kind="stable")


def choose_rows(seed: int, purpose: str, rows: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """At most `n` of these rows, drawn at random, in ascending order; whether a row precedes another is fixed by both.

    So the rows drawn for a larger `n` hold those drawn for a smaller one.

    Examples
    --------
    >>> few, more = (choose_rows(7, "sequences", np.arange(10, 20), n).tolist() for n in (3, 5))
    >>> len(few), set(few) < set(more)
    (3, True)
    """
    draws = uniforms(seed, purpose, rows)[:, 0]
    return np.sort(rows[np.argsort(draws, kind="stable")[:n]])
