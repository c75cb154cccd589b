"""The part of a methods section about networks: what they started from, and how they were trained."""

from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.reporting.paper.phrases import cite, count, enumeration, start_in_methods
from chest_transfer.settings import Augmentation, Fit, Settings

IMBALANCES = {
    "none": "", "class_weights": "classes were weighted by the inverse of their frequency",
    "balanced_sampling": "batches were drawn so that classes are equally frequent",
    "focal": "the loss was the focal loss [@lin2017]",
}  # fmt: skip


def models(settings: Settings) -> list[str]:
    """Return the paragraphs about the backbone, its initialization, and each way of training."""
    architecture = settings.architectures[settings.model]
    rate, probe = architecture.learning_rate_factor, settings.probe
    standardized = ", on features standardized over the training split" * probe.standardize
    views = _augmentation(settings.embed.augmentation) if settings.embed.views else ""
    seen = f" Features are also those of {settings.embed.views} augmented views of each radiograph ({views})." * bool(
        views
    )
    paragraphs = [
        _initialization(settings),
        f"Probe: the frozen backbone with a new head ({probe.head}){standardized}. {_fit(probe)}{seen}",
    ]
    if settings.finetune.weights:
        tuned = settings.finetune
        when = f"a further one every {count(tuned.unfreeze_every, 'epoch')}" if tuned.unfreeze_every else "all at once"
        starts = enumeration(map(start_in_methods, tuned.weights))
        paragraphs.append(
            f"Fine-tuning ({starts}): the probe, with {tuned.unfreeze} of the backbone's "
            f"layers trained further, in {count(tuned.groups, 'group')} from the output down, unfrozen {when}; each "
            f"has {tuned.layer_lr_decay:g} times the learning rate of the one above it. {_fit(tuned)} "
            f"{_augmentation(tuned.augmentation)}"
        )
    if settings.train.weights:
        starts = enumeration(map(start_in_methods, settings.train.weights))
        paragraphs.append(
            f"Training of the whole network ({starts}), with a new head "
            f"({architecture.head}). {_fit(settings.train, rate)} {_augmentation(settings.train.augmentation)}"
        )
    if settings.transfer.sources:
        transfer = settings.transfer
        paragraphs.append(
            f"Domain transfer: models of {enumeration(transfer.sources)} ({transfer.regime}, from "
            f"{start_in_methods(transfer.weights)}) were tested on {transfer.target} as they were, and then trained "
            f"on it. {_fit(transfer, rate)} {_augmentation(transfer.augmentation)}"
        )
    return [*paragraphs, _repeats(settings)]


def _initialization(settings: Settings) -> str:
    source = cite(BACKBONES[settings.model].reference) or "(a small network of our own)"
    partial = {name: part for name, part in settings.partial_weights.items() if name in settings.weights}
    starts = enumeration(map(start_in_methods, settings.weights), "or")
    text = f"The backbone was {settings.model} {source}, initialized with {starts}."
    used = {*settings.weights, *(part.weights for part in partial.values())}
    text += "".join(f" {note}" for name, note in _STARTING_NOTES.items() if name in used)
    for name, file in settings.weights_files.items():
        if name in used:
            facts = [f"SHA-256 {file.sha256}"] * bool(file.sha256) + [f"license: {file.license}"] * bool(file.license)
            text += f" The weights {name} come from a file{' (' * bool(facts)}{'; '.join(facts)}{')' * bool(facts)}."
    for pretrained in dict.fromkeys(part.weights for part in partial.values()):
        of_source = {name: str(part.blocks) for name, part in partial.items() if part.weights == pretrained}
        blocks = enumeration(of_source.values())
        text += (
            f" Of {enumeration(of_source)}, only the first {blocks} blocks (parts at one "
            f"resolution){', in turn,' * (len(of_source) > 1)} came from {start_in_methods(pretrained)}; the rest was "
            "random [@raghu2019]."
        )
    return text


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
    return f"{'; '.join(filter(None, parts))}."


def _augmentation(augmentation: Augmentation) -> str:
    changes = [f"{name} {value:g}" for name, value in augmentation if value and name != "flip"]
    changes += ["flips"] * augmentation.flip
    return f"Random augmentation, at most: {', '.join(changes)}." if changes else "No augmentation."


def _schedule(fit: Fit) -> str:
    words = {
        "constant": "constant", "cosine": f"falling as a cosine to {fit.cosine.smallest_rate:g}",
        "plateau": f"multiplied by {fit.plateau.factor:g} after {fit.plateau.patience} epochs without improvement",
    }  # fmt: skip
    warmup = f", after a warm-up of {count(fit.warmup, 'epoch')}" if fit.warmup else ""
    return words[fit.schedule] + warmup


def _repeats(settings: Settings) -> str:
    count, seeds = len(settings.seeds), ", ".join(map(str, settings.seeds))
    times = f"once, with training seed {seeds}" if count == 1 else f"with {count} training seeds ({seeds})"
    text = (
        f"The weights of the epoch with the lowest validation loss were kept. Every fit was made {times}; the seed "
        "determines random weights, the order of radiographs and augmentation."
    )
    if settings.patients != ("all",):
        text += (
            f" Numbers of training patients were {enumeration(map(str, settings.patients))}: nested subsets, drawn by "
            "patient and stratified by class, the same for every start; all validation patients were used each time."
        )
    if count > 1:
        text += " Ensembles are the mean of the probabilities of all seeds, calibrated afterwards [@rahaman2021]."
    return text
