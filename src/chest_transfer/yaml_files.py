"""YAML read and written by PyYAML's C code, under the rules of YAML 1.2, as DVC reads it.

PyYAML by itself follows YAML 1.1 and takes `3e-05`, which is what DVC writes for `-S train.learning_rate=3e-5`, for
text (treeverse/dvc#5971).
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

YAMLError = yaml.YAMLError
# The core schema of YAML 1.2.2, section 10.3.2: tag, pattern, first characters.
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", tuple("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    yaml_implicit_resolvers: ClassVar[dict] = {}

    def construct_mapping(self, node, deep=False) -> dict:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError("in a mapping", node.start_mark, "found a key twice")
        return mapping


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    yaml_implicit_resolvers: ClassVar[dict] = {}


def _construct_int(loader, node) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text.startswith(("0x", "0o")) else int(text)


for _tag, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
# `1e-06`, as Python and DVC write it; PyYAML itself writes `1.0e-06`.
_Dumper.add_representer(float, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", repr(value)))
# DVC leaves the value of `null` empty.
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def parse_yaml(text: str | bytes) -> Any:
    """Return the content of a YAML document; raises `YAMLError`, for a key that occurs twice too."""
    return yaml.load(text, _Loader)


def read_yaml(path: Path | str) -> Any:
    """Return the content of a YAML file; raises `YAMLError` or `OSError`."""
    return parse_yaml(Path(path).read_bytes())


def dump_yaml(content: Any) -> str:
    """Return YAML in block style, keys in their own order, as DVC writes its files; only long text is not folded."""
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=10_000, allow_unicode=True
    )
