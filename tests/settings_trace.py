"""Which settings a stage reads: every leaf of params.yaml that is looked up while it runs, recorded by stage script."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chest_transfer import settings as settings_module
from chest_transfer.settings import Section

MAPPINGS = ("degrade",)  # settings that are dictionaries with keys of their own choice


@contextmanager
def record(script: str, target: str | None) -> Iterator[None]:
    """Add the leaves that are read within the block to a JSON file of lists by script; do nothing without a file."""
    if target is None:
        yield
        return
    read: set[str] = set()
    paths: dict[int, str] = {}
    read_settings, lookup, dump = settings_module.read_settings, Section.__getattribute__, Section.model_dump

    def traced_read_settings(*arguments):
        settings = read_settings(*arguments)
        paths.update(list(_sections(settings, "")))  # all of them first: looking them up is no reading
        kept.append(settings)
        return settings

    def traced_lookup(section, name):
        value = lookup(section, name)
        prefix = paths.get(id(section))
        if prefix is not None and name in type(section).model_fields and not _holds_sections(value):
            read.add(prefix + name)
        return value

    def traced_dump(section, **options):
        prefix = paths.get(id(section), "")
        excluded = options.get("exclude") or ()
        read.update(prefix + leaf for leaf in leaves(dump(section)) if leaf.split(".")[0] not in excluded)
        return dump(section, **options)

    kept: list = []  # sections are known by their id, so they must not be freed
    settings_module.read_settings = traced_read_settings
    Section.__getattribute__, Section.model_dump = traced_lookup, traced_dump
    try:
        yield
    finally:
        settings_module.read_settings = read_settings
        Section.__getattribute__, Section.model_dump = lookup, dump
        file = Path(target)
        content = json.loads(file.read_text()) if file.exists() else {}
        content[script] = sorted({*content.get(script, []), *read})
        file.write_text(json.dumps(content))


def leaves(content: dict) -> list[str]:
    """Return the dotted paths of everything in nested dictionaries that is no section of settings."""
    found = []
    for key, value in content.items():
        if isinstance(value, dict) and value and key not in MAPPINGS:
            found += [f"{key}.{leaf}" for leaf in leaves(value)]
        else:
            found.append(key)
    return found


def _sections(section: Section, prefix: str) -> Iterator[tuple[int, str]]:
    yield id(section), prefix
    for name in type(section).model_fields:
        value = getattr(section, name)
        parts = value if isinstance(value, dict) else {}
        for key, part in ({name: value} | {f"{name}.{key}": part for key, part in parts.items()}).items():
            if isinstance(part, Section):
                yield from _sections(part, f"{prefix}{key}.")


def _holds_sections(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(part, Section) for part in parts)
