"""One key for each patient, however tables and DICOM files write it, so that a person is in one split only."""

import re

from chest_transfer.data.label_words import NOT_STATED, UNCERTAIN, same_text, without_decimals

# What programs write in place of a patient's key when they remove it.
ANONYMOUS = ("anonymous", "anonym", "anon", "anonymized", "anonymised", "removed", "deidentified", "xxx", "0", "-")
_LEADING_ZEROS = re.compile(r"(?<![\w.,])0+(?=\d)")
_EXPONENT = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)


def patient_key(text: str) -> str:
    """Return a patient's key without the differences that do not count, empty where a text is none.

    Case, blanks around it, `.0` and leading zeros do not count: keys that differ in these are more likely one patient
    than two, and two patients who are taken for one cannot leak from training into the test.
    """
    plain = same_text(text)
    if plain in NOT_STATED or plain in UNCERTAIN or plain in ANONYMOUS:
        return ""
    return _LEADING_ZEROS.sub("", without_decimals(" ".join(text.split())).upper())


def is_rounded(text: str) -> bool:
    """Return whether a spreadsheet wrote a long number as `1.23457E+11`, which is no key any more."""
    return bool(_EXPONENT.fullmatch(text))
