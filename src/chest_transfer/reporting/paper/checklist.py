"""CLAIM 2024 for an experiment: what the pipeline answers, and what only the authors can."""

from importlib.resources import files

from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.html_tables import DASH
from chest_transfer.reporting.paper.experiments import Experiment, datasets_of
from chest_transfer.reporting.wording import STARTS
from chest_transfer.yaml_files import parse_yaml

_HEAT_MAPS = "Heat maps, and how often they point into known boxes or lungs: report/index.html, Where the models look."
HEADS = ("Item", "About", "Answered by the pipeline", "Left to the authors")


def checklist_of(experiments: list[Experiment]) -> str:
    """Return the checklist in Markdown, with the cautions of the experiments below."""
    facts = _facts(experiments)
    lines = [
        "# CLAIM 2024",
        "",
        "Checklist for Artificial Intelligence in Medical Imaging, 2024 update (Tejani et al., Radiology: Artificial "
        "Intelligence 2024;6(4):e240300), with its items in our own words. Add the page of your manuscript to each.",
    ]
    section = ""
    for item in parse_yaml(files(__package__).joinpath("claim_2024.yaml").read_text()):
        if item["section"] != section:
            section = item["section"]
            lines += ["", f"## {section}", "", f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
        answers = (item.get(who, "").format(**facts) or DASH for who in ("pipeline", "authors"))
        lines.append(f"| {item['item']} | {item['about']} | {' | '.join(answers)} |")
    cautions = dict.fromkeys(caution.text for experiment in experiments for caution in experiment.cautions)
    lines += ["", "## Cautions for the discussion of limitations", "", *(f"- {text}" for text in cautions)]
    return "\n".join(lines) + "\n"


def _facts(experiments: list[Experiment]) -> dict[str, str]:
    settings = [experiment.settings for experiment in experiments]
    datasets = datasets_of(experiments)
    external = dict.fromkeys(name for of in settings for name in of.external)
    has_ensembles = any(len(of.seeds) > 1 for of in settings)
    has_findings = any(of.data["multi_label"] for of in datasets.values())
    has_groups = any(len(of.subgroups) for of in datasets.values())
    return {
        "sources": ", ".join(datasets),
        "image_size": _all(of.image_size for of in settings),
        "patients": _all(", ".join(map(str, of.patients)) for of in settings),
        "unreadable": _by_dataset({name: of.data["skipped"]["total"] for name, of in datasets.items()}),
        "without_patient_id": _by_dataset({name: of.data["without_patient_id"] for name, of in datasets.items()}),
        "split_seed": _all(of.preprocess.split_seed for of in settings),
        "leaked_patients": _by_dataset({name: _leaks(of, "patients") for name, of in datasets.items()}),
        "unknown_labels": " Unknown labels of findings have no loss and no score." if has_findings else "",
        "subgroups": "subgroups (Table subgroups)" if has_groups else "no attributes of patients are known",
        "heat_maps": _HEAT_MAPS if any(of.explained for of in datasets.values()) else "No heat maps were made.",
        "leaked_images": _by_dataset({name: _leaks(of, "images") for name, of in datasets.items()}),
        "test_patients": _by_dataset({name: of.data["patients"]["test"] for name, of in datasets.items()}),
        "starts": _all(STARTS.get(name, name) for of in settings for name in of.weights),
        "ensembles": "Means of all seeds, calibrated on validation: rows named ensemble." if has_ensembles else "None.",
        "seeds": _all(len(of.seeds) for of in settings),
        "external": f"Table external: {', '.join(external)}." if external else "None.",
        "external_authors": "" if external else "Name it as a limitation, or set `external` in params.yaml.",
        "provenance": _all(experiment.provenance for experiment in experiments),
    }


def _leaks(dataset: Dataset, of_what: str) -> int | str:
    count = sum(dataset.data["leaks"][of_what].values())
    unknown = of_what == "patients" and dataset.data["without_patient_id"]
    return "cannot be checked" if unknown and not count else count


def _all(values) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _by_dataset(numbers: dict[str, int | str]) -> str:
    counted = {name: f"{number:,}" if isinstance(number, int) else number for name, number in numbers.items()}
    return ", ".join(f"{number} ({name})" for name, number in counted.items())
