"""code: the fingerprint of each stage's code at data/code/STAGE, so that an edited comment reruns nothing else."""

from pathlib import Path

from chest_transfer.errors import run_stage
from chest_transfer.files import atomic_write
from chest_transfer.source_code import stage_fingerprint

FOLDER = Path("data/code")


def main() -> None:
    with atomic_write(FOLDER) as aside:
        aside.mkdir()
        for script in sorted(Path("stages").glob("[!_]*.py")):
            (aside / script.stem).write_text(stage_fingerprint(script))


if __name__ == "__main__":
    run_stage(main)
