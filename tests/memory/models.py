"""Models the memory tests speak about, built from their published hyperparameters."""

from functools import cache

from hubmem.models.architecture import Architecture, Dense, Layer
from hubmem.models.mixers import Attention
from hubmem.weights import counting
from hubmem.weights.census import Census
from hubmem.weights.quantization_config import read_quantization

from tests.models.architectures import architecture_of
from tests.weights.censuses import census_of
from tests.weights.records import RECORDS, stored_census


def llama(
    *,
    layers: int = 80,
    hidden: int = 8192,
    heads: int = 64,
    kv_heads: int = 8,
    head_dim: int = 128,
    mlp: int = 28672,
    vocabulary: int = 128256,
    tied: bool = False,
) -> tuple[Architecture, Census]:
    """A dense LLaMA; Llama-3.1-70B unless told otherwise."""
    layer = Layer(
        mixers=(Attention(heads=heads, kv_heads=kv_heads, key_dim=head_dim, value_dim=head_dim),),
        feed_forward=Dense(width=mlp, gated=True),
    )
    architecture = Architecture(
        model_type="llama",
        class_name="LlamaForCausalLM",
        hidden_size=hidden,
        vocab_size=vocabulary,
        max_context=131072,
        dtype="BF16",
        tied_embeddings=tied,
        layers=(layer,) * layers,
    )
    q, kv = heads * head_dim, kv_heads * head_dim
    inside = {
        "self_attn.q_proj": (q, hidden),
        "self_attn.k_proj": (kv, hidden),
        "self_attn.v_proj": (kv, hidden),
        "self_attn.o_proj": (hidden, q),
        "mlp.gate_proj": (mlp, hidden),
        "mlp.up_proj": (mlp, hidden),
        "mlp.down_proj": (hidden, mlp),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for number in range(layers):
        shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in inside.items()}
    shapes["model.norm.weight"] = (hidden,)
    if not tied:
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return architecture, census_of(shapes)


# A small one, of 8 layers, for what holds at any size.
LLAMA, TENSORS = llama(layers=8, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=1000)


@cache
def published(repo: str) -> tuple[Architecture, Census]:
    """A bundled repo, its packed weights unpacked and tied ones counted once."""
    raw = RECORDS[repo]["config"]
    architecture = architecture_of(raw)
    tensors = counting.count(
        stored_census(repo),
        quantization=read_quantization(raw, None),
        tied_embeddings=architecture.tied_embeddings,
        layers=len(architecture.layers),
    )
    return architecture, tensors
