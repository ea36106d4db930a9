"""One row of the table of model families."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hubmem.models.config import Config
from hubmem.models.stack import Stack


def always(_: Config) -> bool:
    """A model made to generate."""
    return True


def never(_: Config) -> bool:
    """An encoder."""
    return False


def as_decoder(config: Config) -> bool:
    """BERT and its kin generate where `is_decoder` is set."""
    return config.boolean("is_decoder")


def unless_embedding(config: Config) -> bool:
    """EmbeddingGemma is a Gemma 3 that looks both ways and has no head."""
    names = config.texts("architectures") or ("",)
    return not (config.has_value("use_bidirectional_attention") and names[0].endswith("Model"))


@dataclass(frozen=True, slots=True)
class Family:
    """Model types that are read alike.

    Attributes:
        model_types: separated by spaces.
        decoder: how the only stack, or that of the decoder, is read.
        encoder: how the stack of an encoder beside it is read.
        generates: whether a model keeps a cache.
        body: keys of nested configs, the first that is there being the language model's; the family is
            then that of its own type.
        body_type: the model type of such a config that does not name one.
        spellings: canonical keys as the files spell them, for types transformers has no class of.
        tied: whether the head is the embedding where neither the config nor its class says.
        has_own_head: whether the class has an output matrix of its own even where the config ties embeddings.
    """

    model_types: str
    decoder: Stack = field(default_factory=Stack)
    encoder: Stack | None = None
    generates: Callable[[Config], bool] = always
    body: tuple[str, ...] = ()
    body_type: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    tied: bool = False
    has_own_head: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The model types, one by one."""
        return tuple(self.model_types.split())
