"""The fourteen findings of NIH ChestX-ray14, in the order of their labels (Wang et al. 2017, arXiv 1705.02315)."""

NIH_FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
    "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
NO_FINDING = "No Finding"
ALIASES = {"Infiltrate": "Infiltration"}  # NIH's list of boxes spells it so
