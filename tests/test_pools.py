"""Several datasets as one: labels by findings, each member's own splits, copies left out, each source alone."""

import json
import unicodedata
from collections import Counter
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, refused, stage, stages, toy_project
from PIL import Image
from sklearn.metrics import roc_auc_score
from ward import write_ward

from chest_transfer.data.arrays import UNKNOWN, open_arrays
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.pool_archive import _kept_copies, _without_copies
from chest_transfer.data.pool_labels import MemberLabels, as_classes, pooled_states
from chest_transfer.errors import ChestTransferError
from chest_transfer.settings import read_settings
from chest_transfer.training.batches import Batches, sampling_probabilities


def member(name: str, classes: list[str], *labels: str, multi_label: bool = False, unknown: tuple = ()) -> MemberLabels:
    images = pd.DataFrame({"labels": labels}, dtype=str)
    return MemberLabels(name, classes, multi_label, images.assign(unknown=unknown) if unknown else images)


def pooled_labels(*members: MemberLabels) -> tuple[tuple[str, ...], bool, list[list[str]]]:
    classes, multi_label, labels = as_classes(list(members), pooled_states(list(members)))
    return classes, multi_label, labels.to_numpy().tolist()


CHILDREN = member("pneumonia", ["NORMAL", "PNEUMONIA"], "NORMAL", "PNEUMONIA")
COVID = member("covid", ["Normal", "COVID", "Viral_Pneumonia"], "Normal", "COVID", "Viral_Pneumonia")
NIH = member(
    "nih", ["Effusion", "Pneumonia"], "", "Effusion|Pneumonia", "Effusion", multi_label=True,
    unknown=("", "", "Pneumonia"),
)  # fmt: skip
RSNA = member("rsna", ["pneumonia"], "", "pneumonia", "", multi_label=True, unknown=("", "", "pneumonia"))


class TestLabels:
    def test_a_finding_that_a_dataset_does_not_know_is_absent_in_its_healthy_alone(self):
        classes, multi_label, labels = pooled_labels(CHILDREN, COVID)
        assert classes == ("Pneumonia", "COVID", "Viral_Pneumonia")
        assert multi_label
        assert labels == [["0", "0", "0"], ["1", "", ""], ["0", "0", "0"], ["", "1", "0"], ["", "0", "1"]]

    def test_no_finding_among_some_does_not_mean_healthy(self):
        classes, _, labels = pooled_labels(NIH, member("tb", ["Normal", "TB"], "TB"))
        assert classes == ("Effusion", "Pneumonia", "TB")
        assert labels == [["0", "0", ""], ["1", "1", ""], ["1", "", ""], ["", "", "1"]]

    def test_a_class_that_says_that_nothing_was_found_does_but_what_is_unknown_stays_so(self):
        reported = member(
            "reports", ["No Finding", "Effusion"], "No Finding", "", "No Finding", "Effusion", multi_label=True,
            unknown=("", "", "Effusion", ""),
        )  # fmt: skip
        _, _, labels = pooled_labels(reported, CHILDREN)
        assert labels[:3] == [["0", "0"], ["0", ""], ["", "0"]]

    @pytest.mark.parametrize(
        ("classes", "label", "state"),
        [
            (["no Pneumothorax", "Pneumothorax"], "no Pneumothorax", ""),
            (["Normal", "COVID-19", "Non-COVID"], "Non-COVID", ""),
            (["negative", "COVID"], "negative", ""),
            (["Normal", "Sick", "TB"], "Sick", ""),
            (["Normal", "Not_Normal", "Lung_Opacity"], "Not_Normal", ""),
            (["Unauffällig", "TB"], "Unauffällig", "0"),
        ],
    )
    def test_the_absence_of_one_disease_is_not_that_of_others(self, classes, label, state):
        found, _, labels = pooled_labels(member("other", classes, label, classes[-1], "COVID-19"), CHILDREN)
        assert labels[0][list(found).index("Pneumonia")] == state
        assert "Sick" not in found

    def test_a_disease_that_starts_with_non_is_a_finding(self):
        lungs = member("lungs", ["Normal", "TB", "Non-tuberculous mycobacteria"], "Non-tuberculous mycobacteria", "TB")
        classes, _, labels = pooled_labels(lungs, CHILDREN)
        assert classes == ("TB", "Non-tuberculous_mycobacteria", "Pneumonia")
        assert labels[0] == ["0", "1", ""]

    def test_combinations_are_their_findings(self):
        combined = member("top", ["No Finding", "Mass", "Mass|Nodule"], "No Finding", "Mass", "Mass|Nodule")
        classes, multi_label, labels = pooled_labels(combined, combined)
        assert (classes, multi_label) == (("Mass", "Nodule"), True)
        assert labels[:3] == [["0", "0"], ["1", "0"], ["1", "1"]]

    @pytest.mark.parametrize(
        ("members", "classes", "expected"),
        [
            ([CHILDREN, member("ward", ["healthy", "pneumonia"], "pneumonia")], ("Normal", "Pneumonia"),
             ["Normal", "Pneumonia", "Pneumonia"]),
            ([CHILDREN, RSNA], ("No_Pneumonia", "Pneumonia"),
             ["No_Pneumonia", "Pneumonia", "No_Pneumonia", "Pneumonia", ""]),
            ([COVID, COVID], ("Normal", "COVID", "Viral_Pneumonia"), ["Normal", "COVID", "Viral_Pneumonia"] * 2),
        ],
        ids=["one finding", "one finding that may be unknown", "the same classes"],
    )  # fmt: skip
    def test_classes_stay_exclusive_where_all_datasets_ask_the_same(self, members, classes, expected):
        found, multi_label, labels = pooled_labels(*members)
        assert (found, multi_label) == (classes, False)
        assert labels == [[label] for label in expected]

    def test_a_finding_that_nobody_shows_is_no_class(self):
        without_covid = member("covid", ["Normal", "COVID", "Viral_Pneumonia"], "Normal", "Viral_Pneumonia")
        classes, _, labels = pooled_labels(CHILDREN, without_covid)
        assert classes == ("Pneumonia", "Viral_Pneumonia")
        assert labels == [["0", "0"], ["1", ""], ["0", "0"], ["", "1"]]
        with pytest.raises(ChestTransferError, match="no radiograph of ward, tb shows a finding"):
            pooled_labels(*(member(name, ["Normal", "TB"], "Normal") for name in ("ward", "tb")))

    def test_a_class_that_names_no_finding_is_refused(self):
        with pytest.raises(ChestTransferError, match="the class 'positive' of 'b' names no finding, so it cannot be"):
            pooled_labels(CHILDREN, member("b", ["negative", "positive"], "positive"))

    def test_unicode_writes_one_finding_in_two_ways(self):
        one, other = (unicodedata.normalize(form, "Épanchement") for form in ("NFC", "NFD"))
        classes, _, _ = pooled_labels(member("a", ["Normal", one], one), member("b", ["Normal", other], other))
        assert classes == ("Normal", one)


class TestCopies:
    ROWS = pd.DataFrame(
        {"split": ["test", "", "train", "train"], "patient": ["a/1", "a/1", "b/1", "b/2"], "source": list("aabb")},
        index=["a/0", "a/1", "b/0", "b/1"],
    )
    STATES = pd.DataFrame([["1", ""], ["1", ""], ["0", "1"], ["", "1"]], ROWS.index, ["Pneumonia", "TB"])

    def test_the_labels_of_copies_are_joined_and_contradictions_are_unknown(self):
        images = [0, 1, 0, 2]  # b/0 is a copy of a/0
        rows, states, cautions = _without_copies(self.ROWS, self.STATES, np.eye(3, dtype=np.float32)[images])
        assert list(rows.index) == ["a/0", "a/1", "b/1"]
        assert states.loc["a/0"].tolist() == ["", "1"]
        assert cautions[1].startswith("1 of these have labels that contradict each other")

    def test_a_copy_of_an_image_that_is_left_out_is_of_the_same_patient(self):
        images = [0, 1, 2, 1]  # b/1 is a copy of a/1, whose patient is in the test split
        rows, _, _ = _without_copies(self.ROWS, self.STATES, np.eye(3, dtype=np.float32)[images])
        assert rows["patient"].to_dict() == {"a/0": "a/1", "b/0": "b/1", "b/1": "a/1"}
        assert rows.loc["b/1", "split"] == "train"  # splits are by patient, so it is left out where they are made

    def test_an_image_is_left_out_only_as_a_copy_of_one_that_is_kept(self):
        pairs = np.array([[0, 2], [1, 2]])  # both are copies of the third, and not of each other
        assert _kept_copies(pairs, np.zeros(3)) == {2: 0}
        assert _kept_copies(pairs, np.array([1, 1, 0])) == {0: 2, 1: 2}


OWN = {"images": "../ward", "table": "../ward.csv", "image": "File", "label": "Diagnosis", "patient": "MRN",
       "classes": {"Normal": [], "Pneumonia": []}}  # fmt: skip


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """A project with a pool of simulated children, simulated COVID patients and a ward, beside the members alone.

    The ward has two of the children's radiographs, darker and as JPEGs: a test image under the number of a patient of
    its own, and a training image.
    """
    parent = tmp_path_factory.mktemp("pools")
    folder = toy_project(parent)
    change_settings(
        folder / "params.yaml", datasets=["chests"], own={"ward": OWN}, probe__epochs=5, train__epochs=2,
        preprocess__test_share=0.2,
        pools={"chests": ["pneumonia", "covid", "ward"]},
    )  # fmt: skip
    table = write_ward(parent / "ward", 40, size=48)
    stages(folder, ("download", "pneumonia"), ("preprocess", "pneumonia"))
    _add_copies(folder, parent / "ward", table).to_csv(parent / "ward.csv", index=False)
    words = [
        f"{command} {name}" for command in ("download", "preprocess") for name in ("covid", "ward", "chests")
    ]  # fmt: skip
    words += ["profile chests", "shortcuts chests", "explore chests", "pretrained cnn none", "embed chests cnn none 1"]
    words += ["probe chests cnn none 1 all", "train chests cnn none 1 all", "evaluate chests"]
    stages(folder, *(command.split() for command in ["sources", *words]))
    return folder


def _add_copies(folder, ward, table: pd.DataFrame) -> pd.DataFrame:
    """Add a test and a training radiograph of the children to the ward, and return its table with them."""
    images = read_images(folder / "data/arrays/pneumonia")
    rows = []
    with ZipFile(folder / "data/raw/pneumonia.zip") as archive:
        for split, mrn in (("test", table["MRN"].iloc[0]), ("train", 9999)):
            member = images.loc[images["split"] == split, "member"].iloc[0]
            with Image.open(archive.open(member)) as image:
                image.convert("L").point(lambda gray: 0.8 * gray).save(ward / f"{split}.jpg", quality=95)
            rows.append({"File": f"{split}.jpg", "Diagnosis": "Normal", "MRN": mrn})
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


@pytest.mark.slow
class TestPool:
    def test_each_radiograph_is_in_the_split_of_its_own_dataset(self, pooled):
        pool = read_images(pooled / "data/arrays/chests")
        for name in ("pneumonia", "covid", "ward"):
            alone = read_images(pooled / f"data/arrays/{name}").set_index("member")["split"]
            of_pool = pool[pool["source"] == name]
            members = of_pool["member"].str.removeprefix(f"{name}/")
            same = of_pool["split"].to_numpy() == alone[members].to_numpy()
            assert same[of_pool["split"] != ""].all()
            assert len(of_pool) >= len(alone) - 2

    def test_copies_are_kept_once_and_their_patients_are_one(self, pooled):
        pool, summary = read_images(pooled / "data/arrays/chests"), _summary(pooled)
        of_children = read_images(pooled / "data/arrays/pneumonia").groupby("split")["member"].first()
        for copied, split in (
            ("test", "test"),
            ("train", "val"),
        ):  # the ward's copy of a training image is in validation
            kept = pool[pool["member"].isin([f"ward/{copied}.jpg", f"pneumonia/{of_children[copied]}"])]
            assert kept["split"].tolist() == [split]
        assert any(caution.startswith("2 radiographs of one member are copies") for caution in summary["cautions"])
        patient_of = read_images(pooled / "data/arrays/pneumonia").groupby("split")["patient"].first()
        of_ward = pool[pool["source"] == "ward"]
        united = of_ward[of_ward["patient"] == f"pneumonia/{patient_of['test']}"]
        # The other radiographs of that patient were in the ward's training split: those of a test patient are left out.
        assert united["split"].tolist() == ["", ""]
        assert summary["leaked_into_official_test"] == 2

    def test_a_finding_is_unknown_where_its_dataset_does_not_say(self, pooled):
        train = open_arrays(pooled / "data/arrays/chests/train.npz")
        pneumonia, covid = (list(train.classes).index(name) for name in ("Pneumonia", "COVID"))
        ill_children = train.labels[(train.sources == "pneumonia") & (train.labels[:, pneumonia] == 1)]
        assert set(ill_children[:, covid]) == {UNKNOWN}
        healthy = train.labels[(train.labels == 0).all(axis=1)]
        assert set(train.sources[(train.labels == 0).all(axis=1)]) == {"pneumonia", "covid", "ward"}
        assert len(healthy) > 20

    def test_each_source_has_its_own_score(self, pooled):
        record = json.loads((pooled / "metrics/detail/chests.json").read_text())["probe"]["none"]
        assert {name: scores["images"] for name, scores in record["sources"].items()} == {
            "pneumonia": 22, "covid": 12, "ward": 10,
        }  # fmt: skip
        test = pd.read_csv(pooled / "data/predictions/chests/cnn/probe-none-seed1-all/test.csv")
        ward = test[test["name"].str.startswith("ward/")]
        area = roc_auc_score(ward["label:Pneumonia"], ward["log_odds:Pneumonia"])
        assert record["sources"]["ward"]["auc"] == pytest.approx(area, abs=1e-6)

    def test_a_model_may_learn_where_a_radiograph_comes_from_and_that_is_measured(self, pooled):
        explored = json.loads((pooled / "metrics/data/chests.json").read_text())
        assert explored["shortcuts"]["source"]["auc"] > 0.6
        assert explored["pool"] == ["pneumonia", "covid", "ward"]
        assert any(
            caution.startswith("only one member shows COVID, Lung_Opacity, Viral_Pneumonia: a model may")
            for caution in explored["cautions"]
        )

    def test_sources_are_drawn_equally_often(self, pooled):
        train = open_arrays(pooled / "data/arrays/chests/train.npz")
        assert pd.Series(train.sources).value_counts(normalize=True).max() > 0.4
        for balance_classes in (False, True):
            probabilities = sampling_probabilities(train, balance_classes)
            drawn = Counter()
            for epoch in range(20):
                batches = Batches(train, 16, seed=1, epoch=epoch, probabilities=probabilities)
                drawn.update(train.sources[batches._rows])
            assert [count / drawn.total() for count in drawn.values()] == pytest.approx([1 / 3] * 3, abs=0.03)

    def test_its_record_is_of_its_members_and_their_splits(self, pooled):
        record = json.loads((pooled / "data/sources/chests.json").read_text())
        assert [member["dataset"] for member in record["pool"]] == ["pneumonia", "covid", "ward"]
        assert record["pool"][0]["source"] == "phantom"
        assert record["preprocess"]["split_seed"] == 1
        own = read_settings(pooled / "params.yaml").model_dump(mode="json")["pools"]["chests"]
        change_settings(pooled / "params.yaml", pools={"chests": own[::-1]})
        stages(pooled, ("sources",))
        changed = json.loads((pooled / "data/sources/chests.json").read_text())
        change_settings(pooled / "params.yaml", pools={"chests": own})
        assert changed["pool"] == record["pool"][::-1]


def _summary(folder) -> dict:
    return json.loads((folder / "data/arrays/chests/summary.json").read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pools": {"pneumonia": ["covid", "nih"]}}, "pools.pneumonia has the name of a public dataset"),
        ({"pools": {"all": ["covid"]}}, "'pools.all' should be"),
        ({"pools": {"all": ["covid", "covdi"]}}, "unknown dataset 'covdi'; did you mean 'covid'?"),
        ({"pools": {"all": ["covid", "covid"]}}, "'pools.all' in params.yaml has an entry twice"),
        ({"pools": {"all": ["nih", "nih_top15"]}}, "pools.all: 'nih_top15' shows the same patients as 'nih'"),
        ({"pools": {"all": ["pneumonia", "covid"]}, "datasets": ["all"], "external": ["mendeley"]},
         "external 'mendeley' shows the same patients as 'pneumonia'"),
        ({"pools": {"all": ["pneumonia", "covid"]}, "external": ["all"]}, "'all' is a pool, and cannot be among"),
        ({"pools": {"all": ["pneumonia", "covid"], "more": ["all", "nih"]}}, "'all' is a pool, and cannot be among"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(project, changes, message):
    change_settings(project / "params.yaml", **changes)
    assert message in refused(stage(project, "sources", check=False))
