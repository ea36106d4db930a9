"""Models whose language model has a config of its own inside theirs."""

from hubmem.models.family import Family

COMPOSITES: tuple[Family, ...] = (
    Family("llava llava_next mllama gemma3 mistral3 paligemma llama4 qwen2_audio", body=("text_config",)),
)
