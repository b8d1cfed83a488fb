"""Rewrites a screenshot as a PNG with a palette, a quarter of its size. Pure."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # by color type: RGB, RGBA
_PALETTE_SIZE = 256
_EXACT_COLORS = 64
Color = tuple[int, int, int]


def reduce_colors(image: bytes) -> bytes:
    """Return the same picture with 256 colors at most. Frequent colors stay exact. Raises: ValueError."""
    width, height, rows = _read_rows(image)
    counts = Counter(color for row in rows for color in row)
    nearest = _choose_palette(counts)
    palette = sorted(set(nearest.values()))
    index = {color: palette.index(nearest[color]) for color in counts}
    lines = b"".join(b"\0" + bytes(index[color] for color in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colors = b"".join(bytes(color) for color in palette)
    parts = [(b"IHDR", header), (b"PLTE", colors), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _choose_palette(counts: Counter[Color]) -> dict[Color, Color]:
    """Map each color to one of the palette: the most frequent ones, and others that differ enough from those."""
    colors = [color for color, _ in counts.most_common()]
    for tolerance in range(0, 256, 2):
        palette: list[Color] = []
        nearest: dict[Color, Color] = {}
        for color in colors:
            closest = min(palette, key=lambda other: _distance(color, other), default=None)
            if closest is None or len(palette) < _EXACT_COLORS or _distance(color, closest) > tolerance:
                palette.append(color)
                closest = color
            nearest[color] = closest
            if len(palette) > _PALETTE_SIZE:
                break
        else:
            return nearest
    raise AssertionError("no two colors differ by more")


def _distance(color: Color, other: Color) -> int:
    return max(abs(color[0] - other[0]), abs(color[1] - other[1]), abs(color[2] - other[2]))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _read_chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not image.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    place = len(SIGNATURE)
    while place < len(image):
        length = int.from_bytes(image[place : place + 4], "big")
        yield image[place + 4 : place + 8], image[place + 8 : place + 8 + length]
        place += length + 12


def _read_rows(image: bytes) -> tuple[int, int, list[list[Color]]]:
    """Decode a PNG of eight bits a channel without interlacing, as browsers write it."""
    chunks = list(_read_chunks(image))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError("not a screenshot")
    channels = _CHANNELS[kind]
    content = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    stride = width * channels
    rows, above = [], bytes(stride)
    for number in range(height):
        start = number * (stride + 1)
        above = _unfilter(content[start], bytearray(content[start + 1 : start + 1 + stride]), above, channels)
        rows.append(list(zip(above[0::channels], above[1::channels], above[2::channels], strict=True)))
    return width, height, rows


def _unfilter(method: int, line: bytearray, above: bytes, channels: int) -> bytes:
    """Undo a line's filter."""
    if method == 2:
        return bytes((value + up) & 255 for value, up in zip(line, above, strict=True))
    for at in range(len(line) if method else 0):
        left = line[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        guess = {1: left, 3: (left + above[at]) // 2}.get(method)
        line[at] = (line[at] + (_paeth(left, above[at], corner) if guess is None else guess)) & 255
    return bytes(line)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
