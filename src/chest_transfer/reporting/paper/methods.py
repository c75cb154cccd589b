"""The methods section of a paper: what was done, in sentences that are filled with settings and metrics.

Sentences cite as Pandoc does: `[@guo2017]`, a key of `references.bib`.
"""

from importlib.metadata import version

from chest_transfer.data.catalog import CATALOG, POOL, source_of
from chest_transfer.data.preprocess_summary import REASONS
from chest_transfer.data.public_sets import public_sets
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.paper.phrases import cite, enumeration
from chest_transfer.reporting.paper.training_methods import models
from chest_transfer.reporting.wording import operating_point_in_words
from chest_transfer.settings import Settings

Sections = dict[str, list[str]]  # paragraphs by heading
SQUARES = {
    "squeeze": "by changing their proportions",
    "pad": "with black borders",
    "crop": "by cutting the longer side",
}
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "dvc")


def methods_of(experiment: Experiment) -> Sections:
    """Return the methods of an experiment, paragraphs by heading."""
    settings = experiment.settings
    return {
        "Data": [*(_data(dataset, settings) for dataset in experiment.datasets), *_elsewhere(settings)],
        "Preprocessing": [_preprocessing(settings)],
        "Models": models(settings),
        "Evaluation": [_evaluation(experiment)],
        "Statistics": [_statistics(experiment)],
        "Software": [_software(experiment)],
    }


def _data(dataset: Dataset, settings: Settings) -> str:
    data = dataset.data
    images, patients = data["images"], data["patients"]
    parts = [
        f"{images[split]:,} of {patients[split]:,} patients for {use}"
        for split, use in (("train", "training"), ("val", "validation"), ("test", "testing"))
    ]
    classes = ", ".join(data["classes"]["test"])
    kind = "may show several of these findings" if data["multi_label"] else "has one of these classes"
    return (
        f"{dataset.name}: {_origin(dataset.name, settings)}. We used {sum(images.values()):,} frontal radiographs of "
        f"{sum(patients.values()):,} patients: {parts[0]}, {parts[1]} and {parts[2]}. Each radiograph {kind}: "
        f"{classes}. {_splits(data, settings)} {_left_out(data)}"
    )


def _origin(name: str, settings: Settings) -> str:
    """Return what a dataset is, and where its radiographs come from."""
    source, known, public = source_of(name, settings), CATALOG.get(name), public_sets().get(name)
    if source == POOL:
        return f"a pool of {enumeration(f'{member} ({_origin(member, settings)})' for member in settings.pools[name])}"
    if source == "own" or not (known or public):
        return "radiographs of our own institution (to be described)"
    title = f"{known.title} {cite(*known.references)}" if known else f"{public.title} ({public.home})"
    return f"simulated radiographs, in the layout of {title}" if source == "phantom" else title


def _splits(data: dict, settings: Settings) -> str:
    if data.get("pool"):
        return "Each member of the pool has the splits that it has by itself, by patient and stratified by class."
    share, test_share = (f"{100 * getattr(settings.preprocess, f'{of}_share'):g} %" for of in ("validation", "test"))
    test = "The test split is that of the archive"
    if not data["official_test"]:
        test = f"The test split is {test_share} of the radiographs, drawn by patient and stratified by class"
    validation = "and so is the validation split" if data["official_test"] else "the validation split is the archive's"
    if not data.get("official_validation"):
        validation = f"the validation split is {share} of the others, drawn by patient and stratified by class"
    text = f"{test}; {validation}."
    if unknown := data["without_patient_id"]:
        text += (
            f" The archive gives no patient identifiers for {unknown:,} radiographs, each of which counts as a "
            "patient: that the same person is in two splits cannot be ruled out."
        )
    return text


def _left_out(data: dict) -> str:
    counts = {REASONS.get(reason, reason): count for reason, count in data["not_used"].items()}
    counts["unreadable"] = data["skipped"]["total"]
    counts["of patients who are also in the archive's own test or validation split"] = data["leaked_into_official_test"]
    counts["exact copies of others"] = data["duplicates_left_out"]
    named = [f"{count:,} {reason}" for reason, count in counts.items() if count]
    if not named:
        return "No file of the archive was left out."
    return f"Of the archive's files, the following were left out: {enumeration(named)}."


def _elsewhere(settings: Settings) -> list[str]:
    if not settings.external:
        return []
    names = enumeration(settings.external)
    return [f"Models were also tested on radiographs on which nothing was trained or chosen: {names}."]


def _preprocessing(settings: Settings) -> str:
    size = settings.image_size
    return (
        f"Radiographs were decoded to 8-bit gray levels, made square {SQUARES[settings.preprocess.fit]} and resized "
        f"to {size} \N{MULTIPLICATION SIGN} {size} pixels. Gray levels were scaled as the pretraining of the network "
        "expects, and repeated for networks with three channels."
    )


def _evaluation(experiment: Experiment) -> str:
    settings = experiment.settings
    averaged = ", averaged over findings or classes where there are several," * any(
        len(dataset.data["classes"]["test"]) > 2 for dataset in experiment.datasets
    )
    youden = " [@youden1950]" * (settings.evaluate.operating_point == "youden")
    text = (
        "Test scores are of patients who took no part in training or in any choice. On the validation split, a "
        "temperature [@guo2017] was fitted to each model, and its threshold was chosen for "
        f"{operating_point_in_words(settings)}{youden}. The main score is the area under the ROC curve "
        f"(AUC){averaged} beside sensitivity, specificity, Brier score and expected calibration error."
    )
    if settings.train.weights or settings.finetune.weights:
        plus_plus = settings.explain.method == "grad-cam++"
        text += " Heat maps are those of " + (
            "Grad-CAM++ [@chattopadhay2018]." if plus_plus else "Grad-CAM [@selvaraju2017]."
        )
    return text


def _statistics(experiment: Experiment) -> str:
    settings = experiment.settings
    rounds = f"{settings.evaluate.rounds:,} bootstrap resamples [@efron1979] of patients with all of their radiographs"
    is_ranked = any(len(dataset.data["classes"]["test"]) == 2 for dataset in experiment.datasets)
    delong = "DeLong's [@delong1988] for clustered data [@obuchowski1997] where two classes are ranked"
    if len(settings.seeds) == 1:
        tests = f", and by {delong.replace(' [', ' test [', 1)}" * is_ranked
        text = (
            f"Patients are the unit of analysis. 95 % intervals are over test patients: percentiles of {rounds}; "
            "where few patients or a perfect score make these too narrow, Newcombe's for AUCs [@newcombe2006] and "
            f"Wilson's for proportions [@wilson1927]. Pairs of models are compared by the paired bootstrap{tests}. "
            "There was one training seed, so no interval holds for others."
        )
    else:
        covariances = f"{delong}, and otherwise those of {rounds}" if is_ranked else f"those of {rounds}"
        text = (
            "Patients are the unit of analysis, and training seeds are the readers of a multi-reader multi-case "
            "study: scores are means over seeds, with 95 % intervals for other seeds and other patients by the "
            "method of Obuchowski and Rockette [@obuchowski1995] with the degrees of freedom of Hillis "
            f"[@hillis2007]. Covariances of AUCs are {covariances}. Because a mean square of two or three seeds is "
            "usually smaller than its expectation, it was divided by a quantile of its distribution instead of its "
            "mean. Intervals of ensembles, and of their gains over the mean of their members, are over patients, for "
            "these very networks."
        )
    return (
        f"{text} A gain is claimed only where its interval excludes zero and no fit failed. Comparisons were not "
        "corrected for their number."
    )


def _software(experiment: Experiment) -> str:
    versions = "the packages in requirements.lock of its commit"
    if experiment.is_here:
        versions = enumeration(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"Chest Transfer, with {versions}: networks are those of Keras [@keras] on TensorFlow [@tensorflow], and DVC "
        f"[@dvc] records data, settings and results. {experiment.provenance}"
    )
