"""The model types hubmem knows, one row per type or group of types, and how a row becomes an architecture.

A row says only what differs from the ordinary decoder: softmax attention by the usual keys, `layer_types` or
a window where the config has them, gated feed-forward parts or experts. A new type of that kind is its name
in a row; one with another kind of layer names its reader.
"""

from collections.abc import Mapping
from dataclasses import replace

from hubmem import dtypes
from hubmem.errors import MalformedConfig
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size
from hubmem.models.families.composites import COMPOSITES
from hubmem.models.families.decoders import DECODERS
from hubmem.models.families.encoders import ENCODERS
from hubmem.models.families.hybrids import HYBRIDS
from hubmem.models.families.remote_code import REMOTE_CODE
from hubmem.models.families.sequence_to_sequence import SEQUENCE_TO_SEQUENCE
from hubmem.models.family import Family
from hubmem.models.switches import read_switches
from hubmem.models.towers import read_tower

FAMILIES: tuple[Family, ...] = (
    *DECODERS,
    *HYBRIDS,
    *SEQUENCE_TO_SEQUENCE,
    *ENCODERS,
    *COMPOSITES,
    *REMOTE_CODE,
)

_BY_TYPE: Mapping[str, Family] = {name: family for family in FAMILIES for name in family.names}

_CONTEXTS = (
    "max_position_embeddings",
    "n_positions",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_len",
    "model_max_length",
    "seq_length",
    "max_context_length",
)


def read_architecture(config: Config, images: Config | None = None) -> Architecture | None:
    """What a config says about its model, or None for a model type that is not known.

    Args:
        config: of `config.json`.
        images: the settings of its image processor, None where they were not read.

    Raises:
        MalformedConfig: a key is missing or of a wrong type, or two contradict each other.
    """
    family = _BY_TYPE.get(config.model_type)
    if family is None:
        return None
    if family.body:
        return _composite(config, family, images)
    config = config.respelled(family.spellings)
    return Architecture(
        model_type=config.model_type,
        class_name=_class_name(config),
        hidden_size=hidden_size(config),
        vocab_size=config.positive("vocab_size"),
        max_context=config.optional_positive(*_CONTEXTS),
        dtype=_dtype(config),
        tied_embeddings=not family.has_own_head
        and config.boolean("tie_word_embeddings", default=family.tied),
        layers=family.decoder.read(config),
        encoder=family.encoder.read(config) if family.encoder else (),
        generates=family.generates(config),
        switches=read_switches(config),
        tower=read_tower(config, images),
    )


def _composite(config: Config, family: Family, images: Config | None) -> Architecture | None:
    """The architecture of the language model inside, with what the outer config says about the whole."""
    inner = read_architecture(_body(config, family))
    if inner is None:
        return None
    tied = config.boolean("tie_word_embeddings", default=inner.tied_embeddings)
    return replace(
        inner,
        model_type=config.model_type,
        class_name=_class_name(config),
        dtype=_dtype(config) or inner.dtype,
        tied_embeddings=tied,
        encoder=_encoder(config) or inner.encoder,
        generates=inner.generates and family.generates(config),
        tower=read_tower(config, images),
    )


def _encoder(config: Config) -> tuple[Layer, ...]:
    """The layers of an encoder that has a config of its own, none for one of images or sound."""
    nested = config.child("encoder") or config.child("encoder_config")
    architecture = read_architecture(nested) if nested else None
    return architecture.layers if architecture else ()


def _body(config: Config, family: Family) -> Config:
    """The first nested config that is there; older files have its keys at their top (Qwen2-VL).

    Raises:
        MalformedConfig: neither.
    """
    own_type = config.sub_type(family.body[0]) or family.body_type
    nested = next((child for child in map(config.child, family.body) if child is not None), None)
    if nested is not None:
        return nested if nested.model_type else nested.read_as(own_type)
    flat = config.read_as(own_type)
    if "num_hidden_layers" not in flat and "hidden_size" not in flat:
        raise MalformedConfig("expected object, got nothing", key=config.path_of(family.body[0]))
    return flat


def _class_name(config: Config) -> str | None:
    names = config.texts("architectures")
    return names[0] if names else None


def _dtype(config: Config) -> str | None:
    spelled = config.text("dtype") or config.text("torch_dtype")
    known = dtypes.find(spelled) if spelled else None
    return known.name if known else None
