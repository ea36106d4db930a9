"""What was read, in a few words: where the answer came from, the files, the architecture."""

from collections.abc import Iterator

from hubmem.models.architecture import Architecture, Dense, Experts
from hubmem.models.mixers import Attention, LatentAttention
from hubmem.render.text import plain
from hubmem.report import Report
from hubmem.units import format_decimal
from hubmem.weights.census import Census


def files_label(census: Census) -> str:
    """How many weight files of which format."""
    return f"{census.files} {census.format} file{'s' if census.files != 1 else ''}"


def cost_line(report: Report) -> str:
    """Where the answer came from and what it cost."""
    cost = report.snapshot.cost
    parts = [report.snapshot.listing.origin.value]
    if cost.requests:
        parts += [
            f"{cost.requests} request{'s' if cost.requests != 1 else ''}",
            format_decimal(cost.bytes_received),
        ]
    return " · ".join([*parts, f"{report.snapshot.seconds:.1f} s"])


def architecture_parts(architecture: Architecture) -> Iterator[str]:
    """The architecture in a few words each."""
    yield plain(architecture.model_type)
    encoder = f"{len(architecture.encoder)} encoder + " if architecture.encoder else ""
    yield f"{encoder}{len(architecture.layers)} layers"
    yield f"hidden {architecture.hidden_size:,}"
    attention = architecture.attention
    if isinstance(attention, Attention):
        yield f"{attention.heads} heads / {attention.kv_heads} KV heads × {attention.key_dim}"
    if isinstance(attention, LatentAttention):
        yield f"{attention.heads} heads, latent {attention.latent_dim} + {attention.rope_dim}"
    feed_forward = architecture.feed_forward
    if isinstance(feed_forward, Dense):
        yield f"MLP {feed_forward.width:,}"
    if isinstance(feed_forward, Experts):
        yield f"{feed_forward.count} experts × {feed_forward.width:,}, {feed_forward.active} a token"
    kinds = architecture.layer_kinds
    if len(kinds) > 1:
        yield " + ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items())
    yield f"vocabulary {architecture.vocab_size:,}"
    if architecture.max_context:
        yield f"context {architecture.max_context:,}"
    if architecture.tied_embeddings:
        yield "tied embeddings"
