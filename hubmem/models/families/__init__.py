"""The model types hubmem knows, one row a type or group of types, and how a row becomes an architecture.

A row says only what differs from the ordinary decoder: softmax attention by the usual keys, `layer_types` or
a window where the config has them, gated feed-forward parts or experts. A new type of that kind is its name
in a row; one with another kind of layer names its reader.
"""

from collections.abc import Mapping

from hubmem import dtypes
from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size
from hubmem.models.families.composites import COMPOSITES
from hubmem.models.families.decoders import DECODERS
from hubmem.models.families.encoders import ENCODERS
from hubmem.models.families.hybrids import HYBRIDS
from hubmem.models.families.sequence_to_sequence import SEQUENCE_TO_SEQUENCE
from hubmem.models.family import Family

FAMILIES: tuple[Family, ...] = (*DECODERS, *HYBRIDS, *SEQUENCE_TO_SEQUENCE, *ENCODERS, *COMPOSITES)

_BY_TYPE: Mapping[str, Family] = {name: family for family in FAMILIES for name in family.names}

_CONTEXTS = (
    "max_position_embeddings",
    "n_positions",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_len",
    "model_max_length",
    "seq_length",
)


def read_architecture(config: Config) -> Architecture | None:
    """What a config says about its model, or None for a model type that is not known.

    Raises:
        MalformedConfig: a key is missing or of a wrong type, or two contradict each other.
    """
    body, family = _language_model(config)
    if family is None:
        return None
    tied = family.tied
    if tied is None:
        stated = config if "tie_word_embeddings" in config else body
        tied = stated.boolean("tie_word_embeddings")
    return Architecture(
        model_type=config.model_type,
        class_name=_class_name(config),
        hidden_size=hidden_size(body),
        vocab_size=body.positive("vocab_size"),
        max_context=body.optional_positive(*_CONTEXTS),
        dtype=_dtype(config) or _dtype(body),
        tied_embeddings=tied,
        layers=family.decoder.read(body),
        encoder=family.encoder.read(body) if family.encoder else (),
        generates=family.generates(body),
    )


def _language_model(config: Config) -> tuple[Config, Family | None]:
    """The config of the part that makes tokens, and its family: nested configs are followed down."""
    family = _BY_TYPE.get(config.model_type)
    while family is not None and family.body:
        config = _body(config, family.body)
        family = _BY_TYPE.get(config.model_type)
    return config, family


def _body(config: Config, keys: tuple[str, ...]) -> Config:
    """The first nested config that is there; older files have its keys at their top (Qwen2-VL)."""
    nested = next((child for child in map(config.child, keys) if child is not None), None)
    return nested or config.read_as(config.sub_type(keys[0]))


def _class_name(config: Config) -> str | None:
    names = config.items("architectures")
    return str(names[0]) if names else None


def _dtype(config: Config) -> str | None:
    spelled = config.text("dtype") or config.text("torch_dtype")
    known = dtypes.find(spelled) if spelled else None
    return known.name if known else None
