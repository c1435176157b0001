"""Trains one step on pairs with TRL's DPOTrainer: trl_reads_pairs.py MODEL PAIRS...

PAIRS are .jsonl or .parquet files of `westwind feedback binarize`, MODEL is a small model's folder.
"""

import sys
import tempfile
from importlib.metadata import version

from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.data_utils import extract_prompt

COLUMNS = ["prompt", "prompt_id", "chosen", "rejected", "messages", "score_chosen", "score_rejected"]
TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"

folder, *files = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
tokenizer.chat_template = tokenizer.chat_template or TEMPLATE + "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token

for file in files:
    kind = "parquet" if file.endswith(".parquet") else "json"
    pairs = load_dataset(kind, data_files=file, split="train")
    assert pairs.column_names[: len(COLUMNS)] == COLUMNS, pairs.column_names
    for row in pairs:
        assert row["messages"] == row["chosen"] and row["chosen"][:-1] == row["rejected"][:-1], row["prompt_id"]
        assert row["chosen"][-1]["role"] == row["rejected"][-1]["role"] == "assistant", row["prompt_id"]
        assert row["score_chosen"] > row["score_rejected"], row["prompt_id"]

    short = pairs.filter(lambda row: sum(len(m["content"]) for m in row["chosen"] + row["rejected"]) < 1500).select(range(4))
    # With a text as prompt beside lists of messages TRL reads neither; without it, it takes what both chats begin with.
    chats = short.select_columns(["chosen", "rejected"])
    assert all(extract_prompt(row)["prompt"] == row["chosen"][:-1] for row in chats)
    with tempfile.TemporaryDirectory() as output:
        config = DPOConfig(
            output_dir=output, max_steps=1, per_device_train_batch_size=4, logging_steps=1, learning_rate=1e-4,
            report_to=[], use_cpu=True, save_strategy="no", max_length=512,
        )
        trainer = DPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder), args=config, processing_class=tokenizer,
            train_dataset=chats,
        )
        trainer.train()
        (record,) = [log for log in trainer.state.log_history if "rewards/margins" in log]
    assert abs(record["loss"] - 0.6931) < 1e-3, record  # the model is still its own reference
    print(f"trl {version('trl')}: {file}: {len(pairs)} pairs are read, one step has loss {record['loss']:.4f}")
