"""States of fixed size: what a recurrent layer keeps, whatever the length of the sequence.

Symbols: I inner width, N state size, k convolution kernel. transformers keeps the whole kernel of past
inputs; recurrent states are float32 where the code says so.
"""

from hubmem.models.config import Config
from hubmem.models.mixers import Kept, Mixer, Recurrent


def mamba1_state(*, inner: int, state: int, kernel: int) -> Kept:
    """I·k inputs of the convolution and I·N of the state space.

    Source: Mamba, arXiv 2312.00752; `MambaMixer` of transformers 5.23.

    >>> mamba1_state(inner=4096, state=16, kernel=4)
    Kept(cached=0, model=16384, float32=65536)
    """
    return Kept(model=inner * kernel, float32=inner * state)


def mamba1(config: Config, _: int) -> tuple[Mixer, ...]:
    """Mamba by the keys of `mamba` and `falcon_mamba`."""
    inner = config.optional_positive("intermediate_size") or (
        config.positive("expand") * config.positive("hidden_size")
    )
    state = mamba1_state(
        inner=inner, state=config.positive("state_size"), kernel=config.positive("conv_kernel")
    )
    return (Recurrent(name="mamba", state=state),)
