"""Bytes of an image file → RGB pixels, for imports and for what a person drops on a page.

The bytes are not trusted: length, format and header are checked before a pixel is decoded, and
whatever goes wrong inside a decoder comes out as one BadInput sentence.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bloodcell.data.imaging.planes import eight_bits, stored_values
from bloodcell.errors import BadInput
from bloodcell.quiet import quiet_stderr

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "decode_image",
    "fit",
    "image_size",
    "looks_like",
    "printable",
]

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
EXPECTED = "expected a JPEG, PNG, TIFF, BMP or WebP image"
MAX_PIXELS = 40_000_000
MAX_BYTES = 256 * 2**20
MIN_SIDE = 8
_PNG_METADATA = frozenset([b"iCCP", b"tEXt", b"zTXt", b"iTXt"])

# Process-wide on purpose: warnings.catch_warnings is not safe in a server's threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG image"),
    (0, b"II*\x00", "TIFF image"),
    (0, b"MM\x00*", "TIFF image"),
    (0, b"II+\x00", "TIFF image"),
    (0, b"BM", "BMP image"),
    (8, b"WEBP", "WebP image"),
    (0, b"GIF8", "GIF"),
    (4, b"ftypheic", "HEIC photograph"),
    (4, b"ftyp", "film or HEIF file"),
    (128, b"DICM", "DICOM file"),
    (0, b"%PDF", "PDF document"),
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"PK\x05\x06", "empty zip archive"),
    (0, b"\x1f\x8b", "gzip file"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (0, b"Rar!", "rar archive"),
    (0, b"BZh", "bzip2 file"),
    (0, b"\xfd7zXZ", "xz file"),
    (257, b"ustar", "tar archive"),
    (0, b"\x89HDF", "HDF5 file"),
    (0, b"\x93NUMPY", "single NumPy array (.npy)"),
)


def printable(text: str, longest: int = 80) -> str:
    """`text` on one line without control, bidirectional or undecodable characters.

    What is longer than `longest` characters keeps its end, where a file name differs.
    """
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean if len(clean) <= longest else "…" + clean[1 - longest :]


def looks_like(head: bytes) -> str | None:
    """What the first bytes (258 or more, if there are) of a file say that it is."""
    for offset, magic, what in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return what
    if len(head) > 1 and head[0] == 0x80 and head[1] in range(2, 6):
        return "Python pickle"
    return None


def decode_image(data: bytes, name: str, depth: int | None = None) -> np.ndarray:
    """Decode an image file as a person would see it.

    The EXIF rotation is applied, grey, palette and CMYK become RGB, more than 8 bits are scaled
    to 8, colours in planes of their own are joined (:mod:`bloodcell.data.imaging.planes`), an
    alpha channel is dropped (not blended), and of an animation the first frame is taken.

    Args:
        data: the bytes of a JPEG, PNG, TIFF, BMP or WebP file, at most 256 MiB.
        name: what to call the file in an error.
        depth: how many bits are used in files of 16; None: what the file says, else all.

    Returns:
        uint8, H×W×3, RGB, 0 to 255; both sides at least 8 and at most 40 million pixels.

    Raises:
        BadInput: it is empty, no such image, broken, cut off, too large or too small, or holds
            several pages.
    """
    with _opened(data, name) as image:
        deep = image.format == "PNG" and data[24:25] == b"\x10"
        # libtiff, and OpenCV, print what they think of damaged pixels.
        with quiet_stderr() if deep or image.format == "TIFF" else nullcontext():
            stored = stored_values(image, data, printable(name))
            image.load()
        if stored is None:
            return _turned(_rgb(image, printable(name)), _orientation(image))
        values = eight_bits(stored, depth)
        if values.ndim == 2:
            values = np.repeat(values[..., None], 3, axis=2)
        turn = stored.turn if image.format == "TIFF" else _orientation(image)
        return _turned(values, turn)


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """(height, width) that :func:`decode_image` would give, read from the header alone.

    Raises:
        BadInput: as :func:`decode_image`, as far as the header tells.
    """
    with _opened(data, name) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def fit(image: np.ndarray, size: int, crop: int | None = None) -> np.ndarray:
    """Cut the centre square out of an image and resize it (bicubic, antialiased).

    BloodMNIST was made with ``crop=200`` from photographs of 360×363 pixels.

    Args:
        image: uint8, H×W×3.
        size: side of the result in pixels.
        crop: side of the square to cut in pixels; None or more than the shorter side takes the
            largest square.

    Returns:
        uint8, size×size×3; the very pixels of the square if it has that size already.
    """
    height, width = image.shape[:2]
    side = min(height, width, crop or height)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    resized = Image.fromarray(np.ascontiguousarray(square)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    return np.asarray(resized)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """The image with its header read and found acceptable; all that fails becomes BadInput."""
    name = printable(name)
    if not data:
        raise BadInput(f"{name} is empty (0 bytes), {EXPECTED}: save or export it again.")
    if len(data) > MAX_BYTES:
        raise BadInput(
            f"{name} has {len(data) / 2**20:,.0f} MiB, expected at most {MAX_BYTES // 2**20} MiB: "
            "save a smaller cut of it."
        )
    try:
        with Image.open(io.BytesIO(_without_metadata(data)), formats=FORMATS) as image:
            _check_sides(image.size, name)
            yield image
    except BadInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(
            f"{name} has far more than {MAX_PIXELS // 10**6} million pixels, expected one cell: "
            "cut the cell out and save that."
        ) from error
    except UnidentifiedImageError as error:
        what = looks_like(data[:512])
        if what is not None and what.endswith(" image"):
            raise BadInput(
                f"{name} begins like a {what} but cannot be read (its header is broken or cut off, "
                "or its pixels are of an unusual kind): save it as an 8-bit PNG."
            ) from error
        found = f"is a {what}" if what else "is no image"
        raise BadInput(f"{name} {found}, {EXPECTED}: convert it to PNG.") from error
    except Exception as error:  # decoders raise nearly anything on crafted bytes
        why = printable(str(error) or type(error).__name__, 100).rstrip(".")
        raise BadInput(
            f"{name} is broken or cut off ({why}), expected a whole image: save or export it again."
        ) from error


def _without_metadata(data: bytes) -> bytes:
    """A PNG without texts and colour profiles, which Pillow refuses when they are large."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 28]
        if kind == b"IDAT":
            break
        # ImageMagick keeps EXIF, and with it the orientation, in a text.
        if kind not in _PNG_METADATA or body.startswith(b"Raw profile type exif"):
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    return data if len(kept) == 1 else b"".join([*kept, data[at:]])


def _check_sides(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise BadInput(
            f"{name} has {width}×{height} pixels, expected at most "
            f"{MAX_PIXELS // 10**6} million: cut the cell out and save that."
        )
    if min(width, height) < MIN_SIDE:
        raise BadInput(
            f"{name} has {width}×{height} pixels, expected at least {MIN_SIDE} a side: "
            "save the cell at a higher resolution."
        )


def _rgb(image: Image.Image, name: str) -> np.ndarray:
    if image.mode in ("I", "F"):
        raise BadInput(
            f"{name} holds 32-bit grey values without a known range, expected 8 or 16 bits a "
            "pixel: save it as an 8-bit image."
        )
    if image.mode == "P":
        # Pillow would warn of, or blend with, a palette's transparent entry.
        image.info.pop("transparency", None)
    if image.mode == "RGBa":
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or the file applies it itself."""
    if image.format == "TIFF":
        return 1  # Pillow turns a TIFF while loading it
    try:
        # The base class reads what the header held; PNG's own method would decode the pixels.
        found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1  # a photograph with damaged EXIF is still a photograph
    return found if found in range(1, 9) else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`pixels` (H×W×3) set upright, after the table of orientations of EXIF 2.3."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # Which axes run backwards once rows and columns are where they belong.
    down = {3: True, 4: True, 7: True, 8: True}.get(orientation, False)
    right = {2: True, 3: True, 6: True, 7: True}.get(orientation, False)
    pixels = pixels[:: -1 if down else 1, :: -1 if right else 1]
    return np.ascontiguousarray(pixels)
