"""The methods section of a paper: what was done, in sentences that are filled with settings and metrics.

Sentences cite as Pandoc does: `[@guo2017]`, a key of `references.bib`.
"""

from collections.abc import Iterable
from importlib.metadata import version

from chest_transfer.data.catalog import CATALOG, source_of
from chest_transfer.data.preprocess_summary import REASONS
from chest_transfer.data.public_sets import public_sets
from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.wording import STARTS, operating_point_in_words
from chest_transfer.settings import Fit, Settings

Sections = dict[str, list[str]]  # paragraphs by heading
SQUARES = {
    "squeeze": "by changing their proportions",
    "pad": "with black borders",
    "crop": "by cutting the longer side",
}
IMBALANCES = {
    "none": "", "class_weights": "classes were weighted by the inverse of their frequency",
    "balanced_sampling": "batches were drawn so that classes are equally frequent",
    "focal": "the loss was the focal loss [@lin2017]",
}  # fmt: skip
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "dvc")


def methods_of(experiment: Experiment) -> Sections:
    """Return the methods of an experiment, paragraphs by heading."""
    settings = experiment.settings
    return {
        "Data": [*(_data(dataset, settings) for dataset in experiment.datasets), *_elsewhere(settings)],
        "Preprocessing": [_preprocessing(settings)],
        "Models": _models(settings),
        "Evaluation": [_evaluation(experiment)],
        "Statistics": [_statistics(settings)],
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
    source = source_of(name, settings)
    if source == "pool":
        return f"a pool of {_and(settings.pools[name])}"
    known, public = CATALOG.get(name), public_sets().get(name)
    if known is None:
        return f"{public.title} ({public.home})" if public else "radiographs of our own institution (to be described)"
    if source == "phantom":
        return f"simulated radiographs, in the layout of {known.title} {_cite(*known.references)}"
    return f"{known.title} {_cite(*known.references)}"


def _splits(data: dict, settings: Settings) -> str:
    share, test_share = (100 * getattr(settings.preprocess, f"{name}_share") for name in ("validation", "test"))
    shares = f"{share:g} % of what was not for testing became the validation split"
    if data["official_test"]:
        test = f"The test split is that of the archive; {shares}"
    else:
        test = f"The test split is {test_share:g} % of the radiographs; {shares}"
    unknown = data["without_patient_id"]
    patients = f", except that the archive names no patient for {unknown:,} radiographs, each of which counts as one"
    return f"{test}, by patient and stratified by class{patients if unknown else ''}."


def _left_out(data: dict) -> str:
    counts = {REASONS.get(reason, reason): count for reason, count in data["not_used"].items() if count}
    counts |= {"unreadable": data["skipped"]["total"], "in the test split as well": data["leaked_into_official_test"]}
    counts |= {"exact copies of others": data["duplicates_left_out"]}
    named = [f"{count:,} {reason}" for reason, count in counts.items() if count]
    if not named:
        return "No file of the archive was left out."
    return f"Of the archive's files, the following were left out: {_and(named)}."


def _elsewhere(settings: Settings) -> list[str]:
    if not settings.external:
        return []
    return [
        f"Models were also tested on radiographs on which nothing was trained or chosen: {_and(settings.external)}."
    ]


def _preprocessing(settings: Settings) -> str:
    size = settings.image_size
    return (
        f"Radiographs were decoded to 8-bit gray levels, made square {SQUARES[settings.preprocess.fit]} and resized "
        f"to {size} \N{MULTIPLICATION SIGN} {size} pixels. Gray levels were scaled as the pretraining of the network "
        "expects, and repeated for networks with three channels."
    )


def _models(settings: Settings) -> list[str]:
    reference = BACKBONES[settings.model].reference
    weights = [_start(name) for name in settings.weights]
    source = _cite(reference) or "(a small network of our own)"
    text = f"The backbone was {settings.model} {source}, which started from {_and(weights)}."
    text += "".join(f" {note}" for name, note in _STARTING_NOTES.items() if name in settings.weights)
    for name, file in settings.weights_files.items():
        facts = [f"SHA-256 {file.sha256}"] * bool(file.sha256) + [f"license: {file.license}"] * bool(file.license)
        text += f" The weights {name} come from a file{': ' * bool(facts)}{'; '.join(facts)}."
    for name, part in settings.partial_weights.items():
        text += f" Of {name}, the first {part.blocks} blocks came from {_start(part.weights)}, and the rest was random."
    standardized = " on features that were standardized over the training split" * settings.probe.standardize
    paragraphs = [
        text,
        f"Probe: the frozen backbone with a new head ({settings.probe.head}){standardized}. {_fit(settings.probe)}",
    ]
    if settings.finetune.weights:
        tuned = settings.finetune
        paragraphs.append(
            f"Fine-tuning ({_and(map(_start, tuned.weights))}): the probe with {tuned.unfreeze} of the backbone's "
            f"layers trained on, in {tuned.groups} groups from the output down, each with {tuned.layer_lr_decay} "
            f"times the learning rate of the one above it, unfrozen one every {tuned.unfreeze_every} epochs. "
            f"{_fit(tuned)}"
        )
    if settings.train.weights:
        architecture = settings.architectures[settings.model]
        paragraphs.append(
            f"Training of the whole network ({_and(map(_start, settings.train.weights))}), with a new head "
            f"({architecture.head}). {_fit(settings.train, architecture.learning_rate_factor)}"
        )
    if settings.transfer.sources:
        transfer = settings.transfer
        paragraphs.append(
            f"Domain transfer: models of {_and(transfer.sources)} ({transfer.regime}, from "
            f"{_start(transfer.weights)}) were tested on {transfer.target} as they were, and then trained on it. "
            f"{_fit(transfer)}"
        )
    return [*paragraphs, _repeats(settings)]


_STARTING_NOTES = {
    "imagenet": "The weights of ImageNet [@deng2009] are those that Keras publishes.",
    "statistics": "Random weights with ImageNet's statistics are drawn from normal distributions with the mean and "
    "standard deviation of each array of its weights [@raghu2019].",
    "phantom": "Pretraining on simulated patients was on radiographs that were simulated for it, with the findings of "
    "NIH ChestX-ray14 [@wang2017].",
}


def _fit(fit: Fit, factor: float = 1.0) -> str:
    """Return how a network was trained; `factor` multiplies the learning rate."""
    parts = [
        f"Adam [@kingma2015] with a learning rate of {fit.learning_rate * factor:g}, {_schedule(fit)}",
        f"batches of {fit.batch_size}",
        f"at most {fit.epochs} epochs, stopped early after {fit.patience} without a lower validation loss",
        IMBALANCES[fit.imbalance],
    ]
    augmentation = getattr(fit, "augmentation", None)
    changes = [f"{name} {value:g}" for name, value in augmentation if value and name != "flip"] if augmentation else []
    if augmentation and augmentation.flip:
        changes.append("flips")
    parts.append(f"random augmentation (at most: {', '.join(changes)})" if changes else "no augmentation")
    return f"{'; '.join(filter(None, parts))}."


def _schedule(fit: Fit) -> str:
    words = {
        "constant": "constant", "cosine": f"falling as a cosine to {fit.cosine.smallest_rate:g}",
        "plateau": f"multiplied by {fit.plateau.factor:g} after {fit.plateau.patience} epochs without improvement",
    }  # fmt: skip
    warmup = f", after a warm-up of {fit.warmup:g} epochs" if fit.warmup else ""
    return words[fit.schedule] + warmup


def _repeats(settings: Settings) -> str:
    count, seeds = len(settings.seeds), ", ".join(map(str, settings.seeds))
    times = f"once, with training seed {seeds}" if count == 1 else f"with {count} training seeds ({seeds})"
    text = (
        f"The weights of the epoch with the lowest validation loss were kept. Every fit was made {times}; the seed "
        "decides on random weights, the order of radiographs and augmentation."
    )
    if settings.patients != ("all",):
        text += (
            f" Numbers of training patients were {_and(map(str, settings.patients))}: nested subsets, drawn by "
            "patient and stratified by class, the same for every start; all validation patients were used each time."
        )
    if count > 1:
        text += " Ensembles are the mean of the probabilities of all seeds, calibrated afterwards [@rahaman2021]."
    return text


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


def _statistics(settings: Settings) -> str:
    rounds = f"{settings.evaluate.rounds:,} bootstrap resamples [@efron1979] of patients with all of their radiographs"
    if len(settings.seeds) == 1:
        text = (
            f"Patients are the unit of analysis. 95 % intervals are over test patients: percentiles of {rounds}, or, "
            "where few patients or a perfect score make these too narrow, Newcombe's [@newcombe2006]. Pairs of "
            "models are compared by the paired bootstrap, and by DeLong's test [@delong1988] for clustered data "
            "[@obuchowski1997]. There was one training seed, so no interval holds for others."
        )
    else:
        text = (
            "Patients are the unit of analysis, and training seeds are the readers of a multi-reader multi-case "
            "study: scores are means over seeds, with 95 % intervals for other seeds and other patients by the "
            "method of Obuchowski and Rockette [@obuchowski1995] with the degrees of freedom of Hillis "
            "[@hillis2007]. Covariances of AUCs are DeLong's [@delong1988] for clustered data [@obuchowski1997] "
            f"where two classes are ranked, and otherwise those of {rounds}. Mean squares of so few seeds, which are "
            "mostly too small, were divided by a quantile of their distribution in place of its mean."
        )
    return (
        f"{text} A gain is claimed only where its interval excludes zero and no fit failed. Comparisons were not "
        "corrected for their number."
    )


def _software(experiment: Experiment) -> str:
    versions = _and(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"Chest Transfer, with {versions}: networks are those of Keras [@keras] on TensorFlow [@tensorflow], and DVC "
        f"[@dvc] records data, settings and results. {experiment.provenance}"
    )


def _start(name: str) -> str:
    return STARTS.get(name, name)


def _cite(*keys: str) -> str:
    return f"[{'; '.join(f'@{key}' for key in keys if key)}]" if any(keys) else ""


def _and(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
