"""Fingerprints of source code: what a stage runs, without comments, docstrings and formatting.

A stage of dvc.yaml depends on one small file, the fingerprint of every module that its script imports. An edited
comment leaves that file as it is, so nothing runs again; any other edit changes it.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# Settings are checked by this module and never changed, and DVC tracks the values that a stage reads: a new allowed
# value or another error message must not retrain anything. A test holds that reading settings changes no value.
NOT_FOLLOWED = ("chest_transfer.settings",)
DIGITS = 32  # hexadecimal ones of each SHA-256
FOLDERS = {"stages": Path(), "chest_transfer": Path("src")}  # top-level package -> the folder that holds it


@dataclass(frozen=True)
class _Module:
    """What matters of a module's text: its digest, the modules that it names in imports, whether it does anything."""

    digest: str
    imports: frozenset[str]
    has_statements: bool


def stage_fingerprint(script: Path, project: Path = Path()) -> str:
    """Return the fingerprint of a stage script: a line `<file> <digest>` for each file that it can run or read.

    Args:
        script: Path of the script, relative to the project.
        project: Path of the project's folder, with `stages/` and `src/`.

    Returns:
        Text, ordered by file, that stays the same when only comments, docstrings or formatting change. Files that
        packages bring beside their modules (templates, tables) are in it by their bytes.
    """
    package = (project / script).with_name("__init__.py")  # runs before the script
    modules = import_closure(project / script, project) | import_closure(package, project)
    package_data = {file for module in modules for file in module.parent.iterdir() if _is_package_data(file, project)}
    digests = {module: _module(module.read_bytes()).digest for module in modules}
    digests |= {file: hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS] for file in package_data}
    return "".join(f"{file.relative_to(project).as_posix()} {digests[file]}\n" for file in sorted(digests))


def import_closure(path: Path, project: Path = Path()) -> set[Path]:
    """Return every module of this project that running `path` can import, late imports inside functions included.

    Modules without statements (empty `__init__.py`) and those of `NOT_FOLLOWED` are left out.
    """
    found, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            names = _module(current.read_bytes()).imports
            waiting += [file for name in names if (file := _module_file(name, project))]
    return {module for module in found if _module(module.read_bytes()).has_statements}


@lru_cache(maxsize=1024)
def _module(source: bytes) -> _Module:
    tree = ast.parse(source)
    digest = hashlib.sha256(repr(_canonical(tree)).encode()).hexdigest()[:DIGITS]
    return _Module(digest, frozenset(_imported_names(tree)), bool(_statements(tree)))


def _imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield every name that may be a module: of `from a.b import c` these are a, a.b and a.b.c."""
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def _nodes_that_run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those under `if TYPE_CHECKING:`."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _nodes_that_run(child)


def _module_file(name: str, project: Path) -> Path | None:
    package = name.split(".")[0]
    if package not in FOLDERS or name in NOT_FOLLOWED:
        return None
    base = project / FOLDERS[package] / name.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _is_package_data(path: Path, project: Path) -> bool:
    inside_package = path.is_relative_to(project / FOLDERS["chest_transfer"])
    return inside_package and path.is_file() and path.suffix not in (".py", ".pyc")


def _canonical(node):
    """Return a syntax tree as nested tuples without positions, docstrings and empty fields.

    Fields that are empty are left out because later versions of Python add some (`type_params` in 3.12).
    """
    if isinstance(node, list):
        return tuple(_canonical(item) for item in node)
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        fields["body"] = _statements(node)
    return (
        type(node).__name__,
        *((name, _canonical(value)) for name, value in fields.items() if value is not None and value != []),
    )


def _statements(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """Return the body of a module, class or function without its docstring."""
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
