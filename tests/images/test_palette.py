"""Screenshots lose colors, not pixels."""

import struct
import zlib

import pytest

from tests.images.palette import SIGNATURE, _chunk, _paeth, _read_rows, reduce_colors

WIDTH, HEIGHT = 40, 30


def png(rows: list[list[tuple[int, int, int]]], methods: tuple[int, ...] = (0, 1, 2, 3, 4)) -> bytes:
    """Encode rows of RGB, with the filters in turn."""
    lines, above = b"", bytes(WIDTH * 3)
    for number, row in enumerate(rows):
        line = bytes(value for color in row for value in color)
        method = methods[number % len(methods)]
        lines += bytes([method]) + bytes((line[at] - guess(method, line, above, at)) & 255 for at in range(len(line)))
        above = line
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def guess(method: int, line: bytes, above: bytes, at: int) -> int:
    """Return what a filter expects of a byte."""
    left, corner = (line[at - 3], above[at - 3]) if at >= 3 else (0, 0)
    return (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[method]


def decoded(image: bytes) -> list[list[tuple[int, ...]]]:
    """Decode a PNG with a palette."""
    parts, place = {}, len(SIGNATURE)
    while place < len(image):
        length = int.from_bytes(image[place : place + 4], "big")
        parts[image[place + 4 : place + 8]] = image[place + 8 : place + 8 + length]
        place += length + 12
    lines, colors = zlib.decompress(parts[b"IDAT"]), parts[b"PLTE"]
    rows = [lines[number * (WIDTH + 1) + 1 : (number + 1) * (WIDTH + 1)] for number in range(HEIGHT)]
    return [[tuple(colors[3 * index : 3 * index + 3]) for index in row] for row in rows]


def test_few_colors_stay_exact() -> None:
    rows = [[(x * 5, 0, y * 8) if x == y else (245, 246, 248) for x in range(WIDTH)] for y in range(HEIGHT)]
    assert _read_rows(png(rows))[2] == rows
    assert decoded(reduce_colors(png(rows))) == rows


def test_many_colors_stay_near_and_frequent_ones_exact() -> None:
    rows = [[(x * 6, y * 8, (x + y) * 3) if x > 9 else (255, 255, 255) for x in range(WIDTH)] for y in range(HEIGHT)]
    shown = decoded(reduce_colors(png(rows)))
    pairs = [pair for before, after in zip(rows, shown, strict=True) for pair in zip(before, after, strict=True)]
    assert all(before == after for before, after in pairs if before == (255, 255, 255))
    assert max(abs(a - b) for before, after in pairs for a, b in zip(before, after, strict=True)) <= 16


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        reduce_colors(b"GIF89a")
