"""What a list of layers says of a model as a whole."""

from dataclasses import replace

from hubmem.models.architecture import Architecture, Dense, Experts, Layer, alike_as_one
from hubmem.models.mixers import Attention, Kept, LatentAttention, Mixer, Recurrent, Span

FULL = Attention(heads=4, kv_heads=2, key_dim=8, value_dim=8)
SLIDING = replace(FULL, window=16)
CROSS = replace(FULL, heads=2, source="cross")
LATENT = LatentAttention(heads=4, latent_dim=8, rope_dim=2, key_dim=4, value_dim=4)
STATE = Recurrent(name="mamba2", state=Kept(float32=3))
DENSE = Dense(width=32, gated=True)
SPARSE = Experts(count=4, active=1, width=8, shared_width=0, gated=True)


def _model(*layers: tuple[Mixer, ...]) -> Architecture:
    return Architecture(
        model_type="made_up",
        class_name=None,
        hidden_size=32,
        vocab_size=100,
        max_context=None,
        dtype=None,
        tied_embeddings=False,
        layers=tuple(Layer(mixers=mixers, feed_forward=None) for mixers in layers),
    )


def test_layers_that_are_equal_are_counted_together_in_order_of_appearance() -> None:
    model = _model((SLIDING,), (FULL,), (SLIDING,))
    assert [(layer.mixers[0], count) for layer, count in model.distinct_layers] == [(SLIDING, 2), (FULL, 1)]


def test_all_layers_and_all_mixers_of_a_layer_keep_something() -> None:
    model = _model((FULL, STATE), (FULL, STATE), (SLIDING,))
    kept = model.kept(Span(tokens=100))
    assert kept == Kept(cached=(2 * 100 + 16) * 2 * 16, float32=2 * 3)


def test_a_model_that_does_not_generate_keeps_nothing() -> None:
    assert replace(_model((FULL,)), generates=False).kept(Span(tokens=100)) == Kept()


def test_the_attention_of_a_model_is_the_most_common_over_its_own_sequence() -> None:
    assert _model((FULL, CROSS), (SLIDING, CROSS), (SLIDING, CROSS)).attention == SLIDING
    assert _model((STATE,), (STATE,), (LATENT,)).attention == LATENT
    assert _model((STATE,)).attention is None


def test_the_feed_forward_part_of_a_model_is_the_most_common() -> None:
    parts = (DENSE, SPARSE, SPARSE, None, None, None)
    layers = tuple(Layer(mixers=(FULL,), feed_forward=part) for part in parts)
    assert replace(_model(), layers=layers).feed_forward == SPARSE
    assert _model((FULL,)).feed_forward is None


def test_kinds_of_one_layer_are_joined_and_a_layer_may_have_none() -> None:
    kinds = _model((FULL, STATE), (FULL, STATE), (), (SLIDING,)).layer_kinds
    assert kinds == {"full_attention+mamba2": 2, "none": 1, "sliding_attention": 1}


def test_layers_that_are_alike_become_one_object() -> None:
    layers = _model((FULL,), (SLIDING,), (replace(FULL),)).layers
    first, second, third = alike_as_one(layers)
    assert (first, second, third) == layers
    assert first is third
    assert first is not second
