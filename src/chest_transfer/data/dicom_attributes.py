"""What a DICOM file states about its image, by any of the attributes that state it: modality, body part and view.

No text of a file reaches a message: it may name a patient.
"""

import re
import unicodedata
import warnings
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager, suppress

CHEST = re.compile(
    "CHEST|CHST|THORA|TORA|THX|CXR|LUNG|RIB|PULM|POUMON|POLMON|POITRINE|PECHO|BRUST|胸"
    "|^(UNKNOWN|OTHER|N/A|NOT SPECIFIED|PORTABLE|TX)$"
)
CHEST_CODES = ("51185008", "T-D3000", "39607008", "T-28000", "113197003", "T-11300")  # chest, lung, rib
RADIOGRAPH_MODALITIES = ("CR", "DX", "DR", "RG", "XR", "")
# Antero-posterior, postero-anterior and frontal, in SNOMED CT and the older SNOMED RT (DICOM part 16, CID 4010).
FRONTAL_CODES = ("399348003", "R-10206", "272479007", "R-40888", "R-10214", "399033003", "R-10202")
FRONTAL_WORDS = {"PA", "AP", "FRONTAL", "FRONT", "FACE"}
UNKNOWN_VIEWS = ("UNKNOWN", "OTHER", "N/A", "NOT SPECIFIED", "ERECT", "SITTING", "STANDING", "SUPINE", "PORTABLE")
LATERAL_WORDS = {
    "LAT", "LATERAL", "LATERALE", "LL", "RL", "LLAT", "RLAT", "SEITL", "SEITLICH", "PROFIL", "PERFIL", "PROFILE",
    "OBLIQUE", "OBL", "LAO", "RAO", "LPO", "RPO",
}  # fmt: skip
OTHER_BODY_PARTS = {
    "ABDOMEN", "ABD", "KUB", "PELVIS", "BECKEN", "BASSIN", "HIP", "HUEFTE", "HANCHE", "CADERA", "KNEE", "KNIE", "GENOU",
    "RODILLA", "HAND", "MANO", "WRIST", "FINGER", "ELBOW", "FOREARM", "HUMERUS", "FEMUR", "TIBIA", "ANKLE", "FOOT",
    "FUSS", "TOE", "SKULL", "SCHAEDEL", "CRANE", "CRANEO", "BRAIN", "SINUS", "CSPINE", "LSPINE",
    "LUMBAR", "CERVICAL", "SHOULDER", "SCHULTER", "MAMMO", "MAMMOGRAPHY", "EXTREMITY",
}  # fmt: skip
DESCRIPTIONS = (
    "SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "StudyDescription",
    "PerformedProcedureStepDescription",
)  # fmt: skip


class UnreadableDicom(ValueError):
    """The file holds no single image that can be read; the message contains none of its text."""


@contextmanager
def pydicom_errors() -> Iterator[None]:
    """Turn whatever pydicom and its decoders raise into `UnreadableDicom`: put nothing but their calls inside."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the file
            yield
    except Exception as error:
        reason = f"damaged, or compressed in a way that cannot be read ({type(error).__name__})"
        raise UnreadableDicom(reason) from None


def attribute(file, name: str):
    """Return an attribute of a DICOM file, or None; pydicom parses it only when it is read, which can fail."""
    with pydicom_errors():
        return file.get(name)


def items(file, name: str) -> list:
    """Return the items of a sequence, none where the file has none or something else."""
    value = attribute(file, name)
    return [item for item in value if hasattr(item, "get")] if isinstance(value, MutableSequence) else []


def text(file, name: str) -> str:
    """Return an attribute as upper-case text without accents, empty if there is none."""
    content = str(attribute(file, name) or "").strip()
    with suppress(UnicodeError):  # UTF-8 in a file that states no character set
        content = content.encode("latin-1").decode("utf-8")
    decomposed = unicodedata.normalize("NFKD", content.upper())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def unusual_attributes(file) -> tuple[str, ...]:
    """Return what a file states that is unusual for a frontal chest radiograph: modality, body part, view."""
    unusual = []
    if text(file, "Modality") not in RADIOGRAPH_MODALITIES:
        unusual.append("the file states a modality other than radiography")
    if _shows_another_body_part(file):
        unusual.append("the file states another body part")
    if _is_not_frontal(file):
        unusual.append("the file states a view that is not frontal")
    return tuple(unusual)


def _shows_another_body_part(file) -> bool:
    if body_part := text(file, "BodyPartExamined"):
        return not CHEST.search(body_part)
    if regions := _codes(file, "AnatomicRegionSequence"):
        return not any(code in CHEST_CODES or CHEST.search(meaning) for code, meaning in regions)
    descriptions = " ".join(text(file, name) for name in DESCRIPTIONS)
    descriptions = re.sub("HAND[- ]?(CARRIED|HELD)", "", descriptions)
    return bool(OTHER_BODY_PARTS & set(re.findall("[A-Z]+", descriptions))) and not CHEST.search(descriptions)


def _is_not_frontal(file) -> bool:
    position = text(file, "ViewPosition")
    if position and position not in UNKNOWN_VIEWS and not _names_only(position, FRONTAL_WORDS):
        return True
    views = _codes(file, "ViewCodeSequence")
    if views and not any(code in FRONTAL_CODES or _names_only(meaning, FRONTAL_WORDS) for code, meaning in views):
        return True
    # In which direction of the patient rows and columns run: towards A or P in no frontal view.
    orientation = attribute(file, "PatientOrientation")
    directions = orientation if isinstance(orientation, MutableSequence) else ()
    if any(str(direction).upper().startswith(("A", "P")) for direction in directions):
        return True
    return not position and any(_names_only(text(file, name), LATERAL_WORDS) for name in DESCRIPTIONS)


def _codes(file, name: str) -> list[tuple[str, str]]:
    """Return the value and the meaning of each code in a sequence."""
    return [(text(item, "CodeValue"), text(item, "CodeMeaning")) for item in items(file, name)]


def _names_only(description: str, words: set[str]) -> bool:
    """Return whether a description has some of the words for frontal or lateral views, and none of the others."""
    description = re.sub("ANTER(O|IOR)[-_ ]?POSTERIOR|A[-. ]P\\b", "AP", description)
    named = set(re.findall(r"[A-Z]+", re.sub("POSTER(O|IOR)[-_ ]?ANTERIOR|P[-. ]A\\b", "PA", description)))
    return bool(named & words) and not named & ((FRONTAL_WORDS | LATERAL_WORDS) - words)
