"""More in a file than one picture of 8 bits: colours in pages of their own, 10 to 16 bits a value.

Planes are joined where the file says which colour each is (ImageJ, OME-TIFF, names of pages).
Anything else with several pages of one size is refused with their number: to read the first of
them would be to read something else than the picture.
"""

import itertools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from bloodcell.errors import BadInput

__all__ = ["Stored", "eight_bits", "stored_values"]

_IMAGEJ_COUNTS, _IMAGEJ_METADATA = 50838, 50839
_DESCRIPTION, _PAGE_NAME, _SUBFILE = 270, 285, 254
_BITS, _PHOTOMETRIC, _COMPRESSION, _OFFSETS, _SAMPLES = 258, 262, 259, 273, 277
_MAX_VALUE, _S_MAX_VALUE, _ORIENTATION = 281, 341, 274
_RGB = ("red", "green", "blue")
# Longest description that is looked at; OME-XML of one picture has a few thousand characters.
_DESCRIBED = 1_000_000
_MOST_PAGES = 2_000
_REMEDY = "save the picture as an RGB PNG"


@dataclass(frozen=True)
class Stored:
    """Values as a file holds them.

    Attributes:
        values: uint8 or uint16, H×W or H×W×3 (RGB).
        bits: how many of the bits of a value the file says are used, or None.
        white_is_zero: True if 0 is white.
        turn: the orientation (1 to 8) that is still to be applied.
    """

    values: np.ndarray
    bits: int | None = None
    white_is_zero: bool = False
    turn: int = 1


def eight_bits(stored: Stored, depth: int | None = None) -> np.ndarray:
    """uint8, of the same shape: 255 is what the file, or a person, says is the highest value.

    A file that says fewer bits than its own values need is not believed: PNG means by sBIT what
    a picture had before it was scaled to all bits.

    Args:
        depth: bits that a person says are used in files of 16 bits.
    """
    values = stored.values
    whole = 255 if values.dtype == np.uint8 else 65535
    bits = depth if depth is not None and whole == 65535 else stored.bits
    full = whole
    if bits is not None and values.size and int(values.max()) < 2**bits <= whole:
        full = 2**bits - 1
    if full != 255:
        values = ((values.astype(np.uint32) * 255 + full // 2) // full).astype(np.uint8)
    return 255 - values if stored.white_is_zero else values


def stored_values(image: Image.Image, data: bytes, name: str) -> Stored | None:
    """What is to be scaled or joined; None where Pillow's own 8 bits are all there is.

    Args:
        image: opened from `data`, at its first page.
        name: for errors.

    Raises:
        BadInput: there are several pages or planes, and nothing says how to join them.
    """
    if image.format == "TIFF":
        return _tiff(image, data, name)
    bits = _png_bits(data) if image.format == "PNG" else None
    if image.mode.startswith("I;16"):
        return Stored(np.asarray(image).astype(np.uint16), bits)
    if image.format == "PNG" and data[24] == 16 and data[25] in (2, 4, 6):
        deep = _deep_colour(data)
        return None if deep is None else Stored(deep, bits)
    if bits is not None and bits < 8 and image.mode in ("L", "RGB"):
        return Stored(np.asarray(image), bits)
    return None


def _deep_colour(data: bytes) -> np.ndarray | None:
    """uint16, H×W×3: Pillow keeps the upper 8 bits of colours only."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        return None
    if found.ndim == 2 or found.shape[2] == 1:
        return np.repeat(found.reshape(*found.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(found[..., 2::-1]) if found.shape[2] >= 3 else None


def _png_bits(data: bytes) -> int | None:
    """What the chunk sBIT says of the colours (PNG specification, 11.3.2.7)."""
    at = 8
    while at + 12 <= len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND"):
            break
        if kind == b"sBIT" and 1 <= length <= 4:
            colours = data[at + 8 : at + 8 + (1 if length < 3 else 3)]
            return max(colours) or None
        at += 12 + length
    return None


def _tiff(image: Image.Image, data: bytes, name: str) -> Stored | None:
    tags = image.tag_v2
    described = str(tags.get(_DESCRIPTION, ""))[:_DESCRIBED]
    channels = _channels(described, image, name)
    pages = _pages(image, name)
    planes = len(pages)
    inside = channels.planes if channels is not None else 1
    grey = int(tags.get(_SAMPLES, 1)) == 1 and image.mode in ("L", "I;16", "I;16B", "I;16L")
    bits, white = _tiff_bits(image, described), int(tags.get(_PHOTOMETRIC, 1)) == 0
    # Pillow turns over 8 bits itself.
    white &= image.mode != "L"
    if max(planes, inside) == 1:
        return _one_page(image, data, bits, white)
    order = channels.order if channels is not None else _named_pages(image, pages)
    if not grey or order is None or max(planes, inside) != 3:
        raise _several(name, max(planes, inside), channels)
    if planes == 1 and described.startswith("ImageJ="):
        found = _contiguous(image, data, name)
    elif planes == 3:
        found = []
        for page in pages:
            image.seek(page)
            found.append(np.asarray(image).copy())
    else:
        raise _several(name, max(planes, inside), channels)
    if len({(plane.shape, plane.dtype.kind, plane.dtype.itemsize) for plane in found}) > 1:
        raise _several(name, 3, channels)
    joined = np.stack([found[place] for place in order], axis=2)
    turn = int(tags.get(_ORIENTATION, 1)) if planes == 1 else 1
    kind = np.uint8 if joined.dtype.itemsize == 1 else np.uint16
    return Stored(joined.astype(kind), bits, white, turn)


def _one_page(image: Image.Image, data: bytes, bits: int | None, white: bool) -> Stored | None:
    tags = image.tag_v2
    if image.mode.startswith("I;16"):
        return Stored(np.asarray(image).astype(np.uint16), bits, white)
    if image.mode in ("RGB", "RGBA", "RGBX") and set(_numbers(tags.get(_BITS, 8))) == {16}:
        deep = _deep_colour(data)
        size = (image.height, image.width)
        if deep is not None and deep.shape[:2] in (size, size[::-1]):
            return Stored(deep, bits, turn=int(tags.get(_ORIENTATION, 1)))
    if bits is not None and bits < 8 and image.mode in ("L", "RGB"):
        return Stored(np.asarray(image), bits)
    return None


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _tiff_bits(image: Image.Image, described: str) -> int | None:
    """How many bits a file says are used: its own depth, OME's, or that of a highest value."""
    tags = image.tag_v2
    bits = max(_numbers(tags.get(_BITS, 8)))
    if bits not in (8, 16):
        return bits if bits > 8 else None  # Pillow scales fewer than 8 itself
    if found := re.search(r'\bSignificantBits="(\d{1,2})"', described):
        return int(found[1]) or None
    for tag in (_MAX_VALUE, _S_MAX_VALUE):
        for highest in _numbers(tags.get(tag, 0)):
            # Some programs write the highest value of the picture: no depth.
            if isinstance(highest, int | float) and highest in (2**k - 1 for k in range(2, 16)):
                return int(highest).bit_length()
    return None


def _pages(image: Image.Image, name: str) -> list[int]:
    """The pages as large as the first: others are previews of it, or masks."""
    found = [0]
    first = image.size
    for page in itertools.count(1):
        try:
            image.seek(page)
        except EOFError:
            break
        if page >= _MOST_PAGES:
            raise _several(name, page + 1, None)
        if int(image.tag_v2.get(_SUBFILE, 0)) & 0b101:
            continue
        if image.size == first:
            found.append(page)
        elif image.size[0] * image.size[1] > first[0] * first[1]:
            raise BadInput(
                f"{name} holds pages of several sizes, the first the smaller one, expected one "
                f"picture: {_REMEDY}."
            )
    image.seek(0)
    return found


@dataclass(frozen=True)
class _Channels:
    """What a description says of the planes.

    Attributes:
        planes: how many there are in all.
        order: which of three planes is red, green, blue; None: it does not say.
        text: for the sentence.
    """

    planes: int
    order: tuple[int, ...] | None
    text: str


def _channels(described: str, image: Image.Image, name: str) -> _Channels | None:
    if described.startswith("ImageJ="):
        return _of_imagej(described, image)
    if "<OME" in described and "<Pixels" in described:
        return _of_ome(described, image)
    return None


def _of_imagej(described: str, image: Image.Image) -> _Channels | None:
    said = dict(re.findall(r"^(\w+)=([^\r\n]*)$", described, re.MULTILINE))

    def number(key: str) -> int:
        return int(said[key]) if re.fullmatch(r"\d{1,6}", said.get(key, "")) else 1

    planes, channels = number("images"), number("channels")
    rest = number("slices") * number("frames")
    order = None
    if channels == 3 and rest == 1 and planes == 3 and said.get("mode") in ("composite", "color"):
        luts = _imagej_luts(image)
        order = (0, 1, 2) if luts is None else _order([_primary(lut) for lut in luts[:3]])
    return _Channels(planes, order, f"ImageJ: {channels} channels, {rest} slices or frames")


def _imagej_luts(image: Image.Image) -> list[np.ndarray] | None:
    """The colour tables (uint8, 3×256 each) that ImageJ shows channels with, if there are any."""
    counts = _numbers(image.tag_v2.get(_IMAGEJ_COUNTS, ()))
    blob = image.tag_v2.get(_IMAGEJ_METADATA, b"")
    if not isinstance(blob, bytes) or len(counts) < 2 or blob[:4] not in (b"IJIJ", b"JIJI"):
        return None
    big = blob[:4] == b"IJIJ"
    at, entry = counts[0], 1
    luts = []
    for k in range((counts[0] - 4) // 8):
        kind, n = struct.unpack(">4sI" if big else "<4sI", blob[4 + 8 * k : 12 + 8 * k])
        for size in counts[entry : entry + n]:
            if kind in (b"luts", b"stul") and size == 768:
                luts.append(np.frombuffer(blob[at : at + size], np.uint8).reshape(3, 256))
            at += size
        entry += n
    return luts or None


def _primary(lut: np.ndarray) -> str | None:
    """The one of red, green and blue that a colour table runs through, if it is one of them."""
    highest = lut.max(axis=1)
    lit = np.flatnonzero(highest > 127)
    return _RGB[lit[0]] if len(lit) == 1 and highest.sum() - highest[lit[0]] < 32 else None


def _of_ome(described: str, image: Image.Image) -> _Channels | None:
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", described)
    if pixels is None:
        return None
    sizes = {k: int(v) for k, v in re.findall(r'\bSize([CZT])="(\d{1,6})"', pixels[0])}
    samples = int(image.tag_v2.get(_SAMPLES, 1))
    channels = max(1, sizes.get("C", 1) // max(samples, 1))
    rest = sizes.get("Z", 1) * sizes.get("T", 1)
    series = len(re.findall(r"<(?:\w+:)?Pixels\b", described))
    tags = re.findall(r"<(?:\w+:)?Channel\b[^>]*>", described)
    names = [m[1] if (m := re.search(r'\bName="([^"]*)"', tag)) else "" for tag in tags]
    colours = [m[1] if (m := re.search(r'\bColor="(-?\d+)"', tag)) else "" for tag in tags]
    order = None
    if channels == 3 and rest == 1 and series == 1 and samples == 1:
        planes = _ome_places(described)
        order = _ome_order(names, colours)
        order = None if order is None or planes is None else tuple(planes[c] for c in order)
    called = f" called {', '.join(names[:4])}" if any(names) else ""
    text = f"OME: {channels} channels{called}, {rest} slices or times"
    return _Channels(channels * rest * series, order, re.sub(r"[^\w ,:.-]", "", text)[:120])


def _ome_places(described: str) -> tuple[int, ...] | None:
    """The page of each of three channels."""
    places = {0: 0, 1: 1, 2: 2}
    for tag in re.findall(r"<(?:\w+:)?TiffData\b[^>]*>", described):
        found = dict(re.findall(r'\b(IFD|FirstC|PlaneCount)="(\d{1,6})"', tag))
        if "FirstC" in found and "IFD" in found:
            places[int(found["FirstC"])] = int(found["IFD"])
    order = tuple(places[c] for c in range(3))
    return order if sorted(order) == [0, 1, 2] else None


def _ome_order(names: Sequence[str], colours: Sequence[str]) -> tuple[int, ...] | None:
    named = [_colour_name(name) for name in names]
    if len(names) == 3 and all(named):
        return _order(named)
    if any(name and not re.fullmatch(r"(?i)(c|ch|channel)?[\s:_-]*\d*", name) for name in names):
        return None
    if len(colours) == 3 and any(c not in ("", "-1") for c in colours):
        # Signed 32-bit numbers of red, green, blue, alpha.
        known = {0xFF0000: "red", 0x00FF00: "green", 0x0000FF: "blue"}
        return _order([known.get((int(c or 0) & 0xFFFFFFFF) >> 8) for c in colours])
    return (0, 1, 2)


def _colour_name(text: str) -> str | None:
    plain = re.sub(r"[^a-z]", "", text.lower().replace("channel", ""))
    return next((c for c in _RGB if plain in (c, c[0])), None)


def _order(colours: Sequence[str | None]) -> tuple[int, ...] | None:
    """Which plane is red, green, blue; None unless each is there once."""
    return (
        tuple(colours.index(c) for c in _RGB) if sorted(map(str, colours)) == sorted(_RGB) else None
    )


def _named_pages(image: Image.Image, pages: Sequence[int]) -> tuple[int, ...] | None:
    if len(pages) != 3:
        return None
    named = []
    for page in pages:
        image.seek(page)
        texts = (str(image.tag_v2.get(tag, ""))[:40] for tag in (_PAGE_NAME, _DESCRIPTION))
        named.append(next(filter(None, map(_colour_name, texts)), None))
    image.seek(0)
    return _order(named)


def _contiguous(image: Image.Image, data: bytes, name: str) -> list[np.ndarray]:
    """Three planes behind one header, as ImageJ writes large stacks.

    Raises:
        BadInput: they are packed, or not all there.
    """
    tags = image.tag_v2
    bits = max(_numbers(tags.get(_BITS, 8)))
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    kind = kind.newbyteorder(">" if data[:2] == b"MM" else "<")
    n = image.width * image.height * kind.itemsize
    start = _numbers(tags.get(_OFFSETS, 0))[0]
    if int(tags.get(_COMPRESSION, 1)) != 1 or bits not in (8, 16) or start + 3 * n > len(data):
        raise BadInput(
            f"{name} says that it holds 3 planes, which are packed or not all there, expected a "
            f"whole picture: {_REMEDY}."
        )
    shape = (image.height, image.width)
    parts = (data[start + k * n : start + (k + 1) * n] for k in range(3))
    return [np.frombuffer(part, kind).reshape(shape) for part in parts]


def _several(name: str, n: int, channels: _Channels | None) -> BadInput:
    said = f" ({channels.text})" if channels is not None else ""
    return BadInput(
        f"{name} holds {n} pages or planes{said}, and does not say that they are the red, green "
        f"and blue of one picture, expected one picture: {_REMEDY}."
    )
