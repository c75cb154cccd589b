"""Decoding: every kind of file becomes one grey channel; what is no whole image is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import encoded
from PIL import Image

from chest_transfer.data import radiographs
from chest_transfer.data.radiographs import UnreadableImage, decode, read_grey

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))  # dark on the left, bright on the right


def as_mode(mode: str) -> Image.Image:
    return Image.fromarray(RAMP).convert(mode)


@pytest.mark.parametrize(
    ("name", "content", "tolerance"),
    [
        ("grey PNG", encoded(RAMP), 1),
        ("grey JPEG", encoded(RAMP, "JPEG", quality=95), 3),
        ("RGB PNG", encoded(as_mode("RGB")), 1),
        ("RGB JPEG", encoded(as_mode("RGB"), "JPEG", quality=95), 3),
        ("opaque RGBA PNG", encoded(as_mode("RGBA")), 1),
        ("grey with alpha", encoded(as_mode("LA")), 1),
        ("palette", encoded(as_mode("RGB").quantize(256)), 4),
        ("palette with transparency", encoded(as_mode("RGB").quantize(256), transparency=0), 4),
        ("CMYK JPEG", encoded(as_mode("CMYK"), "JPEG", quality=95), 6),
        ("16 bits", encoded(RAMP.astype(np.uint16) * 257), 1),
        ("12 bits in 16", encoded(RAMP.astype(np.uint16) * 16), 1),
    ],
)
def test_every_mode_becomes_the_same_grey(name, content, tolerance):
    image = decode(content, 64)
    assert image.shape == (64, 64)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - RAMP).max() <= tolerance


def noise(mode: str = "L") -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60), np.uint8)).convert(mode)


def grey_png(width: int, height: int, rows: bytes, interlaced: bool = False) -> bytes:
    """A PNG of 8 bits as its own header describes it, right or not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def interlaced(pixels: np.ndarray) -> bytes:
    """A PNG in Adam7's seven passes, which Pillow reads and does not write."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for top, left, down, right in passes for row in pixels[top::down, left::right]]
    return grey_png(pixels.shape[1], pixels.shape[0], b"".join(b"\0" + row.tobytes() for row in rows), True)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(), exif=exif)


@pytest.mark.parametrize(
    ("name", "content", "fast"),
    [
        ("grey of 8 bits", encoded(noise()), True),
        ("with bytes after its end", encoded(noise()) + b"more", True),
        ("interlaced", interlaced(np.asarray(noise())), True),
        ("one grey is transparent", encoded(noise(), transparency=7), None),
        ("turned by EXIF", turned(), False),
        ("colour", encoded(noise("RGB")), True),
        ("colour with alpha", encoded(noise("RGBA")), True),
        ("one colour is transparent", encoded(noise("RGB"), transparency=(7, 7, 7)), None),
        ("grey with alpha", encoded(noise("LA")), False),
        ("palette", encoded(noise("P")), False),
        ("one bit", encoded(noise("1")), False),
        ("16 bits", encoded(np.asarray(noise()).astype(np.uint16) * 257), False),
        ("JPEG", encoded(noise(), "JPEG"), False),
    ],
)
def test_the_fast_decoder_of_pngs_gives_pillows_pixels(monkeypatch, name, content, fast):
    used = []
    whole = radiographs.decode_image_png_u8
    monkeypatch.setattr(radiographs, "decode_image_png_u8", lambda *asked: used.append(whole(*asked)) or used[0])
    found = np.asarray(read_grey(content, 40).grey)
    assert fast is None or bool(used) == fast
    monkeypatch.setattr(radiographs, "_fast_png", lambda *_: None)
    np.testing.assert_array_equal(found, np.asarray(read_grey(content, 40).grey))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_the_fast_decoder_is_the_stricter_one(mode):
    whole, random = encoded(noise(mode)), np.random.default_rng(2)
    for _ in range(3000):
        content = bytearray(whole)
        for place in random.integers(8, len(whole), random.integers(1, 4)):
            content[place] = random.integers(256)
        try:
            with Image.open(io.BytesIO(content)) as image:
                fast = radiographs._fast_png(bytes(content), image)
                if fast is not None:
                    np.testing.assert_array_equal(np.asarray(fast), np.asarray(image))
        except (OSError, SyntaxError, ValueError, struct.error):
            pass  # Pillow does not open it


def test_one_bit_images_are_black_and_white():
    assert set(np.unique(decode(encoded(as_mode("1")), 64))) == {0, 255}


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
    image = decode(encoded(RAMP, "JPEG", quality=95, exif=exif), 64)
    assert image[5].mean() < 40
    assert image[-5].mean() > 215


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (512, 256))
    small = decode(encoded(stripes), 60)
    assert small.std() < 12  # nearest-neighbour sampling gives 127
    assert small.mean() == pytest.approx(127.5, abs=2)


def test_a_large_jpeg_is_decoded_small_and_stays_true():
    side = np.linspace(0, 3 * np.pi, 1600)
    smooth = (127 + 100 * np.outer(np.sin(side), np.cos(side))).astype(np.uint8)
    whole = Image.fromarray(smooth).resize((96, 96), Image.Resampling.BICUBIC)
    drafted = decode(encoded(smooth, "JPEG", quality=95), 96)
    assert np.abs(drafted.astype(int) - np.asarray(whole)).max() <= 3


@pytest.mark.parametrize(("fit", "columns"), [("squeeze", (0, 127)), ("pad", (0, 0)), ("crop", (127, 127))])
def test_fits_to_a_square(fit, columns):
    # Three equal bands of 0, 127 and 255 side by side, three times as tall as wide once turned: a tall image.
    tall = np.repeat(np.array([0, 127, 255], np.uint8), 40)[:, None].repeat(40, axis=1)
    image = decode(encoded(tall), 60, fit)
    assert image[2, 30] == pytest.approx(columns[0] if fit != "crop" else 127, abs=3)
    assert image[30, 2] == pytest.approx(columns[1], abs=3)


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 50,000 x 50,000 pixels."""
    return grey_png(50_000, 50_000, bytes(100))


def smaller_bomb() -> bytes:
    """10,000 x 10,000 pixels: where Pillow itself only warns."""
    return bomb().replace(struct.pack(">II", 50_000, 50_000), struct.pack(">II", 10_000, 10_000))


NOISE = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("truncated", encoded(NOISE, "JPEG")[:-3000]),
        ("truncated", encoded(NOISE)[:-3000]),
        ("broken", b"not an image at all"),
        ("broken", b""),
        ("broken", encoded(NOISE)[:10]),
        ("bomb", bomb()),
        ("broken", encoded(NOISE, "ICO")),  # of a format that no radiograph comes in
        ("broken", encoded(NOISE, "EPS")),  # Pillow would start a program to read it
    ],
)
def test_what_is_no_whole_image_is_refused_with_its_kind(kind, content):
    with pytest.raises(UnreadableImage, match=f"^{kind}: ") as error:
        decode(content, 32)
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value)  # no memory address: the reason is tracked


def test_a_flipped_bit_in_a_png_is_refused():
    content = bytearray(encoded(NOISE))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(UnreadableImage, match=r"^(broken|truncated): "):
        decode(bytes(content), 32)


def test_a_bomb_below_pillows_own_limit_is_refused():
    with pytest.raises(UnreadableImage):
        decode(smaller_bomb(), 32)
