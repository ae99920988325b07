"""Some two hundred files that no one should be able to stop a page with.

Each is (name, content, readable): True or False where it must be one or the other, None where
either an answer or a sentence will do.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

from bloodcell.data.synthetic.drawing.draw import draw_cell

__all__ = ["BAD_FILES"]

BadFile = tuple[str, bytes, bool | None]
FORMATS = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP"}


def _cell(size: int = 48) -> Image.Image:
    return Image.fromarray(draw_cell(4, np.random.default_rng(4), size))


def _saved(image: Image.Image, kind: str, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, pixels: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = _chunk(b"IDAT", zlib.compress(pixels)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body


def _truncated() -> list[BadFile]:
    found: list[BadFile] = []
    for ending, kind in FORMATS.items():
        whole = _saved(_cell(), kind)
        for share in (0.01, 0.05, 0.2, 0.4, 0.6, 0.8):
            cut = whole[: max(1, int(share * len(whole)))]
            found.append((f"cut-{share}.{ending}", cut, None if share > 0.5 else False))
    return found


def _scrambled() -> list[BadFile]:
    found: list[BadFile] = []
    rng = np.random.default_rng(0)
    for ending, kind in FORMATS.items():
        whole = np.frombuffer(_saved(_cell(), kind), np.uint8)
        for n in range(12):
            damaged = whole.copy()
            places = rng.integers(0, len(whole), 1 + 3 * n)
            damaged[places] = rng.integers(0, 256, len(places))
            found.append((f"flipped-{n}.{ending}", damaged.tobytes(), None))
    return found


def _nothing() -> list[BadFile]:
    rng = np.random.default_rng(1)
    heads = {
        "empty.png": b"",
        "byte.png": b"\x00",
        "text.png": b"this is a text, not an image\n" * 20,
        "page.jpg": b"<!doctype html><script>alert(1)</script>",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "paper.pdf": b"%PDF-1.7\n%",
        "pickle.png": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix",
        "array.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}",
        "film.mp4": b"\x00\x00\x00\x18ftypmp42",
        "photo.heic": b"\x00\x00\x00\x18ftypheic",
        "scan.dcm": b"\x00" * 128 + b"DICM",
        "model.h5": b"\x89HDF\r\n\x1a\n",
        "cells.7z": b"7z\xbc\xaf\x27\x1c",
        "cells.rar": b"Rar!\x1a\x07",
        "cells.gz": b"\x1f\x8b\x08\x00",
        "program.png": b"\x7fELF\x02\x01\x01",
        "program.jpg": b"MZ\x90\x00",
    }
    found: list[BadFile] = [(name, content, False) for name, content in heads.items()]
    for n in range(10):
        found.append((f"noise-{n}.png", rng.bytes(10 ** (n % 5)), False))
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"MM\x00*", b"BM"):
        for n in (0, 30, 3000):
            found.append((f"only-{magic.hex()}-{n}.png", magic + rng.bytes(n), False))
    found.append(("only-webp.webp", b"RIFF\x10\x00\x00\x00WEBPVP8 ", False))
    return found


def _bombs() -> list[BadFile]:
    found: list[BadFile] = []
    sides = ((100_000, 100_000), (2**31 - 1, 1), (1, 2**31 - 1), (30_000, 30_000), (9_000, 9_000))
    for width, height in sides:
        found.append((f"claims-{width}x{height}.png", _png(width, height, b"\0" * 10), False))
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        bmp = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header
        found.append((f"claims-{width}x{height}.bmp", bmp, False))
    found.append(("zeros.png", _png(20_000, 1_900, b"\0" * (60_001 * 100)), None))
    found.append(("no-size.png", _png(0, 0, b""), False))
    found += [(f"tiny-{n}.png", _saved(_cell(64).resize((n, n)), "PNG"), False) for n in (1, 2, 7)]
    found += [(f"thin-{n}.png", _saved(_cell(64).resize((n, 900)), "PNG"), n > 7) for n in (1, 9)]
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 5_000_000, zip=True)
    found.append(("text-bomb.png", _saved(_cell(), "PNG", pnginfo=text), None))
    return found


def _odd() -> list[BadFile]:
    found: list[BadFile] = []
    cell = _cell()
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"):
        if mode in ("I", "F"):
            image: Image.Image = Image.fromarray(np.asarray(cell.convert("L")).astype(np.int32))
            image = image.convert(mode)
        elif mode == "I;16":
            image = Image.fromarray(np.asarray(cell.convert("L")).astype(np.uint16) * 257)
        else:
            image = cell.convert(mode) if mode != "LAB" else Image.new("LAB", (48, 48))
        readable = None if mode in ("I", "F", "LAB") else True
        found.append((f"mode-{mode}.tif", _saved(image, "TIFF"), readable))
    frames = [_cell(48).rotate(90 * k) for k in range(4)]
    more = {"save_all": True, "append_images": frames[1:]}
    for ending, kind in (("webp", "WEBP"), ("tif", "TIFF"), ("png", "PNG")):
        # Pages of a TIFF may be planes of one picture: only a film is known to have a first one.
        readable = ending != "tif"
        found.append((f"animated.{ending}", _saved(frames[0], kind, **more), readable))
    found.append(("animated.gif", _saved(frames[0], "GIF", **more), False))
    exif = Image.Exif()
    for orientation in (0, 3, 6, 8, 9, 77):
        exif[0x0112] = orientation
        found.append((f"turned-{orientation}.jpg", _saved(cell, "JPEG", exif=exif), True))
    found.append(("bad-exif.jpg", _saved(cell, "JPEG", exif=b"Exif\0\0" + b"\xff" * 60), True))
    icc = _saved(cell, "JPEG", icc_profile=b"\0" * 500)
    found.append(("bad-profile.jpg", icc, True))
    for ending, kind in FORMATS.items():
        other = "jpg" if ending != "jpg" else "png"
        found.append((f"really-{ending}.{other}", _saved(cell, kind), True))
    found.append(("image-and-zip.png", _saved(cell, "PNG") + b"PK\x03\x04" + b"\0" * 50, True))
    for value in (0, 255):
        flat = Image.fromarray(np.full((60, 60, 3), value, np.uint8))
        found.append((f"flat-{value}.png", _saved(flat, "PNG"), True))
    return found


def _names() -> list[BadFile]:
    sound = _saved(_cell(), "PNG")
    script = PngImagePlugin.PngInfo()
    script.add_text("Title", "<img src=x onerror=alert(1)>")
    names = (
        "<script>alert(1)</script>.png",
        '"><img src=x onerror=alert(1)>.png',
        "../../../etc/passwd",
        "C:\\windows\\system32\\cell.png",
        "=cmd|' /C calc'!A0.png",
        "@SUM(1+1).png",
        "a\nb\tc\x00d.png",
        "\u202egnp.exe",
        "x" * 5000 + ".png",
        "",
        " ",
        "con",
        "cell \U0001f9ea.png",
        "[link](javascript:alert(1)).png",
        "$\\frac{1}{2}$.png",
        ":red[x] :material/home:.png",
        "name\udcff.png",
    )
    found: list[BadFile] = [(name, sound, True) for name in names]
    found += [(name, b"", False) for name in names]
    found.append(("metadata.png", _saved(_cell(), "PNG", pnginfo=script), True))
    return found


BAD_FILES: list[BadFile] = [
    *_truncated(),
    *_scrambled(),
    *_nothing(),
    *_bombs(),
    *_odd(),
    *_names(),
]
