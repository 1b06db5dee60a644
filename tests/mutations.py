"""Damage done to files on purpose, always the same for the same seed."""

import random
import re

_WORDS = [
    b"", b"-1", b"0", b"1e309", b"-inf", b"nan", b"99999999999999999999", b"1.5", b"2147483648",
    b"=1+1", b"\x00",
    b"\xff\xfe", b"'", b'"', b"\n", b",,,,,,,,", b"None", b"\xe2\x80\xae", b"[" * 2000, b"{" * 2000,
    b"9" * 5000,
]  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def mutate(data: bytes, seed: int) -> bytes:
    """One to six changes: bytes flipped, parts cut out, doubled, moved or overwritten, numbers and
    words replaced."""
    rng = random.Random(seed)
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        if not content:
            break
        at = _place(rng, len(content))
        end = min(
            len(content), at + int(2 ** rng.uniform(0, min(12, len(content).bit_length() - 2)))
        )
        match rng.randrange(9):
            case 0:
                for _ in range(rng.choice([1, 4, 32])):
                    content[_place(rng, len(content))] ^= 1 << rng.randrange(8)
            case 1:
                del content[at:]
            case 2:
                del content[at:end]
            case 3:
                content[at:at] = content[at:end]
            case 4:
                content[at:end] = rng.randbytes(end - at)
            case 5:
                content[at:end] = bytes([rng.choice([0, 255, 10, 44, 34])]) * (end - at)
            case 6:
                content[at:at] = rng.choice(_WORDS)
            case 7:
                number = _NUMBER.search(content, at)
                if number:
                    content[number.start() : number.end()] = rng.choice(_WORDS)
            case _:
                lines = bytes(content).split(b"\n")
                a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[a], lines[b] = lines[b], lines[a]
                content = bytearray(b"\n".join(lines))
    return bytes(content)


def _place(rng: random.Random, length: int) -> int:
    """Half of the time near the beginning: headers are where damage does most."""
    return rng.randrange(min(length, 1500)) if rng.random() < 0.5 else rng.randrange(length)
