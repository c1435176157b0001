"""PyTorch's own kernels at the shapes of bench/kernels, on the same GPU: one row for each peer, with the kernel's name and
axes as westwind's rows have them, so that compare.ts finds the pairs.

    python3 bench/gpu/peers.py [--out=FILE] [--device=cuda] [--scale=1]     --scale=16: every long axis so much shorter
"""
import sys, warnings

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from peer_rows import Rows, arguments, median_ms

values = arguments(scale=1, only="")
device, scale = values.device, values.scale
rows = Rows(values)
torch.manual_seed(0)


def noise(*shape, dtype=torch.bfloat16, grad=False):
    return (2 * torch.rand(shape, device=device) - 1).to(dtype).requires_grad_(grad)


def rotated(make, most=16, held=256e6):
    """Sets of tensors that a GPU's second cache does not hold together; calls take them in turn."""
    first = make()
    size = sum(t.numel() * t.element_size() for t in first)
    sets = [first] + [make() for _ in range(min(most, int(-(-held // size))) - 1 if device == "cuda" else 0)]
    state = {"next": 0}

    def take():
        state["next"] += 1
        return sets[state["next"] % len(sets)]

    return take


def measure(kernel, peer, axes, run, flops=0.0, bytes=0.0):
    try:
        ms = median_ms(run, device)
        rows.write(kernel=kernel, peer=peer, axes=axes, us_p50=1000 * ms, gflops=flops / ms / 1e6, gb_s=bytes / ms / 1e6)
    except Exception as error:  # one peer that is not there leaves the others
        rows.write(kernel=kernel, peer=peer, axes=axes, error=str(error).split("\n")[0][:160])


def backward_of(take, forward):
    """Runs only the backward pass of what `forward` made once for each set."""
    made = {}

    def run():
        tensors = take()
        key = id(tensors[0])
        if key not in made:
            y = forward(*tensors)
            made[key] = (y, torch.rand_like(y))
        y, dy = made[key]
        torch.autograd.grad(y, [t for t in tensors if t.requires_grad], dy, retain_graph=True)

    return run


def linear():
    for R, C, width in [(4096, 4096, 6144), (4096, 4096, 4096), (4096, 4096, 28672), (4096, 14336, 4096), (4096, 2048, 11264), (8192, 288, 1536), (8192, 8192, 8192)]:
        R, axes = R // scale, {"R": R, "C": C, "F": width}
        flops = 2.0 * R * C * width
        take = rotated(lambda: (noise(R, C), noise(width, C), noise(R, width)))

        def forward():
            x, w, _ = take()
            x @ w.T

        def backward_input():
            _, w, dy = take()
            dy @ w

        def backward_weight():
            x, _, dy = take()
            dy.T @ x

        measure("linear_forward", "torch", axes, forward, flops)
        measure("linear_backward_input", "torch", axes, backward_input, flops)
        measure("linear_backward_weight", "torch, bf16 and not added", axes, backward_weight, flops)


def attention():
    """Documents of one length as a batch, of several laid end to end."""
    shapes = [(16384, 32, 8, 128, S) for S in (32, 16, 8, 4, 2, 1)] + [(16384, 32, 32, 64, S) for S in (32, 16, 4, 1)] + [(8192, 6, 6, 48, 32)]
    backends = {"torch SDPA flash": SDPBackend.FLASH_ATTENTION, "torch SDPA cuDNN": SDPBackend.CUDNN_ATTENTION}
    for T, H, K, D, S in shapes:
        axes = {"T": T, "M": H + 2 * K, "H": H, "D": D, "S": S}
        T //= scale

        def heads(count):
            return noise(S, T // S, count, D).transpose(1, 2).detach().requires_grad_()

        for peer, backend in backends.items():
            def forward(q, k, v):
                with sdpa_kernel(backend):
                    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=K != H)

            both_passes(peer, axes, lambda: (heads(H), heads(K), heads(K)), forward, [T // S] * S)
        end_to_end(axes, T, H, K, D, [T // S] * S, ["FlashAttention 3"])
    end_to_end({"T": 4096, "M": 48, "H": 32, "D": 128, "S": 6}, 4096, 32, 8, 128, [640, 512, 1024, 760, 580, 580])


def both_passes(peer, axes, make, forward, lengths):
    flops = sum(n * (n + 1) / 2 for n in lengths) * axes["H"] * axes["D"]
    take = rotated(make, most=4)

    def only_forward():
        with torch.no_grad():
            forward(*take())

    measure("flash_attention_forward", peer, axes, only_forward, 4 * flops)
    measure("flash_attention_backward", peer, axes, backward_of(take, forward), 10 * flops)


def end_to_end(axes, T, H, K, D, lengths, peers=("torch flash", "FlashAttention 3")):
    starts = torch.tensor([0, *lengths], device=device).cumsum(0).int()
    longest = max(lengths)

    def torch_flash(q, k, v):
        return torch.ops.aten._flash_attention_forward(q, k, v, starts, starts, longest, longest, 0.0, True, False)[0]

    def flash3(q, k, v):
        y = flash_attn_varlen_func(q, k, v, starts, starts, longest, longest, causal=True)
        return y[0] if isinstance(y, tuple) else y

    try:
        from flash_attn_interface import flash_attn_varlen_func
    except ImportError:
        peers = [peer for peer in peers if peer != "FlashAttention 3"]
    make = lambda: tuple(noise(T, heads, D, grad=True) for heads in (H, K, K))
    for peer in peers:
        both_passes(f"{peer}, end to end", axes, make, flash3 if peer == "FlashAttention 3" else torch_flash, lengths)


def head():
    """Projection and cross-entropy in chunks of rows, as trainers without a fused kernel do it."""
    for T, C, V, N in [(4096, 4096, 32000, 2048), (8192, 288, 32064, 4096)]:
        axes = {"T": T, "C": C, "V": V, "N": N, "L": N, "S": -(-V // 8) * 8}  # autograd keeps logits: so do we
        N = N // scale
        x, w, labels = noise(N, C, grad=True), noise(V, C, grad=True), torch.randint(V, (N,), device=device)

        def forward():
            with torch.no_grad():
                for part, wanted in zip(x.split(1024), labels.split(1024)):
                    F.cross_entropy(F.linear(part, w).float(), wanted, reduction="none")

        def both():
            for part, wanted in zip(x.split(1024), labels.split(1024)):
                F.cross_entropy(F.linear(part, w).float(), wanted, reduction="sum").backward()
            x.grad = w.grad = None

        measure("token_log_probs_forward", "torch linear + cross_entropy, 1024 rows", axes, forward, 2.0 * N * C * V)
        measure("token_log_probs_backward", "torch linear + cross_entropy, 1024 rows, with forward", axes, both, 6.0 * N * C * V)


def elementwise():
    def rms_norm(x, w):
        return F.rms_norm(x, (x.shape[-1],), w, 1e-5)

    def swiglu(gate_up):
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate) * up

    for name, function, shapes in [
        ("rms_norm", rms_norm, [((4096, 4096), (4096,)), ((8192, 4096), (4096,))]),
        ("swiglu", swiglu, [((4096, 28672),)]),
    ]:
        for tensors in shapes:
            tensors = [(shape[0] // scale, *shape[1:]) if len(shape) > 1 else shape for shape in tensors]
            R, C = tensors[0][0] * scale, tensors[0][1]
            axes = {"R": R, "C": C} if name == "rms_norm" else {"R": R, "F": C // 2, "G": C}
            take = rotated(lambda: tuple(noise(*shape, grad=True) for shape in tensors))
            for peer, call in [("torch eager", function), ("torch.compile", torch.compile(function, dynamic=False))]:
                def forward():
                    with torch.no_grad():
                        call(*take())

                moved = 2.0 * tensors[0][0] * C * (2 if name == "rms_norm" else 1.5)
                measure(f"{name}_forward", peer, axes, forward, bytes=moved)
                measure(f"{name}_backward", peer, axes, backward_of(take, call), bytes=1.5 * moved if name == "rms_norm" else 5 / 3 * moved)


def adamw():
    """f32 weights, gradients and states. westwind's f32 weights are in two halves, which is as many bytes."""
    for N in [15_200_000, 500_000_000]:
        w = torch.nn.Parameter(torch.zeros(N // scale, device=device))
        w.grad = noise(N // scale, dtype=torch.float32)
        optimizer = torch.optim.AdamW([w], lr=1e-5, fused=device == "cuda")
        measure("adamw", "torch fused", {"N": N, "L": N}, optimizer.step, bytes=28.0 * N / scale)


warnings.filterwarnings("ignore")
for part in [linear, attention, head, adamw, elementwise]:  # what has to compile first comes last
    if values.only and part.__name__ not in values.only.split(","):
        continue
    try:
        part()
    except Exception as error:
        print(f"{part.__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
    if device == "cuda":
        torch.cuda.empty_cache()
