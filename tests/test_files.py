"""Files and folders appear complete or not at all, whoever else writes them, and whoever is killed while writing."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT

from chest_transfer.files import atomic_write, keep_only, write_json, write_text

ROUNDS = 200  # of two writers that replace each other's file
LENGTH = 200_000  # characters: more than one write of the system


def partials(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".partial"))


def write(target: Path, text: str, as_folder: bool) -> None:
    with atomic_write(target) as aside:
        if as_folder:
            aside.mkdir()
            for name in ("a.txt", "b.txt"):
                (aside / name).write_text(text)
        else:
            aside.write_text(text)


def content(target: Path) -> set[str]:
    """The different texts of a file, or of the files in a folder, which must be two."""
    files = sorted(target.iterdir()) if target.is_dir() else [target]
    assert len(files) == (2 if target.is_dir() else 1)
    return {file.read_text() for file in files}


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_files import ROUNDS, LENGTH, write
print("ready", flush=True)
sys.stdin.readline()
for _ in range(ROUNDS):
    write(Path(sys.argv[1]), sys.argv[2] * LENGTH, sys.argv[3] == "folder")
"""


def start(program: str, *arguments: str) -> subprocess.Popen:
    """Start Python in a process of its own, and wait until it prints a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert process.stdout.readline(), process.stderr.read()
    return process


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_two_threads_that_write_one_target_both_succeed(tmp_path, kind):
    target, both_ready = tmp_path / "target", threading.Barrier(2)

    def write_many(letter: str) -> None:
        both_ready.wait()
        for _ in range(ROUNDS):
            write(target, letter * LENGTH, kind == "folder")

    with ThreadPoolExecutor(2) as threads:
        for result in [threads.submit(write_many, letter) for letter in "ab"]:
            result.result()
    assert content(target) in ({"a" * LENGTH}, {"b" * LENGTH})
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_two_processes_that_write_one_target_both_succeed(tmp_path, kind):
    target, program = tmp_path / "target", WRITER.format(tests=str(ROOT / "tests"))
    writers = [start(program, str(target), letter, kind) for letter in "ab"]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    while any(writer.poll() is None for writer in writers):
        if kind == "file" and target.exists():  # complete at every moment
            assert content(target) in ({"a" * LENGTH}, {"b" * LENGTH})
    for writer in writers:
        assert writer.wait() == 0, writer.stderr.read()
        writer.communicate()
    assert content(target) in ({"a" * LENGTH}, {"b" * LENGTH})
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_writers_that_overlap_leave_the_content_of_the_one_that_ends_last(tmp_path):
    target = tmp_path / "target"
    with atomic_write(target) as first:
        first.write_text("first")
        with atomic_write(target) as second:
            assert first != second
            second.write_text("second")
        assert target.read_text() == "second"
    assert target.read_text() == "first"
    assert partials(tmp_path) == []


HOLDER = """
import sys
from pathlib import Path
from chest_transfer.files import atomic_write
with atomic_write(Path(sys.argv[1])) as aside:
    if sys.argv[2] == "folder":
        aside.mkdir()
        (aside / "half.txt").write_text("half")
    else:
        aside.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["target", "target.json", "target [1]*"])
def test_what_a_killed_writer_left_is_removed_by_the_next_writer(tmp_path, kind, name):
    target = tmp_path / name
    write(target, "old", kind == "folder")
    writer = start(HOLDER, str(target), kind)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert len(partials(tmp_path)) == 1
    assert content(target) == {"old"}
    write(target, "new", kind == "folder")
    assert partials(tmp_path) == []
    assert content(target) == {"new"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_running_process_writes_is_left_alone(tmp_path, kind):
    target = tmp_path / "target"
    writer = start(HOLDER, str(target), kind)
    [partial] = partials(tmp_path)
    write(target, "of this process", kind == "folder")
    assert partials(tmp_path) == [partial]
    assert content(target) == {"of this process"}
    writer.communicate("go on\n")
    assert writer.returncode == 0
    assert (target / "half.txt" if kind == "folder" else target).read_text() == "half"
    assert partials(tmp_path) == []


def test_what_a_writer_on_another_machine_or_of_another_target_left_is_not_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    names = [
        f"target.other-than-{host}.{ended.pid}.0123abcd.partial",
        f"target-2.{host}.{ended.pid}.0123abcd.partial",
        f"target.{host}.{os.getpid()}.0123abcd.partial",
    ]
    for name in names:
        (tmp_path / name).write_text("half")
    abandoned = tmp_path / f"target.{host}.{ended.pid}.0123abcd.partial"
    abandoned.write_text("half")
    write_text(tmp_path / "target", "new")
    assert partials(tmp_path) == sorted(names)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_hard_link_of_the_old_content_is_not_written_through(tmp_path, kind):
    target, cached = tmp_path / "target", tmp_path / "cache"
    write(target, "old", kind == "folder")
    for file in sorted(target.iterdir()) if kind == "folder" else [target]:
        cached.mkdir(exist_ok=True)
        (cached / file.name).hardlink_to(file)
        (cached / file.name).chmod(0o444)  # as DVC protects its cache
    write(target, "new", kind == "folder")
    assert content(target) == {"new"}
    for file in cached.iterdir():
        assert file.read_text() == "old"
        assert file.stat().st_nlink == 1
        assert stat.S_IMODE(file.stat().st_mode) == 0o444


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path, kind):
    target = tmp_path / "target"
    write(target, "old", kind == "folder")

    def fail_in_the_middle() -> None:
        with atomic_write(target) as aside:
            if kind == "folder":
                aside.mkdir()
            (aside / "a.txt" if kind == "folder" else aside).write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_in_the_middle()
    assert content(target) == {"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_content_is_flushed_before_it_is_renamed_and_the_folder_after_it(tmp_path, monkeypatch, kind):
    target, calls = tmp_path / "target", []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        calls.append(("flush", path.relative_to(tmp_path).as_posix(), path.stat().st_size))
        fsync(descriptor)

    def recorded_replace(path: Path, to: Path) -> Path:
        renamed = replace(path, to)
        calls.append(("rename", Path(to).name, None))
        return renamed

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    write(target, "x" * LENGTH, kind == "folder")
    kinds = [call for call, _, _ in calls]
    assert kinds == ["flush"] * (2 if kind == "folder" else 1) + ["rename", "flush"]
    for _, name, size in calls[: kinds.index("rename")]:
        assert name.split("/")[0].endswith(".partial")
        assert size == LENGTH
    assert calls[kinds.index("rename")][1] == "target"
    assert calls[-1][1] == "."


def test_the_folders_of_a_new_target_are_made(tmp_path):
    write_json(tmp_path / "a/b/c.json", {"ä": [1, None]})
    assert (tmp_path / "a/b/c.json").read_text() == '{\n  "\\u00e4": [\n    1,\n    null\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_without_a_standard_form_is_refused_and_leaves_nothing(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_keep_only_removes_everything_else_and_follows_no_link(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for place in (outside, folder / "kept", folder / "old"):
        place.mkdir(parents=True)
        (place / "a.txt").write_text("a")
    (folder / "link").symlink_to(outside)
    (folder / "b.txt").write_text("b")
    keep_only(folder, [folder / "kept", folder / "not there"])
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert (folder / "kept/a.txt").exists()
    assert (outside / "a.txt").exists()
    keep_only(tmp_path / "not there", [])
