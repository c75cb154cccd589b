"""Where `predict` finds pictures: folders with links, zip archives and CDs of a hospital; and what of the rest."""

import io

import numpy as np
import pytest
from conftest import dicom, encoded, grey, make_zip
from PIL import Image

from chest_transfer.data.radiographs import UnreadableImage, decode_image
from chest_transfer.serving.image_files import find_images

pydicom = pytest.importorskip("pydicom")
RADIOGRAPH = dicom(np.asarray(Image.open(io.BytesIO(grey()))))


def without_pixels(sop_class: str) -> bytes:
    """A DICOM file of another kind than an image: a directory, a report, a presentation state."""
    file = pydicom.dcmread(io.BytesIO(RADIOGRAPH))
    del file.PixelData, file.Rows, file.Columns
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = sop_class
    saved = io.BytesIO()
    file.save_as(saved, enforce_file_format=True)
    return saved.getvalue()


CD = {
    "DICOMDIR": without_pixels("1.2.840.10008.1.3.10"),
    "DICOM/PAT1/ST1/IM1": RADIOGRAPH,
    "DICOM/PAT1/ST1/1.2.840.113619.2.5": RADIOGRAPH,
    "DICOM/PAT1/ST1/SR1.dcm": without_pixels("1.2.840.10008.5.1.4.1.1.88.11"),
    "DICOM/PAT1/ST1/PR1": without_pixels("1.2.840.10008.5.1.4.1.1.11.1"),
    "autorun.inf": b"[autorun]", "viewer/viewer.exe": b"MZ", "README.txt": b"read me", "viewer/logo.ico": b"\0\0\1\0",
}  # fmt: skip


def as_folder(folder, members):
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_hospitals_cd(tmp_path, capsys, kind):
    cd = as_folder(tmp_path / "cd", CD) if kind == "folder" else str(make_zip(tmp_path / "cd.zip", CD))
    pictures = list(find_images([cd]))
    assert [picture.name.rsplit("/", 1)[-1] for picture in pictures] == ["1.2.840.113619.2.5", "IM1"]
    assert all(picture.content == RADIOGRAPH for picture in pictures)
    assert "3 DICOM files hold no image" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_dicom_files_count_beside_pictures_of_other_formats(tmp_path, kind):
    members = {"a.png": grey(), "IM0001": RADIOGRAPH, "notes": b"no picture"}
    place = as_folder(tmp_path / "x", members) if kind == "folder" else str(make_zip(tmp_path / "x.zip", members))
    assert len(list(find_images([place]))) == 2


def test_links_to_folders_are_followed(tmp_path):
    as_folder(tmp_path / "disk", {"a.png": grey(), "sub/b.png": grey(2)})
    (tmp_path / "here").mkdir()
    (tmp_path / "here/linked").symlink_to(tmp_path / "disk")
    (tmp_path / "here/circle").symlink_to(tmp_path / "here")
    assert len(list(find_images([str(tmp_path / "here")]))) == 2


def test_a_dicom_file_without_an_image_that_is_named_is_an_error():
    with pytest.raises(UnreadableImage, match="dicom: it holds no image"):
        decode_image(CD["DICOMDIR"], 64)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7 ...", "it is a PDF document: save its image as PNG or DICOM"),
        (b"\0\0\0\x20ftypavif", "it is an AVIF image: convert it to PNG"),
        (b"\x1f\x8b\x08\0" + bytes(20), "it is a file compressed with gzip: unpack it: gunzip FILE"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "it is a web page: download the file again"),
        (bytes(344) + b"n+1\0", "it is a NIfTI volume"),
        (b"notes of a patient", "not an image in one of the formats PNG, JPEG, "),
    ],
)
def test_the_reason_says_what_the_file_is_and_what_helps(content, reason):
    with pytest.raises(UnreadableImage, match=reason):
        decode_image(content, 64)


def test_a_jpeg_of_12_bits_is_refused(chest_jpeg=encoded(Image.new("L", (64, 64), 9), "JPEG")):  # noqa: B008, PT028
    start = chest_jpeg.index(b"\xff\xc0")
    twelve = chest_jpeg[: start + 1] + b"\xc1" + chest_jpeg[start + 2 : start + 4] + b"\x0c" + chest_jpeg[start + 5 :]
    with pytest.raises(UnreadableImage, match=r"^(broken|truncated): "):
        decode_image(twelve, 64)
