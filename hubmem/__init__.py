"""Will it fit, and why? Exact memory plans for Hugging Face Hub models.

>>> from hubmem import inspect
>>> report = inspect("openai-community/gpt2", offline=True)
>>> report.census.parameters
124439808
"""

from typing import TYPE_CHECKING, Any

from hubmem.version import __version__ as __version__

__all__ = ["HubmemError", "Report", "Skipped", "inspect", "scan"]

if TYPE_CHECKING:
    from hubmem.errors import HubmemError
    from hubmem.inspection import inspect
    from hubmem.report import Report
    from hubmem.scanning.scan import scan
    from hubmem.scanning.skipped import Skipped

# Imported when first used, so that `hubmem --help` and a plain `import hubmem` cost nothing.
_HOMES = {
    "HubmemError": "hubmem.errors",
    "Report": "hubmem.report",
    "Skipped": "hubmem.scanning.skipped",
    "inspect": "hubmem.inspection",
    "scan": "hubmem.scanning.scan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hubmem' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
