"""The command `chest-transfer`."""

import argparse
import sys

from chest_transfer.errors import ChestTransferError, run_command, unknown_name_error


def main() -> None:
    """Run a subcommand. A known error is reported as one line on stderr, with exit code 1."""
    arguments = _parser().parse_args()
    run_command(arguments.command, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chest-transfer", description="Transfer learning on chest X-rays.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    leaderboard = commands.add_parser("leaderboard", help="list the models of all experiments, best first")
    leaderboard.add_argument("--csv", action="store_true", help="print comma-separated values")
    leaderboard.add_argument("--all-commits", action="store_true", help="include experiments of earlier commits")
    leaderboard.add_argument(
        "--paired", action="store_true", help="compare each with the best of its dataset on the same test patients"
    )
    leaderboard.set_defaults(command=_leaderboard)

    report = commands.add_parser("report", help="write report/index.html for the experiment in this folder")
    report.set_defaults(command=_report)

    paper = commands.add_parser("paper", help="write tables, figures, methods and a checklist for a paper")
    paper.add_argument("experiments", nargs="*", help="of dvc exp show, or revisions of Git (default: this folder's)")
    paper.set_defaults(command=_paper)

    check = commands.add_parser("check", help="say what is read of your own radiographs, and what should be mended")
    check.add_argument("dataset", help="a name under `own` in params.yaml")
    check.set_defaults(command=_check)

    predict = commands.add_parser("predict", help="run a model on radiographs")
    predict.add_argument("model", help="a file, or dataset, dataset/regime-start, dataset/backbone/regime-start")
    predict.add_argument("images", nargs="+", help="files, folders, zip archives or patterns of PNG, JPEG, DICOM ...")
    predict.add_argument("--rev", help="Git revision to take the model from (default: this folder)")
    predict.add_argument("--operating-point", default="youden", help="one of those in the model (default: youden)")
    predict.add_argument(
        "--error-rate", type=float, default=0.1, help="no answer where more would be wrong: 0.05, 0.1 or 0.2"
    )
    predict.add_argument("--json", action="store_true", help="print one JSON document")
    predict.add_argument("--csv", action="store_true", help="print comma-separated values, one row per image")
    predict.add_argument(
        "--rank", choices=["uncertain"], help="list those first whose labels would teach the model most"
    )
    predict.add_argument("--heatmap", metavar="DIR", help="write each image with a heat map of the predicted class")
    predict.set_defaults(command=_predict)

    evaluate = commands.add_parser("evaluate", help="judge a model on labelled radiographs from elsewhere")
    evaluate.add_argument("model", help="as for predict")
    evaluate.add_argument("data", help="a table of labels, or a name under `own` in params.yaml")
    evaluate.add_argument("--images", help="folder, zip or tar file with the radiographs of the table")
    evaluate.add_argument("--image", help="column with the image's path or name")
    evaluate.add_argument("--label", help="column of classes, or several of 0 and 1: A,B,C")
    evaluate.add_argument("--classes", help="the words for each class: 'Normal=no finding,Pneumonia=consolidation'")
    evaluate.add_argument("--separator", help="between several findings in the label column")
    for column in ("patient", "view", "age", "sex", "source"):
        evaluate.add_argument(f"--{column}", help=f"column with the {column}")
    evaluate.add_argument("--uncertain", help="what empty and uncertain labels are: ignore, positive or negative")
    evaluate.add_argument("--rev", help="Git revision to take the model from (default: this folder)")
    evaluate.add_argument("--operating-point", default="youden", help="as for predict")
    evaluate.add_argument("--json", action="store_true", help="print one JSON document")
    evaluate.add_argument("--html", metavar="FILE", help="also write a page with curves and subgroups")
    evaluate.set_defaults(command=_evaluate)

    export = commands.add_parser("export", help="export a model as h5, SavedModel, TFLite or ONNX")
    export.add_argument("model", help="as for predict")
    export.add_argument("--to", required=True, help="h5, savedmodel, tflite, tflite-float16, tflite-int8 or onnx")
    export.add_argument("--out", required=True, metavar="PATH", help="file to write (for savedmodel: folder)")
    export.add_argument("--rev", help="Git revision to take the model from (default: this folder)")
    export.set_defaults(command=_export)

    app = commands.add_parser("app", help="serve a web page that runs models on radiographs")
    app.add_argument("models", nargs="*", help="as for predict (default: all in models/)")
    app.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    app.add_argument("--port", type=int, default=7860, help="port to listen on, 0 for any free one (default: 7860)")
    app.set_defaults(command=_app)

    cluster = commands.add_parser("cluster", help="run experiments on several machines with Dask, stage by stage")
    cluster.add_argument("targets", nargs="*", help="stages, run with all that they depend on (default: all)")
    cluster.add_argument(
        "--set", action="append", default=[], metavar="'KEY=VALUE ...'",
        help="changes to params.yaml; may be repeated, for one experiment each",
    )  # fmt: skip
    cluster.add_argument("--scheduler", default="", help="address of a running Dask scheduler (default: start one)")
    cluster.add_argument("--workers", type=int, default=2, help="number of workers on this machine (default: 2)")
    cluster.add_argument("--gpus", action="store_true", help="run stages that use a network on workers with GPU=1")
    cluster.add_argument("--folder", default="", help="folder for the clones of workers (default: temporary)")
    cluster.add_argument("--repository", default="", help="Git address that workers clone (default: this folder)")
    cluster.set_defaults(command=_cluster)

    storage = commands.add_parser("storage", help="list, push or collect what DVC stores for all commits, by dvc.lock")
    storage.add_argument("action", choices=["list", "push", "collect"], help="collect removes the rest from the cache")
    storage.add_argument("--remote", help="of DVC, to push to (default: the default one)")
    storage.add_argument("--execute", action="store_true", help="push or remove, instead of only counting")
    storage.set_defaults(command=_storage)

    mend = commands.add_parser("mend", help="repair DVC's own files after a kill or a power cut")
    mend.add_argument(
        "--bytes", action="store_true", help="also hash all outputs and DVC's cache, and remove damaged files"
    )
    mend.set_defaults(command=_mend)
    return parser


def _leaderboard(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting.leaderboard import experiment_scores, leaderboard, list_experiments, read_published

    scores = experiment_scores(list_experiments(arguments.all_commits))
    table = leaderboard(scores, read_published(), is_paired=arguments.paired)
    print(table.to_csv(index=False) if arguments.csv else table.to_string(index=False))


def _report(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting.writing import FOLDER, write_report
    from chest_transfer.settings import read_settings

    write_report(read_settings())
    print(FOLDER / "index.html")


def _paper(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting.paper.experiments import read_experiments
    from chest_transfer.reporting.paper.writing import FOLDER, write_paper

    write_paper(read_experiments(arguments.experiments))
    print(FOLDER / "paper.tex")


def _check(arguments: argparse.Namespace) -> None:
    from chest_transfer.analysis.own_check import check_own, lines_of
    from chest_transfer.settings import read_settings

    settings = read_settings()
    if not settings.own:
        raise ChestTransferError("params.yaml describes no radiographs under `own`; README shows how")
    if arguments.dataset not in settings.own:
        remedy = "describe it under `own` in params.yaml"
        raise unknown_name_error("dataset of your own", arguments.dataset, settings.own, remedy)
    check = check_own(arguments.dataset, settings)
    print("\n".join(lines_of(arguments.dataset, check)))
    if check.problems:
        sys.exit(2)


def _predict(arguments: argparse.Namespace) -> None:
    from chest_transfer.serving.predict_command import predict

    unreadable_images = predict(arguments)
    if unreadable_images:
        sys.exit(2)


def _evaluate(arguments: argparse.Namespace) -> None:
    from chest_transfer.serving.evaluate_command import evaluate

    evaluate(arguments)


def _export(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from chest_transfer.serving.exporting import export
    from chest_transfer.serving.models import model_file
    from chest_transfer.serving.parity import sample_like
    from chest_transfer.serving.predictor import Predictor
    from chest_transfer.training.determinism import use_all_threads

    predictor = Predictor(model_file(arguments.model, arguments.rev))
    use_all_threads()
    sample = sample_like(predictor.facts.dataset, predictor.image_size)
    exported = export(predictor.network, predictor.facts, arguments.to, Path(arguments.out), sample)
    print(
        f"{exported.path}: probabilities differ from the model's by {exported.largest_difference:.1e} at most, "
        f"on {sample.description}"
    )
    if exported.area_change:
        change, low, high = exported.area_change
        print(f"AUC on them changes by {change:+.4f} (95% CI: {low:+.4f} to {high:+.4f})")


def _app(arguments: argparse.Namespace) -> None:
    try:
        from chest_transfer.serving.app import serve
    except ImportError as error:
        raise ChestTransferError(
            f"the app needs {error.name}, which is not installed; run: pip install --editable '.[app]'"
        ) from None
    from chest_transfer.serving.collection import collect_models

    serve(collect_models(arguments.models), arguments.host, arguments.port)


def _cluster(arguments: argparse.Namespace) -> None:
    try:
        import distributed  # noqa: F401 - the modules below import it lazily
    except ImportError:
        raise ChestTransferError(
            "the cluster needs distributed, which is not installed; run: pip install --editable '.[cluster]'"
        ) from None
    from chest_transfer.cluster.running import run_on_cluster

    failed_stages = run_on_cluster(
        arguments.targets,
        arguments.set,
        arguments.scheduler,
        arguments.workers,
        arguments.gpus,
        arguments.folder,
        arguments.repository,
    )
    if failed_stages:
        sys.exit(2)


def _storage(arguments: argparse.Namespace) -> None:
    from chest_transfer.storage import collect, push, stored_outputs

    again = "" if arguments.execute else "; to do it, add --execute"
    if arguments.action == "list":
        for output in stored_outputs():
            where = "here" if output.is_here else "not here"
            print(f"{output.md5[:8]}  {output.size / 1e6:8.1f} MB  {where:8}  {output.path}")
    elif arguments.action == "collect":
        count = collect(arguments.execute)
        print(f"{count} files in the cache that no dvc.lock lists{': removed' if arguments.execute else again}")
    else:
        lacking, missing = push(arguments.remote, arguments.execute)
        print(f"{lacking} files that the remote lacks{': pushed' if arguments.execute else again}")
        if missing:
            print(f"{missing} outputs are listed, but are not in this cache; push them from where they were made")


def _mend(arguments: argparse.Namespace) -> None:
    from chest_transfer.mending import mend, mend_bytes

    repairs = mend()
    if arguments.bytes:
        repairs += mend_bytes()
    print("\n".join([*repairs, "run: dvc repro"] if repairs else ["nothing is broken"]))


if __name__ == "__main__":
    main()
