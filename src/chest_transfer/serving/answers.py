"""What a prediction says in words: what was found, what was looked for, and nothing beyond that."""

from chest_transfer.evaluation.health import finding_columns

SIMULATED = "trained on simulated patients alone: its answers say nothing about real ones"
NOTHING_ELSE = "nothing else was looked for"
# A model of pneumonia calls most simulated children with an effusion, which it never saw, ill, and most of those with a
# mass healthy (python -m bench.other_diseases).
LOOKS_LIKE_IT = ", or another disease that looks like it"
MOST_NAMED = 4  # findings that an answer lists


def answer_in_words(
    classes: list[str],
    multi_label: bool,
    predicted: tuple[str, ...],
    probabilities: dict[str, float],
    threshold: float | dict[str, float] | None,
) -> str:
    """Return a prediction as a sentence without its full stop.

    Args:
        classes: list of str; of exclusive ones the first is the healthy one.
        multi_label: bool, whether they are independent.
        predicted: tuple of str, those that are predicted.
        probabilities: dict of calibrated probabilities by class.
        threshold: as `Predictor.threshold`.
    """
    findings = [classes[k] for k in finding_columns(classes, multi_label)]
    found = found_findings(classes, multi_label, predicted)
    if not found:
        return f"no {_listed(findings, 'or')} found; {NOTHING_ELSE}"
    thresholds = threshold if isinstance(threshold, dict) else dict.fromkeys(found, threshold)
    unlikely = [name for name in found if thresholds[name] is not None and probabilities[name] < 0.5]
    reasons = "".join(
        f"; the probability of {readable(name)}, {probabilities[name]:.3f}, is below one half, but above the threshold "
        f"of {thresholds[name]:.3f}, which was chosen on validation"
        for name in unlikely
    )
    mistaken = "" if multi_label else LOOKS_LIKE_IT
    return f"{_listed(found, 'and')} found{mistaken}{reasons}"


def found_findings(classes: list[str], multi_label: bool, predicted: tuple[str, ...]) -> list[str]:
    """Return the predicted classes that are diseases, not one such as `No Finding`; arguments as `answer_in_words`."""
    findings = [classes[k] for k in finding_columns(classes, multi_label)]
    return [name for name in predicted if name in findings]


UNREADABLE = {  # the kinds of `UnreadableImage`, in words
    "truncated": "the file is incomplete, as after a transfer that was cut short; copy or export it again",
    "bomb": "the image has too many pixels (at most 89 million); export it smaller",
    "broken": "it cannot be read",
    "dicom": "this DICOM file cannot be read",
}


def unreadable_in_words(error: str) -> str:
    """Return why a picture could not be read, from the error of its prediction, such as `truncated: ...`."""
    kind, _, detail = error.partition(": ")
    if kind not in UNREADABLE:
        return error
    return UNREADABLE[kind] if kind in ("truncated", "bomb") else f"{UNREADABLE[kind]}: {detail}"


def readable(name: str) -> str:
    """Return a class as a word of a sentence: `pneumonia` for `PNEUMONIA`, `lung opacity` for `Lung_Opacity`."""
    words = name.replace("_", " ")
    # Short ones in capitals are abbreviations: COVID, TB.
    return words if words.isupper() and len(words) < 6 else words.lower()


def _listed(names: list[str], conjunction: str) -> str:
    words = list(map(readable, names))
    if len(words) > MOST_NAMED and conjunction == "or":
        return f"{', '.join(words[:MOST_NAMED])} or any other of its {len(words)} findings"
    return f" {conjunction} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
