"""What each subcommand of `chest-transfer` does; each imports what it needs when it runs."""

import argparse
import sys

from chest_transfer.errors import ChestTransferError, unknown_name_error


def run_leaderboard(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting import leaderboard
    from chest_transfer.reporting.experiment_list import list_experiments

    board = leaderboard.build_leaderboard(list_experiments(arguments.all_commits), leaderboard.read_published())
    board = leaderboard.filtered(board, {name: getattr(arguments, name) for name in leaderboard.FILTERS})
    if arguments.csv:
        print(leaderboard.as_numbers(board, arguments.paired).to_csv(index=False), end="")
    else:
        print(leaderboard.as_text(board, arguments.paired).to_string(index=False))


def run_compare(arguments: argparse.Namespace) -> None:
    import shutil

    from chest_transfer.reporting.compare import chosen_experiments, comparison_text
    from chest_transfer.reporting.experiment_list import list_experiments

    names = arguments.experiments
    experiments = chosen_experiments(list_experiments(arguments.all_commits, names), names)
    print(comparison_text(experiments, shutil.get_terminal_size((160, 40)).columns))


def run_verify(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting.verify import DIFFERENT, verification_text, verify

    result = verify(arguments.revision)
    print(verification_text(result, arguments.revision))
    if result.verdict == DIFFERENT:
        sys.exit(2)


def run_report(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting.writing import FOLDER, write_report
    from chest_transfer.settings import read_settings

    write_report(read_settings())
    print(FOLDER / "index.html")


def run_paper(arguments: argparse.Namespace) -> None:
    from chest_transfer.reporting.paper.experiments import read_experiments
    from chest_transfer.reporting.paper.writing import FOLDER, write_paper

    write_paper(read_experiments(arguments.experiments))
    print(FOLDER / "paper.tex")


def run_check(arguments: argparse.Namespace) -> None:
    from chest_transfer.analysis.own_check import check_own, lines_of
    from chest_transfer.settings import read_settings

    settings = read_settings()
    if not settings.own:
        raise ChestTransferError("params.yaml has no radiographs under `own`; docs/your-own-radiographs.md shows how")
    if arguments.dataset not in settings.own:
        remedy = "describe it under `own` in params.yaml"
        raise unknown_name_error("dataset of your own", arguments.dataset, settings.own, remedy)
    check = check_own(arguments.dataset, settings)
    print("\n".join(lines_of(arguments.dataset, check)))
    if check.problems:
        sys.exit(2)


def run_predict(arguments: argparse.Namespace) -> None:
    from chest_transfer.serving.predict_command import predict

    unreadable_images = predict(arguments)
    if unreadable_images:
        sys.exit(2)


def run_evaluate(arguments: argparse.Namespace) -> None:
    from chest_transfer.serving.evaluate_command import evaluate

    evaluate(arguments)


def run_adapt(arguments: argparse.Namespace) -> None:
    from chest_transfer.serving.adapt_command import adapt_model

    adapt_model(arguments)


def run_export(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from chest_transfer.serving.exporting import export
    from chest_transfer.serving.models import model_file
    from chest_transfer.serving.parity import sample_like
    from chest_transfer.serving.predictor import Predictor
    from chest_transfer.training.determinism import use_all_threads

    predictor = Predictor(model_file(arguments.model, arguments.rev))
    use_all_threads()
    sample = sample_like(predictor.facts)
    exported = export(predictor.network, predictor.facts, arguments.to, Path(arguments.out), sample)
    print(
        f"{exported.path}: probabilities differ from the model's by {exported.largest_difference:.1e} at most, "
        f"on {sample.description}"
    )
    if exported.area_change:
        change, low, high = exported.area_change
        print(f"AUC on them changes by {change:+.4f} (95% CI: {low:+.4f} to {high:+.4f})")
    if predictor.facts.region == "lungs":
        print("CAUTION: it takes the box around the lungs, and does not find them itself, as the model's own file does")


def run_app(arguments: argparse.Namespace) -> None:
    try:
        from chest_transfer.serving.app import serve
    except ImportError as error:
        raise ChestTransferError(
            f"the app needs {error.name}, which is not installed; run: pip install --editable '.[app]'"
        ) from None
    from chest_transfer.serving.collection import collect_models

    serve(collect_models(arguments.models), arguments.host, arguments.port)


def run_cluster(arguments: argparse.Namespace) -> None:
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


def run_storage(arguments: argparse.Namespace) -> None:
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


def run_mend(arguments: argparse.Namespace) -> None:
    from chest_transfer.mending import mend, mend_bytes

    repairs = mend()
    if arguments.bytes:
        repairs += mend_bytes()
    if repairs or not arguments.quiet:
        print("\n".join([*repairs, "run: dvc repro"] if repairs else ["nothing is broken"]))
