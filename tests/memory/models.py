"""Models the memory tests speak about, built from their published hyperparameters."""

from collections.abc import Mapping
from functools import cache

from hubmem.models.architecture import Architecture, Dense, Layer
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.mixers import Attention
from hubmem.weights import counting
from hubmem.weights.census import Census, fold_file
from hubmem.weights.quantization_config import read_quantization
from hubmem.weights.safetensors import Tensor

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
    return architecture, census(shapes)


def census(shapes: Mapping[str, tuple[int, ...]], dtype: str = "BF16") -> Census:
    """Tensors of one dtype in one safetensors file."""
    tensors = [Tensor(name=name, dtype=dtype, shape=shape) for name, shape in shapes.items()]
    groups = fold_file(tensors, "model.safetensors")
    return Census(groups=groups, format="safetensors", files=1, basis="headers")


@cache
def published(repo: str) -> tuple[Architecture, Census]:
    """A bundled repo, its packed weights unpacked and tied ones counted once."""
    raw = RECORDS[repo]["config"]
    architecture = read_architecture(Config(raw))
    assert architecture is not None
    tensors = counting.count(
        stored_census(repo),
        quantization=read_quantization(raw, None),
        tied_embeddings=architecture.tied_embeddings,
        layers=len(architecture.layers),
    )
    return architecture, tensors
