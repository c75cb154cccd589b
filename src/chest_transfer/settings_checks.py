"""Whether the names in params.yaml fit together: datasets, pools, starting weights, transfer, class folders."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.layouts import ClassFolders, same_name
from chest_transfer.data.own_section import check_own_section
from chest_transfer.data.public_sets import public_sets
from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.networks.weights import BUILT_IN_WEIGHTS

if TYPE_CHECKING:
    from chest_transfer.settings import Settings


def check_names(settings: "Settings") -> None:
    """Check names that settings use more than once.

    Raises:
        ChestTransferError: one is unknown, stands twice in a list, or stands where it cannot.
    """
    _check_own_names(settings)
    _check_datasets(settings)
    for name, entry in settings.own.items():
        check_own_section(name, entry)
    _check_starting_points(settings)
    _check_external(settings)
    _check_representations(settings)
    _check_lists(settings)
    _check_class_folders(settings)
    _check_pools(settings)
    if settings.transfer.sources:
        _check_transfer(settings)
    if settings.preprocess.region == "whole" and settings.preprocess.outside_lungs != "keep":
        raise ChestTransferError(
            f"preprocess.outside_lungs is {settings.preprocess.outside_lungs} (allowed with whole radiographs: keep); "
            "run: dvc exp run -S preprocess.region=lungs"
        )


def known_datasets() -> list[str]:
    """Return the names of all public datasets."""
    return [*CATALOG, *public_sets()]


def _check_own_names(settings: "Settings") -> None:
    for section, names in (("own", settings.own), ("pools", settings.pools)):
        for name in names:
            if name in known_datasets():
                raise ChestTransferError(
                    f"{section}.{name} has the name of a public dataset (those are: "
                    f"{', '.join(known_datasets())}); rename it"
                )
    if both := [name for name in settings.pools if name in settings.own]:
        raise ChestTransferError(f"'{both[0]}' is a name under `own` and under `pools` in params.yaml; rename one")


def _check_datasets(settings: "Settings") -> None:
    members = [member for pool in settings.pools.values() for member in pool]
    for name in (*settings.external, *settings.sources, *members):
        if name in settings.pools:
            raise ChestTransferError(
                f"'{name}' is a pool, and cannot be among `external`, `sources` or the members of a pool; name single "
                f"datasets there, such as its own: {', '.join(settings.pools[name])}"
            )
    known = [*known_datasets(), *settings.own, *settings.pools]
    for name in (*settings.datasets, *settings.external, *settings.sources, *members):
        if name not in known:
            raise unknown_name_error("dataset", name, known, "your own are described under `own` in params.yaml")


def _check_starting_points(settings: "Settings") -> None:
    """Check that the model and the starting weights exist, and that those of each regime are among them."""
    if settings.model not in settings.architectures:
        raise unknown_name_error("model", settings.model, settings.architectures)
    pretrained = ["phantom", "imagenet", *settings.weights_files]
    for name, entry in settings.partial_weights.items():
        if entry.weights not in pretrained:
            raise unknown_name_error(f"weights in partial_weights.{name}", entry.weights, pretrained)
    named = [*settings.weights_files, *settings.partial_weights]
    if twice := [name for name in named if name in BUILT_IN_WEIGHTS or named.count(name) > 1]:
        raise ChestTransferError(f"'{twice[0]}' is the name of other starting weights, too; rename it in params.yaml")
    known = [*BUILT_IN_WEIGHTS, *named]
    for weights in settings.weights:
        if weights not in known:
            raise unknown_name_error("weights", weights, known, "other files go under `weights_files`")
    for key, names in _weights_of_regimes(settings).items():
        if missing := [name for name in names if name not in settings.weights]:
            raise ChestTransferError(
                f"{key} names '{missing[0]}', which is not among the starting weights (allowed: "
                f"{', '.join(settings.weights)}); run: dvc exp run -S '{key}=[{','.join(settings.weights)}]'"
            )


def _weights_of_regimes(settings: "Settings") -> dict[str, tuple[str, ...]]:
    return {"train.weights": settings.train.weights, "finetune.weights": settings.finetune.weights}


def _check_external(settings: "Settings") -> None:
    """Check that nothing is trained on the patients of datasets that models are only judged on."""
    if both := [name for name in settings.external if name in settings.datasets]:
        raise ChestTransferError(
            f"'{both[0]}' is among `datasets`, which models are trained on, and among `external`, on which they are "
            "only judged; remove it from one of them in params.yaml"
        )
    trained_on = [member for name in settings.datasets for member in settings.pools.get(name, [name])]
    for name in settings.external:
        if other := _with_the_same_patients(name, trained_on):
            raise ChestTransferError(
                f"external '{name}' shows the same patients as '{other}', on which models are trained; name another"
            )


def _check_representations(settings: "Settings") -> None:
    for name in settings.representations:
        if name not in settings.datasets:
            remedy = "networks are looked into only where they are trained"
            raise unknown_name_error("dataset in representations", name, settings.datasets, remedy)


def _check_lists(settings: "Settings") -> None:
    lists = {"datasets": settings.datasets, "external": settings.external, "weights": settings.weights}
    lists["representations"] = settings.representations
    lists |= {"seeds": settings.seeds, "patients": settings.patients} | _weights_of_regimes(settings)
    lists |= {f"pools.{name}": members for name, members in settings.pools.items()}
    for key, names in lists.items():
        if len(set(names)) < len(names):
            raise ChestTransferError(
                f"'{key}' in params.yaml has an entry twice: {', '.join(map(str, names))}; list each once"
            )


def _check_class_folders(settings: "Settings") -> None:
    classes = {
        key: label
        for dataset in CATALOG.values()
        if isinstance(dataset.layout, ClassFolders)
        for key, label in dataset.layout.class_of_name.items()
    }
    remedy = "correct preprocess.folders in params.yaml"
    for name in settings.preprocess.folders.values():
        if same_name(name) not in classes:
            raise unknown_name_error("class in preprocess.folders", name, sorted(set(classes.values())), remedy)


def _check_pools(settings: "Settings") -> None:
    for pool, members in settings.pools.items():
        for number, name in enumerate(members):
            if other := _with_the_same_patients(name, members[:number]):
                raise ChestTransferError(
                    f"pools.{pool}: '{name}' shows the same patients as '{other}'; remove one of them"
                )


def _check_transfer(settings: "Settings") -> None:
    """Check that target and sources are among the datasets, and that the sources' models are trained."""
    transfer = settings.transfer
    for name in (transfer.target, *transfer.sources):
        if name not in settings.datasets:
            raise unknown_name_error(
                "dataset of transfer", name, settings.datasets, "add it to `datasets` in params.yaml"
            )
    if "all" not in settings.patients:
        raise ChestTransferError(
            f"transfer starts from models of all training patients, which `patients` does not name (received: "
            f"{', '.join(map(str, settings.patients))}); add all to it"
        )
    if transfer.target in transfer.sources:
        raise ChestTransferError(
            f"transfer.sources contains the target '{transfer.target}' itself; name other datasets (allowed: "
            f"{', '.join(name for name in settings.datasets if name != transfer.target)})"
        )
    starts = {"probe": settings.weights, "finetune": settings.finetune.weights, "train": settings.train.weights}
    if transfer.weights not in starts[transfer.regime]:
        raise ChestTransferError(
            f"transfer.weights is '{transfer.weights}', but the experiment has no such {transfer.regime} model "
            f"(allowed: {', '.join(starts[transfer.regime]) or 'none'}); correct transfer.weights or "
            "transfer.regime in params.yaml"
        )


def _with_the_same_patients(name: str, others: Iterable[str]) -> str | None:
    """Return the first of other datasets that shows the same people as a dataset, or is that dataset; else None."""

    def people(name: str) -> str:
        return CATALOG[name].same_patients_as or name if name in CATALOG else name

    return next((other for other in others if people(other) == people(name)), None)
