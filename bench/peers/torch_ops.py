"""torch's operations on CPU, one for every JSON line on standard input; answers with the seconds of each repetition.

    python torch_ops.py [--threads 2]

Attention: {"op": "attention", "T": 1024, "H": 8, "D": 64, "dtype": "f32"}; the head with its loss: {"op": "head", "N":
2048, "C": 288, "V": 32000, "dtype": "f32"}; both forward and backward. Fused AdamW: {"op": "adamw", "N": 100000000}.
"repeat" says how often. The head's answer has the memory that it took as well.
"""
import argparse, json, resource, sys, time
import torch
import torch.nn.functional as F

p = argparse.ArgumentParser(); p.add_argument("--threads", type=int, default=2)
torch.set_num_threads(p.parse_args().threads)
torch.manual_seed(0)
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
resident = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def attention(T, H, D, dtype, **_):
    q, k, v = (torch.randn(1, H, T, D, dtype=DTYPES[dtype], requires_grad=True) for _ in range(3))
    dy = torch.randn(1, H, T, D, dtype=DTYPES[dtype])
    def step():
        q.grad = k.grad = v.grad = None
        F.scaled_dot_product_attention(q, k, v, is_causal=True).backward(dy)
    return step


def head(N, C, V, dtype, **_):
    x = torch.randn(N, C, dtype=DTYPES[dtype], requires_grad=True)
    weight = (torch.randn(V, C) * 0.05).to(DTYPES[dtype]).requires_grad_()
    labels = torch.randint(V, (N,))
    def step():
        x.grad = weight.grad = None
        F.cross_entropy(F.linear(x, weight).float(), labels).backward()
    return step


def adamw(N, **_):
    weight = torch.nn.Parameter(torch.randn(N))
    weight.grad = torch.randn(N)
    return torch.optim.AdamW([weight], lr=1e-5, fused=True).step


OPS = {"attention": attention, "head": head, "adamw": adamw}
print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
made = {}
for line in sys.stdin:
    asked = json.loads(line)
    key = json.dumps({**asked, "repeat": 0})
    if key not in made:
        made.clear()
        before = resident()
        made[key] = OPS[asked["op"]](**asked)
        made[key]()
    seconds = []
    for _ in range(asked["repeat"]):
        started = time.perf_counter()
        made[key]()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "bytes": resident() - before}), flush=True)
