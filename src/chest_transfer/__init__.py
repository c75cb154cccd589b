"""Transfer learning on chest X-rays. In Python: `from chest_transfer import Model`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chest_transfer.serving.python_model import Model

__all__ = ["Model"]


def __getattr__(name: str):
    # By its name: an import statement would make every stage depend on the code of `serving`.
    if name == "Model":
        return import_module("chest_transfer.serving.python_model").Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
