"""Files that hold more than one picture of 8 bits: read rightly, or refused by their planes."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bloodcell.data.imaging.decode import decode_image, image_size
from bloodcell.errors import BadInput
from tests.data.samples import encoded, pixels

CELL = pixels(1, 12, 16)
DEEP = CELL.astype(np.uint16)
IMAGEJ = "ImageJ=1.54f\nimages={n}\nchannels={n}\nmode={mode}\nloop=false\n"
PRIMARY = {0: -16776961, 1: 16711935, 2: 65535}


def tiff(pages, described="", *, one_ifd=False, order="<", tags=(), names=()) -> bytes:
    """A TIFF of uncompressed pages: uint8 or uint16, H×W or H×W×3."""
    out = bytearray((b"II*\0" if order == "<" else b"MM\0*") + b"\0" * 4)
    pointer = 4
    planes = [np.ascontiguousarray(p, p.dtype.newbyteorder(order)).tobytes() for p in pages]
    for k, page in enumerate(pages):
        if one_ifd and k:
            break
        at = len(out)
        out += b"".join(planes) if one_ifd else planes[k]
        samples = 1 if page.ndim == 2 else page.shape[2]
        bits_at = len(out)
        out += struct.pack(order + "3H", *[8 * page.itemsize] * 3) + b"\0\0"
        found = {
            256: (3, 1, page.shape[1]), 257: (3, 1, page.shape[0]),
            258: (3, samples, 8 * page.itemsize if samples == 1 else bits_at), 259: (3, 1, 1),
            262: (3, 1, 1 if samples == 1 else 2), 273: (4, 1, at), 277: (3, 1, samples),
            278: (3, 1, page.shape[0]), 279: (4, 1, len(planes[k])), **dict(tags),
        }  # fmt: skip
        for tag, text in ((270, described if k == 0 else ""), (285, dict(enumerate(names)).get(k))):
            if text:
                found[tag] = (2, len(text.encode()) + 1, len(out))
                out += text.encode() + b"\0" * (2 - len(text.encode()) % 2)
        struct.pack_into(order + "I", out, pointer, len(out))
        out += struct.pack(order + "H", len(found))
        for tag, (kind, n, value) in sorted(found.items()):
            short = kind == 3 and n == 1
            out += struct.pack(order + "HHI", tag, kind, n)
            out += struct.pack(order + ("HH" if short else "I"), *[value, 0][: 1 + short])
        pointer = len(out)
        out += b"\0" * 4
    return bytes(out)


def ome(names=None, colours=None, more="", sizes='SizeC="3" SizeZ="1" SizeT="1"') -> str:
    channels = ""
    for k in range(3):
        name = f' Name="{names[k]}"' if names else ""
        colour = f' Color="{colours[k]}"' if colours else ""
        channels += f'<Channel ID="Channel:0:{k}"{name}{colour} SamplesPerPixel="1"/>'
    return (
        f'<?xml version="1.0"?><OME xmlns="x"><Image><Pixels DimensionOrder="XYCZT" {sizes} '
        f'Type="uint8">{channels}{more}</Pixels></Image></OME>'
    )


def planes(order=(0, 1, 2), values=CELL):
    return [np.ascontiguousarray(values[..., c]) for c in order]


class TestColoursInPlanes:
    @pytest.mark.parametrize(
        "data",
        [
            tiff(planes(), IMAGEJ.format(n=3, mode="composite")),
            tiff(planes(), IMAGEJ.format(n=3, mode="composite"), one_ifd=True),
            tiff(planes(), IMAGEJ.format(n=3, mode="color"), order=">"),
            tiff(planes(values=DEEP * 257), IMAGEJ.format(n=3, mode="composite")),
            tiff(planes(values=DEEP * 257), IMAGEJ.format(n=3, mode="composite"), one_ifd=True,
                 order=">"),
            tiff(planes(), ome()),
            tiff(planes((2, 1, 0)), ome(["Blue", "Green", "Red"])),
            tiff(planes((1, 0, 2)), ome(colours=[PRIMARY[1], PRIMARY[0], PRIMARY[2]])),
            tiff(planes((1, 0, 2)), ome(more='<TiffData FirstC="0" IFD="1"/>'
                                             '<TiffData FirstC="1" IFD="0"/>')),
            tiff(planes((2, 0, 1)), names=["Blue channel", "Red channel", "Green channel"]),
            tiff([CELL], ome(sizes='SizeC="3" SizeZ="1" SizeT="1"')),
            tiff([CELL, CELL[::2, ::2]]),
        ],
        ids=["imagej", "imagej one header", "imagej colour, big-endian", "imagej 16 bits",
             "imagej 16 bits, one header", "ome", "ome by names", "ome by colours", "ome by pages",
             "names of pages", "ome of one page", "a preview behind it"],
    )  # fmt: skip
    def test_are_joined_where_the_file_says_so(self, data):
        np.testing.assert_array_equal(decode_image(data, "a.tif"), CELL)
        assert image_size(data, "a.tif") == CELL.shape[:2]

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (tiff(planes()), "holds 3 pages or planes"),
            (tiff([CELL] * 5), "holds 5 pages"),
            (tiff(planes() + planes()[:1], IMAGEJ.format(n=4, mode="composite")), "holds 4 pages"),
            (tiff(planes()[:2], IMAGEJ.format(n=2, mode="composite")), "holds 2 pages"),
            (tiff(planes(), IMAGEJ.format(n=3, mode="grayscale")), "holds 3 pages"),
            (tiff(planes(), "ImageJ=1\nimages=3\nslices=3\n"), "3 slices"),
            (tiff(planes(), ome(["DAPI", "FITC", "TRITC"])), "called DAPI, FITC, TRITC"),
            (tiff(planes(), ome(sizes='SizeC="1" SizeZ="3" SizeT="1"')), "3 slices or times"),
            (tiff(planes()[:1], ome()), "holds 3 pages"),
            (tiff(planes()[:1], IMAGEJ.format(n=3, mode="composite")), "not all there"),
            (tiff([CELL[:8, :8], CELL]), "pages of several sizes"),
        ],
    )  # fmt: skip
    def test_are_refused_with_their_number_where_it_does_not(self, data, says):
        with pytest.raises(BadInput, match=says) as caught:
            decode_image(data, "a.tif")
        assert str(caught.value).startswith("a.tif ")

    def test_in_one_page_by_planar_configuration(self):
        data = encoded(CELL, "TIFF")
        image = Image.open(io.BytesIO(data))
        assert image.tag_v2.get(284, 1) == 1
        layers = np.stack(planes())
        at = tiff(list(layers), tags={}.items(), one_ifd=True)
        n = layers[0].size
        start = 8
        offsets = struct.pack("<3I", start, start + n, start + 2 * n)
        counts = struct.pack("<3I", n, n, n)
        out = bytearray(at) + offsets + counts + struct.pack("<3H", 8, 8, 8) + b"\0\0"
        where = len(at)
        entries = {
            256: (3, 1, 16), 257: (3, 1, 12), 258: (3, 3, where + 24), 259: (3, 1, 1),
            262: (3, 1, 2), 273: (4, 3, where), 277: (3, 1, 3), 278: (3, 1, 12),
            279: (4, 3, where + 12), 284: (3, 1, 2),
        }  # fmt: skip
        struct.pack_into("<I", out, 4, len(out))
        out += struct.pack("<H", len(entries))
        for tag, (kind, count, value) in sorted(entries.items()):
            out += struct.pack("<HHII", tag, kind, count, value)
        np.testing.assert_array_equal(decode_image(bytes(out) + b"\0" * 4, "a.tif"), CELL)


def png(values: np.ndarray, sbit: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG of uint16 values, H×W or H×W×3, with other chunks behind its header."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 0 if values.ndim == 2 else 2, 0, 0, 0)
    depth = chunk(b"sBIT", sbit) if sbit else b""
    parts = (chunk(b"IHDR", head), depth, more, chunk(b"IDAT", zlib.compress(rows)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def in_bits(bits: int) -> np.ndarray:
    return np.rint(CELL / 255 * (2**bits - 1)).astype(np.uint16)


class TestDepth:
    """10 to 14 bits in 16 are as bright as 8, where the file or a person says so."""

    @pytest.mark.parametrize("bits", [10, 12, 14, 16])
    @pytest.mark.parametrize(
        "write",
        [
            lambda v, bits: png(v, bytes([bits] * 3)),
            lambda v, bits: png(v[..., 0], bytes([bits])),
            lambda v, bits: tiff([v], tags=[(281, (3, 1, 2**bits - 1))]),
            lambda v, bits: tiff([v[..., 0]], tags=[(281, (3, 1, 2**bits - 1))]),
            lambda v, bits: tiff(
                planes(values=v), ome(sizes=f'SizeC="3" SizeZ="1" SignificantBits="{bits}"')
            ),
        ],
        ids=["PNG", "grey PNG", "TIFF", "grey TIFF", "OME"],
    )
    def test_that_a_file_says(self, write, bits):
        decoded = decode_image(write(in_bits(bits), bits), "a")
        np.testing.assert_array_equal(decoded[..., 0], CELL[..., 0])

    @pytest.mark.parametrize("write", [png, lambda v: tiff([v]), lambda v: tiff([v], order=">")])
    @pytest.mark.parametrize("grey", [False, True])
    def test_that_a_person_says(self, write, grey):
        values = in_bits(12)[..., 0] if grey else in_bits(12)
        assert decode_image(write(values), "a").max() <= 16
        decoded = decode_image(write(values), "a", depth=12)
        np.testing.assert_array_equal(decoded[..., 0], CELL[..., 0])

    def test_values_scaled_to_all_bits_are_not_scaled_again(self):
        """As the PNG specification has it: sBIT tells what there was before."""
        np.testing.assert_array_equal(decode_image(png(DEEP * 257, bytes([12] * 3)), "a"), CELL)

    def test_a_highest_value_that_is_no_depth_is_none(self):
        data = tiff([DEEP[..., 0] * 200], tags=[(281, (3, 1, 51000))])
        assert decode_image(data, "a").max() == 198

    def test_of_12_packed_bits(self):
        values = in_bits(12)[..., 0].reshape(-1, 2).astype(int)
        packed = np.stack(
            [values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], 1
        )
        plain = tiff([CELL[..., 0]], tags=[(258, (3, 1, 12)), (279, (4, 1, packed.size))])
        n = CELL[..., 0].size
        data = bytearray(plain[:8]) + packed.astype(np.uint8).tobytes() + plain[8 + n :]
        grown = packed.size - n
        struct.pack_into("<I", data, 4, struct.unpack("<I", plain[4:8])[0] + grown)
        np.testing.assert_array_equal(decode_image(bytes(data), "a")[..., 0], CELL[..., 0])

    def test_where_zero_is_white(self):
        data = tiff([65535 - DEEP[..., 0] * 257], tags=[(262, (3, 1, 0))])
        np.testing.assert_array_equal(decode_image(data, "a")[..., 0], CELL[..., 0])


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_large_metadata_do_not_cost_a_photograph(kind):
    text = zlib.compress(b" " * 3_000_000)
    body = {b"iCCP": b"x\0\0", b"zTXt": b"x\0\0", b"iTXt": b"x\0\1\0\0\0"}[kind] + text
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    data = png(DEEP * 257, more=chunk * 30)
    np.testing.assert_array_equal(decode_image(data, "a"), CELL)
    assert image_size(data, "a") == CELL.shape[:2]
