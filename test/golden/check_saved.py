"""Loads a model folder in transformers, as it stands, and compares its logits with numbers kept elsewhere.

    python check_saved.py MODEL_DIR                        loads, lists what does not fit, prints logits of two sequences
    python check_saved.py MODEL_DIR tiny-llama             against the goldens of a folder made by make_tiny_model.py
    python check_saved.py MODEL_DIR LOGITS.json            {"ids": [[...], ...], "logits": [[[...], ...], ...]}
    python check_saved.py MODEL_DIR --same-as OTHER_DIR    against another folder that transformers loads

Exit status 1 where a weight is missing, unexpected or misshapen, a logit is not finite, or logits are over 1e-4 apart.
"""
import json, pathlib, sys, torch, transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4
transformers.logging.disable_progress_bar()
folder = pathlib.Path(sys.argv[1])
rest = sys.argv[2:]


def load(path):
    model, info = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    wrong = {k: sorted(map(str, v)) for k, v in info.items() if v and k != "error_msgs"} | ({"error_msgs": info["error_msgs"]} if info.get("error_msgs") else {})
    return model.eval(), wrong


@torch.no_grad()
def run(model, sequences):
    return [model(input_ids=torch.tensor([ids]), use_cache=False).logits[0] for ids in sequences]


model, wrong = load(folder)
failed = bool(wrong)
print(f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters, tied {model.config.tie_word_embeddings}, saved as {model.config.dtype}")
print("loading:", wrong or "every weight fits")
for file in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
    print(f"{file}: {'there' if (folder / file).exists() else 'none'}")
if (folder / "tokenizer.json").exists():
    print("tokenizer:", AutoTokenizer.from_pretrained(folder).encode("Once upon a time"))

random = torch.Generator().manual_seed(0)
sequences = [torch.randint(0, model.config.vocab_size, (n,), generator=random).tolist() for n in (24, 17)]
expected = None
if rest[:1] == ["--same-as"]:
    expected = run(load(rest[1])[0], sequences)
elif rest and rest[0].endswith(".json"):
    kept = json.loads(pathlib.Path(rest[0]).read_text())
    sequences, expected = kept["ids"], [torch.tensor(x) for x in kept["logits"]]
elif rest:
    golden = pathlib.Path(rest[0])
    if not golden.exists(): golden = pathlib.Path(__file__).parent / rest[0]
    sequences = json.loads((golden / "golden.json").read_text())["sequences"]
    tensors = load_file(golden / "golden.safetensors")
    expected = [tensors[f"logits.{i}"] for i in range(len(sequences))]

found = run(model, sequences)
if not all(torch.isfinite(x).all() for x in found):
    print("logits: not finite")
    failed = True
for i, logits in enumerate(found):
    print(f"sequence {i}, {len(sequences[i])} tokens: last row {[round(x, 5) for x in logits[-1, :6].tolist()]} ...")
    if expected is not None:
        apart = (logits - expected[i].float()).abs().max().item()
        print(f"  largest difference {apart:.2e} (logits up to {expected[i].abs().max().item():.1f})")
        failed = failed or not apart <= TOLERANCE
print("failed" if failed else "passed")
sys.exit(failed)
