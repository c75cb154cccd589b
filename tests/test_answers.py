"""What a prediction says in words: what was found, what was looked for, and why an unlikely one is predicted."""

import pytest

from chest_transfer.serving.answers import LOOKS_LIKE_IT, NOTHING_ELSE, answer_in_words

TWO, FOUR = ["Normal", "Tuberculosis"], ["Normal", "COVID", "Lung_Opacity", "Viral_Pneumonia"]
FINDINGS = ["Effusion", "Mass", "Nodule", "Edema", "Hernia", "No Finding"]


@pytest.mark.parametrize(
    ("classes", "multi_label", "predicted", "probabilities", "threshold", "answer"),
    [
        (TWO, False, ["Normal"], [0.9, 0.1], 0.3, "no tuberculosis found; nothing else was looked for"),
        (TWO, False, ["Tuberculosis"], [0.3, 0.7], 0.3, "tuberculosis found" + LOOKS_LIKE_IT),
        (TWO, False, ["Tuberculosis"], [0.763, 0.237], 0.1,
         f"tuberculosis found{LOOKS_LIKE_IT}; the probability of tuberculosis, 0.237, is below one half, but above the "
         "threshold of 0.100, which was chosen on validation"),
        (FOUR, False, ["Normal"], [0.4, 0.2, 0.2, 0.2], None,
         "no COVID, lung opacity or viral pneumonia found; nothing else was looked for"),
        (FOUR, False, ["COVID"], [0.2, 0.4, 0.2, 0.2], None, "COVID found" + LOOKS_LIKE_IT),
        (FINDINGS, True, ["No Finding"], [0.1, 0.1, 0.1, 0.1, 0.1, 0.9], dict.fromkeys(FINDINGS, 0.5),
         "no effusion, mass, nodule, edema or any other of its 5 findings found; " + NOTHING_ELSE),
        (FINDINGS, True, ["Effusion", "Mass"], [0.9, 0.8, 0.1, 0.1, 0.1, 0.1], dict.fromkeys(FINDINGS, 0.5),
         "effusion and mass found"),
    ],
)  # fmt: skip
def test_an_answer_says_what_was_looked_for(classes, multi_label, predicted, probabilities, threshold, answer):
    of_class = dict(zip(classes, probabilities, strict=True))
    assert answer_in_words(classes, multi_label, tuple(predicted), of_class, threshold) == answer
