"""code: checks params.yaml before anything runs, and writes the fingerprint of each stage's code at data/code/STAGE.

So an edited comment reruns nothing else, and a setting that cannot work is refused within a second or two.
"""

from pathlib import Path

from chest_transfer.errors import run_stage
from chest_transfer.files import atomic_write
from chest_transfer.settings import read_settings
from chest_transfer.source_code import stage_fingerprint

FOLDER = Path("data/code")


def main() -> None:
    read_settings()
    with atomic_write(FOLDER) as aside:
        aside.mkdir()
        for script in sorted(Path("stages").glob("[!_]*.py")):
            (aside / script.stem).write_text(stage_fingerprint(script))


if __name__ == "__main__":
    run_stage(main)
