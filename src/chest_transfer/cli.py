"""The command chest-transfer."""

import argparse
import os
import sys

from chest_transfer.errors import ChestTransferError, run_command


def main() -> None:
    """Run one subcommand; a known failure becomes one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="chest-transfer", description="Transfer learning on chest X-rays.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    board = commands.add_parser("leaderboard", help="every experiment's models in one table, the best first")
    board.add_argument("--csv", action="store_true", help="comma-separated, for other programs")
    board.add_argument("--all-commits", action="store_true", help="not only the last commit's experiments")
    board.set_defaults(command=_leaderboard)
    report = commands.add_parser("report", help="write report/index.html of the experiment in this folder")
    report.set_defaults(command=_report)
    predict = commands.add_parser("predict", help="what a model says of radiographs")
    predict.add_argument("model", help="a file, or dataset, dataset/way-start, dataset/backbone/way-start")
    predict.add_argument("images", nargs="+", help="files, folders, zip archives, patterns; PNG, JPEG, DICOM ...")
    predict.add_argument("--rev", help="the model of this Git revision")
    predict.add_argument("--operating-point", default="youden", help="of those in the model's file (default: youden)")
    predict.add_argument("--json", action="store_true", help="one JSON document")
    predict.add_argument("--csv", action="store_true", help="comma-separated, a row for each picture")
    predict.add_argument("--heatmap", metavar="DIR", help="write each picture with a heat map of what is called")
    predict.set_defaults(command=_predict)
    export = commands.add_parser("export", help="a model as h5, SavedModel, TFLite or ONNX")
    export.add_argument("model", help="as of predict")
    export.add_argument("--to", required=True, help="h5, savedmodel, tflite, tflite-float16, tflite-int8, onnx")
    export.add_argument("--out", required=True, metavar="PATH", help="the file, or for savedmodel the folder, to write")
    export.add_argument("--rev", help="the model of this Git revision")
    export.set_defaults(command=_export)
    app = commands.add_parser("app", help="a page in the browser that asks models of radiographs")
    app.add_argument("models", nargs="*", help="as of predict (default: all in models/)")
    app.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    app.add_argument("--port", type=int, default=7860, help="0 is any free one (default: 7860)")
    app.set_defaults(command=_app)
    cluster = commands.add_parser("cluster", help="run experiments stage by stage on several machines, by Dask")
    cluster.add_argument("targets", nargs="*", help="stages, with all that they need (default: all)")
    cluster.add_argument("--set", action="append", default=[], metavar="'KEY=VALUE ...'", help="one experiment each")
    cluster.add_argument("--scheduler", default="", help="of a running Dask (default: workers on this machine)")
    cluster.add_argument("--workers", type=int, default=2, help="on this machine (default: 2)")
    cluster.add_argument("--gpus", action="store_true", help="stages that use a network ask for the resource GPU")
    cluster.add_argument("--folder", default="", help="where workers keep their clones")
    cluster.add_argument("--repository", default="", help="what workers clone (default: this folder)")
    cluster.set_defaults(command=_cluster)
    mend = commands.add_parser("mend", help="after a kill or a power cut: DVC's files that were cut short")
    mend.add_argument("--bytes", action="store_true", help="read all outputs and DVC's cache; remove what is damaged")
    mend.set_defaults(command=_mend)
    asked = parser.parse_args()
    run_command(asked.command, asked)


def _leaderboard(asked: argparse.Namespace) -> None:
    from chest_transfer.reporting.leaderboard import experiments, leaderboard, read_published, scores_of

    table = leaderboard(scores_of(experiments(asked.all_commits)), read_published())
    print(table.to_csv(index=False) if asked.csv else table.to_string(index=False))


def _report(asked: argparse.Namespace) -> None:
    from chest_transfer.reporting.writing import FOLDER, write_report
    from chest_transfer.settings import read_settings

    write_report(read_settings())
    print(FOLDER / "index.html")


def _predict(asked: argparse.Namespace) -> None:
    from chest_transfer.serving.predict import predict

    failed = predict(asked)
    if failed:
        sys.exit(2)


def _export(asked: argparse.Namespace) -> None:
    from pathlib import Path

    from chest_transfer.serving.exporting import export
    from chest_transfer.serving.models import model_file
    from chest_transfer.serving.parity import sample_like
    from chest_transfer.serving.predicting import Predictor
    from chest_transfer.training.determinism import pin

    predictor = Predictor(model_file(asked.model, asked.rev))
    pin(seed=0, threads=os.cpu_count() or 1)
    sample = sample_like(predictor.facts["dataset"], predictor.size)
    made = export(predictor.network, predictor.facts, asked.to, Path(asked.out), sample)
    print(f"{made.path}: probabilities at most {made.farthest:.1e} from the model's, on {sample.said}")
    if made.area:
        change, low, high = made.area
        print(f"AUC {change:+.4f} on them (95 %: {low:+.4f} to {high:+.4f})")


def _app(asked: argparse.Namespace) -> None:
    try:
        from chest_transfer.serving.app import serve
    except ImportError as error:
        raise ChestTransferError(
            f"the app needs {error.name}, which is not installed; run: pip install --editable '.[app]'"
        ) from None
    from chest_transfer.serving.collection import collected

    serve(collected(asked.models), asked.host, asked.port)


def _cluster(asked: argparse.Namespace) -> None:
    try:
        import distributed  # noqa: F401 - what comes below imports it late
    except ImportError:
        raise ChestTransferError(
            "the cluster needs distributed, which is not installed; run: pip install --editable '.[cluster]'"
        ) from None
    from chest_transfer.cluster.running import run_on_cluster

    where = asked.scheduler, asked.workers, asked.gpus, asked.folder, asked.repository
    if run_on_cluster(asked.targets, asked.set, *where):
        sys.exit(2)


def _mend(asked: argparse.Namespace) -> None:
    from chest_transfer.mending import mend, mend_bytes

    done = mend() + (mend_bytes() if asked.bytes else [])
    print("\n".join([*done, "run: dvc repro"] if done else ["nothing is broken"]))


if __name__ == "__main__":
    main()
