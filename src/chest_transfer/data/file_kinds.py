"""What a file is: an image by its suffix, or what cannot be read by its first bytes, for errors that say what to do."""

from pathlib import PurePosixPath

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".dcm", ".dicom", ".ima", ".tif", ".tiff", ".bmp", ".gif", ".webp",
    ".jp2", ".j2k", ".pgm", ".ppm", ".pnm",
)  # fmt: skip

FIRST_BYTES = 512  # that tell what a file is
# Where the bytes are, the bytes, what the file is, and what helps.
_KINDS = (
    (0, b"II*\x00", "a TIFF of a kind that cannot be read", "save it as PNG"),
    (0, b"MM\x00*", "a TIFF of a kind that cannot be read", "save it as PNG"),
    (0, b"%PDF", "a PDF document", "save its image as PNG or DICOM"),
    (0, b"\x1f\x8b", "a file compressed with gzip", "unpack it: gunzip FILE"),
    (0, b"BZh", "a file compressed with bzip2", "unpack it: bunzip2 FILE"),
    (0, b"\xfd7zXZ", "a file compressed with xz", "unpack it: unxz FILE"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, and name the folder"),
    (0, b"Rar!", "a RAR archive", "unpack it, and name the folder"),
    (257, b"ustar", "a tar archive", "unpack it, and name the folder"),
    (4, b"ftypavif", "an AVIF image", "convert it to PNG"),
    (4, b"ftypheic", "a HEIC image", "convert it to PNG"),
    (4, b"ftypmif1", "a HEIF image", "convert it to PNG"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image", "convert it to PNG"),
    (0, b"\xff\x0a", "a JPEG XL image", "convert it to PNG"),
    (344, b"n+1\x00", "a NIfTI volume", "save its image as PNG or DICOM"),
    (0, b"\x89HDF", "an HDF5 file, as of weights or tables", "name a file or folder of images"),
    (0, b"\x93NUMPY", "a NumPy array", "save it as a PNG of 8 or 16 bits"),
    (0, b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself: git lfs pull"),
    (0, b"<!DOCTYPE", "a web page", "download the file again"),
    (0, b"<!doctype", "a web page", "download the file again"),
    (0, b"<html", "a web page", "download the file again"),
    (0, b"<svg", "an SVG drawing", "convert it to PNG"),
)


def is_image_name(name: str) -> bool:
    """Return whether a file's name has the suffix of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def may_be_dicom(name: str) -> bool:
    """Return whether a name is one that DICOM files have without a suffix of their own: `IM0001`, `1.2.840.113619`."""
    suffix = PurePosixPath(name).suffix
    return not suffix or suffix[1:].isdigit()


def kind_of(content: bytes) -> str:
    """Return what a file is, such as `a PDF document`, from its first `FIRST_BYTES`; empty where they do not tell."""
    return _kind_and_remedy(content)[0]


def described(content: bytes) -> str:
    """Return what a file is that is no image, and what helps; empty where its first bytes do not tell."""
    kind, remedy = _kind_and_remedy(content)
    return f"it is {kind}: {remedy}" if kind else ""


def _kind_and_remedy(content: bytes) -> tuple[str, str]:
    for position, start, kind, remedy in _KINDS:
        if content[position:].startswith(start):
            return kind, remedy
    return "", ""
