"""Experiments side by side: the settings in which they differ, and their headline scores."""

from dataclasses import replace

import pandas as pd

from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.evaluation.best_model import best_on_validation
from chest_transfer.reporting.experiment_list import (
    FINISHED,
    ListedExperiment,
    changed_settings,
    values_as_text,
)
from chest_transfer.reporting.html_tables import DASH, decimal
from chest_transfer.reporting.paired import difference, fits_of


def chosen_experiments(listed: list[ListedExperiment], names: list[str]) -> list[ListedExperiment]:
    """Return the experiments to compare, the last commit first.

    Args:
        listed: list of `list_experiments`: the workspace, the commit, its experiments.
        names: list of names; without any, all that have scores, the workspace only where it is none of the others. A
            single one is compared with the last commit.

    Raises:
        ChestTransferError: there is none of such a name, or it has no scores of its own.
    """
    workspace, *others = listed
    commit = next((one for one in others if one.is_head), workspace)
    others = [one for one in others if one is not commit]
    by_name = {one.name: one for one in [*others, commit, workspace]} | {"HEAD": commit}
    names = ["HEAD", *names] if len(names) == 1 else names
    for name in names:
        if name not in by_name:
            remedy = "see: dvc exp show --all-commits"
            raise unknown_name_error("experiment", name, by_name, remedy)
        if by_name[name].state != FINISHED:
            raise ChestTransferError(f"'{name}' has no scores of its own ({by_name[name].state}); run: dvc exp run")
    if names:
        of_revision = {by_name[name].revision: by_name[name] for name in names}  # each once, whatever its names
        return _with_names_of_their_own(list(of_revision.values()))
    finished = [one for one in [commit, *others] if one.state == FINISHED]
    is_new = not any((one.params, one.scores) == (workspace.params, workspace.scores) for one in finished)
    if workspace.state == FINISHED and is_new:
        finished.append(workspace)
    if not finished:
        raise ChestTransferError(f"no experiment has scores of its own ({commit.state}); run: dvc exp run")
    return _with_names_of_their_own(finished)


def _with_names_of_their_own(experiments: list[ListedExperiment]) -> list[ListedExperiment]:
    """Return experiments of which none has the name of another: DVC's names are unique for a commit alone."""
    names = [one.name for one in experiments]
    return [
        replace(one, name=f"{one.name} {one.revision[:7]}") if names.count(one.name) > 1 else one for one in experiments
    ]


def settings_table(experiments: list[ListedExperiment]) -> pd.DataFrame:
    """Return one row for each setting in which experiments differ, one column for each experiment."""
    rows = {key: values_as_text(values) for key, values in changed_settings(experiments).items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[one.name for one in experiments])


def score_table(experiments: list[ListedExperiment]) -> pd.DataFrame:
    """Return the test AUC of each model, and for each dataset the model to take away; a column for each experiment.

    The first column, `tested on`, names the test split; scores of one dataset on two splits are in rows of their own,
    because they cannot be compared.
    """
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for experiment in experiments:
        for dataset, detail in experiment.scores.items():
            split = experiment.test_splits[dataset]
            for model, area in _areas(detail).items():
                cells.setdefault((dataset, split, f"AUC {model}"), {})[experiment.name] = area
            if not all("fits" in record for rows in detail.values() for record in rows.values()):
                continue  # made by an earlier version
            best = " ".join(best_on_validation(detail)[:2])
            cells.setdefault((dataset, split, "best on validation"), {})[experiment.name] = best
    rows = sorted(cells, key=lambda key: (key[0], key[1], key[2].startswith("best")))
    table = pd.DataFrame([cells[row] for row in rows], columns=[one.name for one in experiments]).fillna(DASH)
    table.index = pd.MultiIndex.from_tuples(rows, names=["dataset", "tested on", "score"])
    return table


def difference_table(first: ListedExperiment, second: ListedExperiment) -> pd.DataFrame:
    """Return for each model of two experiments its test AUC in both, and the difference with its 95 % interval.

    Models are paired by regime and starting weights, and compared on the same test patients from their raw predictions.

    Raises:
        ChestTransferError: the predictions of a fit are neither in DVC's cache nor in its remote.
    """
    rows = []
    for dataset in {**first.scores, **second.scores}:
        areas, others = (_areas(one.scores.get(dataset, {})) for one in (first, second))
        for model in {**areas, **others}:
            change = _change(first, second, dataset, model) if model in areas and model in others else ""
            rows.append((dataset, model, areas.get(model, DASH), others.get(model, DASH), change))
    columns = ["dataset", "AUC of", first.name, second.name, "difference"]
    return pd.DataFrame(rows, columns=columns)


def _change(first: ListedExperiment, second: ListedExperiment, dataset: str, model: str) -> str:
    if first.test_splits[dataset] != second.test_splits[dataset]:
        return "other test patients"
    regime, weights = model.split(" ", 1)
    fits = []
    for one in (first, second):
        runs = [(one.revision, one.seeds)]
        of_seeds, reason = fits_of(dataset, one.params["model"], regime, weights, one.most_patients, runs)
        if reason:
            return reason
        fits.append(of_seeds)
    return difference(*fits)


def _areas(detail: dict[str, dict]) -> dict[str, str]:
    return {
        f"{regime} {row}": decimal(record["auc"]) for regime, rows in detail.items() for row, record in rows.items()
    }


def comparison_text(experiments: list[ListedExperiment], width: int) -> str:
    """Return a comparison to print: of two experiments with the differences of their scores.

    Args:
        experiments: list of ListedExperiment that are finished.
        width: int, characters of a line; experiments that do not fit follow below.
    """
    settings = settings_table(experiments)
    blocks = []
    if len(experiments) > 1:
        blocks.append(settings.to_string(line_width=width) if len(settings) else "No setting differs.")
    if len(experiments) == 2:
        blocks.append(difference_table(*experiments).to_string(index=False, line_width=width))
    else:
        blocks.append(score_table(experiments).to_string(line_width=width))
    return "\n\n".join(blocks)
