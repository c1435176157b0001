"""transformers' generate, once for every JSON line on standard input; answers with the seconds it took.

    python transformers_generate.py MODEL bf16|f32 [--device cpu|cuda] [--threads 2]

A line is {"batch": 1, "prompt": 32, "tokens": 128}: so many prompts of so many tokens, and tokens to continue each with,
greedily. {"seconds", "first"} are those of the whole and of a call for the first token alone.
"""
import argparse, json, sys, time
import torch
from transformers import AutoModelForCausalLM

p = argparse.ArgumentParser()
p.add_argument("model"); p.add_argument("dtype", choices=["bf16", "f32"]); p.add_argument("--device", default="cpu"); p.add_argument("--threads", type=int, default=2)
a = p.parse_args()
torch.set_num_threads(a.threads)
model = AutoModelForCausalLM.from_pretrained(a.model, dtype={"bf16": torch.bfloat16, "f32": torch.float32}[a.dtype]).to(a.device).eval()
generator = torch.Generator().manual_seed(0)


def seconds(prompts, tokens):
    started = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False).cpu()
    assert out.shape[1] == prompts.shape[1] + tokens
    return time.perf_counter() - started


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    prompts = torch.randint(10, 30000, (asked["batch"], asked["prompt"]), generator=generator).to(a.device)
    first = seconds(prompts, 1)
    print(json.dumps({"first": first, "seconds": seconds(prompts, asked["tokens"]) if asked["tokens"] > 1 else first}), flush=True)
