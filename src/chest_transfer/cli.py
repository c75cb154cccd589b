"""The command `chest-transfer`."""

import argparse

from chest_transfer import commands
from chest_transfer.errors import run_command


def main() -> None:
    """Run a subcommand. A known error is reported as one line on stderr, with exit code 1."""
    arguments = _parser().parse_args()
    run_command(arguments.command, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chest-transfer", description="Transfer learning on chest X-rays.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    compare = subparsers.add_parser(
        "compare", help="put experiments side by side: what was changed, and the scores",
        description="Two experiments are compared model by model on the same test patients, with intervals.",
    )  # fmt: skip
    compare.add_argument(
        "experiments",
        nargs="*",
        help="names of experiments or commits, HEAD or workspace; one is compared with HEAD (default: all)",
    )
    compare.add_argument("--all-commits", action="store_true", help="include experiments of earlier commits")
    compare.set_defaults(command=commands.run_compare)

    leaderboard = subparsers.add_parser("leaderboard", help="list the models of all experiments, best first")
    leaderboard.add_argument("--csv", action="store_true", help="print comma-separated values")
    leaderboard.add_argument("--all-commits", action="store_true", help="include experiments of earlier commits")
    leaderboard.add_argument(
        "--paired", action="store_true", help="compare each with the best of its dataset on the same test patients"
    )
    for name in ("dataset", "model", "regime", "weights"):
        leaderboard.add_argument(f"--{name}", metavar="NAME", help=f"only of this {name}, or of several: A,B")
    leaderboard.set_defaults(command=commands.run_leaderboard)

    verify = subparsers.add_parser(
        "verify", help="say whether the results here are those of a commit",
        description="Exits with 0 if they are equal, or differ by no more than a processor changes, and with 2 if not.",
    )  # fmt: skip
    verify.add_argument("revision", nargs="?", default="HEAD", help="a commit or an experiment (default: HEAD)")
    verify.set_defaults(command=commands.run_verify)

    report = subparsers.add_parser("report", help="write report/index.html for the experiment in this folder")
    report.set_defaults(command=commands.run_report)

    paper = subparsers.add_parser("paper", help="write tables, figures, methods and a checklist for a paper")
    paper.add_argument("experiments", nargs="*", help="of dvc exp show, or revisions of Git (default: this folder's)")
    paper.set_defaults(command=commands.run_paper)

    check = subparsers.add_parser("check", help="say what is read of your own radiographs, and what should be mended")
    check.add_argument("dataset", help="a name under `own` in params.yaml")
    check.set_defaults(command=commands.run_check)

    predict = subparsers.add_parser("predict", help="run a model on radiographs")
    predict.add_argument("model", help="a file, or dataset, dataset/regime-start, dataset/backbone/regime-start")
    predict.add_argument("images", nargs="+", help="files, folders, zip archives or patterns of PNG, JPEG, DICOM ...")
    predict.add_argument("--rev", help="Git revision to take the model from (default: this folder)")
    predict.add_argument("--operating-point", default="youden", help="one of those in the model (default: youden)")
    predict.add_argument(
        "--error-rate", type=float, default=0.1,
        help="say where no single class is left if the true one may be missed this often: 0.05, 0.1 (default) or 0.2",
    )  # fmt: skip
    predict.add_argument("--json", action="store_true", help="print one JSON document")
    predict.add_argument("--csv", action="store_true", help="print comma-separated values, one row per image")
    predict.add_argument(
        "--rank", choices=["uncertain"], help="list those first whose labels would teach the model most"
    )
    predict.add_argument("--heatmap", metavar="DIR", help="write each image with a heat map of the predicted class")
    predict.set_defaults(command=commands.run_predict)

    evaluate = subparsers.add_parser("evaluate", help="judge a model on labelled radiographs from elsewhere")
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
    evaluate.set_defaults(command=commands.run_evaluate)

    adapt = subparsers.add_parser(
        "adapt", help="adapt a model to another hospital's radiographs, without labels",
        description="Takes averages of batch norms (or gray levels) from unlabelled radiographs, moves the threshold "
        "if that is possible, and writes a new model. Nothing about the result is verified.",
    )  # fmt: skip
    adapt.add_argument("model", help="as for predict; a single network")
    adapt.add_argument(
        "images", nargs="+", help="as for predict; 100 radiographs or more, all that come, not chosen ones"
    )
    adapt.add_argument("--out", required=True, metavar="FILE", help="file to write, ending in .keras")
    adapt.add_argument(
        "--share", type=float, help="fraction of these radiographs that show disease, e.g. 0.3, if known"
    )
    adapt.add_argument(
        "--threads", type=int, default=2, help="CPU threads (default: 2); the last bits differ with them"
    )
    adapt.add_argument("--rev", help="Git revision to take the model from (default: this folder)")
    adapt.set_defaults(command=commands.run_adapt)

    export = subparsers.add_parser("export", help="export a model as h5, SavedModel, TFLite or ONNX")
    export.add_argument("model", help="as for predict")
    export.add_argument("--to", required=True, help="h5, savedmodel, tflite, tflite-float16, tflite-int8 or onnx")
    export.add_argument("--out", required=True, metavar="PATH", help="file to write (for savedmodel: folder)")
    export.add_argument("--rev", help="Git revision to take the model from (default: this folder)")
    export.set_defaults(command=commands.run_export)

    app = subparsers.add_parser("app", help="serve a web page that runs models on radiographs")
    app.add_argument("models", nargs="*", help="as for predict (default: all in models/)")
    app.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    app.add_argument("--port", type=int, default=7860, help="port to listen on, 0 for any free one (default: 7860)")
    app.set_defaults(command=commands.run_app)

    cluster = subparsers.add_parser("cluster", help="run experiments on several machines with Dask, stage by stage")
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
    cluster.set_defaults(command=commands.run_cluster)

    storage = subparsers.add_parser("storage", help="list, push or collect what DVC stores for all commits")
    storage.add_argument("action", choices=["list", "push", "collect"], help="collect removes the rest from the cache")
    storage.add_argument("--remote", help="of DVC, to push to (default: the default one)")
    storage.add_argument("--execute", action="store_true", help="push or remove, instead of only counting")
    storage.set_defaults(command=commands.run_storage)

    mend = subparsers.add_parser("mend", help="repair DVC's own files after a kill or a power cut")
    mend.add_argument(
        "--bytes", action="store_true", help="also hash all outputs and DVC's cache, and remove damaged files"
    )
    mend.add_argument("--quiet", action="store_true", help="print nothing where nothing is broken")
    mend.set_defaults(command=commands.run_mend)
    return parser


if __name__ == "__main__":
    main()
