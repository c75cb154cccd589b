"""What the pipeline survives: kills, full disks, flipped bytes, odd environments; the final bytes must be the same.

python -m bench.faults [--kills 100] [--only kills disks bytes environments]

Runs a toy experiment through every stage, undisturbed, and records the hash of each output. Then it runs the same
again and again under faults; after each of them `dvc repro` must end with those hashes. Needs the packages of the
tests, and root on Linux for the full disk. Takes about half an hour on two cores.
"""

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from chest_transfer.yaml_files import read_yaml
from tests.conftest import ENVIRONMENT, TOY, change_settings, toy_repository

SETTINGS = TOY | {
    "datasets": ["pneumonia", "tuberculosis"], "finetune__weights": ["none"], "transfer__target": "pneumonia",
    "transfer__sources": ["tuberculosis"], "transfer__weights": "none",
}  # fmt: skip
HERE = ENVIRONMENT | {"PYTHONPATH": "src"}  # the code of the copy, whatever is installed


def outputs(folder: Path) -> dict[str, dict[str, str]]:
    """Return the MD5 of each output, by stage and path, of everything in dvc.lock."""
    stages = read_yaml(folder / "dvc.lock")["stages"]
    return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


def hashes(folder: Path) -> dict[str, str]:
    """Return the MD5 of each output of every stage."""
    return {path: md5 for of_stage in outputs(folder).values() for path, md5 in of_stage.items()}


def stage_names(folder: Path) -> list[str]:
    """Return the stages of the toy experiment, in the order in which DVC runs them."""
    output = subprocess.run(
        ["dvc", "repro", "--dry", "--force"], cwd=folder, env=HERE, capture_output=True, text=True, check=True
    ).stdout
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def repro(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["dvc", "repro", *words], cwd=folder, env=HERE | environment, capture_output=True, text=True, check=False
    )


def must_end_the_same(folder: Path, expected: dict[str, str], after: str, **environment: str) -> None:
    """Run the pipeline; exit if it fails, or if a byte differs."""
    done = repro(folder, **environment)
    actual = hashes(folder) if done.returncode == 0 else {}
    differing = [path for path, md5 in expected.items() if actual.get(path) != md5]
    if done.returncode or differing:
        sys.exit(f"after {after}: dvc repro exited with {done.returncode}, {differing}\n{done.stdout}{done.stderr}")
    if partial_files := [path for path in folder.rglob("*.partial") if ".dvc" not in path.parts]:
        sys.exit(f"after {after}: left behind {partial_files}")


def forget(folder: Path) -> None:
    """Remove every result, DVC's cache included."""
    for name in ("data", "models", "metrics", "report", ".training", ".dvc/cache", "dvc.lock"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def kills(folder: Path, expected: dict[str, str], wanted: int) -> Iterator[str]:
    """Kill DVC and the stage that it runs, without warning, after a random time; again until it gets to the end."""
    rng, killed, rounds, mended = random.Random(1), Counter(), 0, []
    while killed.total() < wanted:
        forget(folder)
        longest, finished = 8.0, False
        while not finished:
            with (folder.parent / "killed.log").open("w+") as log:
                process = subprocess.Popen(["dvc", "repro"], cwd=folder, env=HERE, stdout=log, stderr=log)
                try:
                    # After DVC's own start, most moments lie within a stage.
                    finished = process.wait(1.5 + rng.uniform(0, longest)) == 0
                except subprocess.TimeoutExpired:
                    killed[_kill(process, Path(log.name))] += 1
                    longest *= 1.05  # so that slower machines reach the end too
                else:
                    mended += [] if finished else [mended_by_command(folder, Path(log.name).read_text())]
            print(f"  {killed.total()} kills, {dict(killed)}", flush=True)
        must_end_the_same(folder, expected, f"{killed.total()} kills")
        rounds += 1
    of_stages = ", ".join(f"{stage} {count}" for stage, count in killed.most_common())
    result = f"{rounds} runs ended, same bytes; {len(mended)} times after `chest-transfer mend`"
    yield f"`kill -9` of DVC and its stage at a random moment | {killed.total()} ({of_stages}) | {result}"


def _kill(process: subprocess.Popen, log: Path) -> str:
    """Kill a `dvc repro` and all that it started; return the stage that it ran."""
    for one in [process, *psutil.Process(process.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    process.wait()
    running = [line for line in log.read_text().splitlines() if line.startswith("Running stage")]
    return running[-1].split("'")[1].split("@")[0] if running else "between stages"


def mended_by_command(folder: Path, log: str) -> str:
    """Run `chest-transfer mend` and return what it repaired; exit if nothing: DVC failed for another reason."""
    command = [sys.executable, "-m", "chest_transfer.cli", "mend"]
    output = subprocess.run(command, cwd=folder, env=HERE, capture_output=True, text=True, check=True).stdout.strip()
    if "was cut short" not in output:
        sys.exit(f"dvc repro failed, and nothing is to be mended: {log}")
    return output


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Copy a project to a file system of its own, which is removed afterwards."""
    mounted = folder.parent / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", mounted], check=True)
    try:
        shutil.copytree(folder, mounted / "repository", symlinks=True)
        yield mounted / "repository"
    finally:
        subprocess.run(["umount", mounted], check=True)


def disks(original: Path, expected: dict[str, str], stages: list[str]) -> Iterator[str]:
    """Fill the disk before each stage in turn; it must be reported in one line, and work again once there is space."""
    with small_disk(original) as folder:
        yield from _disks(folder, expected, stages)


def _disks(folder: Path, expected: dict[str, str], stages: list[str]) -> Iterator[str]:
    refused = Counter()
    for stage in stages:
        for left in (96 * 1024, 8 * 1024):  # small outputs need little space
            for name in outputs(folder).get(stage, {}):
                shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)
            done = with_bytes_left(folder, left, stage)
            if done.returncode:
                break
        [message] = [line for line in done.stderr.splitlines() if line.startswith("error: ")] or [""]
        refused[
            "in one line by the stage" if "disk is full" in message else "by DVC" if done.returncode else "never"
        ] += 1
        must_end_the_same(folder, expected, f"a full disk in {stage}")
        print(f"  full disk in {stage}: exit {done.returncode}, {message or done.stderr[-200:].strip()}", flush=True)
    result = ", ".join(f"{count} {kind}" for kind, count in refused.most_common())
    yield f"disk full before a stage begins | {len(stages)} stages: refused {result} | with space again: same bytes"


def with_bytes_left(folder: Path, left: int, stage: str) -> subprocess.CompletedProcess:
    """Run a stage on a disk with `left` bytes free, temporary files included."""
    filler = folder.parent / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        file.write(bytes(max(0, shutil.disk_usage(folder).free - left)))
    done = repro(folder, "--single-item", "--force", stage, TMPDIR=str(folder.parent))
    filler.unlink()
    return done


def flip_byte(path: Path) -> None:
    """Change one byte in the middle of a file, without changing its size; as a failing disk does, in place."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0xFF]))


def bytes_(folder: Path, expected: dict[str, str]) -> Iterator[str]:
    """Flip a byte of an output, which DVC's cache shares with the workspace; it must be noticed and mended."""
    network = "models/pneumonia/cnn/train-none-seed1-all.keras"
    for kind in ("data/raw/pneumonia.zip", "data/arrays/pneumonia/train.npz", network):
        flip_byte(folder / kind)
        status = subprocess.run(
            ["dvc", "status"], cwd=folder, env=HERE, capture_output=True, text=True, check=True
        ).stdout
        named = kind in status or str(Path(kind).parent) in status
        must_end_the_same(folder, expected, f"a flipped byte in {kind}")
        result = "named" if named else "NOT named"
        yield f"a flipped byte in `{kind}` and in DVC's cache | {result} by `dvc status` | `dvc repro` wrote it again"


def environments(folder: Path, expected: dict[str, str]) -> Iterator[str]:
    """Run from the beginning in an unusual environment."""
    odd = folder.parent / "Röntgen Bilder (2) ü"
    shutil.copytree(folder, odd, symlinks=True)
    content = (odd / "params.yaml").read_bytes()
    (odd / "params.yaml").write_bytes(content.replace(b"\n", b"\r\n"))
    forget(odd)
    environment = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"}
    must_end_the_same(odd, expected, "an odd environment", **environment)
    yield "spaces and accents in the path, Windows line ends in `params.yaml`, Turkish, the day after | 1 | same bytes"
    first = subprocess.Popen(["dvc", "repro", "--force"], cwd=odd, env=HERE, stdout=-1, stderr=-1, text=True)
    time.sleep(6)
    second = repro(odd)
    first.communicate()
    must_end_the_same(odd, expected, "two at once")
    yield f"two `dvc repro` at once | 1 | exit {first.returncode} and {second.returncode}, then same bytes"
    yield from _clock_set_back(odd, expected)
    yield from _read_only_source(folder, odd, expected)


def _clock_set_back(odd: Path, expected: dict[str, str]) -> Iterator[str]:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        yield "the clock set back by two years | not tried: needs libfaketime |"
        return
    repro(odd, "--force", "explore", LD_PRELOAD=str(library), FAKETIME="-730d")
    must_end_the_same(odd, expected, "a clock set back")
    yield "the clock set back by two years, then right again | stages up to explore | same bytes"


def _read_only_source(folder: Path, odd: Path, expected: dict[str, str]) -> Iterator[str]:
    """The archives from a folder that cannot be written to, as a shared disk is."""
    shared = odd.parent / "shared"
    shutil.copytree(folder / "data/raw", shared)
    subprocess.run(["mount", "--bind", shared, shared], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", shared], check=True)
        change_settings(odd / "params.yaml", source=str(shared))
        must_end_the_same(odd, expected, "a read-only source")
    finally:
        subprocess.run(["umount", shared], check=True)
    yield "archives from a read-only disk | 1 | same bytes"


FAULTS = {"kills": kills, "disks": disks, "bytes": bytes_, "environments": environments}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = toy_repository(Path(name), **SETTINGS)
        stages = stage_names(folder)
        start = time.monotonic()
        done = repro(folder)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        expected = hashes(folder)
        print(
            f"{len(stages)} stages, {len(expected)} outputs, {time.monotonic() - start:.0f} s undisturbed", flush=True
        )
        for fault in arguments.only:
            more = {"kills": [arguments.kills], "disks": [stages]}.get(fault, [])
            for row in FAULTS[fault](folder, expected, *more):
                print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
