"""Archives: read without unpacking, packed from folders and tar files, with bytes that depend on content alone."""

import pickle
import tarfile
import zipfile

import pytest
from conftest import grey, make_zip

from chest_transfer.data.archives import Archive, pack
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter


def test_resource_forks_and_hidden_files_are_not_members(tmp_path):
    path = make_zip(
        tmp_path / "a.zip",
        {"x/b.png": b"b", "x/a.png": b"a", "__MACOSX/x/._a.png": b"", "x/.DS_Store": b"", "x/__MACOSX/._b.png": b""},
    )
    with Archive(path) as archive:
        assert archive.members == ["x/a.png", "x/b.png"]
        assert archive.read("x/b.png") == b"b"


def test_a_truncated_archive_is_refused(tmp_path):
    content = make_zip(tmp_path / "a.zip", {"a.png": grey()}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(ChestTransferError, match=r"not a complete zip archive .* fetch it again"):
        Archive(tmp_path / "cut.zip")


def test_a_damaged_member_raises_an_error(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": bytes(1000)})
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with Archive(path) as archive, pytest.raises(ValueError, match="damaged in the archive"):
        archive.read("a.png")


def test_equal_members_give_equal_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        with ArchiveWriter(tmp_path / name) as writer:
            writer.write("images/x.png", grey(1))
            with writer.open("images/y.png") as member:
                member.write(grey(2))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz"])
def test_folders_tar_files_and_zip_files_are_packed_as_one_zip_file(tmp_path, kind):
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/b.png").write_bytes(grey(2))
    (folder / "a.png").write_bytes(grey(1))
    source = folder
    if kind == "zip":
        source = make_zip(tmp_path / "s.zip", {"sub/b.png": grey(2), "a.png": grey(1)})
    elif kind.startswith("tar"):
        source = tmp_path / f"s.{kind}"
        with tarfile.open(source, "w:gz" if kind.endswith("gz") else "w") as tar:
            tar.add(folder, arcname=".")
    pack(source, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {"a.png": grey(1), "sub/b.png": grey(2)}


def test_a_truncated_tar_file_and_a_text_file_are_refused(tmp_path):
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as tar:
        (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 4000)
        tar.add(tmp_path / "big.bin")
    content = (tmp_path / "s.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: len(content) // 2])
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(ChestTransferError, match="not a complete tar archive"):
        pack(tmp_path / "cut.tar.gz", tmp_path / "out.zip")
    with pytest.raises(ChestTransferError, match="not a zip archive, tar archive or folder"):
        pack(tmp_path / "notes.txt", tmp_path / "out.zip")


def test_another_process_opens_an_archive_once_and_again_if_the_file_has_changed(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": b"1"})
    with Archive(path) as archive:
        sent = pickle.dumps(archive)
    first = pickle.loads(sent)
    assert pickle.loads(sent) is first
    assert first.read("a.png") == b"1"
    make_zip(path, {"a.png": b"1", "b.png": b"2"})
    with Archive(path) as archive:
        assert pickle.loads(pickle.dumps(archive)).read("b.png") == b"2"
