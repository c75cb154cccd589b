"""Decoding: every kind of image file becomes one grayscale channel; incomplete images are refused."""

import io
import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from conftest import ENVIRONMENT, ROOT, dicom, encoded
from PIL import Image, TiffImagePlugin

from chest_transfer.data import decoding, radiographs
from chest_transfer.data.radiographs import DecodedImage, UnreadableImage, decode_image, decode_square, is_color

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))  # dark on the left, bright on the right


def ramp_in_mode(mode: str) -> Image.Image:
    return Image.fromarray(RAMP).convert(mode)


@pytest.mark.parametrize(
    ("name", "content", "tolerance"),
    [
        ("grayscale PNG", encoded(RAMP), 1),
        ("grayscale JPEG", encoded(RAMP, "JPEG", quality=95), 3),
        ("RGB PNG", encoded(ramp_in_mode("RGB")), 1),
        ("RGB JPEG", encoded(ramp_in_mode("RGB"), "JPEG", quality=95), 3),
        ("opaque RGBA PNG", encoded(ramp_in_mode("RGBA")), 1),
        ("grayscale with alpha", encoded(ramp_in_mode("LA")), 1),
        ("palette", encoded(ramp_in_mode("RGB").quantize(256)), 4),
        ("palette with transparency", encoded(ramp_in_mode("RGB").quantize(256), transparency=0), 4),
        ("CMYK JPEG", encoded(ramp_in_mode("CMYK"), "JPEG", quality=95), 6),
        ("16 bits", encoded(RAMP.astype(np.uint16) * 257), 1),
        ("12 bits in 16", encoded(RAMP.astype(np.uint16) * 16), 1),
    ],
)
def test_every_color_mode_gives_the_same_gray_levels(name, content, tolerance):
    image = decode_square(content, 64)
    assert image.shape == (64, 64)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - RAMP).max() <= tolerance


def noise(mode: str = "L") -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60), np.uint8)).convert(mode)


def gray_png(width: int, height: int, rows: bytes, interlaced: bool = False) -> bytes:
    """A PNG of 8 bits as its own header describes it, right or not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def interlaced(pixels: np.ndarray) -> bytes:
    """A PNG in the seven passes of Adam7, which Pillow reads but does not write."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for top, left, down, right in passes for row in pixels[top::down, left::right]]
    return gray_png(pixels.shape[1], pixels.shape[0], b"".join(b"\0" + row.tobytes() for row in rows), True)


def rotated_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(), exif=exif)


@pytest.mark.parametrize(
    ("name", "content", "fast"),
    [
        ("grayscale of 8 bits", encoded(noise()), True),
        ("bytes after the end", encoded(noise()) + b"more", True),
        ("interlaced", interlaced(np.asarray(noise())), True),
        ("one gray level is transparent", encoded(noise(), transparency=7), None),
        ("rotated by EXIF", rotated_by_exif(), False),
        ("color", encoded(noise("RGB")), True),
        ("color with alpha", encoded(noise("RGBA")), True),
        ("one color is transparent", encoded(noise("RGB"), transparency=(7, 7, 7)), None),
        ("grayscale with alpha", encoded(noise("LA")), False),
        ("palette", encoded(noise("P")), False),
        ("one bit", encoded(noise("1")), False),
        ("16 bits", encoded(np.asarray(noise()).astype(np.uint16) * 257), False),
        ("JPEG", encoded(noise(), "JPEG"), False),
    ],
)
def test_the_fast_png_decoder_gives_the_pixels_of_pillow(monkeypatch, name, content, fast):
    decoded = []
    original = radiographs.decode_image_png_u8
    monkeypatch.setattr(
        radiographs, "decode_image_png_u8", lambda *arguments: decoded.append(original(*arguments)) or decoded[0]
    )
    pixels = np.asarray(decode_image(content, 40).gray)
    assert fast is None or bool(decoded) == fast
    monkeypatch.setattr(radiographs, "_decode_png", lambda *_: None)
    np.testing.assert_array_equal(pixels, np.asarray(decode_image(content, 40).gray))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_the_fast_png_decoder_reads_nothing_that_pillow_refuses(mode):
    original, rng = encoded(noise(mode)), np.random.default_rng(2)
    for _ in range(3000):
        content = bytearray(original)
        for position in rng.integers(8, len(original), rng.integers(1, 4)):
            content[position] = rng.integers(256)
        try:
            with Image.open(io.BytesIO(content)) as image:
                fast = radiographs._decode_png(bytes(content), image)
                if fast is not None:
                    np.testing.assert_array_equal(np.asarray(fast), np.asarray(image))
        except (OSError, SyntaxError, ValueError, struct.error):
            pass  # Pillow does not open it


def test_one_bit_images_are_black_and_white():
    assert set(np.unique(decode_square(encoded(ramp_in_mode("1")), 64))) == {0, 255}


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown rotated clockwise by 90 degrees
    image = decode_square(encoded(RAMP, "JPEG", quality=95, exif=exif), 64)
    assert image[5].mean() < 40
    assert image[-5].mean() > 215


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (512, 256))
    small = decode_square(encoded(stripes), 60)
    assert small.std() < 12  # nearest-neighbor sampling gives 127
    assert small.mean() == pytest.approx(127.5, abs=2)


def test_a_large_jpeg_decoded_at_a_smaller_scale_keeps_its_gray_levels():
    side = np.linspace(0, 3 * np.pi, 1600)
    smooth = (127 + 100 * np.outer(np.sin(side), np.cos(side))).astype(np.uint8)
    expected = Image.fromarray(smooth).resize((96, 96), Image.Resampling.BICUBIC)
    image = decode_square(encoded(smooth, "JPEG", quality=95), 96)
    assert np.abs(image.astype(int) - np.asarray(expected)).max() <= 3


@pytest.mark.parametrize(("fit", "columns"), [("squeeze", (0, 127)), ("pad", (0, 0)), ("crop", (127, 127))])
def test_fits_to_a_square(fit, columns):
    # Three equal bands of 0, 127 and 255, one below the other, in an image three times as tall as wide.
    tall = np.repeat(np.array([0, 127, 255], np.uint8), 40)[:, None].repeat(40, axis=1)
    image = decode_square(encoded(tall), 60, fit)
    assert image[2, 30] == pytest.approx(columns[0] if fit != "crop" else 127, abs=3)
    assert image[30, 2] == pytest.approx(columns[1], abs=3)


def bomb() -> bytes:
    """A PNG of a few bytes whose header states 50,000 x 50,000 pixels."""
    return gray_png(50_000, 50_000, bytes(100))


def smaller_bomb() -> bytes:
    """10,000 x 10,000 pixels: where Pillow itself only warns."""
    return bomb().replace(struct.pack(">II", 50_000, 50_000), struct.pack(">II", 10_000, 10_000))


NOISE = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
UNREADABLE = [
    ("truncated", encoded(NOISE, "JPEG")[:-3000]),
    ("truncated", encoded(NOISE)[:-3000]),
    ("broken", b"not an image at all"),
    ("broken", b""),
    ("broken", encoded(NOISE)[:10]),
    ("bomb", bomb()),
    ("broken", encoded(NOISE, "ICO")),  # of a format that no radiograph comes in
    ("broken", encoded(NOISE, "EPS")),  # Pillow would start a program to read it
]


@pytest.mark.parametrize(("kind", "content"), UNREADABLE)
def test_an_incomplete_image_raises_an_error_that_starts_with_its_kind(kind, content):
    with pytest.raises(UnreadableImage, match=f"^{kind}: ") as error:
        decode_square(content, 32)
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value)  # no memory address: the reason is written to summary.json, which DVC tracks


def pages(form: str, **options) -> bytes:
    """Two images in one file."""
    first, second = Image.fromarray(NOISE), Image.fromarray(NOISE.T)
    return encoded(first, form, save_all=True, append_images=[second], **options)


@pytest.mark.parametrize("form", ["TIFF", "GIF", "WEBP", "PNG"])
def test_a_file_of_several_images_is_refused(form):
    with pytest.raises(UnreadableImage, match=r"^broken: it holds 2 images, not one radiograph"):
        decode_square(pages(form), 32)


def test_the_thumbnail_in_a_tiff_is_no_second_image():
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, True) as file:
        for image, kind in ((Image.fromarray(NOISE), 0), (Image.fromarray(NOISE[::8, ::8]), 1)):
            image.save(file, "TIFF", tiffinfo={254: kind})
            file.newFrame()
    assert (decode_square(buffer.getvalue(), 200) == NOISE).all()


def test_what_is_broken_behind_the_first_page_of_a_tiff_does_not_matter():
    content = bytearray(encoded(NOISE, "TIFF"))
    order = "little" if content[:2] == b"II" else "big"
    directory = int.from_bytes(content[4:8], order)
    end = directory + 2 + 12 * int.from_bytes(content[directory : directory + 2], order)
    for next_page in (len(content) + 99, 4):
        content[end : end + 4] = next_page.to_bytes(4, order)
        assert (decode_square(bytes(content), 200) == NOISE).all()


def test_a_flipped_bit_in_a_png_is_refused():
    content = bytearray(encoded(NOISE))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(UnreadableImage, match=r"^(broken|truncated): "):
        decode_square(bytes(content), 32)


def test_a_bomb_below_the_limit_of_pillow_is_refused():
    with pytest.raises(UnreadableImage):
        decode_square(smaller_bomb(), 32)


@pytest.mark.parametrize("size", [20, 64, 200])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_colors_are_noticed_whatever_the_size_of_the_image(size, form):
    color = np.random.default_rng(3).integers(0, 2, (5, 5, 3)).astype(np.uint8) * 255
    large = Image.fromarray(color).resize((size, size), Image.Resampling.NEAREST)
    assert is_color(encoded(large, form))
    assert not is_color(encoded(ramp_in_mode("RGB").resize((size, size)), form))
    assert not is_color(encoded(ramp_in_mode("L").resize((size, size)), form))


class OneMember:
    """Stands for an archive of one file."""

    def __init__(self, content: bytes):
        self.content = content

    def read(self, member: str) -> bytes:
        return self.content


OUR_CODE = [  # (object, attribute) that raise in these tests as a mistake of our own would
    (DecodedImage, "square"),
    (radiographs, "make_square"),
    (radiographs, "_grayscale"),
]


def fail(*_, **__):
    raise TypeError("a mistake in our own code")


@pytest.mark.parametrize(("owner", "attribute"), OUR_CODE, ids=[attribute for _, attribute in OUR_CODE])
def test_a_mistake_in_our_own_code_is_not_reported_as_a_broken_image(monkeypatch, owner, attribute):
    monkeypatch.setattr(owner, attribute, fail)
    with pytest.raises(TypeError, match="a mistake in our own code"):
        decode_square(encoded(RAMP), 32)
    with pytest.raises(TypeError, match="a mistake in our own code"):
        list(decoding.decode_all(OneMember(encoded(RAMP)), ["a.png"], 32, "squeeze", 1))


@pytest.mark.parametrize("name", ["lung_contrast", "unusual_attributes"])
def test_a_mistake_in_our_own_code_is_not_reported_as_a_broken_dicom_file(monkeypatch, name):
    pytest.importorskip("pydicom")
    content = dicom(RAMP)
    decode_square(content, 32)
    monkeypatch.setattr(f"chest_transfer.data.dicom.{name}", fail)
    with pytest.raises(TypeError, match="a mistake in our own code"):
        decode_square(content, 32)


def test_a_mistake_in_our_own_code_is_not_reported_as_a_broken_color_image(monkeypatch):
    monkeypatch.setattr(radiographs, "shows_color", fail)
    with pytest.raises(TypeError, match="a mistake in our own code"):
        is_color(encoded(ramp_in_mode("RGB")))


@pytest.mark.parametrize("error", [TypeError("no"), ValueError("no\nsuch"), IndexError(), SystemError("no"), OSError()])
@pytest.mark.parametrize("call", [decode_square, lambda content, _: is_color(content)], ids=["decode", "is_color"])
def test_any_exception_of_a_decoder_is_an_unreadable_image(monkeypatch, error, call):
    def broken_decoder(*_, **__):
        raise error

    monkeypatch.setattr(radiographs.Image, "open", broken_decoder)
    with pytest.raises(UnreadableImage, match=r"^broken: ") as refusal:
        call(encoded(RAMP), 32)
    assert "\n" not in str(refusal.value)
    [reason] = decoding.decode_all(OneMember(encoded(RAMP)), ["a.png"], 32, "squeeze", 1)
    assert reason.startswith("broken: ")


@pytest.mark.parametrize("error", [TypeError("no"), AttributeError(), NotImplementedError("no")])
def test_any_exception_of_the_dicom_decoder_is_an_unreadable_image(monkeypatch, error):
    pydicom = pytest.importorskip("pydicom")
    content = dicom(RAMP)

    def broken_decoder(*_, **__):
        raise error

    monkeypatch.setattr(pydicom, "dcmread", broken_decoder)
    with pytest.raises(UnreadableImage, match=r"^dicom: damaged"):
        decode_square(content, 32)


IMPORT_AND_COMPARE = """
import json, importlib, pkgutil, sys, warnings
# NumPy and other packages add filters of their own when they are imported; these are not what is tested.
import numpy, pandas, PIL.Image, scipy.sparse.csgraph, sklearn.metrics, matplotlib.figure, pydantic, tqdm, joblib
BLOCKED = json.loads(sys.argv[1])
class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, NoTensorFlow())
import chest_transfer
before, imported, needs_tensorflow = list(warnings.filters), [], []
for module in pkgutil.walk_packages(chest_transfer.__path__, "chest_transfer."):
    try:
        importlib.import_module(module.name)
        imported.append(module.name)
    except ModuleNotFoundError as error:
        assert error.name.split(".")[0] in BLOCKED, error
        needs_tensorflow.append(module.name)
    added = [filter for filter in warnings.filters if filter not in before]
    assert warnings.filters == before, f"{module.name} changes the warning filters: {added}"
print(json.dumps([imported, needs_tensorflow]))
"""


def test_importing_the_package_changes_no_warning_filters():
    blocked = json.dumps(["tensorflow", "keras"])
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_COMPARE, blocked], capture_output=True, text=True, check=False,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported, needs_tensorflow = json.loads(done.stdout.splitlines()[-1])
    assert "chest_transfer.data.radiographs" in imported
    assert "chest_transfer.data.dicom" in imported
    assert len(imported) > 3 * len(needs_tensorflow), needs_tensorflow
