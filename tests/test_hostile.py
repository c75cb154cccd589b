"""Hostile input: any archive, table or params.yaml is read or refused in one line, within limits of memory and time."""

import io
import resource
import tarfile
import time
import zipfile
import zlib

import pytest
from conftest import ROOT, grey, make_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_layouts import HEADER, nih
from test_settings import assert_equal_but_for_types

from chest_transfer.data.archive_packing import pack
from chest_transfer.data.archives import LARGEST_MEMBER, MOST_MEMBERS, Archive
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.descriptions import read_attributes, read_box_list
from chest_transfer.data.listing import read_listing
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import ChestTransferError
from chest_transfer.settings import read_settings
from chest_transfer.yaml_files import dump_yaml, read_yaml

# The same examples in each run; the examples of a test share its folder.
REPRODUCIBLE = settings(
    derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ROWS = (
    "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143,",
    "00000002_000.png,No Finding,0,2,81,M,PA,2500,2048,0.171,0.171,",
    "00000002_001.png,Infiltration|Effusion,1,2,81,M,AP,2500,2048,0.171,0.171,",
)
BOX = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Cardiomegaly,10,20,30.5,40,,,\n"


def read_all(path) -> None:
    """Read all of an NIH archive but its radiographs."""
    with Archive(path) as archive:
        listing = read_listing(CATALOG["nih"].layout, archive)
        read_attributes(archive, listing.radiographs)
        read_box_list(archive, listing.radiographs)


def refused_in_one_line(call, *arguments) -> str | None:
    """The error's message, None if there was no error; other exceptions are not caught."""
    try:
        call(*arguments)
        reason = None
    except ChestTransferError as error:
        reason = str(error)
    assert reason is None or "\n" not in reason
    return reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Data_Entry_2017.csv": HEADER.encode() + b"\n\xff\xfe\0" * 9}, "NUL bytes"),
        ({"Data_Entry_2017.csv": "\n".join([HEADER, *ROWS]).encode("utf-16")}, "cannot be read"),
        ({"Data_Entry_2017.csv": (HEADER + "\n\xe9,No Finding\n").encode("latin-1")}, "cannot be read"),
        ({"Data_Entry_2017.csv": HEADER}, "cannot be read"),
        ({"Data_Entry_2017.csv": "Image Index,Finding Labels,\nonly one column\n"}, "cannot be read"),
        ({"Data_Entry_2017.csv": "\n".join([HEADER, *ROWS, ROWS[0]])}, "lists 00000001_000.png twice"),
        ({"Data_Entry_2017.csv": "\n".join([HEADER, '"' + ROWS[0], *ROWS[1:]])}, "cannot be read"),
        ({"Data_Entry_2017.csv": "\n".join([HEADER, ROWS[0].replace("Cardiomegaly|Emphysema", "")])}, "the finding ''"),
        ({"train_val_list.txt": "00000001_000.png"}, "lists 00000001_000.png to train and to test"),
        ({"test_list.txt": b"\xff\xff"}, "cannot be read"),
        ({"BBox_List_2017.csv": BOX}, None),
        ({"BBox_List_2017.csv": BOX.replace("30.5", "wide")}, "could not convert string to float: 'wide'"),
        ({"BBox_List_2017.csv": "a,b\n1,2\n"}, "cannot be read"),
    ],
)
def test_a_table_is_read_or_refused(tmp_path, changes, message):
    path = make_zip(tmp_path / "nih.zip", nih(ROWS, **changes))
    reason = refused_in_one_line(read_all, path)
    assert reason is None if message is None else message in reason


@REPRODUCIBLE
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(str.encode),
        st.lists(st.sampled_from([*ROWS, "", ",", '"', "x,y", "\r", "00000001_000.png,Mass"]), max_size=6).map(
            lambda rows: "\n".join(rows).encode()
        ),
    ),
    has_header=st.booleans(),
    table=st.sampled_from(["Data_Entry_2017.csv", "BBox_List_2017.csv", "test_list.txt", "COVID.metadata.xlsx"]),
)
def test_a_table_of_any_bytes_is_read_or_refused(tmp_path, content, has_header, table):
    content = (HEADER.encode() + b"\n" + content) if has_header else content
    refused_in_one_line(read_all, make_zip(tmp_path / "nih.zip", nih(ROWS, **{table: content})))


@REPRODUCIBLE
@given(data=st.data())
def test_a_damaged_archive_is_read_or_refused(tmp_path, data):
    original = make_zip(tmp_path / "whole.zip", nih(ROWS, **{"BBox_List_2017.csv": BOX})).read_bytes()
    content = bytearray(original)
    for position in data.draw(st.lists(st.integers(0, len(original) - 1), min_size=1, max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    (tmp_path / "bad.zip").write_bytes(content[: data.draw(st.integers(len(original) // 2, len(original)))])
    refused_in_one_line(preprocessed, tmp_path / "bad.zip", tmp_path / "arrays")
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["arrays", "bad.zip", "whole.zip"], ["bad.zip", "whole.zip"]
    )  # fmt: skip


def preprocessed(archive, target) -> None:
    changes = {"validation_share": 0.2, "max_skipped": 99}
    options = read_settings(ROOT / "params.yaml").preprocess.model_copy(update=changes)
    preprocess(CATALOG["nih"], archive, target, options, 16, 1)


def zip_with_false_size(size: int, content: bytes) -> bytes:
    """A zip file of one deflated member that states another size than it has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", content)
    true, false = len(content).to_bytes(4, "little"), size.to_bytes(4, "little")
    return buffer.getvalue().replace(true, false)


@pytest.mark.parametrize("size", [10, 90_000_000, LARGEST_MEMBER + 1, 0xFFFFFFF0])
def test_a_member_with_a_false_size_is_refused(tmp_path, size):
    (tmp_path / "a.zip").write_bytes(zip_with_false_size(size, bytes(1_234_567)))
    with Archive(tmp_path / "a.zip") as archive, pytest.raises(ValueError, match=r"damaged|bytes unpacked"):
        archive.read("a.png")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.png", "w") as member:
        for _ in range(600):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Archive(path) as archive, pytest.raises(ValueError, match="629,145,600 bytes unpacked"):
        archive.read("a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/etc/out.png", "\\out.png", "a\\..\\..\\out.png"])
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/a.zip", "w") as archive:
        archive.writestr(name, grey())
    with pytest.raises(ChestTransferError, match="leads out of it"):
        Archive(tmp_path / "in/a.zip")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/1.png", grey(1))
        archive.writestr("x/1.png", grey(2))
    with pytest.raises(ChestTransferError, match=r"holds 'x/1\.png' twice"):
        Archive(tmp_path / "a.zip")


def test_an_encrypted_member_is_refused(tmp_path):
    content = bytearray(make_zip(tmp_path / "a.zip", {"a.png": grey()}).read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + flags] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ChestTransferError, match=r"'a.png', which is encrypted; unpack the archive"):
        Archive(tmp_path / "a.zip")


def test_too_many_files_are_refused_within_a_minute(tmp_path):
    # Written by hand, because zipfile would take longer to write them than the archive to be refused.
    names = [f"{number:x}".encode() for number in range(MOST_MEMBERS + 1)]
    local = b"PK\x03\x04" + bytes(26)
    entry = b"PK\x01\x02" + bytes(24)
    central = b"".join(entry + len(name).to_bytes(2, "little") + bytes(16) + name for name in names)
    count, size, start = len(names), len(central), len(local)
    end64 = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12)
    end64 += count.to_bytes(8, "little") * 2 + size.to_bytes(8, "little") + start.to_bytes(8, "little")
    locator = b"PK\x06\x07" + bytes(4) + (start + size).to_bytes(8, "little") + (1).to_bytes(4, "little")
    end = b"PK\x05\x06" + bytes(4) + b"\xff" * 12 + bytes(2)
    (tmp_path / "a.zip").write_bytes(local + central + end64 + locator + end)
    start_time = time.monotonic()
    with pytest.raises(ChestTransferError, match=r"1,000,001 files \(at most 1,000,000\)"):
        Archive(tmp_path / "a.zip")
    assert time.monotonic() - start_time < 60


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        (tarfile.SYMTYPE, 0, "a link or a device"),
        (tarfile.LNKTYPE, 0, "a link or a device"),
        (tarfile.CHRTYPE, 0, "a link or a device"),
        (tarfile.FIFOTYPE, 0, "a link or a device"),
        (tarfile.REGTYPE, LARGEST_MEMBER + 1, "more than"),
    ],
)
def test_a_tar_file_with_links_devices_or_huge_files_is_refused(tmp_path, kind, size, message):
    info = tarfile.TarInfo("images/a.png")
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(ChestTransferError, match=message):
        pack(tmp_path / "a.tar", tmp_path / "out.zip")


def test_paths_of_a_tar_file_that_lead_out_are_refused_when_its_archive_is_read(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("../../a.png")
        tar.addfile(info, io.BytesIO())
    pack(tmp_path / "a.tar", tmp_path / "out.zip")
    with pytest.raises(ChestTransferError, match="leads out of it"):
        Archive(tmp_path / "out.zip")


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just([]), st.just({}),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip


@REPRODUCIBLE
@given(data=st.data())
def test_settings_of_any_type_are_read_or_refused(tmp_path, data):
    content = read_yaml(ROOT / "params.yaml")
    section = content
    while True:
        key = data.draw(st.sampled_from(sorted(section)))
        if isinstance(section[key], dict) and section[key] and data.draw(st.booleans()):
            section = section[key]
            continue
        break
    section[data.draw(st.sampled_from([key, "unknown"]))] = data.draw(JUNK)
    path = tmp_path / "params.yaml"
    path.write_text(dump_yaml(content))
    if refused_in_one_line(read_settings, path) is None:
        assert_equal_but_for_types(read_settings(path).model_dump(exclude_unset=True), content)


@REPRODUCIBLE
@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
)
def test_settings_of_any_bytes_are_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    assert refused_in_one_line(read_settings, tmp_path / "params.yaml")


def test_a_truncated_compressed_tar_file_is_refused(tmp_path):
    head = tarfile.TarInfo("images/a.png")
    head.size = 10_000
    (tmp_path / "a.tar.gz").write_bytes(zlib.compress(head.tobuf(), wbits=31)[:-9])
    with pytest.raises(ChestTransferError, match=r"not a complete archive|not a zip archive, tar archive"):
        pack(tmp_path / "a.tar.gz", tmp_path / "out.zip")
