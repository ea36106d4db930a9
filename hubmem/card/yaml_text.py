"""YAML from strangers, read in bounded time and depth.

A plain loader builds nothing but lists, mappings and scalars. What is left is depth, which ends the process in
C's stack, and merge keys: a mapping may merge another nine times, which merges another nine times, and so on.
"""

from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

# The fast one is there wherever PyYAML came as a wheel.
_Plain: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
# `model-index`, the deepest that the Hub knows, is seven deep.
_DEEPEST = 50

YAMLError = yaml.YAMLError
MarkedYAMLError = yaml.MarkedYAMLError


def load(text: str) -> Any:
    """The value of a YAML text, merge keys (`<<`) left out.

    Raises:
        YAMLError: it is not YAML, or nested too deeply; a `MarkedYAMLError` says where.
        ValueError: a date or a number that cannot be.
    """
    _refuse_depth(text)
    return yaml.load(text, Loader=_WithoutMerges)  # noqa: S506 - a plain loader that builds even less


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Plain):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise MarkedYAMLError(problem=f"more than {_DEEPEST} deep", problem_mark=event.start_mark)


class _WithoutMerges(_Plain):  # type: ignore[misc]  # see above
    def flatten_mapping(self, node: Any) -> None:
        """Drop what a mapping would merge into itself."""
        node.value = [(key, value) for key, value in node.value if key.tag != _MERGE]
