"""Makes the tiny model folders tiny-*/ beside this file and their golden numbers, computed by transformers in float64.

    python make_tiny_model.py [NAME ...]        (default: all of MODELS)

Each folder: config.json, model.safetensors (random float32, seeded), golden.safetensors (float32):
    logits.0 [24, V], logits.1 [17, V]          logits of the two sequences
    sft_grad.<parameter>, dpo_grad.<parameter>   gradients of the two losses of golden.json; a tied embedding has one gradient
and golden.json: token ids, losses, per-token log-probabilities, the preference pair's numbers, settings, tolerances.

transformers computes RMSNorm and the rotary angles in float32 whatever the model's dtype; here both are replaced by
float64 forms of the same formulas, so that every number below is a float64 one. The untouched float32 model is run too,
and how far it lies from float64 is recorded ("float32_error").
"""
import json, math, pathlib, sys, torch, transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral

HERE = pathlib.Path(__file__).parent
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
COMMON = {"attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "initializer_range": 0.02,
    "max_position_embeddings": 128, "num_hidden_layers": 2, "use_cache": True, "vocab_size": 97}
OLD = {"rope_theta": 10000.0, "torch_dtype": "float32"}  # the config.json of transformers 4, which most published models have
MODELS = {
    # grouped-query attention, untied, an intermediate size that no SIMD width divides
    "tiny-llama": (11, LLAMA | COMMON | OLD | {"hidden_size": 64, "intermediate_size": 108, "num_attention_heads": 4,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "rope_scaling": None,
        "attention_bias": False, "mlp_bias": False}),
    # sliding window, tied, heads wider than hidden_size / heads
    "tiny-mistral": (12, {"architectures": ["MistralForCausalLM"], "model_type": "mistral"} | COMMON | OLD | {"hidden_size": 32,
        "head_dim": 16, "intermediate_size": 52, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "sliding_window": 8, "tie_word_embeddings": True}),
    # biases everywhere, one key-value head, config.json as transformers 5 writes it
    "tiny-llama-bias": (13, LLAMA | COMMON | {"dtype": "float32", "hidden_size": 32, "intermediate_size": 52, "head_dim": 8,
        "num_attention_heads": 4, "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "attention_bias": True, "mlp_bias": True}),
    # llama3 rope scaling: of the four frequencies (wave lengths 6.3, 42.6, 289, 1958) one is blended and three are divided
    "tiny-llama-rope": (14, LLAMA | COMMON | OLD | {"rope_theta": 2122.0, "hidden_size": 32, "intermediate_size": 52,
        "num_attention_heads": 4, "num_key_value_heads": 4, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}, "attention_bias": False, "mlp_bias": False}),
}
LENGTHS, PROMPT, CHOSEN, REJECTED, BETA = (24, 17), 9, 7, 11, 0.3


def norm_forward(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def rotary_forward(self, x, position_ids):
    config = self.config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    inv = rope["rope_theta"] ** -(torch.arange(0, head, 2, dtype=torch.float64) / head)
    if rope["rope_type"] == "llama3":
        wave, context = 2 * math.pi / inv, rope["original_max_position_embeddings"]
        low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
        smooth = ((context / wave - low) / (high - low)).clamp(0, 1)
        inv = (1 - smooth) * inv / factor + smooth * inv
    assert torch.allclose(inv.float(), self.inv_freq, rtol=1e-6)
    angles = position_ids[:, :, None].double() * inv
    angles = torch.cat((angles, angles), -1)
    return angles.cos(), angles.sin()


def fill(model, seed):
    """Random weights: activations near unit size, attention neither flat nor a single key, logits of spread about 1.6."""
    random = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if "norm" in name: scale, mean = 0.2, 1.0
        elif name.endswith("bias"): scale, mean = 0.3, 0.0
        elif "embed_tokens" in name or "lm_head" in name: scale, mean = 1.6 / math.sqrt(p.shape[1]), 0.0
        elif "q_proj" in name or "k_proj" in name: scale, mean = 1.4 / math.sqrt(p.shape[1]), 0.0
        else: scale, mean = 1.1 / math.sqrt(p.shape[1]), 0.0
        p.data.copy_(mean + scale * torch.randn(p.shape, generator=random))


def log_probs(model, ids):
    """[n - 1]: log p(ids[i + 1] | ids[: i + 1])."""
    logits = model(input_ids=ids[None], use_cache=False).logits[0]
    return torch.log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[:, 0], logits


def gradients(model):
    found = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    return found, math.sqrt(sum(float(g.double().pow(2).sum()) for g in found.values()))


def sft(model, sequences):
    pairs = [log_probs(model, ids) for ids in sequences]
    loss = -torch.cat([p for p, _ in pairs]).mean()
    loss.backward()
    return loss.item(), [p.detach() for p, _ in pairs], [l.detach() for _, l in pairs], *gradients(model)


def answer(model, prompt, tokens):
    return log_probs(model, torch.cat([prompt, tokens]))[0][PROMPT - 1 :]


def make(name):
    seed, config = MODELS[name]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder), attn_implementation="sdpa")
    fill(model, seed)
    weights = {n: p.detach().clone().contiguous() for n, p in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    exact = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="sdpa").eval()
    kind = modeling_mistral if "mistral" in name else modeling_llama
    norm, rotary = (getattr(kind, kind.__name__.split("_")[-1].capitalize() + c) for c in ("RMSNorm", "RotaryEmbedding"))

    random = torch.Generator().manual_seed(seed + 100)
    draw = lambda n: torch.cat([torch.tensor([1]), torch.randint(3, 97, (n - 1,), generator=random)])
    sequences = [draw(n) for n in LENGTHS]
    prompt, chosen, rejected = draw(PROMPT), draw(CHOSEN + 1)[1:], draw(REJECTED + 1)[1:]

    plain_loss, _, plain_logits, plain_grad, _ = sft(plain, sequences)
    saved = norm.forward, rotary.forward
    norm.forward, rotary.forward = norm_forward, rotary_forward
    try:
        loss, token_logps, logits, sft_grad, sft_norm = sft(exact, sequences)
        from_answer = sum(-log_probs(exact, ids)[0][PROMPT - 1 :].sum() for ids in sequences) / sum(n - PROMPT for n in LENGTHS)
        from_answer.backward()
        _, masked_norm = gradients(exact)
        pc, pr = answer(exact, prompt, chosen), answer(exact, prompt, rejected)
        ref_chosen, ref_rejected = round(pc.sum().item(), 2) - 1.5, round(pr.sum().item(), 2) + 0.75
        rewards = BETA * (pc.sum() - ref_chosen), BETA * (pr.sum() - ref_rejected)
        dpo_loss = -torch.nn.functional.logsigmoid(rewards[0] - rewards[1])
        dpo_loss.backward()
        dpo_grad, dpo_norm = gradients(exact)
        unlimited = None
        if getattr(exact.config, "sliding_window", None):
            exact.config.sliding_window = None
            unlimited = [log_probs(exact, ids)[1].detach() for ids in sequences]
    finally:
        norm.forward, rotary.forward = saved
    if unlimited:  # the window must change every row past it and none before
        for with_window, without in zip(logits, unlimited):
            difference = (with_window - without).abs().amax(1)
            assert difference[:8].max() < 1e-12 and difference[8:].min() > 1e-3, difference

    tensors = {f"logits.{i}": l.float() for i, l in enumerate(logits)}
    tensors |= {f"sft_grad.{n}": g.float() for n, g in sft_grad.items()} | {f"dpo_grad.{n}": g.float() for n, g in dpo_grad.items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
    rows = torch.cat([l[:-1] for l in logits])
    labels = torch.cat([s[1:] for s in sequences])
    p = torch.softmax(rows, -1)
    golden = {
        "made_by": f"make_tiny_model.py, torch {torch.__version__}, transformers {transformers.__version__}, CPU, float64",
        "parameters": sum(w.numel() for w in weights.values()),
        "sequences": [s.tolist() for s in sequences],
        "sft": {
            "loss": loss, "gradient_norm": sft_norm, "tokens": int(labels.numel()),
            "token_log_probs": [t.tolist() for t in token_logps],
            "mean_token_accuracy": (rows.argmax(-1) == labels).double().mean().item(),
            "entropy": -(p * torch.log(p)).sum(-1).mean().item(),
        },
        "sft_answers_only": {"trained_from": PROMPT, "loss": from_answer.item(), "gradient_norm": masked_norm},
        "dpo": {
            "beta": BETA, "prompt": prompt.tolist(), "chosen": chosen.tolist(), "rejected": rejected.tolist(),
            "reference_chosen_log_prob": ref_chosen, "reference_rejected_log_prob": ref_rejected,
            "chosen_token_log_probs": pc.tolist(), "rejected_token_log_probs": pr.tolist(),
            "chosen_log_prob": pc.sum().item(), "rejected_log_prob": pr.sum().item(),
            "chosen_reward": rewards[0].item(), "rejected_reward": rewards[1].item(),
            "margin": (rewards[0] - rewards[1]).item(), "loss": dpo_loss.item(), "gradient_norm": dpo_norm,
        },
        "float32_error": {
            "note": "transformers' own float32 model (eager attention) against the float64 numbers; gradient: of a tensor's largest element, worst tensor",
            "logits": max((a - b).abs().max().item() for a, b in zip(plain_logits, logits)),
            "loss": abs(plain_loss - loss),
            "gradient": max(((plain_grad[n] - g).abs().max() / g.abs().max()).item() for n, g in sft_grad.items()),
        },
        "tolerance": {"logits": 1e-4, "token_log_prob": 1e-4, "loss": 1e-5, "gradient": 1e-4},
    }
    for made in folder.iterdir(): made.chmod(0o644)
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(name, "loss", round(loss, 4), "dpo", round(dpo_loss.item(), 4), "norms", round(sft_norm, 3), round(dpo_norm, 3),
        "logit spread", round(rows.std().item(), 2), golden["float32_error"],
        "bytes", sum(f.stat().st_size for f in folder.iterdir()))


transformers.logging.disable_progress_bar()
for name in sys.argv[1:] or MODELS:
    make(name)
