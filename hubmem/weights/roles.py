"""What a tensor is for, read from its name: one row per role, the first that matches wins.

The rules follow the module names of transformers 5.23 and the original checkpoints it converts; numbered
parts are folded (`model.layers.{0..79}.mlp.up_proj.weight`), so a rule sees each name once.
"""

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache

from hubmem import templates


class Role(str, Enum):
    """The part of a model a tensor belongs to; values are the keys of `parameters.by_role`."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    RECURRENT = "recurrent"
    MLP = "mlp"
    EXPERTS = "experts"
    SHARED_EXPERTS = "shared_experts"
    ROUTER = "router"
    NORM = "norm"
    HEAD = "head"
    VISION = "vision"
    AUDIO = "audio"
    DRAFT = "draft"
    ADAPTER = "adapter"
    BUFFER = "buffer"
    OTHER = "other"


_Shape = tuple[int, ...]


def _is_mask(shape: _Shape) -> bool:
    """Causal masks are saved as [1, 1, n, n], their fill values as scalars; a bias has one dimension."""
    return len(shape) != 1


def _any_shape(_: _Shape) -> bool:
    return True


# Saved state that is not trained: what `register_buffer` makes. `attn.bias` is GPT-2's mask, GPT-J's and
# GPT-NeoX's too; `inv_freq` and the cached sines are rotary tables; the rest are counters, statistics of
# batch normalisation, and the load-balancing biases of expert routers, which gradient descent never sees.
_BUFFERS: tuple[tuple[str, Callable[[_Shape], bool]], ...] = (
    (r"(attn|attention)\.(bias|masked_bias)$", _is_mask),
    (r"(rotary_emb|rotary_pos_emb|rope)\.(inv_freq|(cos|sin)_cached)$|\.inv_freq$", _any_shape),
    (r"(position_ids|token_type_ids|num_batches_tracked|running_mean|running_var)$", _any_shape),
    # What balances the load of experts; three model types make it a parameter, under names of their own.
    (r"(?<!moe_statics\.)(?<!experts\.)e_score_correction_bias$", _any_shape),
    (r"((?<!mlp\.)expert_bias|router_bias|balancing_biases|(mlp|ffn)\.gate\.bias)$", _any_shape),
    # Constants kept beside the weights: decays of lightning attention, xIELU's bounds, Gemma's layer scalars,
    # sinusoids and statistics of inputs; codebooks, which are averages of what was seen.
    (r"(slope_rate|(query|key|diagonal)_decay|act_fn\.(beta|eps)|layer_scalar)$", _any_shape),
    (r"(final_logits_bias|tid2eid|pos_idx_to_embed|global_mean|global_invstd)$", _any_shape),
    (r"codebook\.(init(ializ)?ed|cluster_(usage|size)|embed(_sum|_avg)?)$", _any_shape),
    (r"lerope\.alpha$", _any_shape),
    # I-BERT's integer copies of its weights and the ranges it has seen.
    (r"\.(weight_integer|bias_integer|(weight|act|fc)_scaling_factor|x_min|x_max|shift)$", _any_shape),
    # Google's T5 checkpoints hold a bias for cross-attention, which has none in the model.
    (r"EncDecAttention\.relative_attention_bias\.weight$", _any_shape),
    # llama.cpp's rotary factors and router biases.
    (r"(^|\.)rope_(freqs|factors_\w+)\.weight$|\.exp_probs_b(\.bias)?$", _any_shape),
)

# Parts of towers by the names of their folders; a name's first match decides, so these come before all that
# towers and decoders have in common.
_VISION = (
    r"(^|\.)(vision|visual|vit|image|img|video_tower|vpm|vqmodel|sam_model|patch_embed|resampler|(?<!semantic_)connector"
    r"|(multi_modal|mm|spatial|layerwise)_projectors?|high_res_|qwen2_model|view_sep|(generation_)?aligner"
    r"|(deepstack_)?merger|patch_merge|query_tokens|(language_model\.)?embed_vision|language_projection"
    r"|mlp1\.|mlp_AR\.|(?<=model\.)projector\.)"
)
_AUDIO = (
    r"(^|\.)((audio|speech|whisper)[._]|acoustic_|semantic_(tokenizer|connector)|codec_(model|head)|code2wav|token2wav"
    r"|asr_encoder|diarization|ctc_|perception|mel_conditioner|diffusion_head|latent_(bias|scaling)_factor|pre_encode"
    r"|talker\.((hidden|text)_projection|thinker_to)|subsampling|feature_(extractor|encoder|projection)"
    r"|(?<=model\.)embed_audio|embedder\.conv)"
    r"|^projector\.|encoder\.(conv\d?|input_linear|out_mid)\.|\.conv\.(depth|down|up|depthwise|pointwise)_?conv\d?"
)

_ROLES: tuple[tuple[Role, str], ...] = (
    (Role.ADAPTER, r"lora_|ia3_|modules_to_save|(^|\.)(hada|lokr|oft)_"),
    (Role.DRAFT, r"(^|\.)(mtp|eagle|medusa|nextn)[._]"),
    # Diffusion transformers are of images throughout: their streams are told apart, but no part is a tower.
    (Role.MLP, r"\.(img|txt)_mlp\.|\.ff(_context)?\.net\."),
    (Role.NORM, r"\.(img|txt)_mod\.|\.adaln_single\."),
    (Role.EMBEDDING, r"^(img|txt)_in\."),
    (Role.VISION, _VISION),
    (Role.AUDIO, _AUDIO),
    (
        Role.NORM,
        r"(?i:layer_?norm|(^|[._])\w*norm\d*(\.|$|_f\.)|(^|\.)norm_(?!out)\w+\.|(^|\.)ln_?\w*\.|(^|\.)\w+_ln\.)",
    ),
    # Recurrent Gemma and xLSTM have matrices by the names attention has elsewhere; Nemotron-H has attention,
    # MLPs and routers in what it calls mixers.
    (Role.RECURRENT, r"temporal_block\.(conv_1d|linear_\w+|rg_lru)|[ms]lstm_layer"),
    (Role.ATTENTION, r"\.mixer\.([qkvo]_proj|Wqkv)\.|ssmax|(^|\.)\w*(query|key|value)_net\."),
    (Role.MLP, r"\.mixer\.(up|down)_proj\."),
    (
        Role.HEAD,
        (
            r"(^|\.)(lm_heads?|embed_out|cls|\w*predictions|score|(?<!router\.)classifier|qa_outputs|pooler|unembed"
            r"|vocab_transform|vocab_projector|generator_lm_head|lm_loss|pred_layer|logits_dense|contact_head"
            r"|projection_head|(?<!self_attn\.)output_projection|log_softmax)(\.|$)"
            r"|^(output|proj_out|head|decoder)\.(weight|bias|dense|linear\d|decoder)"
        ),
    ),
    # `mlp.gate.weight` routes; `mlp.gate_proj.weight` is half of a gated MLP.
    (
        Role.ROUTER,
        (
            r"router(\.|$|_)|ffn_gate_inp|\.expert_bias$|experts\.e_score_correction_bias$|shared_expert_gate(\.|$)"
            r"|(layers\.(\d+|\{[^}]*\})|mlp|moe|mixer|block_sparse_moe|feed_forward|ffn)\.gate(\.|$)"
        ),
    ),
    (Role.SHARED_EXPERTS, r"shared?_expert|shared_mlp|_shexp\."),
    (
        Role.EXPERTS,
        r"(^|\.)experts?([._]|$)|_exps\.|(block_sparse_moe|mlp)\.(in|out)put_linear\.|\.moe\.(gate|up|down)_proj\.",
    ),
    (
        Role.RECURRENT,
        (
            r"(?i:mamba|ssm|(?<!connection_)mixer|linear_attn|recurrent|short_?conv|rwkv(?!\.emb)|delta"
            r"|\.conv\.(conv|in_proj|out_proj))"
        ),
    ),
    # Before attention, in whose blocks Bailing and others have them.
    (Role.EMBEDDING, r"(^|\.)shared\.|transformer\.w\.|(^|\.)(pos|mask|segment)_emb(\.|$)"),
    (
        Role.MLP,
        r"mlp\.(ff_out|c_proj|w_out|fc_out)|shared_transf\w*\.feed_forward|per_layer_\w+|altup|laurel|_sub_layer\.dense",
    ),
    (
        Role.ATTENTION,
        r"(?i:att(n|ention)|_sub_layer\.|(^|[._])(?<!fc_)(q|k|v|o|qkv|kv|query|key|value|out)(_[ab])?(_lin|_proj)?\.(weight|bias))",
    ),
    (
        Role.EMBEDDING,
        r"(embed|token_embd|position_embd|token_types|wte|wpe|(word|position|token_type|tok)_embeddings|embeddings)(\w*)(\.|$)",
    ),
    (
        Role.MLP,
        (
            r"(?i:mlp|feed_?forward|ffn|dense_?relu|\.ff\.|(^|\.)(fc\d|wi|wo|w[123]|lin\d|intermediate|output\.(dense|conv)"
            r"|output_query|up_proj|down_proj|gate_proj)[._\d]|dense_h_to_4h|dense_4h_to_h|bottleneck)"
        ),
    ),
)

# Longer than any in use; some rules take the square of a name's length.
_LONGEST_NAME = 256
_COMPILED_BUFFERS = tuple((re.compile(pattern), shape_rule) for pattern, shape_rule in _BUFFERS)
_COMPILED_ROLES = tuple((role, re.compile(pattern)) for role, pattern in _ROLES)


def role_of(template: str, shape: tuple[int, ...]) -> Role:
    """The role of a tensor, or of all that share a folded name.

    >>> role_of("model.layers.{0..79}.self_attn.q_proj.weight", (8192, 8192)).value
    'attention'
    >>> role_of("h.{0..11}.attn.bias", (1, 1, 1024, 1024)).value
    'buffer'
    >>> role_of("h.{0..11}.attn.c_attn.bias", (2304,)).value
    'attention'
    """
    buffer_rules, role = _by_name(templates.pattern(template)[:_LONGEST_NAME])
    return Role.BUFFER if any(rule(shape) for rule in buffer_rules) else role


# Not by shape and number: patterns of names are few, and shapes as many as models, which a scan has a million of.
@lru_cache(maxsize=4096)
def _by_name(pattern: str) -> tuple[tuple[Callable[[_Shape], bool], ...], Role]:
    """The shapes that make a buffer of a tensor of this name, and what else it is."""
    buffer_rules = tuple(fits for rule, fits in _COMPILED_BUFFERS if rule.search(pattern))
    role = next((role for role, rule in _COMPILED_ROLES if rule.search(pattern)), Role.OTHER)
    return buffer_rules, role
