"""The part of a methods section about networks: what they started from, and how they were trained."""

from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.networks.heads import HEADS
from chest_transfer.reporting.paper.phrases import cite, count, enumeration, start_in_methods
from chest_transfer.settings import Augmentation, Fit, Settings

IMBALANCES = {
    "none": "", "class_weights": "weighted by the inverse of class frequency",
    "balanced_sampling": "with batches in which classes are equally frequent",
    "focal": "as the focal loss [@lin2017]",
}  # fmt: skip
SCALINGS = {
    "unit": "to values from 0 to 1", "tf": "to values from -1 to 1", "standard": "to (level - 128) / 64",
    "torch": "to 0 to 1 and standardized with ImageNet's mean and standard deviation of each channel",
    "caffe": "by subtracting ImageNet's mean of each channel",
}  # fmt: skip
CHANGES = {  # of augmentation, with the factor and the unit of the setting
    "rotation": ("rotation", 1, "°"), "shift": ("translation", 100, " % of the side length"),
    "zoom": ("zoom", 100, " %"), "contrast": ("contrast", 100, " %"),
}  # fmt: skip


def models(settings: Settings) -> list[str]:
    """Return the paragraphs about the backbone, its initialization, and each way of training."""
    architecture = settings.architectures[settings.model]
    rate, probe = architecture.learning_rate_factor, settings.probe
    standardized = ", on features standardized over the training split" * probe.standardize
    views = f" {_augmentation(settings.embed.augmentation)}" if settings.embed.views else ""
    seen = f" It also saw {settings.embed.views} augmented views of each radiograph.{views}" * bool(views)
    paragraphs = [
        _initialization(settings),
        f"Probe: the frozen backbone with a new head ({_head(probe.head)}){standardized}. {_fit(probe)}{seen}",
    ]
    if settings.finetune.weights:
        tuned = settings.finetune
        when = (
            f"one further group every {count(tuned.unfreeze_every, 'epoch')}" if tuned.unfreeze_every else "all at once"
        )
        starts = enumeration(map(start_in_methods, tuned.weights))
        paragraphs.append(
            f"Fine-tuning ({starts}): starting from the trained probe, {tuned.unfreeze} of the backbone's layers were "
            "trained further, except that batch normalization stayed frozen. They were unfrozen in "
            f"{count(tuned.groups, 'group')} from the output down, {when}, each with {tuned.layer_lr_decay:g} times "
            f"the learning rate of the group above it. {_fit(tuned)} {_augmentation(tuned.augmentation)}"
        )
    if settings.train.weights:
        starts = enumeration(map(start_in_methods, settings.train.weights))
        paragraphs.append(
            f"Training of the whole network ({starts}), with a new head ({_head(architecture.head)}). "
            f"{_fit(settings.train, rate)} {_augmentation(settings.train.augmentation)} Statistics of batch "
            "normalization were estimated anew from training radiographs before each validation [@wu2021]."
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
    row = BACKBONES[settings.model]
    source = cite(row.reference) or "(a small network of our own)"
    width = settings.architectures[settings.model].alpha
    of_width = f" with a width multiplier of {width:g}" if width and "alpha" in row.options else ""
    partial = {name: part for name, part in settings.partial_weights.items() if name in settings.weights}
    starts = enumeration(map(start_in_methods, settings.weights), "or")
    text = f"The backbone was {settings.model} {source}{of_width}, initialized with {starts}."
    used = {*settings.weights, *(part.weights for part in partial.values())}
    text += "".join(f" {note}" for name, note in _STARTING_NOTES.items() if name in used)
    if used & {"imagenet", "statistics"} and row.imagenet:
        verified = "of which its hash was verified" if row.imagenet.digest else "whose hash is not published"
        text += f" The weights of ImageNet [@deng2009] were read from the file that Keras publishes, {verified}."
    for name, file in settings.weights_files.items():
        if name in used:
            facts = [f"SHA-256 {file.sha256}"] * bool(file.sha256) + [f"license: {file.license}"] * bool(file.license)
            text += f" The weights {name} come from a file{' (' * bool(facts)}{'; '.join(facts)}{')' * bool(facts)}."
    for pretrained in dict.fromkeys(part.weights for part in partial.values()):
        of_source = {name: str(part.blocks) for name, part in partial.items() if part.weights == pretrained}
        blocks, in_turn = enumeration(of_source.values()), ", respectively," * (len(of_source) > 1)
        text += (
            f" Of {enumeration(of_source)}, only the first {blocks} blocks{in_turn} came from "
            f"{start_in_methods(pretrained)}; the rest was random [@raghu2019]. A block is all layers that work at "
            "one spatial resolution."
        )
    scaling = SCALINGS[row.preprocessing]
    return f"{text} Gray levels were scaled {scaling}{', and repeated in three channels' * (row.channels == 3)}."


_STARTING_NOTES = {
    "none": "Random weights are those of each layer's default initializer in Keras.",
    "statistics": "Random weights with ImageNet's statistics are drawn from normal distributions with the mean and "
    "standard deviation of each array of its weights; averages of batch normalization are their mean [@raghu2019].",
    "phantom": "Pretraining on simulated patients was on radiographs that were simulated for it, with the findings of "
    "NIH ChestX-ray14 [@wang2017].",
}


def _head(name: str) -> str:
    head = HEADS[name]
    return f"{'global average pooling' if head.pooled else 'the whole feature maps'}, {head.words}"


def _fit(fit: Fit, factor: float = 1.0) -> str:
    """Return how a network was trained; `factor` multiplies the learning rate."""
    parts = [
        f"Adam [@kingma2015] with a learning rate of {fit.learning_rate * factor:g}, {_schedule(fit)}",
        f"batches of {fit.batch_size}",
        f"at most {count(fit.epochs, 'epoch')}, early stopping with a patience of {count(fit.patience, 'epoch')}",
        f"cross-entropy {IMBALANCES[fit.imbalance]}".strip(),
        *_regularization(fit),
    ]
    return f"{'; '.join(parts)}."


def _regularization(fit: Fit) -> list[str]:
    chosen, epochs = fit.regularization, f"{fit.regularization.averaged_epochs:g}"
    words = {
        f"decoupled weight decay of {chosen.weight_decay:g} [@loshchilov2019]": chosen.weight_decay,
        f"labels smoothed by {chosen.label_smoothing:g}": chosen.label_smoothing,
        f"mixup with a parameter of {chosen.mixup:g} [@zhang2018]": chosen.mixup,
        f"moving averages of the weights over about {epochs} epochs [@polyak1992]": chosen.averaged_epochs,
    }
    return [text for text, is_used in words.items() if is_used]


def _augmentation(augmentation: Augmentation) -> str:
    changes = [
        f"{words} ±{factor * value:g}{unit}"
        for name, (words, factor, unit) in CHANGES.items()
        if (value := getattr(augmentation, name))
    ]
    changes += ["horizontal flips"] * augmentation.flip
    text = f"Augmentation: {', '.join(changes)}." if changes else "No augmentation."
    if augmentation.degrade:
        strengths = [f"{name} {value:g}" for name, value in augmentation.degrade.items()]
        text += (
            f" In addition, {100 * augmentation.degraded_share:g} % of the radiographs were degraded by one or two of "
            f"the following, at a random strength up to the one given: {', '.join(strengths)}."
        )
    return text


def _schedule(fit: Fit) -> str:
    words = {
        "constant": "constant", "cosine": f"falling as a cosine to {fit.cosine.smallest_rate:g}",
        "plateau": f"multiplied by {fit.plateau.factor:g} after {fit.plateau.patience} epochs without improvement",
    }  # fmt: skip
    warmup = f", after a warm-up of {count(fit.warmup, 'epoch')}" if fit.warmup else ""
    return words[fit.schedule] + warmup


def _repeats(settings: Settings) -> str:
    number, seeds = len(settings.seeds), ", ".join(map(str, settings.seeds))
    times = f"once, with training seed {seeds}" if number == 1 else f"with {number} training seeds ({seeds})"
    text = (
        "The weights of the epoch with the lowest validation loss (weighted as in training) were kept. Every fit was "
        f"made {times}; the seed determines random weights, those of the head included, the order of radiographs and "
        "augmentation."
    )
    if settings.patients != ("all",):
        text += (
            f" Numbers of training patients were {enumeration(map(str, settings.patients))}. Each seed drew its own "
            "subsets: nested, by patient, stratified by class, and the same for every start. All validation patients "
            "were used in addition each time, for early stopping, calibration and thresholds."
        )
    if number > 1:
        text += " Ensembles are the mean of the probabilities of all seeds, calibrated afterwards [@rahaman2021]."
    return text
