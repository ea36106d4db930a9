"""A report whose every number is fixed by hand, for tests of how it looks."""

from hubmem.fit.gpus import Target, parse_target
from hubmem.fit.hosting import Host, Offer
from hubmem.fit.matrix import Solver
from hubmem.hub.source import Cost, FileEntry, Listing, Origin
from hubmem.memory.cache import Cache
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Layer
from hubmem.models.mixers import Attention, CachePolicy
from hubmem.report import Report
from hubmem.snapshot import Snapshot
from hubmem.units import GIB
from hubmem.weights.census import Census, fold_file
from hubmem.weights.safetensors import Tensor

LAYERS = 2
TENSORS = [
    Tensor("model.embed_tokens.weight", "BF16", (32000, 4096)),
    *(Tensor(f"model.layers.{n}.self_attn.q_proj.weight", "BF16", (4096, 4096)) for n in range(LAYERS)),
    *(Tensor(f"model.layers.{n}.mlp.up_proj.weight", "BF16", (11008, 4096)) for n in range(LAYERS)),
    Tensor("model.norm.weight", "F32", (4096,)),
    Tensor("model.layers.0.attn.bias", "U8", (1, 1, 16, 16)),
]
WEIGHTS = Term(
    name="weights", nbytes=14 * GIB, basis=Basis.MEASURED, formula="7 tensors as stored", source="headers"
)
CACHE = Term(
    name="KV cache",
    nbytes=GIB,
    basis=Basis.DERIVED,
    formula="2 layers × 2 × 8 × 128 × 2 B = 8 KiB a token × 8,192",
    source="DynamicCache",
)
ACTIVATIONS = Term(
    name="activations", nbytes=GIB // 2, basis=Basis.DERIVED, formula="e·T·(4h + 3f)", source="eager"
)
CONTEXT = Term(
    name="driver state",
    nbytes=GIB // 2,
    basis=Basis.ASSUMED,
    formula="driver context",
    source="logs",
    low=GIB // 4,
    high=GIB,
)


def plan_for(workload: Workload) -> Plan:
    return Plan(
        moments=(
            Moment(phase="prefill", name="MLP of one layer", terms=(WEIGHTS, CACHE, ACTIVATIONS)),
            Moment(phase="decode", name="next token", terms=(WEIGHTS, CACHE)),
        ),
        overheads=(CONTEXT,),
        reserved_ratio=(1.0, 1.1),
        devices=workload.tp,
    )


def report(
    *gpus: str,
    repo: str = "org/model",
    notes: tuple[str, ...] = (),
    known: bool = True,
    named: bool = True,
    offers: tuple[Offer, ...] | None = None,
) -> Report:
    layer = Layer(
        mixers=(Attention(heads=32, kv_heads=8, key_dim=128, value_dim=128),),
        feed_forward=Dense(width=11008, gated=True),
    )
    architecture = Architecture(
        model_type="llama",
        class_name="LlamaForCausalLM",
        hidden_size=4096,
        vocab_size=32000,
        max_context=4096,
        dtype="BF16",
        tied_embeddings=False,
        layers=(layer,) * LAYERS,
    )
    workload = Workload()
    solver = Solver(plan_for=plan_for, workload=workload, max_context=4096, depends_on_length=known)
    targets: tuple[Target, ...] = tuple(map(parse_target, gpus or ("24GiB", "16GiB")))
    census = Census(
        groups=fold_file(TENSORS, "model.safetensors"), format="safetensors", files=1, basis="headers"
    )
    return Report(
        census=census,
        quantization=None,
        snapshot=Snapshot(
            listing=Listing(
                repo=repo,
                revision=None,
                commit="8f2c1d4" + "0" * 33,
                gated="manual",
                origin=Origin.HUB,
                files={"model.safetensors": FileEntry(nbytes=1)},
            ),
            config=None,
            census=census,
            cost=Cost(requests=4, bytes_received=17_300),
            seconds=0.44,
        ),
        architecture=architecture if known else None,
        workload=workload,
        cache=Cache(nbytes=GIB, bytes_per_token=8192, policy=CachePolicy.LOGICAL) if known else None,
        plan=plan_for(workload),
        verdicts=tuple(solver.judge(target, named=named) for target in targets),
        host=Host(disk_bytes=15 * GIB, load_bytes=4 * GIB, resident_bytes=0, bits_per_second=10**9),
        offers=offers,
        notes=notes,
    )
