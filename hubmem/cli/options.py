"""Options that several commands share, each bundle one decorator."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from hubmem.errors import UsageError
from hubmem.units import parse_tokens

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _tokens(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Read a number of tokens, `32k` accepted."""
    try:
        return parse_tokens(value) if value is not None else None
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


_COUNT = click.IntRange(min=1)


def _bundle(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


engine_options: Callable[[Any], Any] = _bundle(
    click.option(
        "--engine",
        default="transformers",
        show_default=True,
        metavar="NAME[@VERSION]",
        help="What runs it: transformers, vllm, vllm@0.21, sglang, llama.cpp.",
    ),
    click.option(
        "--gpu-memory-utilization",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="PART",
        default=0.9,
        show_default=True,
        help="vLLM: the part of a GPU's memory it may use.",
    ),
    click.option(
        "--mem-fraction-static",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="PART",
        help="SGLang: part of a GPU's memory for weights and pool.  [default: by the GPU]",
    ),
    click.option("--max-num-seqs", type=_COUNT, metavar="N", help="vLLM: most sequences in one step."),
    click.option(
        "--max-num-batched-tokens",
        metavar="TOKENS",
        callback=_tokens,
        help="vLLM, SGLang: most tokens in one step.",
    ),
    click.option(
        "--enforce-eager",
        "cuda_graphs",
        flag_value=False,
        type=bool,
        default=True,
        help="vLLM, SGLang: without compilation and CUDA graphs.",
    ),
    click.option(
        "-ngl",
        "--gpu-layers",
        type=click.IntRange(min=0),
        metavar="N",
        help="llama.cpp, transformers (device_map): layers on the GPU, the rest in RAM.  [default: all]",
    ),
    click.option(
        "-ub",
        "--ubatch-size",
        "micro_batch",
        type=_COUNT,
        metavar="N",
        default=512,
        show_default=True,
        help="llama.cpp: tokens computed at once.",
    ),
    click.option(
        "--flash-attention/--no-flash-attention",
        default=True,
        help="llama.cpp: whether attention runs in one kernel, without a matrix of scores.",
    ),
)

division_options: Callable[[Any], Any] = _bundle(
    *(
        click.option(name, type=_COUNT, metavar="N", default=1, show_default=True, help=text)
        for name, text in (
            ("--tp", "Tensor parallelism: ranks that share each layer."),
            ("--pp", "Pipeline parallelism: stages of layers."),
            ("--ep", "Expert parallelism: ranks that share the experts."),
            ("--dp", "Data parallelism: copies, each with a batch of its own."),
            ("--cp", "Context parallelism: ranks that share a sequence."),
        )
    ),
    click.option(
        "--sequence-parallel",
        is_flag=True,
        help="Tensor-parallel ranks also divide the norms, by tokens.",
    ),
)

workload_options: Callable[[Any], Any] = _bundle(
    click.option(
        "--context",
        metavar="TOKENS",
        callback=_tokens,
        help="Tokens of a sequence, such as 32k.  [default: 8k, or the model's limit]",
    ),
    click.option(
        "--batch", type=_COUNT, metavar="N", default=1, show_default=True, help="Sequences at once."
    ),
    click.option(
        "--dtype",
        metavar="PRECISION",
        help="Hold the weights in this precision: bf16, fp8, int8, nf4, …  [default: as stored]",
    ),
    click.option(
        "--kv-dtype",
        "--cache-type",
        metavar="DTYPE",
        help="Dtype of the KV cache: fp8, q8_0, …  [default: the model's]",
    ),
    click.option(
        "--cache-policy",
        type=click.Choice(["logical", "transformers", "vllm", "llama.cpp"]),
        help="By whose rule the cache is counted.  [default: the engine's; logical for transformers]",
    ),
    click.option(
        "--encoder-context",
        metavar="TOKENS",
        callback=_tokens,
        help="Tokens of an encoder's input.  [default: the model's]",
    ),
    click.option(
        "--images",
        type=click.IntRange(min=0),
        metavar="N",
        default=0,
        help="Images in each sequence, part of its tokens.",
    ),
    click.option(
        "--image-size",
        metavar="WIDTHxHEIGHT",
        default="1024x1024",
        show_default=True,
        help="Of each image, in pixels.",
    ),
    click.option(
        "--attention",
        type=click.Choice(["sdpa", "eager"]),
        default="sdpa",
        show_default=True,
        help="transformers: which code computes attention.",
    ),
    engine_options,
    division_options,
)

fit_options: Callable[[Any], Any] = _bundle(
    click.option(
        "--gpus-file",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="GPUs of your own, in TOML or JSON, for --gpu to name.",
    ),
    click.option("--cloud", is_flag=True, help="List rented machines that it fits, smallest first."),
    click.option(
        "--bandwidth",
        default="1Gbit/s",
        show_default=True,
        metavar="SPEED",
        help="Speed of the network, for the time of a download.",
    ),
)

training_options: Callable[[Any], Any] = _bundle(
    click.option(
        "--train",
        type=click.Choice(["full", "lora", "qlora"]),
        help="Plan a training step instead of inference.",
    ),
    click.option(
        "--optimizer",
        metavar="NAME",
        default="adamw",
        show_default=True,
        help="adamw, adamw-8bit, adafactor, sgd, lion, muon, …",
    ),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "bf16", "amp"]),
        default="bf16",
        show_default=True,
        help="What training computes in; amp is bf16 beside fp32 master weights.",
    ),
    click.option(
        "--checkpointing",
        type=click.Choice(["none", "full", "selective"]),
        default="none",
        show_default=True,
        help="Which activations are computed again instead of being kept.",
    ),
    click.option(
        "--loss",
        type=click.Choice(["plain", "fused"]),
        default="plain",
        show_default=True,
        help="Logits as whole tensors, or by chunks in one kernel with the head (Liger).",
    ),
    click.option(
        "--rank", type=_COUNT, metavar="N", default=16, show_default=True, help="Rank of LoRA adapters."
    ),
    click.option(
        "--lora-targets",
        metavar="WHICH",
        default="attention",
        show_default=True,
        help="Layers that get adapters: attention, all-linear, or names with commas.",
    ),
    click.option(
        "--lora-dropout",
        type=click.FloatRange(0, 1, max_open=True),
        metavar="PART",
        default=0.0,
        help="Dropout of the adapters' input.",
    ),
    click.option(
        "--dora", is_flag=True, help="DoRA: adapters also train the magnitude of each output's weights."
    ),
    click.option(
        "--accumulation",
        type=_COUNT,
        metavar="N",
        default=1,
        show_default=True,
        help="Gradient accumulation: micro-batches before a step.",
    ),
    click.option(
        "--zero",
        type=click.IntRange(0, 3),
        metavar="STAGE",
        default=0,
        show_default=True,
        help="ZeRO stage among the --dp ranks; 3 is FSDP.",
    ),
    click.option(
        "--offload",
        type=click.Choice(["none", "optimizer", "parameters"]),
        default="none",
        show_default=True,
        help="What ZeRO keeps in the host's memory: the optimizer's states, or the parameters too.",
    ),
)

request_options: Callable[[Any], Any] = _bundle(
    click.option(
        "--gpu",
        "gpus",
        multiple=True,
        metavar="[N×]GPU",
        help="Does it fit this GPU? H100-80GB, 2xA100-80GB (two of them), 24GiB, aws:p5.48xlarge, local.",
    ),
    fit_options,
    workload_options,
    training_options,
)
"""Whatever `Request.of` may be asked."""

hub_options: Callable[[Any], Any] = _bundle(
    click.option("--offline", is_flag=True, help="Make no request: answer from what is stored or bundled."),
    click.option(
        "--no-bundled", is_flag=True, help="Do not fall back on the snapshots that ship with hubmem."
    ),
    click.option("-v", "--verbose", is_flag=True, help="Show each request on stderr."),
)

access_options: Callable[[Any], Any] = _bundle(
    click.option(
        "--revision", metavar="NAME", help="Branch, tag, refs/pr/N or commit; REPO@REVISION works too."
    ),
    hub_options,
)

file_options: Callable[[Any], Any] = _bundle(
    click.option("--variant", help="Take the files of a variant, such as fp16.", metavar="NAME"),
    click.option("--subfolder", help="Look in this folder of the repo.", metavar="PATH"),
    click.option("--file", help="Take this weight file of several, such as a GGUF file.", metavar="PATH"),
)


def format_option(*names: str) -> Callable[[_Command], _Command]:
    """In which form the answer is given, the first of these where nobody says."""
    return click.option(
        "--format", "output_format", type=click.Choice(names), default=names[0], show_default=True
    )


output_option: Callable[[Any], Any] = click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the answer to a file."
)
