"""Archives: read without unpacking, packed from folders and tar files, with bytes that depend on content alone."""

import gzip
import io
import pickle
import tarfile
import zipfile

import pytest
from conftest import grey, make_zip

from chest_transfer.data.archive_packing import files_below, pack
from chest_transfer.data.archives import Archive
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
    with pytest.raises(ChestTransferError, match="not a complete archive"):
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


def tar_of(path, members):
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def zip_bytes(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def members_of(path):
    with Archive(path) as archive:
        return {member: archive.read(member) for member in archive.members}


NESTED = {
    "a zip in a zip": ({"set.zip": zip_bytes({"set/a.png": b"a"})}, {"set/set/a.png": b"a"}),
    "beside its own content": (
        {"s.zip": zip_bytes({"s/a.png": b"a"}), "s/a.png": b"a", "labels.csv": b"x"},
        {"s/s/a.png": b"a", "s/a.png": b"a", "labels.csv": b"x"},
    ),
    "three levels": (
        {"a.zip": zip_bytes({"b.zip": zip_bytes({"c.zip": zip_bytes({"d.png": b"d"})})})}, {"a/b/c/d.png": b"d"},
    ),
    "upper case, and a dot in the name": ({"V1.2.ZIP": zip_bytes({"a.png": b"a"})}, {"V1.2/a.png": b"a"}),
    "a resource fork is no archive": ({"__MACOSX/._a.zip": b"fork", "a.png": b"a"}, {"a.png": b"a"}),
    "backslashes in the inner one": ({"i.zip": zip_bytes({"x\\y\\a.png": b"a"})}, {"i/x/y/a.png": b"a"}),
}  # fmt: skip


@pytest.mark.parametrize("case", NESTED)
@pytest.mark.parametrize("kind", ["zip", "folder", "tar.gz"])
def test_archives_inside_are_unpacked_to_folders_of_their_name(tmp_path, case, kind):
    members, expected = NESTED[case]
    if kind == "zip":
        source = make_zip(tmp_path / "s.zip", members)
    elif kind == "tar.gz":
        source = tar_of(tmp_path / "s.tar.gz", members)
    else:
        source = tmp_path / "s"
        for name, content in members.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
    pack(source, tmp_path / "out.zip")
    assert members_of(tmp_path / "out.zip") == expected


def test_a_folder_of_tar_files_as_nih_distributes_it(tmp_path):
    for number in (1, 2):
        tar_of(tmp_path / f"images_00{number}.tar.gz", {f"images/0000000{number}_000.png": b"%d" % number})
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("x")
    pack(tmp_path, tmp_path.parent / "out.zip")
    assert members_of(tmp_path.parent / "out.zip") == {
        "Data_Entry_2017_v2020.csv": b"x",
        "images_001/images/00000001_000.png": b"1",
        "images_002/images/00000002_000.png": b"2",
    }


def test_a_damaged_archive_inside_is_named(tmp_path):
    whole = zip_bytes({"a.png": grey()})
    source = make_zip(tmp_path / "s.zip", {"x/inner.zip": whole[: len(whole) // 2]})
    with pytest.raises(ChestTransferError, match=r"'x/inner' in the archive .*cut short"):
        pack(source, tmp_path / "out.zip")


def test_names_with_backslashes_are_folders(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"x\\train\\a.png": b"a", "x\\empty\\": b"", "x\\__MACOSX\\._a.png": b""})
    assert members_of(path) == {"x/train/a.png": b"a"}
    for names in (("..\\a.png",), ("x\\a.png", "x/a.png")):
        with pytest.raises(ChestTransferError, match=r"leads out of it|twice"):
            Archive(make_zip(tmp_path / "bad.zip", dict.fromkeys(names, b"")))


def test_links_are_followed_and_circles_are_not(tmp_path):
    disk, folder = tmp_path / "disk", tmp_path / "folder"
    disk.mkdir()
    (disk / "a.png").write_bytes(b"a")
    (folder / "sub").mkdir(parents=True)
    (folder / "linked").symlink_to(disk)
    (folder / "sub/b.png").symlink_to(disk / "a.png")
    (folder / "sub/circle").symlink_to(folder)
    assert [path.relative_to(folder).as_posix() for path in files_below(folder)] == ["linked/a.png", "sub/b.png"]
    pack(folder, tmp_path / "out.zip")
    assert members_of(tmp_path / "out.zip") == {"linked/a.png": b"a", "sub/b.png": b"a"}
    (folder / "broken").symlink_to(disk / "gone")
    with pytest.raises(ChestTransferError, match="broken' is a link that leads nowhere"):
        list(files_below(folder))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89HDF\r\n", "an HDF5 file"), (b"%PDF-1.4", "a PDF document"), (b"Rar!\x1a", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"), (b"<!DOCTYPE html>", "a web page: download the file again"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)  # fmt: skip
def test_the_error_says_what_the_file_is(tmp_path, content, reason):
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(ChestTransferError, match=reason):
        pack(tmp_path / "source", tmp_path / "out.zip")
    with pytest.raises(ChestTransferError, match=reason):
        Archive(tmp_path / "source")


@pytest.mark.parametrize("last", ["Tuberculosis.zip", "table.xlsx"])
def test_a_tar_file_whose_last_member_is_a_zip_file_is_read_as_a_tar_file(tmp_path, last):
    """A zip file is known by its end, which is then near the end of the tar file."""
    members = {"Normal/a.png": b"a", last: zip_bytes({"b.png": b"b"})}
    pack(tar_of(tmp_path / "s.tar", members), tmp_path / "out.zip")
    inner = "Tuberculosis/b.png" if last.endswith(".zip") else last
    assert set(members_of(tmp_path / "out.zip")) == {"Normal/a.png", inner}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_a_tar_file_with_a_damaged_header_is_refused_and_not_read_in_part(tmp_path, suffix):
    plain = tar_of(tmp_path / "whole.tar", {f"Normal/{number}.png": grey(number) for number in range(9)})
    content = bytearray(plain.read_bytes())
    content[content.index(b"Normal/5.png")] ^= 1
    source = tmp_path / f"s.{suffix}"
    source.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(ChestTransferError, match=r"not a complete archive \(damaged at byte"):
        pack(source, tmp_path / "out.zip")


def test_a_damaged_compressed_member_is_skipped_and_not_the_end(tmp_path):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED):
        path = tmp_path / f"{method}.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a.png", bytes(range(256)) * 40)
        content = bytearray(path.read_bytes())
        content[60:70] = bytes(10)
        path.write_bytes(content)
        with Archive(path) as archive, pytest.raises(ValueError, match="damaged in the archive"):
            archive.read("a.png")
