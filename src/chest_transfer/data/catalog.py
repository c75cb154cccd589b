"""The datasets: where each comes from, how its archive is laid out, its classes and how patients are known.

A new dataset is one entry here. Counts and layouts are those of the public archives in 2026.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.data.layouts import ClassFolders, NihTables, Prepared, no_patient, pneumonia_patient

if TYPE_CHECKING:
    from chest_transfer.settings import Settings


POOL = "pool"


@dataclass(frozen=True)
class Kaggle:
    """A dataset on Kaggle: `owner/name`."""

    slug: str


@dataclass(frozen=True)
class Web:
    """A file that any HTTPS client may fetch, and the name that it is kept under."""

    url: str
    file: str


@dataclass(frozen=True)
class Dataset:
    """One dataset.

    Args:
        name: str, the key of the catalog.
        origin: where its archive is downloaded from; None for one's own radiographs.
        layout: how its archive is read.
        classes: tuple of str, in the order of the labels; exclusive classes start with the healthy one. Empty for
            one's own radiographs, whose archive has them.
        multi_label: bool, whether an image may show several classes, or none.
        same_patients_as: str or None, another dataset that shows the same people.
        title: str, what a paper calls it.
        references: tuple of str, keys of `reporting/paper/references.bib`.
    """

    name: str
    origin: Kaggle | Web | None
    layout: ClassFolders | NihTables | Prepared
    classes: tuple[str, ...]
    multi_label: bool = False
    same_patients_as: str | None = None
    title: str = ""
    references: tuple[str, ...] = ()


_CHILDREN = ClassFolders(
    root="chest_xray",
    folders={"NORMAL": "NORMAL", "PNEUMONIA": "PNEUMONIA"},
    patient_of=pneumonia_patient,
    splits=True,
    suffix=".jpeg",
)
# By count in Data_Entry_2017.csv: 60,361 images of No Finding down to 829 of Infiltration|Nodule.
_TOP_15 = (
    "No Finding", "Infiltration", "Atelectasis", "Effusion", "Nodule", "Pneumothorax", "Mass",
    "Effusion|Infiltration", "Atelectasis|Infiltration", "Consolidation", "Atelectasis|Effusion",
    "Pleural_Thickening", "Cardiomegaly", "Emphysema", "Infiltration|Nodule",
)  # fmt: skip
_NIH = Kaggle("nih-chest-xrays/data")
_OF_CHILDREN = {"title": "chest radiographs of children from Guangzhou", "references": ("kermany2018",)}
_OF_NIH = {"title": "NIH ChestX-ray14", "references": ("wang2017",)}

_DATASETS = (
    Dataset(
        "pneumonia",
        Kaggle("paultimothymooney/chest-xray-pneumonia"),
        _CHILDREN,
        ("NORMAL", "PNEUMONIA"),
        **_OF_CHILDREN,
    ),
    Dataset(
        "tuberculosis",
        Kaggle("tawsifurrahman/tuberculosis-tb-chest-xray-dataset"),
        ClassFolders(
            root="TB_Chest_Radiography_Database",
            folders={"Normal": "Normal", "Tuberculosis": "Tuberculosis"},
            patient_of=no_patient,
        ),
        ("Normal", "Tuberculosis"),
        title="the TB Chest Radiography Database",
        references=("rahman2020",),
    ),
    Dataset(
        "covid",
        Kaggle("tawsifurrahman/covid19-radiography-database"),
        ClassFolders(
            root="COVID-19_Radiography_Dataset",
            folders={
                "Normal": "Normal",
                "COVID": "COVID",
                "Lung_Opacity": "Lung_Opacity",
                "Viral_Pneumonia": "Viral Pneumonia",
            },
            patient_of=no_patient,
            images="images",
        ),
        ("Normal", "COVID", "Lung_Opacity", "Viral_Pneumonia"),
        title="the COVID-19 Radiography Database",
        references=("chowdhury2020", "rahman2021"),
    ),
    # Version 2 of Mendeley Data rscbjbr9sj; needs no account. The children of `pneumonia`, without its val folder.
    Dataset(
        "mendeley",
        Web(
            "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/"
            "f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded",
            "ChestXRay2017.zip",
        ),
        _CHILDREN,
        ("NORMAL", "PNEUMONIA"),
        same_patients_as="pneumonia",
        **_OF_CHILDREN,
    ),
    Dataset("nih", _NIH, NihTables(), NIH_FINDINGS, multi_label=True, **_OF_NIH),
    Dataset("nih_top15", _NIH, NihTables(_TOP_15), _TOP_15, same_patients_as="nih", **_OF_NIH),
    Dataset("nih_balanced", _NIH, NihTables(_TOP_15, most_per_class=800), _TOP_15, same_patients_as="nih", **_OF_NIH),
)
CATALOG = {dataset.name: dataset for dataset in _DATASETS}


def dataset_named(name: str) -> Dataset:
    """Return the catalog's dataset of that name; others are one's own, which the settings have checked."""
    return CATALOG.get(name) or Dataset(name, None, Prepared(), ())


def source_of(name: str, settings: "Settings") -> str:
    """Return where a dataset comes from: `pool` (other datasets), `own`, `phantom` (simulated), `kaggle`, or a path."""
    if name in settings.pools:
        return POOL
    return "own" if name in settings.own else settings.sources.get(name, settings.source)
