"""What an SGLang server decides by its version and by the device it finds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hubmem.errors import MalformedConfig
from hubmem.memory.workload import Workload
from hubmem.models.config import Config
from hubmem.units import MIB

# Of devices that no row of the tables below names otherwise.
_ANY = 2**40
_WIDE_FROM_TP = 4

# What a server keeps free for other than weights and cache, in MiB (SGLang 0.5, _handle_gpu_memory_settings).
_RESERVED, _RESERVED_BY_TOKEN, _FEWEST_TOKENS, _RESERVED_BY_GRAPH = 512, 1.5, 2048, 2
_RESERVED_BY_EIGHT_RANKS = 1024
_RESERVED_ON_LARGE, _LARGE = 10 * 1024, 60 * 1024

# Of graphs of prompts, and the lengths they are captured for (generate_prefill_cuda_graph_batch_sizes).
_PROMPT_GRAPH, _LATENT_PROMPT_GRAPHS = 8, 1536
_PROMPT_LENGTHS = (
    range(4, 33, 4),
    range(48, 257, 16),
    range(288, 513, 32),
    range(576, 1025, 64),
    range(1280, 4097, 256),
    range(4608, 2**16, 512),
)

# Of its part, what a server keeps where there is a tower for images: less by a tenth for as much again as a ViT-L of
# 24 layers of 1,024, which also stands in where a config does not say (adjust_mem_fraction_for_vlm).
_BESIDE_TOWER = 0.95
_TOWER_LAYERS, _TOWER_WIDTH = 24, 1024
_BY_SIZE, _LEAST, _MOST = 0.1, 0.8, 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a server takes where nobody sets it.

    Attributes:
        below_mib: on devices with less memory than this.
        chunk: tokens of prompts that are computed at once (`chunked_prefill_size`).
        graphs, graphs_wide: sequences of the largest captured graph (`cuda_graph_max_bs`) below tensor
            parallelism 4, and from there on.
    """

    below_mib: int = _ANY
    chunk: int
    graphs: int = 0
    graphs_wide: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What differs between versions of SGLang.

    Attributes:
        version: whose code they were read in.
        since: the first version that has them.
        defaults: by device, the smallest first.
        unknown: on a device that is not known.
        fractions: `mem_fraction_static` by the ranks of tensor parallelism from which it holds; none where the
            device decides.
        weighs_towers: whether a larger tower leaves a smaller part.
        captures_prompts: whether graphs of prompts are captured too, and room is kept for them.
    """

    version: str
    since: str
    defaults: tuple[Defaults, ...]
    unknown: Defaults
    fractions: tuple[tuple[int, float], ...] = ()
    weighs_towers: bool = True
    captures_prompts: bool = False

    @property
    def chunks(self) -> Iterable[int]:
        """The chunks a server may take, by device."""
        return (row.chunk for row in self.defaults)

    def on(self, memory_bytes: int) -> Defaults:
        """The defaults on a device with so much memory."""
        return next(row for row in self.defaults if memory_bytes < row.below_mib * MIB)

    def beside_tower(self, config: Config) -> float:
        """What is left of the fraction for a model that sees images.

        >>> tower = Config({"vision_config": {"num_hidden_layers": 27, "hidden_size": 1152}})
        >>> round(V05.beside_tower(tower), 4), V04.beside_tower(tower), V05.beside_tower(Config({}))
        (0.9097, 0.95, 1.0)
        """
        try:
            vision = config.child("vision_config")
            if vision is None:
                return 1.0
            return _BESIDE_TOWER * (_tower_factor(vision) if self.weighs_towers else 1)
        except MalformedConfig:
            return _BESIDE_TOWER

    def fraction(
        self, workload: Workload, memory_bytes: int | None = None, config: Config | None = None
    ) -> float:
        """The part of a device for weights and pool: as set, else by tensor parallelism or by the device.

        Of the config it asks whether attention has latents, whose graphs of prompts take more.

        >>> V04.fraction(Workload(tp=4)), V04.fraction(Workload(mem_fraction_static=0.93))
        (0.85, 0.93)
        >>> [V05.fraction(Workload(), mib * MIB) for mib in (16376, 24564, 81559)]
        [0.772, 0.847, 0.835]
        """
        if workload.mem_fraction_static:
            return workload.mem_fraction_static
        if self.fractions:
            return next(part for tp, part in self.fractions if workload.tp >= tp)
        if memory_bytes is None:
            return _UNKNOWN_FRACTION
        memory_mib = memory_bytes // MIB
        defaults = self.on(memory_bytes)
        graphs = _RESERVED_BY_GRAPH * (
            defaults.graphs_wide if workload.tp >= _WIDE_FROM_TP else defaults.graphs
        )
        if self.captures_prompts:
            graphs += _prompt_graphs_mib(workload, defaults, config)
            graphs *= workload.cuda_graphs
        return round(1 - _reserved_mib(workload, memory_mib, defaults, graphs) / memory_mib, 3)


def _tower_factor(vision: Config) -> float:
    layers = vision.optional_natural("num_hidden_layers")
    width = vision.optional_natural("hidden_size")
    size = (_TOWER_LAYERS if layers is None else layers) * (_TOWER_WIDTH if width is None else width) ** 2
    size_by_usual = size / (_TOWER_LAYERS * _TOWER_WIDTH**2)
    return max(_LEAST, min(_MOST, 1 - _BY_SIZE * (size_by_usual - 1)))


def _reserved_mib(workload: Workload, memory_mib: int, defaults: Defaults, graphs: int) -> float:
    """max(512 + 1.5·C + 1024·TP·PP/8 + graphs, 10240 on a large device), chunk C."""
    chunk = max(workload.max_num_batched_tokens or defaults.chunk, _FEWEST_TOKENS)
    ranks = _RESERVED_BY_EIGHT_RANKS * workload.tp * workload.pp / 8
    reserved = _RESERVED + _RESERVED_BY_TOKEN * chunk + graphs + ranks
    return max(reserved, _RESERVED_ON_LARGE) if memory_mib > _LARGE else reserved


def _prompt_graphs_mib(workload: Workload, defaults: Defaults, config: Config | None) -> int:
    """8 MiB for each of them, one for each of these lengths up to a chunk; more for latents, by a flat rate."""
    if config is not None and _has_latents(config):
        return _LATENT_PROMPT_GRAPHS
    chunk = workload.max_num_batched_tokens or defaults.chunk
    return _PROMPT_GRAPH * sum(length <= chunk for lengths in _PROMPT_LENGTHS for length in lengths)


def _has_latents(config: Config) -> bool:
    try:
        text = config.child("text_config") or config
        return text.has_value("kv_lora_rank")
    except MalformedConfig:
        return False


_UNKNOWN_FRACTION = 0.88

V04 = Rules(
    version="0.4",
    since="0.4",
    defaults=(Defaults(below_mib=25_000, chunk=2048), Defaults(chunk=8192)),
    unknown=Defaults(chunk=8192),
    fractions=((16, 0.79), (8, 0.81), (4, 0.85), (2, 0.87), (1, 0.88)),
    weighs_towers=False,
)
"""SGLang 0.4: srt/server_args.py, __post_init__; srt/model_executor/model_runner.py, where there is a tower."""

V05 = Rules(
    version="0.5",
    since="0.5.4",
    defaults=(
        Defaults(below_mib=20 * 1024, chunk=2048, graphs=8, graphs_wide=8),
        Defaults(below_mib=35 * 1024, chunk=2048, graphs=24, graphs_wide=80),
        Defaults(below_mib=60 * 1024, chunk=4096, graphs=32, graphs_wide=160),
        Defaults(below_mib=160 * 1024, chunk=8192, graphs=256, graphs_wide=512),
        Defaults(chunk=16384, graphs=512, graphs_wide=512),
    ),
    unknown=Defaults(chunk=4096),
)
"""SGLang 0.5: srt/server_args.py, _handle_gpu_memory_settings (sgl-project/sglang#10975)."""

V0510 = replace(V05, version="0.5.10", since="0.5.10", captures_prompts=True)
"""Where graphs of prompts are captured without being asked for: read in SGLang's main branch of mid-2026.

The first release that does is taken from the time between issues of February and March 2026, not from its notes.
"""
