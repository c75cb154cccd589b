"""One picture in every depth, color type and photometric interpretation: all are decoded to that picture."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from conftest import dicom, encoded
from PIL import Image

from chest_transfer.data.dicom import is_dicom, read_dicom
from chest_transfer.data.gray_levels import COLOR
from chest_transfer.data.radiographs import UnreadableImage, decode_image, is_color
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph

HEIGHT, WIDTH = 96, 80
LARGEST_DIFFERENCE = 2  # gray levels
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6  # color types of a PNG


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    """A simulated radiograph (HEIGHT, WIDTH) uint8 that uses all gray levels."""
    rng = np.random.default_rng(5)
    pixels = radiograph(Patient.random(rng), (), rng, (HEIGHT, WIDTH)).pixels.astype(float)
    return np.rint((pixels - pixels.min()) * 255 / np.ptp(pixels)).astype(np.uint8)


def levels_of(chest: np.ndarray, bits: int, top: float = 1.0) -> np.ndarray:
    """The picture with values from 0 to `top` of what so many bits hold."""
    return np.rint(chest / 255 * (2**bits - 1) * top).astype(int)


def difference(content: bytes, chest: np.ndarray, bits: int = 8) -> float:
    """The largest difference from the picture, which `bits` may have made coarser, in gray levels."""
    coarse = np.rint(levels_of(chest, bits) * 255 / (2**bits - 1)) if bits < 8 else chest
    return float(np.abs(np.asarray(decode_image(content, 64).gray).astype(float) - coarse).max())


def png(values: np.ndarray, depth: int, color_type: int, palette: bytes = b"") -> bytes:
    """A PNG of any color type and depth.

    Args:
        values: (H, W, C) int array.
        depth: int, bits of a channel.
        color_type: int.
        palette: bytes of red, green and blue for each index.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = [b"\0" + np.packbits(row.astype(np.uint8).ravel()).tobytes() for row in bits]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, color_type, 0, 0, 0)
    content = chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"")
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
PNGS = [(color_type, depth) for color_type, depths in DEPTHS.items() for depth in depths]


@pytest.mark.parametrize(("color_type", "depth"), PNGS)
@pytest.mark.parametrize("used_bits", [16, 12, 10])
def test_png(chest, color_type, depth, used_bits):
    bits = min(depth, used_bits)
    values = levels_of(chest, bits)[..., None].repeat(CHANNELS[color_type], axis=-1)
    if color_type in (GRAY_ALPHA, RGBA):
        values[..., -1] = 2**depth - 1
    palette = (
        bytes(np.repeat(np.rint(np.linspace(0, 255, 2**depth)).astype(np.uint8), 3)) if color_type == PALETTE else b""
    )
    content = png(values, depth, color_type, palette)
    assert difference(content, chest, bits) <= LARGEST_DIFFERENCE
    assert not is_color(content)


@pytest.mark.parametrize("color_type", [GRAY_ALPHA, RGB, RGBA])
@pytest.mark.parametrize("pixel", ["gray", "color"])
def test_colors_of_16_bits_are_noticed(chest, color_type, pixel):
    values = levels_of(chest, 12)[..., None].repeat(CHANNELS[color_type], axis=-1)
    if pixel == "color":
        values[..., 1] = 4095 - values[..., 1]
    assert is_color(png(values, 16, color_type)) == (pixel == "color" and color_type != GRAY_ALPHA)


@pytest.mark.parametrize("color_type", [GRAY_ALPHA, RGB, RGBA])
def test_a_truncated_png_of_16_bits_is_refused(chest, color_type):
    content = png(levels_of(chest, 12)[..., None].repeat(CHANNELS[color_type], axis=-1), 16, color_type)
    with pytest.raises(UnreadableImage):
        decode_image(content[:-300], 64)


def tiff(values: np.ndarray, bits: int, photometric: int, sample_format: int = 1, big: bool = False) -> bytes:
    """An uncompressed TIFF: values (H, W, C) of `bits` each, unsigned (1), signed (2) or floating point (3)."""
    order, (height, width, channels) = ">" if big else "<", values.shape
    kind = {1: "u", 2: "i", 3: "f"}[sample_format]
    data = values.astype(f"{order}{kind}{bits // 8}").tobytes()
    depth = struct.pack(f"{order}{channels}H", *[bits] * channels)
    # In the order of their numbers: tag, type (3 = 16 bits, 4 = 32), count, value.
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, bits if channels == 1 else 8),
        (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8 + len(depth)), (277, 3, 1, channels),
        (278, 4, 1, height), (279, 4, 1, len(data)), (339, 3, 1, sample_format),
    ]  # fmt: skip
    entries = b""
    for tag, form, count, value in tags:
        is_short = form == 3 and count == 1
        entries += struct.pack(f"{order}HHI", tag, form, count)
        entries += struct.pack(f"{order}HH", value, 0) if is_short else struct.pack(f"{order}I", value)
    start = 8 + len(depth) + len(data)
    head = (b"MM" if big else b"II") + struct.pack(f"{order}HI", 42, start)
    return head + depth + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


TIFFS = [
    (bits, photometric, sample_format, big)
    for bits, photometric, sample_format, big in itertools.product((8, 16, 32), (0, 1), (1, 2, 3), (False, True))
    if sample_format != 3 or bits == 32
]


# Pillow knows no such TIFF, or returns signed bytes as unsigned ones.
REFUSED_TIFFS = {
    (8, 0, 2, False), (8, 0, 2, True), (8, 1, 2, False), (8, 1, 2, True), (16, 0, 1, True), (16, 0, 2, False),
    (16, 0, 2, True), (32, 0, 1, False), (32, 0, 1, True), (32, 0, 2, False), (32, 0, 2, True), (32, 1, 1, True),
}  # fmt: skip


@pytest.mark.parametrize(("bits", "photometric", "sample_format", "big"), TIFFS)
def test_gray_tiff(chest, bits, photometric, sample_format, big):
    values = levels_of(chest, 8 if bits == 8 else 12)
    if photometric == 0:  # white is zero
        values = values.max() - values
    if sample_format == 2 and bits == 8:
        values = values - 128
    content = tiff(values[..., None], bits, photometric, sample_format, big)
    if (bits, photometric, sample_format, big) in REFUSED_TIFFS:
        with pytest.raises(UnreadableImage, match=r"TIFF .*PNG"):
            decode_image(content, 64)
    else:
        assert difference(content, chest) <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_of_several_channels(chest, channels, bits):
    content = tiff(levels_of(chest, 8 if bits == 8 else 12)[..., None].repeat(channels, axis=-1), bits, 2)
    if bits == 8:
        assert difference(content, chest) <= LARGEST_DIFFERENCE
        return
    with pytest.raises(UnreadableImage, match=r"TIFF of . channels with 16 bits each; save it as PNG"):
        decode_image(content, 64)


MODES = {  # that Pillow writes in each format
    "TIFF": ("L", "LA", "RGB", "RGBA", "P", "CMYK", "YCbCr"), "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"), "WEBP": ("L", "LA", "RGB", "RGBA", "P", "CMYK", "YCbCr"),
    "BMP": ("L", "RGB", "RGBA", "P"), "GIF": ("L", "LA", "RGB", "RGBA", "P"), "PPM": ("L", "RGB", "RGBA"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes])
def test_other_formats_of_8_bits(chest, mode, form):
    image = Image.fromarray(chest).convert("RGB")
    image = image.quantize(256) if mode == "P" else image.convert(mode)
    content = encoded(image, form, lossless=True) if form == "WEBP" else encoded(image, form, quality=100)
    allowed = 10 if form in ("JPEG", "GIF") or mode in ("P", "YCbCr") else LARGEST_DIFFERENCE  # these lose something
    assert difference(content, chest) <= allowed
    assert not is_color(content)


@pytest.mark.parametrize("form", ["TIFF", "JPEG2000", "PPM", "PNG"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_gray_of_16_bits(chest, form, bits):
    content = encoded(Image.fromarray(levels_of(chest, bits).astype(np.uint16)), form)
    assert difference(content, chest) <= LARGEST_DIFFERENCE


def test_a_ppm_of_16_bits_is_refused(chest):
    rows = levels_of(chest, 12)[..., None].repeat(3, axis=-1).astype(">u2").tobytes()
    with pytest.raises(UnreadableImage, match="a PPM of 3 channels with 16 bits each; save it as PNG"):
        decode_image(f"P6 {WIDTH} {HEIGHT} 65535\n".encode() + rows, 64)


# DICOM ----------------------------------------------------------------------------------------------------------------

pytest.importorskip("pydicom")
INVERSIONS = {  # photometric interpretation, presentation LUT shape: whether low values are bright
    ("MONOCHROME2", None): False, ("MONOCHROME2", "IDENTITY"): False, ("MONOCHROME2", "INVERSE"): True,
    ("MONOCHROME1", None): True, ("MONOCHROME1", "INVERSE"): True,
}  # fmt: skip
WAYS = (("MONOCHROME2", None), ("MONOCHROME1", "INVERSE"))
PADDING = ("none", "value", "range", "value of the other sign")
RESCALING = ((None, None), (1, 0), (2.5, -1000), (-1, 4095), (0, 0))
STORED = [(bits, signed) for bits in (8, 10, 12, 16) for signed in (False, True)]
WINDOWS = ("LINEAR", "LINEAR_EXACT", "width 0", "two, the first empty")


def stored_dicom(chest, bits, signed, inversion, padding, rescaling, window=None, allocated=16) -> bytes:
    """The picture in a DICOM file, stored as its arguments say; padding hides the outer columns."""
    largest = 2**bits - 1
    slope, intercept = rescaling
    values = levels_of(chest, bits)
    # Rescaling by a negative slope and an inversion both turn the picture over.
    if INVERSIONS[inversion] != (slope is not None and slope < 0):
        values = largest - values
    offset = 2 ** (bits - 1) if signed else 0
    values = values - offset
    changes = {}
    if padding != "none":
        low, high = (-offset, -offset + 3)
        is_measured = values > high
        values = np.where(is_measured, values, high + 1)
        values[:, :8], values[:, -8:] = low, high
        if padding == "value":
            values[:, -8:] = low
        changes["PixelPaddingValue"] = low
        if padding == "range":
            changes["PixelPaddingRangeLimit"] = high
        if padding == "value of the other sign":
            values[:, -8:] = low
    kind = f"{'i' if signed else 'u'}{allocated // 8}"
    if slope is not None:
        changes |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    slope = slope or 1
    low, high = sorted(slope * level + (intercept or 0) for level in (-offset, largest - offset))
    if window in ("LINEAR", "LINEAR_EXACT"):
        changes |= {"VOILUTFunction": window, "WindowCenter": (low + high) / 2, "WindowWidth": high - low + 1}
    elif window == "width 0":
        changes |= {"WindowCenter": (low + high) / 2, "WindowWidth": 0}
    elif window == "two, the first empty":
        changes |= {"WindowCenter": [high + 5000, (low + high) / 2], "WindowWidth": [1, high - low + 1]}
    shape = {"PresentationLUTShape": inversion[1]} if inversion[1] else {}
    content = dicom(
        values.astype(f"<{kind}"), BitsAllocated=allocated, BitsStored=bits, HighBit=bits - 1,
        PhotometricInterpretation=inversion[0], PixelRepresentation=int(signed), **shape, **changes,
    )  # fmt: skip
    if padding == "value of the other sign":
        tag = b"\x28\x00\x20\x01" + (b"SS" if signed else b"US")
        assert tag in content
        content = content.replace(tag, tag[:4] + (b"US" if signed else b"SS"))
    return content


def with_black_sides(chest):
    expected = chest.copy()
    expected[:, :8] = expected[:, -8:] = 0
    return expected


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("inversion", INVERSIONS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_every_way_to_store_a_dicom_picture(chest, inversion, padding):
    expected = chest if padding == "none" else with_black_sides(chest)
    for (bits, signed), rescaling in itertools.product(STORED, RESCALING):
        content = stored_dicom(chest, bits, signed, inversion, padding, rescaling)
        gray, unusual = read_dicom(content)
        assert unusual == (), (bits, signed, rescaling)
        off = np.abs(gray.astype(int) - expected).max()
        assert off <= (LARGEST_DIFFERENCE if padding == "none" else 5), (bits, signed, rescaling)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("padding", ["none", "range"])
def test_windows_of_the_whole_range_change_nothing(chest, padding, window):
    expected = chest if padding == "none" else with_black_sides(chest)
    for (bits, signed), rescaling, inversion in itertools.product(STORED, RESCALING, WAYS):
        gray, _ = read_dicom(stored_dicom(chest, bits, signed, inversion, padding, rescaling, window))
        off = np.abs(gray.astype(int) - expected).max()
        assert off <= (LARGEST_DIFFERENCE if padding == "none" else 5), (bits, signed, rescaling, inversion)


@pytest.mark.parametrize("allocated", [8, 16, 32])
def test_8_bits_are_not_stretched_wherever_they_are_stored(chest, allocated):
    dark = chest // 2
    for inversion, rescaling in itertools.product(INVERSIONS, RESCALING):
        content = stored_dicom(dark, 8, False, inversion, "none", rescaling, allocated=allocated)
        assert np.abs(read_dicom(content)[0].astype(int) - dark).max() == 0


def test_a_sigmoid_window_keeps_the_order(chest):
    levels = levels_of(chest, 12)
    window = {"VOILUTFunction": "SIGMOID", "WindowCenter": 2048, "WindowWidth": 2000}
    gray, _ = read_dicom(dicom(levels.astype("<u2"), BitsStored=12, HighBit=11, **window))
    order = np.argsort(levels.ravel(), kind="stable")
    assert (np.diff(gray.ravel()[order].astype(int)) >= 0).all()
    assert gray.max() == 255


def test_bits_beyond_those_stored_do_not_count(chest):
    """Old scanners kept an overlay in the upper bits."""
    values = levels_of(chest, 12)
    values[::3] |= 0xF000
    gray, _ = read_dicom(dicom(values.astype("<u2"), BitsStored=12, HighBit=11))
    assert np.abs(gray.astype(int) - chest).max() <= LARGEST_DIFFERENCE


def test_an_image_of_nothing_but_padding_is_refused(chest):
    with pytest.raises(UnreadableImage, match="every pixel is padding"):
        decode_image(dicom(np.zeros((64, 64), np.uint16), BitsStored=12, HighBit=11, PixelPaddingValue=0), 64)


@pytest.mark.parametrize("limit", [None, -1996])
def test_padding_is_told_from_what_was_measured(chest, limit):
    """Padded sides far below the radiograph's levels do not take up the gray levels."""
    values = levels_of(chest, 10) + 100
    values[:, :8] = values[:, -8:] = -2000
    content = dicom(
        values.astype("<i2"), BitsStored=16, HighBit=15, PixelRepresentation=1, PixelPaddingValue=-2000,
        PixelPaddingRangeLimit=limit,
    )  # fmt: skip
    assert np.abs(read_dicom(content)[0].astype(int) - with_black_sides(chest)).max() <= 10


def color_dicom(chest, interpretation: str, bits: int = 8, planar: int = 0) -> bytes:
    if interpretation == "PALETTE COLOR":
        entries = np.arange(256) * (257 if bits == 16 else 1)
        table = entries.astype("<u2" if bits == 16 else "u1").tobytes()
        names = [f"{color}PaletteColorLookupTable" for color in ("Red", "Green", "Blue")]
        tables = {f"{name}Descriptor": [256, 0, bits] for name in names} | {f"{name}Data": table for name in names}
        return dicom(chest, PhotometricInterpretation=interpretation, **tables)
    values = levels_of(chest, bits)[..., None].repeat(3, axis=-1)
    if interpretation != "RGB":
        values[..., 1:] = 128  # no color
    values = values.transpose(2, 0, 1) if planar else values
    kind = "u1" if bits == 8 else "<u2"
    return dicom(
        values.astype(kind), PhotometricInterpretation=interpretation, SamplesPerPixel=3, PlanarConfiguration=planar,
        Rows=HEIGHT, Columns=WIDTH, BitsStored=bits, HighBit=bits - 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("interpretation", "bits", "planar"),
    [("RGB", 8, 0), ("RGB", 8, 1), ("RGB", 12, 0), ("RGB", 16, 1), ("YBR_FULL", 8, 0), ("YBR_FULL", 8, 1),
     ("PALETTE COLOR", 8, 0), ("PALETTE COLOR", 16, 0)],
)  # fmt: skip
def test_gray_radiographs_in_colors(chest, interpretation, bits, planar):
    gray, unusual = read_dicom(color_dicom(chest, interpretation, bits, planar))
    assert unusual == ()
    assert np.abs(gray.astype(int) - chest).max() <= LARGEST_DIFFERENCE


def test_a_palette_of_8_bits_in_entries_of_16(chest):
    entries = np.arange(256).astype("<u2").tobytes()
    names = [f"{color}PaletteColorLookupTable" for color in ("Red", "Green", "Blue")]
    tables = {f"{name}Descriptor": [256, 0, 8] for name in names} | {f"{name}Data": entries for name in names}
    assert (read_dicom(dicom(chest, PhotometricInterpretation="PALETTE COLOR", **tables))[0] == chest).all()


def test_a_palette_of_16_bits_in_big_endian(chest):
    import pydicom

    file = pydicom.dcmread(io.BytesIO(color_dicom(chest, "PALETTE COLOR", 16)))
    for color in ("Red", "Green", "Blue"):
        element = file[f"{color}PaletteColorLookupTableData"]
        element.value = np.frombuffer(element.value, "<u2").byteswap().tobytes()
    file.PixelData = np.frombuffer(file.PixelData, "<u2").byteswap().tobytes()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    saved = io.BytesIO()
    pydicom.dcmwrite(saved, file, implicit_vr=False, little_endian=False, force_encoding=True)
    assert np.abs(read_dicom(saved.getvalue())[0].astype(int) - chest).max() <= 1


def test_colors_of_a_dicom_file_are_noticed(chest):
    values = chest[..., None].repeat(3, axis=-1)
    values[..., 1] = 255 - values[..., 1]
    content = dicom(
        values, PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0, Rows=HEIGHT, Columns=WIDTH
    )
    assert COLOR in read_dicom(content)[1]


def without_header(content: bytes, implicit: bool = False, meta: bool = False, big: bool = False) -> bytes:
    import pydicom

    file = pydicom.dcmread(io.BytesIO(content))
    saved = io.BytesIO()
    if meta:
        return content[132:]
    if big:
        file.PixelData = np.frombuffer(file.PixelData, "<u2").byteswap().tobytes()  # in words, of one level or two
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.preamble = None
    pydicom.dcmwrite(saved, file, implicit_vr=implicit, little_endian=not big, force_encoding=True)
    return saved.getvalue()


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize(
    "form", [{}, {"implicit": True}, {"meta": True}, {"big": True}], ids=["explicit", "implicit", "meta", "big endian"]
)
def test_a_data_set_without_its_header_is_read(chest, form, bits):
    whole = dicom(chest) if bits == 8 else dicom(levels_of(chest, 12).astype("<u2"), BitsStored=12, HighBit=11)
    content = without_header(whole, **form)
    assert is_dicom(content[:132])
    assert np.abs(read_dicom(content)[0].astype(int) - chest).max() <= (0 if bits == 8 else LARGEST_DIFFERENCE)


@pytest.mark.parametrize("side", [1, 2, 5, 15])
def test_an_image_of_a_few_pixels_is_read_without_a_warning(side):
    assert read_dicom(dicom(np.full((side, side), 7, np.uint8)))[0].shape == (side, side)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "JPEG2000", "WEBP", "BMP", "GIF", "PPM"])
def test_no_other_format_is_taken_for_a_data_set(chest, form):
    assert not is_dicom(encoded(Image.fromarray(chest), form))
