"""What ZeRO's paper and DeepSpeed's own estimates say of a model's states.

Symbols: Ψ parameters, N data-parallel ranks.
"""


def model_states(parameters: int, n: int, stage: int) -> float:
    """Weights, gradients and Adam's states in mixed precision: (2 + 2 + 12)Ψ, shared as the stage says.

    Stage 1: (2 + 2 + 12/N)Ψ; stage 2: (2 + 14/N)Ψ; stage 3: 16Ψ/N.

    Source: Rajbhandari et al., ZeRO, arXiv 1910.02054, figure 1.

    >>> [round(model_states(7_500_000_000, 64, stage) / 1e9, 1) for stage in (0, 1, 2, 3)]
    [120.0, 31.4, 16.6, 1.9]
    """
    weights, gradients, states = 2, 2, 12
    return parameters * (
        (weights / n if stage >= 3 else weights)
        + (gradients / n if stage >= 2 else gradients)
        + (states / n if stage >= 1 else states)
    )


def deepspeed_zero_2(parameters: int, n: int, *, offload: bool) -> int:
    """DeepSpeed's own estimate for a GPU: (4 + 16/N)Ψ, or 2Ψ with the optimizer on the host.

    Source: DeepSpeed, runtime/zero/stage_1_and_2.py, estimate_zero2_model_states_mem_needs.

    >>> round(deepspeed_zero_2(2_851_000_000, 8, offload=False) / 2**30, 2)
    15.93
    """
    return 2 * parameters if offload else 4 * parameters + 16 * parameters // n


def deepspeed_zero_3(
    parameters: int, largest_layer: int, n: int, *, offload_optimizer: bool, offload_parameters: bool
) -> int:
    """DeepSpeed's own estimate for a GPU: 18Ψ/N and 4 bytes a parameter of the largest layer.

    With the optimizer on the host 2Ψ/N remain, with the parameters there too nothing but the largest layer.

    Source: DeepSpeed, runtime/zero/stage3.py, estimate_zero3_model_states_mem_needs.
    """
    rest = 0 if offload_parameters else 2 if offload_optimizer else 18
    return 4 * largest_layer + rest * parameters // n


def deepspeed_host(parameters: int, *, offload_parameters: bool) -> int:
    """DeepSpeed's own estimate for the host with the optimizer there: 1.5 · 16Ψ, 1.5 · 18Ψ with the parameters.

    The half more is its factor for buffers; weights are made on the devices (`zero_init`).

    Source: DeepSpeed, runtime/zero/stage3.py, estimate_zero3_model_states_mem_needs.
    """
    return (18 if offload_parameters else 16) * parameters * 3 // 2
