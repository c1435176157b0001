"""Writes rope_frequencies.json: rotary frequencies of several configs, computed by transformers on the CPU.

    python test/golden/rope_frequencies.py        (transformers 5.18.0, torch 2.13.0)

Each case is a config.json (the keys that matter), an optional number of positions, the inverse frequencies as exact
f32 values and the factor on cos and sin. Cases with `positions` run the rotary module forward, as a model does.
"""

import json
import pathlib

import torch
from transformers import LlamaConfig, MistralConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

BASE = dict(hidden_size=256, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048)
LLAMA31 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=8192)

CASES = [
    ("default", dict(rope_theta=10000.0), None),
    ("default, theta 5e5, head_dim 128", dict(rope_theta=500000.0, head_dim=128), None),
    ("default, theta in rope_parameters", dict(rope_parameters=dict(rope_type="default", rope_theta=1e6)), None),
    ("default, head size 10", dict(hidden_size=40), None),
    ("linear", dict(rope_theta=10000.0, rope_scaling=dict(type="linear", factor=4.0)), None),
    ("linear, factor 3", dict(rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=12345.0)), None),
    ("dynamic, within", dict(rope_theta=10000.0, rope_scaling=dict(type="dynamic", factor=2.0)), 2048),
    ("dynamic, beyond", dict(rope_theta=10000.0, rope_scaling=dict(type="dynamic", factor=2.0)), 5000),
    ("dynamic, factor 4", dict(rope_theta=500000.0, rope_scaling=dict(rope_type="dynamic", factor=4.0)), 8192),
    ("llama 3.1", dict(rope_theta=500000.0, head_dim=128, max_position_embeddings=131072, rope_scaling=LLAMA31), None),
    ("llama 3.2", dict(rope_theta=500000.0, max_position_embeddings=131072,
                       rope_scaling=dict(LLAMA31, factor=32.0)), None),
    ("yarn", dict(rope_theta=10000.0, max_position_embeddings=8192,
                  rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=2048)), None),
    ("yarn, betas, not truncated",
     dict(max_position_embeddings=65536, head_dim=128,
          rope_parameters=dict(rope_type="yarn", factor=16.0, original_max_position_embeddings=4096, beta_fast=24.0,
                               beta_slow=2.0, truncate=False, rope_theta=150000.0)), None),
    ("yarn, mscale", dict(rope_theta=10000.0, max_position_embeddings=163840,
                          rope_scaling=dict(type="yarn", factor=40.0, original_max_position_embeddings=4096,
                                            mscale=1.0, mscale_all_dim=0.707)), None),
    ("yarn, attention_factor", dict(rope_theta=10000.0, max_position_embeddings=4096,
                                    rope_scaling=dict(rope_type="yarn", factor=2.0, attention_factor=1.25,
                                                      original_max_position_embeddings=2048)), None),
]


def main():
    cases = []
    for architecture, config_class in [("LlamaForCausalLM", LlamaConfig), ("MistralForCausalLM", MistralConfig)]:
        for name, keys, positions in CASES if config_class is LlamaConfig else CASES[:1]:
            settings = json.loads(json.dumps({**BASE, **keys}))
            rotary = LlamaRotaryEmbedding(config_class(**json.loads(json.dumps(settings))))
            if positions is not None:
                rotary(torch.zeros(1), torch.arange(positions)[None])
            cases.append({
                "name": f"{architecture}: {name}",
                "config": {"architectures": [architecture], **settings},
                "positions": positions,
                "inverse_frequencies": rotary.inv_freq.tolist(),
                "attention_scaling": float(rotary.attention_scaling),
            })
    path = pathlib.Path(__file__).with_suffix(".json")
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
