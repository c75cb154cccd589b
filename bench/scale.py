"""The pipeline on up to 20,000 images: images a second and memory of each stage, extrapolated to NIH ChestX-ray14.

python -m bench.scale [--images 1000 5000 20000] [--folder FOLDER] [--processes 2]

Writes archives in NIH's layout with as many different PNGs of 1024 x 1024 (crops of simulated radiographs, 0.5 MB
each; the largest of the three takes 11 GB, and as much again in the project), and runs the stages from download to
evaluate on them, each in a process of its own: MobileNetV2 at 224 pixels; then one epoch of a small network's training,
which reads radiographs from a memory map. The last column is the straight line through them at 112,120 images. Takes
forty minutes on two cores, nine of them to make the archives.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.large_archive import make_archive
from bench.memory import peak_memory
from tests.conftest import ROOT, change_settings

NIH = 112_120
STAGES = (
    "download nih", "preprocess nih", "profile nih", "explore nih", "pretrained mobilenetv2 none",
    "embed nih mobilenetv2 none 1", "probe nih mobilenetv2 none 1 all", "evaluate nih", "pretrained cnn_strided none",
    "train nih cnn_strided none 1 all",
)  # fmt: skip
SETTINGS = {
    "datasets": ["nih"], "model": "mobilenetv2", "weights": ["none"], "train__weights": [], "finetune__weights": [],
    "image_size": 224, "train__epochs": 1,
}  # fmt: skip


def run_stage(folder: Path, words: str) -> tuple[float, float]:
    """Run a stage in a process of its own; return seconds, and peak memory in MB with its workers."""
    name, *arguments = words.split()
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", f"stages.{name}", *arguments], cwd=folder, env=environment,
            stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        peak = peak_memory(process)
        seconds = time.perf_counter() - start
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{words} failed: {errors.read()[-500:]}")
    return seconds, peak


def measure(folder: Path, images: int, processes: int) -> dict[str, tuple[float, float]]:
    """Return seconds and MB of each stage at one size; the archive and all results are removed."""
    project, source = folder / "project", folder / "source"
    for path in (project, source):
        path.mkdir()
    start = time.perf_counter()
    make_archive(source / "nih.zip", images, processes)
    size = (source / "nih.zip").stat().st_size / 1e9
    print(f"{images} images, {size:.1f} GB, written in {time.perf_counter() - start:.0f} s", flush=True)
    shutil.copy(ROOT / "params.yaml", project)
    (project / "metrics").mkdir()
    change_settings(project / "params.yaml", **SETTINGS, source=str(source))
    measurements = {}
    for words in STAGES:
        measurements[words] = run_stage(project, words)
        print(f"  {words}: {measurements[words][0]:.1f} s, {measurements[words][1]:.0f} MB", flush=True)
    for path in (project, source):
        shutil.rmtree(path)
    return measurements


def table(measurements: dict[int, dict[str, tuple[float, float]]]) -> str:
    """Return Markdown: seconds and MB by stage and number of images, and a linear extrapolation to NIH."""
    sizes = sorted(measurements)
    lines = [
        "| stage | " + " | ".join(f"{size:,} images" for size in sizes) + f" | images/s | at {NIH:,} |",
        "|---" * (len(sizes) + 3) + "|",
    ]
    for words in STAGES:
        seconds, memory = (np.array([measurements[size][words][column] for size in sizes]) for column in (0, 1))
        slope, start = np.polyfit(sizes, seconds, 1) if len(sizes) > 1 else (seconds[0] / sizes[0], 0.0)
        cells = [f"{taken:.0f} s, {used:.0f} MB" for taken, used in zip(seconds, memory, strict=True)]
        rate = f"{1 / slope:.0f}" if slope > 1e-6 else "-"
        name = words.replace(" nih", "").replace(" none", "")
        lines.append(f"| {name} | {' | '.join(cells)} | {rate} | {(start + slope * NIH) / 60:.0f} min |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--folder", type=Path, help="where there is room (default: the temporary folder)")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    measurements = {}
    for images in arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            measurements[images] = measure(Path(name), images, arguments.processes)
        print(table(measurements), flush=True)


if __name__ == "__main__":
    main()
