"""Every tensor of a checkpoint, folded, and the sums over them.

Three things are counted apart, always: stored elements (what the files hold), logical parameters (what the
model has, packed weights unpacked and tied copies once) and buffers (saved state that is not trained).
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from hubmem import dtypes, templates
from hubmem.errors import MalformedWeights
from hubmem.weights import ggml
from hubmem.weights.roles import Role, role_of
from hubmem.weights.safetensors import Tensor

Basis = Literal["headers", "pickle", "gguf", "hub-api", "bundled"]
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorGroup:
    """Tensors of one file that share a folded name, a dtype and a shape.

    Attributes:
        template: their names, as `hubmem.templates` folds them.
        shape: of each of them, as stored.
        count: how many there are.
        unpacked: shape of the parameter each of them holds, which differs from `shape` where weights are
            packed; None for what is no parameter of its own: buffers, quantization scales and second copies
            of tied weights.
        nbytes_each: bytes of one of them in its file.
        copy: whether it repeats a tensor it is tied to, and is dropped on loading.
    """

    template: str
    dtype: str
    shape: tuple[int, ...]
    count: int
    file: str
    role: Role
    unpacked: tuple[int, ...] | None
    nbytes_each: int
    copy: bool = False

    @property
    def elements(self) -> int:
        """Elements of one of them."""
        return math.prod(self.shape)

    @property
    def logical(self) -> int:
        """Parameters each of them stands for."""
        return 0 if self.unpacked is None else math.prod(self.unpacked)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return self.count * self.nbytes_each

    @property
    def is_packed(self) -> bool:
        """Whether several weights lie in one stored element."""
        return self.unpacked is not None and self.unpacked != self.shape

    @property
    def loaded_nbytes(self) -> int:
        """Bytes of all of them once loaded as they are stored."""
        return 0 if self.copy else self.nbytes

    @property
    def parameters(self) -> int:
        """Logical parameters of all of them."""
        return self.count * self.logical

    @property
    def layers(self) -> list[int] | None:
        """The layer numbers they are spread over evenly, or None outside the layers."""
        return templates.leading_numbers(self.template)


@dataclass(frozen=True, kw_only=True)
class Census:
    """The tensors of a checkpoint.

    Attributes:
        format: `safetensors`, `gguf` or `torch`.
        files: how many weight files hold them.
        basis: where they were read from.
        config: the model's config in the names of config.json, where the weight files hold one; else None.
        notes: what a reader should know, such as an index that disagrees with its shards.
    """

    groups: tuple[TensorGroup, ...]
    format: str
    files: int
    basis: Basis
    config: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def tensors(self) -> int:
        """How many tensors there are."""
        return sum(group.count for group in self.groups)

    @cached_property
    def stored_bytes(self) -> int:
        """Bytes of all tensors in the files."""
        return sum(group.nbytes for group in self.groups)

    @cached_property
    def loaded_bytes(self) -> int:
        """Bytes of all tensors once loaded as they are stored: second copies of tied tensors are dropped."""
        return sum(group.loaded_nbytes for group in self.groups)

    @cached_property
    def stored_elements(self) -> int:
        """Elements of all tensors in the files."""
        return sum(group.count * group.elements for group in self.groups)

    @cached_property
    def parameters(self) -> int:
        """Logical parameters."""
        return sum(group.parameters for group in self.groups)

    @cached_property
    def buffers(self) -> int:
        """Elements of buffers."""
        return sum(group.count * group.elements for group in self.groups if group.role is Role.BUFFER)

    @cached_property
    def without_drafts(self) -> "Census":
        """The census without layers that draft tokens; itself where there are none."""
        groups = tuple(group for group in self.groups if group.role is not Role.DRAFT)
        return replace(self, groups=groups) if len(groups) < len(self.groups) else self

    @cached_property
    def across_files(self) -> tuple[TensorGroup, ...]:
        """The groups, merged where they differ in their file alone: fewer to go through for a sum over some layers.

        A merged group's file is that of its first member; its template names the layers of all.
        """
        # The experts of one layer may be divided among files, and then the layers are.
        return tuple(_over_numbers(_over_numbers(self.groups, last=True), last=False))

    @cached_property
    def kinds(self) -> tuple[TensorGroup, ...]:
        """The groups, merged where they differ in file or layer alone: fewest to go through for a sum over all layers.

        A merged group's template is that of its first member; its count is of all.
        """
        merged: dict[tuple[object, ...], TensorGroup] = {}
        for group in self.groups:
            key = (templates.pattern(group.template), *_likeness(group))
            known = merged.get(key)
            merged[key] = replace(known, count=known.count + group.count) if known else group
        return tuple(merged.values())

    def by_role(self) -> dict[Role, int]:
        """Logical parameters by role, largest first; their sum is `parameters`."""
        return _sums(self.groups, lambda group: group.role, lambda group: group.parameters)

    def by_dtype(self) -> dict[str, int]:
        """Stored elements by dtype, largest first; their sum is `stored_elements`."""
        return _sums(self.groups, lambda group: group.dtype, lambda group: group.count * group.elements)

    def by_file(self) -> dict[str, int]:
        """Stored bytes by file, largest first; their sum is `stored_bytes`."""
        return _sums(self.groups, lambda group: group.file, lambda group: group.nbytes)

    @cached_property
    def main_dtype(self) -> str:
        """The dtype that most bytes are stored in."""
        sizes = _sums(self.groups, lambda group: group.dtype, lambda group: group.nbytes)
        return next(iter(sizes), "")

    def find(self, *endings: str) -> Iterator[TensorGroup]:
        """The kinds of groups whose name ends in one of the endings."""
        return (group for group in self.kinds if group.template.endswith(endings))

    def changed(self, change: Callable[[TensorGroup], TensorGroup], *notes: str) -> "Census":
        """The census with each group changed, and further notes."""
        return replace(self, groups=tuple(map(change, self.groups)), notes=(*self.notes, *notes))


def _over_numbers(groups: Iterable[TensorGroup], *, last: bool) -> Iterator[TensorGroup]:
    """Groups that differ only in the numbers of their first numbered part, or their last, as one.

    They stay as they are where two of them share a number.
    """
    alike: defaultdict[tuple[str, str, tuple[object, ...]], list[tuple[TensorGroup, list[int]]]]
    alike = defaultdict(list)
    for group in groups:
        before, found, after = templates.cut_at_numbers(group.template, last=last) or (group.template, [], "")
        alike[before, after, _likeness(group)].append((group, found))
    for (before, after, _), members in alike.items():
        numbers = [number for _, found in members for number in found]
        if len(members) == 1 or not numbers or len(set(numbers)) < len(numbers):
            yield from (group for group, _ in members)
        else:
            template = templates.with_numbers(before, numbers, after)
            yield replace(members[0][0], template=template, count=sum(group.count for group, _ in members))


def _likeness(group: TensorGroup) -> tuple[object, ...]:
    """All of a group but its name, its number and its file."""
    return tuple(
        getattr(group, field.name)
        for field in fields(TensorGroup)
        if field.name not in ("template", "count", "file")
    )


def fold_file(
    tensors: Iterable[Tensor], file: str, copies: Collection[str] = frozenset()
) -> tuple[TensorGroup, ...]:
    """The tensors of one file as groups.

    Args:
        tensors: in any order.
        file: its path in the repo.
        copies: names of tensors whose bytes are another's.
    """
    rows = templates.fold(
        (tensor.name, (tensor.dtype, tensor.shape, tensor.name in copies)) for tensor in tensors
    )
    return tuple(_group(template, *key, file) for template, key in rows)


def dump_groups(groups: Iterable[TensorGroup]) -> bytes:
    """Groups as the header cache keeps them: `[[template, dtype, shape], …]` in JSON; copies end in true."""
    rows = [[group.template, group.dtype, group.shape, *([True] if group.copy else [])] for group in groups]
    return json.dumps(rows, separators=(",", ":")).encode()


def load_groups(stored: bytes, file: str) -> tuple[TensorGroup, ...]:
    """The groups `dump_groups` wrote.

    Raises:
        MalformedWeights: the stored text is damaged.
    """
    try:
        return tuple(
            _group(template, dtype, tuple(shape), bool(copy), file)
            for template, dtype, shape, *copy in json.loads(stored)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedWeights(
            file, f"its stored header is damaged ({error!r}).", hint="Delete the cache."
        ) from error


def _group(template: str, dtype: str, shape: tuple[int, ...], copy: bool, file: str) -> TensorGroup:
    role = role_of(template, shape)
    return TensorGroup(
        template=template,
        dtype=dtype,
        shape=shape,
        count=templates.count(template),
        file=file,
        role=role,
        unpacked=None if role is Role.BUFFER or copy else shape,
        nbytes_each=_nbytes(dtype, math.prod(shape)),
        copy=copy,
    )


def _nbytes(dtype: str, elements: int) -> int:
    """Bytes of that many elements; what safetensors and ggml both have is equally wide in both."""
    known = dtypes.BY_NAME.get(dtype)
    return known.nbytes(elements) if known else ggml.of(dtype).nbytes(elements)


def _sums(
    groups: Iterable[TensorGroup], key: Callable[[TensorGroup], _Key], amount: Callable[[TensorGroup], int]
) -> dict[_Key, int]:
    totals: Counter[_Key] = Counter()
    for group in groups:
        totals[key(group)] += amount(group)
    return dict(totals.most_common())
