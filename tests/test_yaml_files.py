"""YAML files are read under the rules of YAML 1.2, and written as DVC writes them."""

import math

import pytest
from conftest import ROOT, run

from chest_transfer.yaml_files import YAMLError, dump_yaml, parse_yaml, read_yaml

# Text of a scalar -> its value in the core schema of YAML 1.2.2, section 10.3.2.
SCALARS = {
    # Numbers.
    "3e-05": 3e-05,  # as DVC writes -S train.learning_rate=3e-5; text in YAML 1.1
    "1e-3": 1e-3,
    "1E3": 1000.0,
    "1.0e-6": 1e-6,
    "-2.5": -2.5,
    "+1.5": 1.5,
    ".5": 0.5,
    "5.": 5.0,
    "1": 1,
    "-17": -17,
    "+3": 3,
    "010": 10,  # 8 in YAML 1.1
    "0o10": 8,
    "0x1F": 31,
    "1_000": "1_000",  # 1000 in YAML 1.1
    "0b101": "0b101",  # 5 in YAML 1.1
    "12:30": "12:30",  # 750 in YAML 1.1
    "12:30:45.5": "12:30:45.5",
    ".inf": math.inf,
    "-.INF": -math.inf,
    "1.2.3": "1.2.3",
    "1e": "1e",
    "e5": "e5",
    # Truth values and nothing.
    "true": True,
    "True": True,
    "FALSE": False,
    "tRue": "tRue",
    "yes": "yes",  # true in YAML 1.1
    "no": "no",
    "on": "on",
    "Off": "Off",
    "y": "y",
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
    "none": "none",  # the name of starting weights
    "None": "None",
    # Dates: text, not a datetime.
    "2026-11-25": "2026-11-25",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14t21:59:43.10-05:00",
    # Text.
    "<<": "<<",  # merges mappings in YAML 1.1
    "=": "=",
    "3e-05 of": "3e-05 of",
    "'3e-05'": "3e-05",
    '"true"': "true",
    "Röntgen": "Röntgen",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_a_scalar_is_read_as_yaml_1_2(text, value):
    for document in (f"key: {text}\n", f"key: [{text or '~'}]\n", f"key:\n- {text}\n"):
        content = parse_yaml(document)["key"]
        read = content[0] if isinstance(content, list) else content
        assert (type(read), read) == (type(value), value)


def test_nan_is_read_as_yaml_1_2():
    assert math.isnan(parse_yaml(".nan"))
    assert parse_yaml("nan") == "nan"


@pytest.mark.parametrize(
    "value", [*SCALARS.values(), *SCALARS, 1e-7, 1e22, 0.1, 123456.789, 2**70, "a: b", "# no", "\t"]
)
def test_what_is_written_is_read_as_the_same_value(value):
    written = dump_yaml({"key": value, "list": [value]})
    read = parse_yaml(written)
    assert read == {"key": value, "list": [value]}
    assert type(read["key"]) is type(value)


def test_floats_are_written_as_dvc_writes_them():
    assert dump_yaml({"rate": 3e-05, "share": 0.2, "factor": 1.0}) == "rate: 3e-05\nshare: 0.2\nfactor: 1.0\n"


def test_keys_keep_their_order_and_lists_are_not_indented():
    assert dump_yaml({"b": [1, {"c": 2}], "a": {"d": None}}) == "b:\n- 1\n- c: 2\na:\n  d:\n"


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\ta: 1", "a: 1\n b: 2", "'", "\0", b"\x80", b"a: \xff"])
def test_what_is_not_yaml_raises_a_yaml_error(text):
    with pytest.raises(YAMLError):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["seed: 1\nseed: 2\n", "train: {epochs: 1, epochs: 1}", "- a:\n  a:\n"])
def test_a_key_that_occurs_twice_is_refused_as_by_dvc(text):
    with pytest.raises(YAMLError, match="found a key twice"):
        parse_yaml(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_are_read_whatever_their_encoding_and_line_ends(tmp_path, encoding, newline):
    (tmp_path / "a.yaml").write_bytes(f"name: Röntgen{newline}list:{newline}- 1{newline}".encode(encoding))
    assert read_yaml(tmp_path / "a.yaml") == {"name": "Röntgen", "list": [1]}


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [ls]", "!!python/name:os.system", "!own 1"])
def test_tags_that_could_run_code_are_refused(text):
    with pytest.raises(YAMLError):
        parse_yaml(text)


def test_the_lock_file_of_the_project_is_written_as_it_was_read():
    text = (ROOT / "dvc.lock").read_text()
    assert dump_yaml(read_yaml(ROOT / "dvc.lock")) == text


PIPELINE = """
stages:
  numbers:
    cmd: python -c "open('numbers.txt', 'w').write('1')"
    deps: [in.txt]
    params: [rate, small, large, nested, names, nothing, text, other.yaml: ]
    outs: [numbers.txt]
  many:
    foreach: [a, b]
    do:
      cmd: mkdir -p "folder ${item}" && echo ${item} > "folder ${item}/Röntgen.txt"
      outs: ["folder ${item}"]
"""
PARAMETERS = """
rate: 3e-05
small: 1e-3
large: 0x1F
nested: {list: [1, 2.5, yes, "no", 'true', 1e-10], empty: {}, none: [], "a:b": "c # d", deeper: {flag: false}}
names: [none, phantom]
nothing: null
text: "a colon: and a # sign"
"""


@pytest.fixture
def locked(tmp_path):
    """A folder with a small pipeline, run by DVC."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMETERS)
    (tmp_path / "other.yaml").write_text("time: 12:30\noctal: 010\nyes: no\nempty:\n")
    (tmp_path / "in.txt").write_text("in")
    run(tmp_path, "dvc", "init", "--no-scm", "-q")
    run(tmp_path, "dvc", "repro", "-q")
    return tmp_path


def test_a_lock_file_by_dvc_is_written_as_it_was_read(locked):
    text = (locked / "dvc.lock").read_text()
    for expected in ("rate: 3e-05\n", "small: 0.001\n", "large: 31\n", "nothing:\n", "md5: "):
        assert expected in text
    assert dump_yaml(read_yaml(locked / "dvc.lock")) == text


def test_text_that_dvc_folds_is_read_and_keeps_its_value(locked):
    long = " ".join(["a command of more than eighty columns, which DVC folds"] * 9)
    (locked / "dvc.yaml").write_text(f"stages:\n  long:\n    cmd: echo {long}\n    deps: [in.txt]\n")
    run(locked, "dvc", "repro", "-q")
    lock = read_yaml(locked / "dvc.lock")
    assert lock["stages"]["long"]["cmd"] == f"echo {long}"
    assert parse_yaml(dump_yaml(lock)) == lock
