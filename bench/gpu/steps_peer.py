"""Whole DPO steps as plain PyTorch makes them: transformers' model in bf16, SDPA, fused AdamW on bf16 weights (westwind
keeps f32 ones and f32 moments), the rows of steps.ts, the reference's numbers given.

    python3 bench/gpu/steps_peer.py [--model=15m,125m,1.1b] [--device=cuda] [--batch=64] [--steps=5] [--micro=8,16,32]
        [--compile=15m] [--out=FILE]

Chosen and rejected answers each follow their own copy of the prompt, in batches of --micro pairs padded on the right to
the longest row; causal attention needs no mask for that, so that SDPA may take its fastest kernel. The models of --compile are run through torch.compile too, after everything else.
"""
import json, pathlib, statistics, time

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from peer_rows import Rows, arguments

here = pathlib.Path(__file__).parent
values = arguments(model="15m,125m,1.1b", batch=64, steps=5, micro="8,16,32", compile="15m")
device = values.device
rows = Rows(values)
configs = json.loads((here / "models.json").read_text())
lengths = json.loads((here / "lengths.json").read_text())[: values.batch]
tokens = {}  # by length, drawn once


def make_model(name):
    config = {key: value for key, value in configs[name].items() if key != "architectures"}
    tokens.update((n, torch.randint(config["vocab_size"], (n,))) for n in range(2048))
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(**config, attn_implementation="sdpa", use_cache=False))
    torch.set_default_dtype(torch.float32)
    return model.train(), torch.optim.AdamW(model.parameters(), lr=1e-7, weight_decay=0.0, fused=device == "cuda")


def batches(micro, multiple=1):
    """Of `micro` pairs each: ids, labels (-100 where nothing is learned), the reference's margin."""
    made = []
    for first in range(0, len(lengths), micro):
        pairs = lengths[first : first + micro]
        sequences = [(p, c) for p, c, _ in pairs] + [(p, r) for p, _, r in pairs]
        width = -(-max(p + a for p, a in sequences) // multiple) * multiple
        ids = torch.zeros(len(sequences), width, dtype=torch.long)
        labels = torch.full((len(sequences), width), -100)
        for row, (prompt, answer) in enumerate(sequences):
            ids[row, : prompt + answer] = tokens[prompt + answer]
            labels[row, prompt - 1 : prompt + answer - 1] = ids[row, prompt : prompt + answer]
        reference = torch.tensor([-10.0 * (c - r) for _, c, r in pairs])
        made.append(tuple(t.to(device) for t in (ids, labels, reference)))
    return made


def step(call, work, model, optimizer):
    losses = []
    for ids, labels, reference in work:
        logits = call(input_ids=ids).logits
        log_probs = -F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).sum(1)
        chosen, rejected = log_probs.chunk(2)
        loss = -F.logsigmoid(0.1 * (chosen - rejected - reference)).sum() / len(lengths)
        loss.backward()
        losses.append(loss.detach())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return torch.stack(losses).sum().item()  # the step's one wait


def measure(peer, name, call, micro, model, optimizer, multiple=1):
    facts = {"bench": "dpo_step_peer", "peer": peer, "model": name, "batch": len(lengths), "micro_pairs": micro}
    try:
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        work = batches(micro, multiple)
        started = time.perf_counter()
        step(call, work, model, optimizer)
        first = time.perf_counter() - started
        times = []
        while len(times) < values.steps and (len(times) < 2 or sum(times) < 8):
            started = time.perf_counter()
            step(call, work, model, optimizer)
            times.append(time.perf_counter() - started)
        seconds = statistics.median(times)
        rows.write(**facts, tokens=sum(ids.numel() for ids, _, _ in work), first_seconds=first, seconds=seconds,
            rows_per_second=len(lengths) / seconds, memory_gib=torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None)
        return seconds
    except Exception as error:
        optimizer.zero_grad(set_to_none=True)
        rows.write(**facts, error=str(error).split("\n")[0][:160])
        return float("inf")


best = {}
for name in values.model.split(","):
    model, optimizer = make_model(name)
    seconds = {micro: measure("torch, transformers", name, model, int(micro), model, optimizer) for micro in values.micro.split(",")}
    best[name] = int(min(seconds, key=seconds.get))
    del model, optimizer
for name in values.compile.split(",") if values.compile else []:
    model, optimizer = make_model(name)
    compiled = torch.compile(model, dynamic=True)
    measure("torch, transformers, compiled", name, compiled, best[name], model, optimizer, 64)
