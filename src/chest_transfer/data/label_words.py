"""What the cells of a table mean: a finding that is present, absent, uncertain or not stated; the healthy; a sex."""

import re
import unicodedata

_WHOLE_NUMBER = re.compile(r"(-?\d+)[.,]0")
_DASHES = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{EM DASH}": "-"})

# Words of a few languages, as `same_text` gives them.
PRESENT = frozenset(
    ("1", "true", "yes", "y", "x", "+", "positive", "pos", "present", "wahr", "ja", "j", "vrai", "oui", "o", "si", "sí")
)
ABSENT = frozenset(
    ("0", "false", "no", "n", "-", "negative", "neg", "absent", "falsch", "nein", "faux", "non", "não", "nao", "falso")
)
UNCERTAIN = frozenset(("-1", "?", "uncertain", "unclear", "possible", "possibly", "maybe", "equivocal"))
NOT_STATED = frozenset(
    ("", "nan", "na", "n/a", "null", "none", "unknown", "not stated", ".", "#n/a", "#nv", "#ref!", "#value!", "#name?",
     "#div/0!", "#num!", "#null!", "#bezug!", "#wert!")
)  # fmt: skip
HEALTHY = frozenset(
    ("normal", "no finding", "no findings", "healthy", "none", "unremarkable", "no abnormality", "clear", "control",
     "unauffällig", "unauffaellig", "ohne befund", "o.b.", "ob", "gesund", "normalbefund", "normale", "sain", "sano",
     "sin hallazgos", "saudável", "negativo", "négatif", "health", "controls")
)  # fmt: skip
_OTHERWISE_ILL = frozenset(("abnormal", "diseased", "ill", "not normal", "other", "others", "sick"))
_DENIALS = re.compile(r"(?:no|non|not|without|ohne) (?P<finding>.+)")
_SEXES = {
    "M": ("m", "male", "man", "boy", "männlich", "mann", "homme", "masculin", "hombre", "masculino", "maschio"),
    "F": ("f", "w", "female", "woman", "girl", "weiblich", "frau", "femme", "féminin", "mujer", "femenino", "femmina"),
}


def without_decimals(text: str) -> str:
    """Return `12` for `12.0`, which is how spreadsheets save whole numbers now and then; other text as it is."""
    match = _WHOLE_NUMBER.fullmatch(text)
    return match[1] if match else text


def same_text(text: str) -> str:
    """Return a cell's text without the differences that do not count: case, `_` for a blank, `1.0` for `1`."""
    return without_decimals(
        " ".join(unicodedata.normalize("NFC", text).translate(_DASHES).lower().replace("_", " ").split())
    )


def meaning(cell: str) -> str | None:
    """Return `present`, `absent`, `uncertain` or `not stated` for a cell of 0 or 1, None for other text."""
    text = same_text(cell)
    words = {"present": PRESENT, "absent": ABSENT, "uncertain": UNCERTAIN, "not stated": NOT_STATED}
    return next((kind for kind, of_kind in words.items() if text in of_kind), None)


def _without_dashes(text: str) -> str:
    return same_text(text.replace("-", " "))


def is_healthy(text: str) -> bool:
    """Return whether a label of exclusive classes means that nothing was found."""
    plain = _without_dashes(text) if len(text) > 1 else text
    return plain in HEALTHY | ABSENT or plain.startswith(("no ", "non ", "control", "ohne "))


def says_healthy(text: str) -> bool:
    """Return whether a label says that nothing at all was found, and not only one disease."""
    return _without_dashes(text) in HEALTHY


def says_otherwise_ill(text: str) -> bool:
    """Return whether a label says that somebody is ill, and not with what: `sick`, `not normal`."""
    return _without_dashes(text) in _OTHERWISE_ILL


def denied(text: str) -> str:
    """Return what a label such as `no pneumothorax` or `Non-COVID` says is absent; empty for others."""
    match = _DENIALS.fullmatch(_without_dashes(text))
    return match["finding"] if match else ""


def sex_of(text: str) -> str:
    """Return `M` or `F`, or nothing where a text means neither."""
    return next((sex for sex, words in _SEXES.items() if same_text(text) in words), "")
