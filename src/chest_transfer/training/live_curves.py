"""Curves of a training while it runs, by DVCLive: for `dvc plots show` and DVC's extension for VS Code.

They lie in `live/`, which Git must not ignore, or DVC would too, and are removed when the training ends; `history.csv`
keeps the same numbers. Nothing depends on them, so DVCLive may be missing (`pip install --editable '.[live]'`).
"""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FOLDER = Path("live")
DRAWN = "plots: [{plots/metrics: {x: step}}]\nmetrics: [metrics.json]\n"
SHOWN = ("loss", "cross_entropy", "accuracy")


class LiveCurves:
    """The curves of one training, removed at the end of a `with` block.

    Args:
        name: str, of the training, which becomes the name of its folder.
    """

    def __init__(self, name: str):
        self._folder = FOLDER / name.replace("/", "-")
        self._live = None
        self.remove()  # what a killed training left: its history is logged again
        if not Path(".dvc").is_dir():  # DVCLive would make a DVC repository of this folder
            return
        try:
            from dvclive import Live

            self._live = Live(str(self._folder), dvcyaml=None, report=None, save_dvc_exp=False)
        except Exception as error:  # such as a repository without a commit: a training needs no curves
            print(f"no live curves: {error}", flush=True)
            return
        # A file of our own says what DVC draws: DVCLive's grows with each epoch.
        (self._folder / "dvc.yaml").write_text(DRAWN)

    def __enter__(self) -> "LiveCurves":
        return self

    def __exit__(self, *_) -> None:
        self.remove()

    def log(self, epoch: Mapping) -> None:
        """Add an epoch.

        Args:
            epoch: mapping with `epoch`, and each of `SHOWN` of training and, with `val_` before it, of validation.
        """
        if self._live is None:
            return
        self._live.step = int(epoch["epoch"])
        for name in SHOWN:
            self._live.log_metric(f"train/{name}", float(epoch[name]))
            self._live.log_metric(f"validation/{name}", float(epoch[f"val_{name}"]))
        self._live.make_summary()

    def remove(self) -> None:
        """Remove the curves."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # it holds curves of another training, or is not there
            FOLDER.rmdir()
