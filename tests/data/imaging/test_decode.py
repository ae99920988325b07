"""What an image file becomes, and what is refused before or while it is decoded."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bloodcell.data.imaging.decode import decode_image, fit, image_size, printable
from bloodcell.errors import BadInput
from tests.data.samples import encoded, pixels

# pytest puts aside the filters that decode.py sets for the whole process.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True, "exact": True}}
EVERY_FORMAT = {**LOSSLESS, "JPEG": {"quality": 95}}


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises many pixels and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


class TestPixels:
    @pytest.mark.parametrize("format", LOSSLESS)
    def test_lossless_formats_give_the_very_pixels(self, format):
        image = pixels(1, 17, 23)
        decoded = decode_image(encoded(image, format, **LOSSLESS[format]), "a")
        assert decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous
        np.testing.assert_array_equal(decoded, image)

    def test_jpeg_gives_nearly_the_pixels(self):
        smooth = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], (1, 32, 3))
        decoded = decode_image(encoded(smooth, "JPEG", quality=95), "a")
        assert np.abs(decoded.astype(int) - smooth).max() <= 6

    def test_grey_becomes_three_equal_channels(self):
        grey = pixels(2)[..., 0]
        np.testing.assert_array_equal(decode_image(encoded(grey), "a"), np.dstack([grey] * 3))

    def test_black_and_white_becomes_0_and_255(self):
        bits = pixels(3)[..., 0] > 127
        decoded = decode_image(encoded(Image.fromarray(bits)), "a")
        np.testing.assert_array_equal(decoded, np.dstack([bits * np.uint8(255)] * 3))

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
    def test_alpha_is_dropped_not_blended(self, format):
        image = pixels(4, channels=4)
        image[:6, :, 3] = 0
        decoded = decode_image(encoded(image, format, **LOSSLESS[format]), "a")
        np.testing.assert_array_equal(decoded, image[..., :3])

    def test_grey_with_alpha_loses_the_alpha(self):
        image = pixels(5, channels=2)
        decoded = decode_image(encoded(Image.fromarray(image, "LA")), "a")
        np.testing.assert_array_equal(decoded, np.repeat(image[..., :1], 3, axis=2))

    @pytest.mark.parametrize("options", [{}, {"transparency": 0}, {"transparency": b"\0\x80"}])
    @pytest.mark.filterwarnings("error")
    def test_palettes_give_their_colours(self, options):
        palette = Image.fromarray(pixels(6)).quantize(16)
        expected = np.asarray(palette.convert("RGB"))
        np.testing.assert_array_equal(decode_image(encoded(palette, **options), "a"), expected)

    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_16_bit_grey_is_scaled_not_clipped(self, format):
        deep = (pixels(7)[..., 0].astype(np.uint16)) * 257
        decoded = decode_image(encoded(deep, format), "a")
        np.testing.assert_array_equal(decoded[..., 0], deep // 257)
        np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])

    def test_cmyk_becomes_rgb(self):
        cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
        decoded = decode_image(encoded(cyan, "TIFF"), "a")
        np.testing.assert_array_equal(decoded[8, 8], [0, 255, 255])

    @pytest.mark.parametrize("format", ["PNG", "WEBP"])
    def test_of_several_frames_the_first_is_taken(self, format):
        frames = [Image.fromarray(pixels(k)) for k in range(3)]
        data = encoded(
            frames[0], format, save_all=True, append_images=frames[1:], **LOSSLESS[format]
        )
        np.testing.assert_array_equal(decode_image(data, "a"), pixels(0))

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
    def test_exif_rotation_is_applied_as_pillow_does(self, format, orientation):
        image = Image.fromarray(pixels(8, 16, 24))
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(image, format, exif=exif, **EVERY_FORMAT[format])
        plain = Image.fromarray(decode_image(encoded(image, format, **EVERY_FORMAT[format]), "a"))
        plain.getexif()[0x0112] = orientation
        decoded = decode_image(data, "a")
        np.testing.assert_array_equal(decoded, np.asarray(ImageOps.exif_transpose(plain)))
        assert image_size(data, "a") == decoded.shape[:2]

    def test_damaged_exif_does_not_cost_the_photograph(self):
        data = encoded(pixels(9, 16), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        assert decode_image(data, "a").shape == (16, 16, 3)


class TestSize:
    @pytest.mark.parametrize("format", EVERY_FORMAT)
    def test_height_comes_before_width(self, format):
        data = encoded(pixels(1, 20, 30), format, **EVERY_FORMAT[format])
        assert image_size(data, "a") == (20, 30)

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
    def test_the_header_is_enough(self, format):
        data = encoded(pixels(1, 200), format, **EVERY_FORMAT[format])
        assert image_size(data[:1024], "a") == (200, 200)


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "is empty (0 bytes)"),
            (b"hello, this is a text\n" * 20, "is no image"),
            (encoded(Image.new("L", (20, 20)), "GIF"), "is a GIF"),
            (b"%PDF-1.7\n" + bytes(600), "is a PDF document"),
            (b"PK\x03\x04" + bytes(600), "is a zip archive"),
            (b"\x80\x04\x95" + bytes(20), "is a Python pickle"),
            (encoded(pixels(1, 7, 20)), "has 20×7 pixels, expected at least 8"),
            (png_header(8000, 5001), "has 8000×5001 pixels, expected at most 40 million"),
            (png_header(12_000, 12_000), "far more than 40 million pixels"),
            (png_header(60_000, 60_000), "far more than 40 million pixels"),
            (png_header(64, 64), "is broken or cut off"),
            (encoded(Image.new("F", (16, 16)), "TIFF"), "32-bit grey"),
            (encoded(Image.new("I", (16, 16)), "TIFF"), "32-bit grey"),
            (b"\xff\xd8\xff\xe0", "begins like a JPEG image"),
            (b"\x89PNG\r\n\x1a\n", "begins like a PNG image"),
        ],
    )
    @pytest.mark.filterwarnings("error")
    def test_in_one_sentence_that_names_the_file(self, data, words):
        with pytest.raises(BadInput) as caught:
            decode_image(data, "cell.jpg")
        message = str(caught.value)
        assert words in message
        assert message.startswith("cell.jpg ")
        assert message.endswith(".")
        assert "\n" not in message

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
    @pytest.mark.parametrize("format", EVERY_FORMAT)
    def test_a_file_cut_off_anywhere(self, format, share):
        data = encoded(pixels(1, 64), format, **EVERY_FORMAT[format])
        with pytest.raises(BadInput, match=r"cut off|no image"):
            decode_image(data[: int(len(data) * share)], "cell")

    def test_and_the_decoder_says_nothing_on_stderr(self, capfd):
        data = bytearray(encoded(pixels(1, 64), "TIFF", compression="tiff_adobe_deflate"))
        data[200:400] = b"?" * 200
        with pytest.raises(BadInput):
            decode_image(bytes(data), "cell.tif")
        assert capfd.readouterr().err == ""

    def test_before_any_pixel_is_decoded(self):
        with pytest.raises(BadInput, match="at most 40 million"):
            image_size(png_header(8000, 5001), "cell.png")

    def test_a_name_cannot_break_the_line_or_the_screen(self):
        name = "x" * 300 + "\x1b[31m\u202egnp\n\r\0.png"
        with pytest.raises(BadInput) as caught:
            decode_image(b"", name)
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 200
        assert ".png is empty" in message

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data(), format=st.sampled_from(sorted(EVERY_FORMAT)))
    def test_altered_bytes_give_an_image_or_bad_input_and_nothing_else(self, data, format):
        original = bytearray(encoded(pixels(3, 24), format, **EVERY_FORMAT[format]))
        for _ in range(data.draw(st.integers(1, 8))):
            at = data.draw(st.integers(0, len(original) - 1))
            original[at] = data.draw(st.integers(0, 255))
        try:
            decoded = decode_image(bytes(original), "cell")
        except BadInput:
            return
        assert decoded.dtype == np.uint8
        assert decoded.shape[2] == 3

    @given(st.binary(max_size=600))
    def test_any_bytes(self, data):
        with pytest.raises(BadInput):
            decode_image(data, "cell")


class TestFit:
    @given(
        height=st.integers(8, 60),
        width=st.integers(8, 60),
        size=st.integers(8, 60),
        crop=st.none() | st.integers(8, 80),
    )
    def test_gives_a_square_of_the_size_asked_for(self, height, width, size, crop):
        result = fit(pixels(0, height, width), size, crop)
        assert result.shape == (size, size, 3)
        assert result.dtype == np.uint8

    @given(st.integers(8, 40))
    def test_a_square_of_that_size_keeps_its_pixels(self, size):
        image = pixels(1, size)
        np.testing.assert_array_equal(fit(image, size), image)

    def test_cuts_from_the_centre(self):
        image = np.zeros((30, 50, 3), np.uint8)
        image[:, 10:40] = 200
        assert (fit(image, 30) == 200).all()
        assert (fit(image, 8) == 200).all()

    def test_crop_cuts_that_many_source_pixels(self):
        image = np.zeros((36, 37, 3), np.uint8)
        image[8:28, 8:28] = 99
        np.testing.assert_array_equal(fit(image, 20, crop=20), image[8:28, 8:28])

    def test_crop_never_exceeds_the_shorter_side(self):
        image = pixels(2, 20, 30)
        np.testing.assert_array_equal(fit(image, 20, crop=200), fit(image, 20))

    def test_a_constant_image_stays_constant(self):
        image = np.full((360, 363, 3), (200, 150, 180), np.uint8)
        assert (fit(image, 96, crop=200) == (200, 150, 180)).all()

    def test_shrinking_averages_instead_of_picking(self):
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, ::2] = 255
        assert np.abs(fit(stripes, 16).astype(int) - 127).max() < 20


def test_printable_keeps_the_end_of_a_long_name():
    assert printable("cell.png") == "cell.png"
    assert printable("a" * 100 + "/cell.png").endswith("a/cell.png")
    assert len(printable("a" * 100)) == 80
