"""Which files of a folder hold a model's weights. Pure: a rule over names.

An index is authoritative: only the files it names count, whatever else lies beside them. Loaders of the
transformers line look for `model.*` first, then for the names other libraries give; safetensors before
pickled files; GGUF files, each a whole model, are alternatives to each other.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from hubmem.errors import NoWeights, UsageError

FormatName = Literal["safetensors", "gguf", "torch"]

# In the order loaders prefer them: transformers, Mistral's own format, diffusers' single components, peft.
_STEMS = ("model", "consolidated", "diffusion_pytorch_model", "adapter_model")
_NAMES = (
    *((stem, ".safetensors") for stem in _STEMS),
    *((stem, ".bin") for stem in ("pytorch_model", "diffusion_pytorch_model", "model", "adapter_model")),
)
_SUFFIXES: dict[str, FormatName] = {
    ".safetensors": "safetensors",
    ".gguf": "gguf",
    ".bin": "torch",
    ".pth": "torch",
    ".pt": "torch",
    ".ckpt": "torch",
}
# Formats without a reader here, by the files that give them away.
_OTHER_FORMATS = (
    (".onnx", "ONNX"),
    (".msgpack", "Flax"),
    (".h5", "TensorFlow"),
    (".nemo", "NeMo"),
    (".mlmodel", "Core ML"),
    (".mlpackage", "Core ML"),
    (".tflite", "TensorFlow Lite"),
    (".llamafile", "llamafile"),
    (".mar", "TorchServe"),
)
# Pickled files that trainers leave beside the weights.
_NOT_WEIGHTS = frozenset(
    {"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth"}
)
_VARIANT = re.compile(r"\.(fp16|fp32|bf16|non_ema|ema_only|fp8|int8)(?=[.-])")
# llama.cpp's gguf-split: name-00001-of-00003.gguf.
_GGUF_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
# A numbered set of shards: stem, number, how many, suffix.
_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.(safetensors|bin))$")
# The name of a model, and behind its last point or dash the quantization.
_LAST_PART = re.compile(r"[.-](?=[^.-]*$)")
# Recipes whose files lie beside the plain ones: `llama-8b-UD-Q4_K_XL.gguf`.
_RECIPE = re.compile(r"[.-](UD|i1|imat(rix)?)$", re.IGNORECASE)
# The projector of a vision tower, which llama.cpp loads beside a model.
_PROJECTOR = re.compile(r"(^|/)mmproj[^/]*\.gguf$", re.IGNORECASE)
# Of a repo's GGUF files the first of these is counted: the quantizations that are downloaded most.
_USUAL_GGUF = ("Q4_K_M", "Q4_K_S", "Q4_0", "MXFP4", "Q8_0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a user picks out of a repo.

    Attributes:
        variant: such as `fp16`: `model.fp16.safetensors` instead of `model.safetensors`.
        subfolder: look there instead of at the root.
        file: count this file alone, with the further files of its split.
    """

    variant: str | None = None
    subfolder: str | None = None
    file: str | None = None


EVERYTHING = Selection()
"""Nothing picked: the files that loaders take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the weights of one model lie: in the files an index names, or in the files listed.

    Attributes:
        index: path of the index, or None.
        files: the weight files; empty where only the index knows them.
        part: the component of the repo they are, such as `text_encoder`, or "".
        kind: the class of the component, such as `UNet2DConditionModel`, or "".
        notes: files that were passed over and why.
        alternatives: other whole models in the same folder, of which one is picked.
    """

    index: str | None
    files: tuple[str, ...]
    format: FormatName = "safetensors"
    part: str = ""
    kind: str = ""
    notes: tuple[str, ...] = ()
    alternatives: tuple["Layout", ...] = ()

    @property
    def first(self) -> str:
        """The index, or the first file."""
        return self.index or self.files[0]

    @property
    def folder(self) -> str:
        """The folder of the weights, where their config.json is too; "" is the root.

        >>> Layout(index=None, files=("7b/1/model.safetensors",)).folder
        '7b/1'
        """
        return posixpath.dirname(self.first)


def choose(paths: Iterable[str], selection: Selection = EVERYTHING) -> Layout:
    """The layout of one model among a repo's files.

    >>> choose(["config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors"]).index
    'model.safetensors.index.json'
    >>> choose(["a.Q4_K_M.gguf", "a.Q8_0.gguf"]).files
    ('a.Q4_K_M.gguf',)

    Raises:
        NoWeights: no file that can be read; the message names what there is instead.
        UsageError: the selection names what is not there.
    """
    names = set(paths)
    folder = selection.subfolder.strip("/") + "/" if selection.subfolder else ""
    inside = {name for name in names if name.startswith(folder)}
    if folder and not inside:
        raise UsageError(f"The repo has no folder {selection.subfolder}.", hint=_folders_hint(names))
    if selection.file:
        return _picked(inside, folder, selection.file)
    here = {name for name in inside if "/" not in name[len(folder) :]}
    named = _named(here, folder, selection.variant)
    if named:
        return replace(named, notes=(*named.notes, *_passed_over(inside, here, folder, named)))
    if selection.variant:
        raise UsageError(
            f"The repo has no weights of variant {selection.variant!r}.", hint=_variants_hint(here)
        )
    found = _only_variants(here, folder) or _under_other_names(here, inside)
    if found is None:
        raise _unreadable(inside)
    return found


def _under_other_names(here: set[str], inside: set[str]) -> Layout | None:
    """Weights under names that no loader looks for: beside the config, else in folders below it."""
    beside = _gguf(here) or _safetensors(here) or _torch(here)
    return beside or _gguf(inside) or _safetensors(inside) or _shards(sorted(filter(is_weights, inside)))


def _named(here: set[str], folder: str, variant: str | None) -> Layout | None:
    """Files under the names loaders look for."""
    layouts = (_with_stem(here, folder + stem, suffix, variant) for stem, suffix in _NAMES)
    return next(filter(None, layouts), None)


def _only_variants(here: set[str], folder: str) -> Layout | None:
    """Where there is no plain file, loaders want to be told a variant; the first there is, with a note."""
    variants = _variants(here)
    found = _named(here, folder, variants[0]) if variants else None
    if found is None:
        return None
    note = f"Only variants are stored ({', '.join(variants)}); {variants[0]} is counted."
    return replace(found, notes=(*found.notes, note))


def _variants(here: set[str]) -> list[str]:
    return sorted({match[1] for name in here if (match := _VARIANT.search(name))})


def _with_stem(here: set[str], stem: str, suffix: str, variant: str | None) -> Layout | None:
    """The index or the single file of a stem, which the variant is part of; the index first."""
    marked = f".{variant}" if variant else ""
    single = f"{stem}{marked}{suffix}"
    format_name = _SUFFIXES[suffix]
    for index in (f"{stem}{suffix}.index{marked}.json", f"{stem}{marked}{suffix}.index.json"):
        if index in here:
            note = f"{single} lies beside {index} and is not counted: loaders follow the index."
            return Layout(index=index, files=(), format=format_name, notes=(note,) if single in here else ())
    return Layout(index=None, files=(single,), format=format_name) if single in here else None


def _passed_over(inside: set[str], here: set[str], folder: str, chosen: Layout) -> Iterator[str]:
    """What else looks like weights of the same model and is not counted."""
    for stem in _STEMS[:2]:
        form = re.compile(rf"{re.escape(folder + stem)}[.-].*safetensors$")
        is_other = chosen.format == "safetensors" and not chosen.first.startswith(f"{folder}{stem}.")
        if is_other and any(map(form.match, here)):
            yield f"{folder}{stem}*.safetensors hold the same model in another form and are not counted."
    aside = {
        name[len(folder) :].split("/")[0]
        for name in inside - here
        if name.endswith((".safetensors", ".pth", ".gguf"))
    }
    if aside:
        listed = ", ".join(f"{folder}{name}/" for name in sorted(aside)[:4])
        yield f"Weights in {listed} are not counted: loaders take those beside the config."


def _gguf(here: set[str]) -> Layout | None:
    """Each GGUF file, or set of split files, is a model of its own; projectors lie beside all of them."""
    files = sorted(name for name in here if name.endswith(".gguf") and not _PROJECTOR.search(name))
    projectors = sorted(name for name in here if _PROJECTOR.search(name))
    models = [
        Layout(index=None, files=tuple(parts), format="gguf", part=label_of(stem))
        for stem, parts in groupby(files, key=lambda name: _GGUF_SPLIT.sub("", name).removesuffix(".gguf"))
    ]
    if not models:
        return None
    usual = (model for label in _USUAL_GGUF for model in models if label.lower() in model.part.lower())
    chosen = next(usual, models[0])
    notes = (
        [f"{len(models)} GGUF models; {chosen.files[0]} is counted, --file picks another."]
        if len(models) > 1
        else []
    )
    notes += [f"{name} is a vision projector beside the model and is not counted." for name in projectors[:1]]
    others = tuple(model for model in models if model is not chosen)
    return replace(chosen, part="", notes=tuple(notes), alternatives=others)


def label_of(path: str) -> str:
    """What tells one GGUF file of a repo from another: usually the last part of its name.

    >>> label_of("Llama-3.1-8B-Q4_K_M-00001-of-00002.gguf"), label_of("llama-2-7b.Q8_0.gguf"), label_of("model.gguf")
    ('Q4_K_M', 'Q8_0', 'model')
    """
    return _LAST_PART.split(_stem(path))[-1]


def model_name(path: str) -> str:
    """What GGUF files of one model have in common: their name before the label, wherever they lie.

    >>> model_name("Q8_0/llama-8b-Q8_0-00001-of-00002.gguf"), model_name("llama-8b.Q4_K_M.gguf")
    ('llama-8b', 'llama-8b')
    """
    return _RECIPE.sub("", _LAST_PART.split(_stem(path))[0])


def _stem(path: str) -> str:
    return _GGUF_SPLIT.sub("", posixpath.basename(path)).removesuffix(".gguf")


def _safetensors(names: set[str]) -> Layout | None:
    """One odd index, the only file there is, or shards whose index is missing."""
    indexes = [name for name in names if name.endswith(".safetensors.index.json")]
    if len(indexes) == 1:
        return Layout(index=indexes[0], files=())
    files = sorted(name for name in names if name.endswith(".safetensors"))
    return _alone(files) or _shards(files)


def _torch(here: set[str]) -> Layout | None:
    """Pickled PyTorch weights: Meta's parts, the only file there is, or shards whose index is missing."""
    files = sorted(name for name in here if is_weights(name) and _format_of(name) == "torch")
    parts = tuple(name for name in files if posixpath.basename(name).startswith("consolidated."))
    return Layout(index=None, files=parts, format="torch") if parts else _alone(files) or _shards(files)


def _alone(files: Sequence[str]) -> Layout | None:
    """The only file there is."""
    if len(files) != 1:
        return None
    note = f"Weights are in {files[0]}, an unusual name."
    return Layout(index=None, files=(files[0],), format=_format_of(files[0]), notes=(note,))


def _shards(files: Sequence[str]) -> Layout | None:
    """Shards whose index is missing, where all of them are there."""
    if not _is_whole_set(files):
        return None
    note = f"No index names the {len(files)} shards; all are counted, as vLLM loads them."
    return Layout(index=None, files=tuple(files), format=_format_of(files[0]), notes=(note,))


def _unreadable(names: set[str]) -> NoWeights:
    """Why none of a repo's files can be taken for its weights."""
    weights = sorted(filter(is_weights, names))
    if weights:
        number = (
            "1 weight file, and it is not"
            if len(weights) == 1
            else f"{len(weights)} weight files, and none is"
        )
        return NoWeights(
            f"{number} named as a model's: {_some(weights, 3)}.",
            hint="Pick one with --file, or a folder with --subfolder.",
        )
    # Some formats are folders.
    present = [label for end, label in _OTHER_FORMATS if any(f"{end}/" in f"{name}/" for name in names)]
    if present:
        return NoWeights(
            f"The repo holds {' and '.join(dict.fromkeys(present))} alone, which hubmem does not read.",
            hint="Look for the repo it was converted from: its card usually names it as base model.",
        )
    return NoWeights(
        "The repo holds no weights.", hint="Is it a dataset, a tokenizer or a repo still to be filled?"
    )


def _is_whole_set(files: Sequence[str]) -> bool:
    """Whether files are the shards of one set, each of them there.

    >>> _is_whole_set(["m-00001-of-00002.bin", "m-00002-of-00002.bin"]), _is_whole_set(["m-00001-of-00002.bin"])
    (True, False)
    """
    shards = [match for match in map(_SHARD.fullmatch, files) if match]
    if len(shards) < len(files) or len({(shard["stem"], shard["suffix"]) for shard in shards}) != 1:
        return False
    numbers = [(int(shard["number"]), int(shard["count"])) for shard in shards]
    return numbers == [(number, len(files)) for number in range(1, len(files) + 1)]


def _format_of(name: str) -> FormatName:
    return _SUFFIXES[posixpath.splitext(name)[1]]


def _has_format(name: str) -> bool:
    return posixpath.splitext(name)[1] in _SUFFIXES


def is_weights(name: str) -> bool:
    """Whether a file of that name is of a format that can be read, and no trainer's leftover.

    >>> is_weights("unet/diffusion_pytorch_model.safetensors"), is_weights("optimizer.pt")
    (True, False)
    """
    is_leftover = posixpath.basename(name) in _NOT_WEIGHTS
    return _has_format(name) and not is_leftover and ".mlpackage/" not in name


def _picked(names: set[str], folder: str, file: str) -> Layout:
    """One file, by its path or its name alone, with the further files of its split or of its index."""
    exact = [path for path in (folder + file, file) if path in names]
    matching = exact[:1] or sorted(name for name in names if posixpath.basename(name) == file)
    if not matching:
        raise UsageError(f"The repo has no file {file}.", hint=_files_hint(names))
    if len(matching) > 1:
        raise UsageError(
            f"{len(matching)} files of the repo are called {file}.", hint=f"Pick one of {_some(matching, 6)}."
        )
    name = matching[0]
    if name.endswith(".index.json"):
        return Layout(index=name, files=(), format="torch" if ".bin." in name else "safetensors")
    if not _has_format(name):
        raise UsageError(f"{name} is not a weight file.", hint=_files_hint(names))
    stem = _GGUF_SPLIT.sub("", name)
    split = tuple(
        sorted(other for other in names if _GGUF_SPLIT.search(other) and _GGUF_SPLIT.sub("", other) == stem)
    )
    return Layout(index=None, files=split if name in split else (name,), format=_format_of(name))


def _some(names: Sequence[str], most: int) -> str:
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _files_hint(names: set[str]) -> str:
    weights = sorted(filter(is_weights, names))
    return f"Weight files: {_some(weights, 6)}." if weights else ""


def _folders_hint(names: set[str]) -> str:
    folders = sorted({name.split("/")[0] for name in names if "/" in name})
    return f"Folders: {', '.join(folders[:8])}." if folders else ""


def _variants_hint(here: set[str]) -> str:
    variants = _variants(here)
    return f"Variants: {', '.join(variants)}." if variants else ""
