"""What a config switches on or off in the model's code, and no tensor's shape shows: activations, caps, dropout."""

import re
from dataclasses import dataclass

from hubmem.models.config import Config

_ACTIVATIONS = (
    "hidden_activation",
    "hidden_act",
    "activation_function",
    "dense_act_fn",
    "activation",
    "feed_forward_proj",
)
_DROPOUTS = (
    "resid_pdrop",
    "hidden_dropout_prob",
    "hidden_dropout",
    "residual_dropout",
    "resid_dropout",
    "dropout_rate",
    "dropout",
    "mlp_dropout",
)
_ATTENTION_DROPOUTS = ("attn_pdrop", "attention_probs_dropout_prob", "attention_dropout")
_EMBEDDING_DROPOUTS = ("embd_pdrop", "embedding_dropout", "embed_dropout")
_ROTATION = re.compile("rope|rotary")
_POSITIONS = ("max_position_embeddings", "n_positions")
_UPCASTS = ("attention_softmax_in_fp32", "reorder_and_upcast_attn")
_ROUTING_SCALES = ("routed_scaling_factor", "route_scale", "router_scaling_factor", "scoring_func")
_ROTATED_PARTS = ("partial_rotary_factor", "rotary_pct")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """How rotation reaches more positions than a model was first trained for.

    Attributes:
        kind: its name in transformers, such as "linear".
        factor: how many times as many.
        trained: positions it was first trained for, where the config says so here.
    """

    kind: str
    factor: float
    trained: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What a config says; None where it says nothing.

    Attributes:
        model_type: of the language model itself, where it is a part of another model.
        activation: its name in transformers' table of functions.
        parallel: whether attention and MLP run side by side.
        rotates: whether it speaks of rotation.
        rotated_part: of each head, which rotation turns.
        stretch: how rotation is stretched over more positions; of full layers, where windows have another.
        rotates_by_place: whether positions are of three axes, time, height and width (Qwen2-VL).
        attends_to_positions: whether scores have parts of relative positions of their own (DeBERTa).
        numbers_positions: whether it says how many positions there are.
        upcasts_softmax: whether attention takes its softmax in float32.
        caps_scores, caps_logits: whether attention scores and logits go through tanh.
        scales_routing: whether a function or a factor is named for the weights of chosen experts.
        dropout, attention_dropout, embedding_dropout: whether training drops elements of the residual stream's
            parts, of attention probabilities, of embeddings.
    """

    model_type: str = ""
    activation: str | None = None
    parallel: bool | None = None
    rotates: bool | None = None
    rotated_part: float | None = None
    stretch: Stretch | None = None
    rotates_by_place: bool = False
    attends_to_positions: bool = False
    numbers_positions: bool = False
    upcasts_softmax: bool | None = None
    caps_scores: bool | None = None
    caps_logits: bool | None = None
    scales_routing: bool = False
    dropout: bool | None = None
    attention_dropout: bool | None = None
    embedding_dropout: bool | None = None

    @property
    def rotates_part(self) -> bool:
        """Whether rotation turns a slice of each head."""
        return self.rotated_part is not None and self.rotated_part < 1


def read_switches(config: Config) -> Switches:
    """The switches of one config.

    Raises:
        MalformedConfig: a key is of a wrong type.
    """
    return Switches(
        model_type=config.model_type,
        activation=_activation(config),
        parallel=_flag(config, "use_parallel_residual", "parallel_attn"),
        rotates=_rotates(config),
        rotated_part=_rotated_part(config),
        stretch=_stretch(config),
        rotates_by_place=_rotates_by_place(config),
        attends_to_positions=config.has_value("pos_att_type"),
        numbers_positions=any(map(config.has_value, _POSITIONS)),
        upcasts_softmax=_upcasts_softmax(config),
        caps_scores=_flag(config, "attn_logit_softcapping"),
        caps_logits=_flag(config, "final_logit_softcapping"),
        scales_routing=any(map(config.has_value, _ROUTING_SCALES)),
        dropout=_flag(config, *_DROPOUTS),
        attention_dropout=_flag(config, *_ATTENTION_DROPOUTS),
        embedding_dropout=_flag(config, *_EMBEDDING_DROPOUTS),
    )


def _activation(config: Config) -> str | None:
    """The first that is named; T5 writes `gated-gelu` and means the tanh approximation."""
    name = next(filter(None, map(config.text, _ACTIVATIONS)), None)
    return "gelu_new" if name == "gated-gelu" else name.removeprefix("gated-") if name else None


def _rotates(config: Config) -> bool:
    return any(config.has_value(key) for key in config.known_keys() if _ROTATION.search(key))


def _rotates_by_place(config: Config) -> bool:
    return any("mrope_section" in (config.mapping(key) or {}) for key in ("rope_parameters", "rope_scaling"))


def _upcasts_softmax(config: Config) -> bool | None:
    """As it says; code that may scale embeddings is of BART's descent and leaves the softmax as it is."""
    stated = _flag(config, *_UPCASTS)
    return False if stated is None and "scale_embedding" in config else stated


def _rotation(config: Config) -> Config | None:
    return config.child("rope_parameters") or config.child("rope_scaling")


def _rotated_part(config: Config) -> float | None:
    nested = _rotation(config)
    parts = (each.number(key) for each in (config, nested) if each for key in _ROTATED_PARTS)
    return next((part for part in parts if part is not None), None)


def _stretch(config: Config) -> Stretch | None:
    nested = _rotation(config)
    if nested is None:
        return None
    nested = nested.child("full_attention") or nested
    kind = nested.text("rope_type") or nested.text("type")
    factor = nested.number("factor")
    if kind is None or factor is None:
        return None
    trained = (each.optional_natural("original_max_position_embeddings") for each in (nested, config))
    return Stretch(kind=kind, factor=factor, trained=next(filter(None, trained), None))


def _flag(config: Config, *keys: str) -> bool | None:
    """Whether the first key that the file or its class has is neither null, false nor zero; None without one."""
    written = next((key for key in keys if key in config), None)
    if written is not None:
        return config.has_value(written)
    return True if any(map(config.has_value, keys)) else None
