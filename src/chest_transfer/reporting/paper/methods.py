"""The methods section of a paper: what was done, in sentences that are filled with settings and metrics.

Sentences cite as Pandoc does: `[@guo2017]`, a key of `references.bib`.
"""

from importlib.metadata import version

from chest_transfer.data.catalog import CATALOG, POOL, source_of
from chest_transfer.data.preprocess_summary import REASONS
from chest_transfer.data.public_sets import public_sets
from chest_transfer.evaluation.intervals import FEW_PATIENTS
from chest_transfer.evaluation.reader_study import CAUTION
from chest_transfer.evaluation.similarity import MOST_COMPARED
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.paper.phrases import cite, enumeration
from chest_transfer.reporting.paper.training_methods import models
from chest_transfer.reporting.wording import operating_point_in_words
from chest_transfer.settings import Settings
from chest_transfer.training.fit_check import LEAST_EXPLAINED

Sections = dict[str, list[str]]  # paragraphs by heading
SQUARES = {
    "squeeze": "without preserving their proportions",
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
        "Evaluation": [_evaluation(experiment), *_blocks(experiment)],
        "Statistics": [_statistics(experiment)],
        "Software": [_software(experiment)],
    }


def _data(dataset: Dataset, settings: Settings) -> str:
    data = dataset.data
    images, patients = data["images"], data["patients"]
    total, unknown = sum(images.values()), data["without_patient_id"]
    of_patients = f" of {sum(patients.values()):,} patients" * (unknown < total)
    parts = [
        f"{images[split]:,}{f' of {patients[split]:,} patients' * (unknown < total)} for {use}"
        for split, use in (("train", "training"), ("val", "validation"), ("test", "testing"))
    ]
    classes = enumeration(data["classes"]["test"], "and" if data["multi_label"] else "or")
    kind = "may show several of" if data["multi_label"] else "was labeled as"
    return (
        f"{dataset.name}: {_origin(dataset.name, settings)}. All {total:,} usable frontal radiographs{of_patients} "
        f"were used: {parts[0]}, {parts[1]} and {parts[2]}. Each radiograph {kind} {classes}. "
        f"{_splits(data, settings)} {_left_out(data)}"
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
        which = "its radiographs" if unknown == sum(data["images"].values()) else f"{unknown:,} radiographs"
        text += (
            f" The archive has no patient identifiers for {which}: each of these was treated as one patient, and "
            "whether the same person is in two splits could not be checked."
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
    size, cropped = settings.image_size, ""
    if settings.preprocess.region == "lungs":
        cropped = (
            "cropped to the box around the lungs, as a small U-Net [@ronneberger2015] found them that was trained on "
            f"{settings.lungs.patients} simulated radiographs (whole where it found no pair of lungs), "
        )
        if settings.preprocess.outside_lungs == "black":
            cropped += "blackened outside of the lungs, "
    return (
        f"Radiographs were decoded to 8-bit gray levels, {cropped}made square {SQUARES[settings.preprocess.fit]} and "
        f"resized to {size} \N{MULTIPLICATION SIGN} {size} pixels."
    )


def _evaluation(experiment: Experiment) -> str:
    settings = experiment.settings
    averaged = ", averaged over findings or classes where there are several" * any(
        len(dataset.data["classes"]["test"]) > 2 for dataset in experiment.datasets
    )
    youden = " [@youden1950]" * (settings.evaluate.operating_point == "youden")
    text = (
        "Test radiographs were not used for training, calibration or the choice of a model or threshold. On the "
        "validation split, a temperature [@guo2017] was fitted to each model, with the smoothed targets of Platt "
        f"[@platt1999], and its threshold was chosen for {operating_point_in_words(settings)}{youden}. The primary "
        f"metric was the area under the ROC curve (AUC){averaged}; secondary metrics were sensitivity, specificity, "
        "Brier score and expected calibration error. A fit was considered failed if its predictions were constant, "
        f"if its validation cross-entropy was less than {100 * LEAST_EXPLAINED:g} % below that of always predicting "
        "the class frequencies, or if no epoch improved on the network that it started from."
    )
    text += (
        " Prediction sets were those of split conformal prediction, class by class [@vovk2012], at an error rate of "
        f"{100 * settings.evaluate.error_rate:g} %."
    )
    if any(dataset.stress for dataset in experiment.datasets):
        text += (
            " In a stress test, test radiographs were weighted by overlap weights [@li2018] so that a shortcut said "
            "nothing of the classes, and by the odds of its propensity so that it said the opposite; and the networks "
            "were applied to test radiographs degraded by blur, noise and other changes at three strengths."
        )
    if any(dataset.explained for dataset in experiment.datasets):
        cited = {"hirescam": "HiResCAM [@draelos2020]", "grad-cam": "Grad-CAM [@selvaraju2017]"}
        method = cited.get(settings.explain.method, "Grad-CAM++ [@chattopadhay2018]")
        text += f" Heat maps are those of {method}."
    return text


def _blocks(experiment: Experiment) -> list[str]:
    """Return the paragraph on what was measured block by block; none where nothing was."""
    if not any(len(dataset.blocks) for dataset in experiment.datasets):
        return []
    return [
        "Trained networks were compared with their starting weights block by block: by the distance of weights (L2, "
        "divided by the norm of the starting weights), by linear centered kernel alignment of outputs "
        f"[@kornblith2019] in its unbiased form [@nguyen2021] for up to {MOST_COMPARED} test radiographs, and by the "
        "change of test AUC when the weights of one block are set back to where they started [@zhang2022]. These are "
        "means over seeds; their intervals are over patients, conditional on the trained networks."
    ]


def _statistics(experiment: Experiment) -> str:
    settings = experiment.settings
    rounds = f"{settings.evaluate.rounds:,} bootstrap resamples [@efron1979] of patients with all of their radiographs"
    is_ranked = any(len(dataset.data["classes"]["test"]) == 2 for dataset in experiment.datasets)
    few = (
        f"where fewer than {FEW_PATIENTS} patients have or lack the disease, or a score is perfect, they are "
        "Newcombe's for AUCs [@newcombe2006] and Wilson's for proportions [@wilson1927]"
    )
    if len(settings.seeds) == 1:
        tests = ", and, for AUCs of two classes, by DeLong's test [@delong1988] for clustered data [@obuchowski1997]"
        text = (
            f"Patients are the unit of analysis. 95 % confidence intervals are percentiles of {rounds}; {few}. "
            f"Differences between models are compared by the paired bootstrap{tests * is_ranked}. There was one "
            "training seed, so no interval holds for others."
        )
    else:
        delong = (
            "DeLong's [@delong1988] in their form for clustered data [@obuchowski1997] for AUCs of two classes, and "
        )
        text = (
            "Training seeds were treated as the readers of a multireader multicase analysis, by the method of "
            "Obuchowski and Rockette [@obuchowski1995] with the degrees of freedom of Hillis [@hillis2007]. Scores "
            "are means over seeds; 95 % confidence intervals reflect both training seeds and test patients. "
            f"Covariances over patients are {delong * is_ranked}those of {rounds} for other scores. Intervals of "
            "scores were computed on the logit scale, those of differences on the original scale. Because the mean "
            f"square of few seeds tends to be too small, it was divided by the {CAUTION} quantile of its scaled "
            "chi-squared distribution instead of its mean; this is a modification of our own, chosen in simulations. "
            "Intervals of ensembles, and of their differences from the mean of their members, are percentiles of the "
            f"bootstrap, conditional on the trained networks; {few}."
        )
    return (
        f"{text} P values are two-sided and were not adjusted for multiple comparisons; nothing is claimed where a "
        "fit failed."
    )


def _software(experiment: Experiment) -> str:
    versions = "the packages in requirements.lock of its commit"
    if experiment.is_here:
        versions = enumeration(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"Chest Transfer, with {versions}: networks are those of Keras [@keras] on TensorFlow [@tensorflow], and DVC "
        f"[@dvc] records data, settings and results. {experiment.provenance}"
    )
