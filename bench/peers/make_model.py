"""Makes a random Llama folder for speed comparisons: of 15M parameters (width 288, 6 layers, 6 heads, MLP 768) of 110M
(width 768, 12 layers, 12 heads, MLP 2048) or of 1.1B (width 2048, 22 layers, 32 heads, 4 key heads, MLP 5632), tied.

    python make_model.py TOKENIZER_FOLDER OUT [15m|110m|1.1b]     TOKENIZER_FOLDER: a Llama-2 vocabulary, such as Phi-3-mini's

The vocabulary is padded from 32,011 to 32,064 rows, because Phi-3's end-of-sequence token is number 32,000.
"""
import json, pathlib, shutil, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM

tokenizer, out = map(pathlib.Path, sys.argv[1:3])
width, layers, heads, key_heads, mlp = {
    "15m": (288, 6, 6, 6, 768), "110m": (768, 12, 12, 12, 2048), "1.1b": (2048, 22, 32, 4, 5632)}[sys.argv[3] if len(sys.argv) > 3 else "15m"]
torch.manual_seed(0)
config = LlamaConfig(hidden_size=width, intermediate_size=mlp, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=key_heads,
    vocab_size=32064, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=32000,
    pad_token_id=32000, initializer_range=0.02)
model = LlamaForCausalLM(config)
model.save_pretrained(out)
for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
    if (tokenizer / name).exists(): shutil.copyfile(tokenizer / name, out / name)
# transformers 5 alone reads "rope_parameters"; published configs have rope_theta at the top
written = json.loads((out / "config.json").read_text())
written |= {"rope_theta": written.pop("rope_parameters", {}).get("rope_theta", 10000.0)}
(out / "config.json").write_text(json.dumps(written, indent=2) + "\n")
print(f"{sum(p.numel() for p in model.parameters()):,} parameters in {out}")
