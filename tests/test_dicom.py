"""DICOM: gray levels as a viewer shows them, whatever the file's bits, flags and windows; no text of the patient."""

import io
import logging
from collections import Counter

import numpy as np
import pytest
from conftest import PATIENT_NAME, dicom, make_zip
from PIL import Image

from chest_transfer.data.archives import LARGEST_MEMBER, Archive
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.dicom import NEGATIVE, lung_contrast, read_dicom
from chest_transfer.data.dicom_attributes import UnreadableDicom
from chest_transfer.data.listing import read_listing
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.radiographs import UnreadableImage, decode_image, decode_square
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.settings import read_settings

pydicom = pytest.importorskip("pydicom")


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    """A simulated radiograph (120, 100) uint8."""
    rng = np.random.default_rng(5)
    return radiograph(Patient.random(rng), (), rng, (120, 100)).pixels


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_8_bit_gray_levels_are_not_changed(chest):
    gray, unusual = read_dicom(dicom(chest))
    assert (gray == chest).all()
    assert unusual == ()


def test_the_lungs_of_monochrome1_are_dark(chest):
    gray, unusual = read_dicom(dicom(255 - chest, PhotometricInterpretation="MONOCHROME1"))
    assert (gray == chest).all()
    assert lung_contrast(gray) > 0.3
    assert unusual == ()


@pytest.mark.parametrize(("pixels", "flag"), [("chest", "MONOCHROME1"), ("negative", "MONOCHROME2")])
def test_the_lungs_are_dark_and_a_warning_is_given_where_the_photometric_interpretation_is_wrong(chest, pixels, flag):
    stored = chest if pixels == "chest" else 255 - chest
    content = dicom(stored, PhotometricInterpretation=flag)
    gray, unusual = read_dicom(content)
    assert (gray == chest).all()
    assert unusual == (NEGATIVE,)
    assert decode_image(content, 96).facts.mode == "DICOM negative"


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_rescaling_and_windows_are_applied(chest, dtype):
    raw = (chest.astype(int) * 20 + 100).astype(dtype)
    content = dicom(
        raw, BitsStored=14, HighBit=13, RescaleSlope=2, RescaleIntercept=-200, WindowCenter=5100, WindowWidth=10200
    )
    shown = decode_square(content, 96)
    assert correlation(shown, decode_square(dicom(chest), 96)) > 0.99
    narrow = dicom(raw, BitsStored=14, HighBit=13, WindowCenter=2600, WindowWidth=400)
    assert len(np.unique(decode_square(narrow, 96))) < len(np.unique(shown))


def test_a_lookup_table_is_applied(chest):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.LUTData = (65535 * (np.arange(256) / 255) ** 2).astype("<u2").tobytes()
    shown = decode_square(dicom(chest, VOILUTSequence=Sequence([table])), 96)
    assert shown.mean() < decode_square(dicom(chest), 96).mean() - 10


def coded(value: str, meaning: str) -> list:
    """A sequence of one code."""
    item = pydicom.Dataset()
    item.CodeValue, item.CodeMeaning = value, meaning
    return [item]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"BodyPartExamined": "HAND"}, "another body part"),
        ({"ViewPosition": "LL"}, "a view that is not frontal"),
        ({"Modality": "CT"}, "a modality other than radiography"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("T-D8700", "Hand")}, "another body part"),
        ({"ViewPosition": "LATERAL"}, "a view that is not frontal"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("399173006", "left lateral")}, "a view that is not frontal"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("R-10232", "seitlich")}, "a view that is not frontal"),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, "a view that is not frontal"),
        ({"ViewPosition": None, "PatientOrientation": ["PL", "F"]}, "a view that is not frontal"),
        ({"ViewPosition": None, "PatientOrientation": ["L", "A"]}, "a view that is not frontal"),
        ({"ViewPosition": None, "SeriesDescription": "Thorax lat."}, "a view that is not frontal"),
        ({"ViewPosition": "", "ProtocolName": "CHEST, LATERAL"}, "a view that is not frontal"),
        ({"ViewPosition": "", "SeriesDescription": "Tórax perfil"}, "a view that is not frontal"),
        ({"BodyPartExamined": None, "StudyDescription": "XR ABDOMEN"}, "another body part"),
        ({"BodyPartExamined": "", "SeriesDescription": "Hand links d.p."}, "another body part"),
        ({"BodyPartExamined": "", "ProtocolName": "RODILLA AP"}, "another body part"),
    ],
)
def test_a_warning_is_given_for_other_than_frontal_chest_radiographs(chest, changes, warning):
    assert warning in read_dicom(dicom(chest, **changes))[1][0]


@pytest.mark.parametrize(
    "changes",
    [
        *({"BodyPartExamined": name} for name in ("TORAX", "TÓRAX", "Tórax PA", "THORAX", "CHEST_ABDOMEN", "PULMÓN")),
        {"BodyPartExamined": "TÓRAX".encode().decode("latin-1")},  # UTF-8 where the file states no character set
        {"BodyPartExamined": None, "AnatomicRegionSequence": coded("51185008", "Brustraum")},
        {"ViewPosition": None, "ViewCodeSequence": coded("399348003", "antero-posterior")},
        {"ViewPosition": None, "ViewCodeSequence": coded("X1", "Postero-Anterior")},
        {"ViewPosition": None, "PatientOrientation": ["L", "F"]},
        {"ViewPosition": None, "SeriesDescription": "Chest PA and lateral"},  # of the study, not of this image
        {"ViewPosition": "PA", "SeriesDescription": "LATERAL"},
        {"BodyPartExamined": None, "StudyDescription": "CHEST AND ABDOMEN"},
        {"BodyPartExamined": "CHEST", "StudyDescription": "ABDOMEN"},
        {"BodyPartExamined": None, "SeriesDescription": "portable, main building"},
        {"BodyPartExamined": None, "SeriesDescription": "AP ERECT HEAD OF BED"},
        {"BodyPartExamined": None, "SeriesDescription": "RX au pied du lit"},
        {"BodyPartExamined": None, "SeriesDescription": "hand carried"},
        *({"BodyPartExamined": name} for name in ("PECHO", "POITRINE", "CHST", "N/A", "NOT SPECIFIED")),
        *({"ViewPosition": name} for name in ("POSTERIOR ANTERIOR", "P-A", "A.P", "FRONT", "ERECT", "UNKNOWN")),
        {"ViewPosition": None, "SeriesDescription": "Thorax p.a."},
        {"Modality": "DR"},
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS", "ignore:The value length")  # as the file is written
def test_no_warning_is_given_for_frontal_chest_radiographs_however_the_file_states_it(chest, changes):
    assert read_dicom(dicom(chest, **{"SpecificCharacterSet": "ISO_IR 100"} | changes))[1] == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda chest: dicom(np.stack([chest] * 3), NumberOfFrames=3), "3 frames"),
        (lambda chest: dicom(chest, PhotometricInterpretation="RGB", SamplesPerPixel=3), "damaged"),
        (lambda chest: dicom(chest, PhotometricInterpretation="HSV", SamplesPerPixel=3), "photometric interpretation"),
        (
            lambda chest: dicom(np.dstack([chest] * 3), Rows=120, Columns=100, SamplesPerPixel=3),
            "3 samples per pixel; MONOCHROME2 has 1",
        ),
        (lambda chest: dicom(chest, PhotometricInterpretation="RGB"), "1 samples per pixel; RGB has 3"),
        (lambda chest: dicom(chest, PixelData=None), "no image"),
        (lambda chest: dicom(chest)[:-500], "damaged"),
        (lambda chest: dicom(chest, Rows=60_000, Columns=60_000), "pixels"),
        (lambda chest: b"\0" * 128 + b"DICM" + b"nonsense" * 9, "damaged|no image"),
    ],
)
def test_an_error_about_an_unreadable_file_quotes_nothing_of_it(chest, content, reason):
    with pytest.raises(UnreadableImage, match=reason) as error:
        decode_square(content(chest), 96)
    assert PATIENT_NAME not in str(error.value)
    with pytest.raises(UnreadableDicom):
        read_dicom(content(chest))


def test_a_damaged_attribute_is_an_unreadable_file_and_is_not_quoted(chest):
    content = dicom(chest).replace(b"\x18\x00\x15\x00CS", b"\x18\x00\x15\x00\x43\xc8")
    with pytest.raises(UnreadableDicom, match="damaged") as error:  # its body part has a type that does not exist
        read_dicom(content)
    assert "CHEST" not in str(error.value)


def test_a_warning_of_pydicom_that_quotes_the_file_does_not_reach_a_log(chest):
    content = dicom(chest, SpecificCharacterSet="ISO_IR 100").replace(b"ISO_IR 100", b"Secret 100")
    log = io.StringIO()
    handler = logging.StreamHandler(log)  # as a server's; pytest's own also listens to loggers that do not propagate
    logging.getLogger().addHandler(handler)
    try:
        read_dicom(content)
    finally:
        logging.getLogger().removeHandler(handler)
    assert log.getvalue() == ""


def test_a_dataset_of_dicom_files_is_preprocessed(tmp_path):
    root, members = "TB_Chest_Radiography_Database", {}
    for number in range(40):
        rng, kind = np.random.default_rng(number), ("Normal", "Tuberculosis")[number % 2]
        pixels = radiograph(Patient.random(rng), (), rng, (64, 64)).pixels
        members[f"{root}/{kind}/{kind}-{number}.dcm"] = dicom(pixels)
    make_zip(tmp_path / "tb.zip", members)
    with Archive(tmp_path / "tb.zip") as archive:
        assert len(read_listing(dataset_named("tuberculosis").layout, archive).radiographs) == 40
    settings = read_settings("params.yaml").preprocess
    summary = preprocess(dataset_named("tuberculosis"), tmp_path / "tb.zip", tmp_path / "tb", settings, 32, 2)
    assert sum(summary["images"].values()) == 40
    assert PATIENT_NAME.encode() not in (tmp_path / "tb/images.csv").read_bytes()


def compressed(chest: np.ndarray, form: str, side: int | None = None) -> bytes:
    """A DICOM file whose pixels are a JPEG or JPEG 2000 stream, maybe of more pixels than it states."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

    stream = io.BytesIO()
    options = {"quality": 95} if form == "JPEG" else {"no_jp2": True}
    Image.fromarray(chest if side is None else np.zeros((side, side), np.uint8)).save(stream, form, **options)
    file = pydicom.dcmread(io.BytesIO(dicom(chest)))
    file.PixelData, file["PixelData"].is_undefined_length = encapsulate([stream.getvalue()]), True
    file.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if form == "JPEG" else JPEG2000Lossless
    saved = io.BytesIO()
    file.save_as(saved, enforce_file_format=True)
    return saved.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_a_compressed_image_in_a_dicom_file_is_decoded(chest, form):
    assert correlation(read_dicom(compressed(chest, form))[0], chest) > 0.99


def deflated(chest: np.ndarray, extra: int) -> bytes:
    """A deflated DICOM file with `extra` zero bytes behind its pixels."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    file = pydicom.dcmread(io.BytesIO(dicom(chest)))
    file.add_new(0x7FE10011, "LO", "private")
    file.add_new(0x7FE11101, "OB", bytes(extra))
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    saved = io.BytesIO()
    file.save_as(saved, enforce_file_format=True)
    return saved.getvalue()


def test_a_deflated_file_is_read(chest):
    assert (read_dicom(deflated(chest, 10))[0] == chest).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda chest: compressed(chest, "JPEG", 4000), "do not match the rows and columns"),
        (lambda chest: compressed(chest, "JPEG2000", 4000), "do not match the rows and columns"),
        (lambda chest: deflated(chest, LARGEST_MEMBER), "unpacks to more than"),
    ],
    ids=["JPEG", "JPEG 2000", "deflated"],
)
def test_what_unpacks_to_more_than_is_stated_is_refused_before_it_is_unpacked(chest, content, reason, monkeypatch):
    content = content(chest)
    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(lambda _: pytest.fail("it was unpacked")))
    with pytest.raises(UnreadableDicom, match=reason):
        read_dicom(content)


@pytest.mark.parametrize("missing", ["SamplesPerPixel", "PixelRepresentation"])
def test_required_attributes_that_are_missing_have_their_usual_values(chest, missing):
    assert (read_dicom(dicom(chest, **{missing: None}))[0] == chest).all()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.110", "1.2.840.113619.5.2", "1.2.3.4"])
def test_an_unknown_transfer_syntax_is_refused(chest, syntax):
    content = dicom(chest).replace(b"1.2.840.10008.1.2.1\0", syntax.encode()[:20].ljust(20, b"\0"))
    with pytest.raises(UnreadableDicom):
        read_dicom(content)


def test_no_damage_of_a_header_ends_in_a_traceback(chest):
    content, rng = dicom(chest, SamplesPerPixel=None, WindowCenter=100, WindowWidth=200), np.random.default_rng(1)
    results, reasons = Counter(), []
    for _ in range(400):
        damaged = bytearray(content)
        for position in rng.integers(132, len(content) - chest.size, rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
        try:
            results[read_dicom(bytes(damaged))[0].shape] += 1
        except UnreadableDicom as error:
            reasons.append(str(error))
    assert len(reasons) > 20
    assert not any(PATIENT_NAME in reason for reason in reasons)
    assert results[chest.shape] > 20


@pytest.mark.parametrize("change", [0, 10, -30])
def test_the_stated_length_of_a_header_does_not_matter(chest, change):
    content = bytearray(deflated(chest, 10))
    length = int.from_bytes(content[140:144], "little") + change
    content[140:144] = length.to_bytes(4, "little")
    assert (read_dicom(bytes(content))[0] == chest).all()


@pytest.mark.parametrize(("entry_bits", "kind"), [(8, "<u2"), (8, "u1"), (16, "<u2"), (12, "<u2")])
@pytest.mark.parametrize("explicit", [True, False])
def test_a_lookup_table_of_fewer_bits_than_the_pixels(chest, entry_bits, kind, explicit):
    entries = np.rint(np.arange(4096) / 4095 * (2**entry_bits - 1)).astype(kind)
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, entry_bits]
    table.add_new("LUTData", "OW", entries.tobytes())
    pixels = np.rint(chest / 255 * 4095).astype("<u2")
    gray, _ = read_dicom(
        dicom(pixels, BitsStored=12, HighBit=11, VOILUTSequence=[table] if explicit else [table, table])
    )
    assert correlation(gray, chest) > 0.9999


def test_a_lookup_table_of_one_value_leaves_the_window(chest):
    table = pydicom.Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.add_new("LUTData", "OW", np.full(256, 7, "<u2").tobytes())
    assert np.ptp(read_dicom(dicom(chest, VOILUTSequence=[table]))[0]) > 100


@pytest.mark.parametrize("missing", ["PlanarConfiguration", "BitsStored", "SamplesPerPixel"])
def test_what_is_missing_of_a_color_file_has_its_usual_value(chest, missing):
    colors = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    content = dicom(np.dstack([chest] * 3), **(colors | {"Rows": 120, "Columns": 100} | {missing: None}))
    assert (read_dicom(content)[0] == chest).all()


def test_a_broken_lookup_table_leaves_the_window(chest):
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [0, 0, 99], b"\0\0"
    windowed = {"WindowCenter": 60, "WindowWidth": 80}
    expected, _ = read_dicom(dicom(chest, **windowed))
    assert (read_dicom(dicom(chest, VOILUTSequence=[table], **windowed))[0] == expected).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientOrientation": "L"},
        {"WindowCenter": ["", 128], "WindowWidth": [100, 256]},
        {"PixelPaddingValue": 65535},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_odd_attributes_change_nothing(chest, changes):
    assert correlation(read_dicom(dicom(chest, **changes))[0], chest) > 0.99


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PhotometricInterpretation": "MONOCHROME2\\"}, "photometric interpretation"),
        ({"RescaleSlope": "nan", "RescaleIntercept": 0}, "rescale slope or intercept is no number"),
        ({"HighBit": 12}, "high bit is not 7, where 8 bits are stored"),
        ({"Rows": 60}, "do not match the rows and columns"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_or_the_file_is_refused_with_a_reason(chest, changes, reason):
    with pytest.raises(UnreadableDicom, match=reason):
        read_dicom(dicom(chest, **changes))


def test_a_padding_value_that_bytes_cannot_hold_hides_nothing(chest):
    assert (read_dicom(dicom(np.maximum(chest, 1), PixelPaddingValue=65536 - 256))[0] == np.maximum(chest, 1)).all()
