"""Damaged copies of a binary file: bytes flipped, cut, zeroed, filled, moved, and fields of its header overwritten."""

from collections.abc import Iterator

import numpy as np

#: What a number of 2, 4 or 8 bytes may be to do harm: nothing, one, and the ends of signed and unsigned numbers.
_NUMBERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def mutants(content: bytes, n: int, random_state: int, header: int = 64) -> Iterator[bytes]:
    """Yield `n` damaged copies; every third has its damage within the first `header` bytes."""
    rng = np.random.default_rng(random_state)
    for number in range(n):
        yield _damaged(bytearray(content), min(header, len(content)) if number % 3 == 0 else len(content), rng)


def _damaged(copy: bytearray, reach: int, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(min(reach, len(copy))))
    length = int(2 ** rng.uniform(0, np.log2(len(copy))))
    match rng.integers(7):
        case 0:
            for each in rng.integers(reach, size=int(rng.integers(1, 9))):
                copy[each] ^= 1 << int(rng.integers(8))
        case 1:
            del copy[place:]
        case 2:
            copy[place : place + length] = bytes(len(copy[place : place + length]))
        case 3:
            del copy[place : place + length]
        case 4:
            copy[place : place + length] = rng.bytes(len(copy[place : place + length]))
        case 5:
            size = int(rng.choice([2, 4, 8]))
            number = _NUMBERS[rng.integers(len(_NUMBERS))] % 256**size
            copy[place : place + size] = number.to_bytes(size, "little")[: len(copy) - place]
        case _:
            other = int(rng.integers(len(copy)))
            copy[place : place + length] = copy[other : other + length][: len(copy) - place]
    return bytes(copy)
