"""Sizes that several readers need, and the check that one divides another."""

from hubmem.errors import MalformedConfig
from hubmem.models.config import Config


def hidden_size(config: Config) -> int:
    """The width of the residual stream; `n_embed` is the key of BLOOM's first files."""
    return config.positive("hidden_size", "n_embed", "d_model")


def head_dim(config: Config, heads: int, heads_key: str = "num_attention_heads") -> int:
    """Hidden size by heads.

    Raises:
        MalformedConfig: heads do not divide it.
    """
    hidden = hidden_size(config)
    refuse_remainder(config, "hidden_size", hidden, heads_key, heads)
    return hidden // heads


def refuse_remainder(config: Config, key: str, value: int, divisor_key: str, divisor: int) -> None:
    """Refuse a value that is no multiple of another.

    Raises:
        MalformedConfig: it does not.
    """
    if value % divisor:
        raise MalformedConfig(
            f"{value} is not a multiple of {config.path_of(divisor_key)} = {divisor}", key=config.path_of(key)
        )
