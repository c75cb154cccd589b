"""The fourteen findings of NIH ChestX-ray14, in the order of their labels (Wang et al. 2017, arXiv 1705.02315)."""

import unicodedata

NIH_FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
    "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
NO_FINDING = "No Finding"
ALIASES = {"Infiltrate": "Infiltration"}  # NIH's list of boxes spells it so
# Other words for findings and diseases, as datasets write them in lower case with blanks.
_SYNONYMS = {
    "covid": ("covid 19", "covid19", "covid 19 pneumonia", "sars cov 2"),
    "cardiomegaly": ("enlarged heart", "cardiac enlargement"),
    "edema": ("oedema", "pulmonary edema", "pulmonary oedema"),
    "effusion": ("pleural effusion", "pleural effusions"),
    "fibrosis": ("pulmonary fibrosis",),
    "fracture": ("rib fracture", "fractures"),
    "hernia": ("hiatal hernia", "hiatus hernia"),
    "infiltration": ("infiltrate", "infiltrates"),
    "lung opacity": ("opacity", "airspace opacity", "lung opacities"),
    "mass": ("lung mass",),
    "nodule": ("lung nodule", "nodules"),
    "tuberculosis": ("tb", "pulmonary tuberculosis"),
}
_CANONICAL = {other: name for name, others in _SYNONYMS.items() for other in others}


def canonical_finding(name: str) -> str:
    """Return one name for a finding, whatever a dataset calls it: `effusion` for `Pleural_Effusion`."""
    plain = " ".join(unicodedata.normalize("NFC", name).lower().replace("_", " ").replace("-", " ").split())
    return _CANONICAL.get(plain, plain)
