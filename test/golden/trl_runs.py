"""Runs TRL's own SFTTrainer and DPOTrainer on CPU and records every logged number unrounded, and the token ids it made.

    python trl_runs.py DATA_FOLDER [NAME ...]      DATA_FOLDER holds models/ and stories/; NAME from RUNS (default: all)

Writes trl/NAME.jsonl: a line {"settings": ...}, one line per logging step as TRL hands it to its callbacks (evaluation
lines too), TRL's closing summary line; and trl/tokens-TASK-MODEL.json: the ids of the first 16 rows TRL kept, which rows
it dropped and which are longer than max_length. Float32, sequential order, no dropout, Zephyr's template, 2 threads.
"""
import json, os, pathlib, sys, tempfile
WORK = tempfile.mkdtemp()
os.environ |= {"HF_HOME": WORK, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
import datasets, tokenizers, torch, transformers, trl
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

HERE = pathlib.Path(__file__).parent
DATA = pathlib.Path(sys.argv[1])
ZEPHYR = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
# The same text, with the markers TRL's assistant_only_loss needs. The newline after the end-of-sequence token lies outside;
# "endgeneration" is followed by two newlines because Jinja's trim_blocks swallows the first.
MARKED = ZEPHYR.replace("{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n",
    "{{ '<|assistant|>\n' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}\n\n")
assert MARKED != ZEPHYR
LARGE, SMALL = "tinystories-656k", "stories-260k"
BASE = dict(steps=20, batch=8, accum=1, logging_steps=1, form="messages")
RUNS = {f"{task}-{model}": BASE | dict(task=task, model=model) for task in ("sft", "dpo") for model in (SMALL, LARGE)}
for task in ("sft", "dpo"):
    split = RUNS[f"{task}-{LARGE}"] | dict(steps=8, batch=4, accum=2)
    RUNS[f"{task}-{LARGE}-accum2"] = split
    RUNS[f"{task}-{LARGE}-window"] = split | dict(logging_steps=4, eval_rows=20)  # windows of 4 steps; evaluation in 8+8+4 rows
RUNS[f"sft-{LARGE}-assistant"] = RUNS[f"sft-{LARGE}"] | dict(form="assistant_only_loss")  # loss on content + eos
RUNS[f"sft-{LARGE}-completion"] = RUNS[f"sft-{LARGE}"] | dict(form="prompt_completion")  # loss on all after the prompt


def example(row, index, run):
    if run["task"] == "dpo":
        return {"prompt": row["chosen"][:-1], "chosen": row["chosen"][-1:], "rejected": row["rejected"][-1:], "row": index}
    if run["form"] == "prompt_completion":
        return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:], "row": index}
    return {"messages": row["messages"], "row": index}


def load(task, split, run, count=None):
    file = DATA / "stories" / f"{'preferences' if task == 'dpo' else 'sft'}_{split}.jsonl"
    rows = [json.loads(line) for line in file.open()][:count]
    return Dataset.from_list([example(row, i, run) for i, row in enumerate(rows)])


class Observed:
    """Sequential order, and the loss of every evaluation batch."""

    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(dataset if dataset is not None else self.train_dataset)

    def prediction_step(self, *args, **kwargs):
        result = super().prediction_step(*args, **kwargs)
        self.eval_batches = [*getattr(self, "eval_batches", []), result[0].item()]
        return result


class Dpo(Observed, DPOTrainer): pass
class Sft(Observed, SFTTrainer): pass


class Record(TrainerCallback):
    def __init__(self): self.lines = []
    def on_log(self, args, state, control, logs=None, **rest): self.lines.append({"step": state.global_step, **logs})


def write_tokens(name, run, trainer, source, tokenizer, model, max_length):
    kept = list(trainer.train_dataset["row"])
    columns = [c for c in ("prompt_ids", "chosen_ids", "rejected_ids", "input_ids", "labels") if c in trainer.train_dataset.column_names]
    first = [{"row": trainer.train_dataset[i]["row"], **{c: trainer.train_dataset[i][c] for c in columns}} for i in range(16)]
    raw = tokenizers.Tokenizer.from_file(str(DATA / "models" / model / "tokenizer.json"))
    lengths, same, over = [], True, []
    for i, row in enumerate(source):
        chats = [row["prompt"] + row[k] for k in ("chosen", "rejected")] if run["task"] == "dpo" else [row.get("messages") or row["prompt"] + row["completion"]]
        texts = [tokenizer.apply_chat_template(c, tokenize=False) for c in chats]
        ids = [tokenizer.apply_chat_template(c, tokenize=True)["input_ids"] for c in chats]
        same = same and ids == [raw.encode(t, add_special_tokens=False).ids for t in texts]
        lengths.append(max(map(len, ids)))
        if lengths[-1] > max_length: over.append(i)
    for f in first:  # labels are the ids, or -100 before the answer: keep them only where they say more
        if f.get("labels") == f.get("input_ids"): f.pop("labels", None)
        elif "labels" in f: f["trainable"] = [int(x != -100) for x in f.pop("labels")]
    record = {"rows": len(source), "kept": len(kept), "dropped": sorted(set(range(len(source))) - set(kept)), "max_length": max_length,
        "longer_than_max_length": over, "longest": max(lengths), "ids_equal_tokenizer_json": same, "first": first}
    compact = json.dumps(record | {"first": "@"}).replace('"@"', "[\n" + ",\n".join(json.dumps(f, separators=(",", ":")) for f in first) + "\n]")
    (HERE / "trl" / f"tokens-{name}.json").write_text(compact + "\n")
    print(name, {k: v if not isinstance(v, list) else len(v) for k, v in record.items()})


def run_one(name):
    run = RUNS[name]
    task, model = run["task"], run["model"]
    torch.set_num_threads(2)
    torch.manual_seed(0)
    folder = DATA / "models" / model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = MARKED if run["form"] == "assistant_only_loss" else ZEPHYR
    if tokenizer.pad_token is None: tokenizer.pad_token = tokenizer.eos_token
    policy = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    source = load(task, "train", run)
    settings = dict(per_device_train_batch_size=run["batch"], gradient_accumulation_steps=run["accum"], max_steps=run["steps"],
        learning_rate=1e-4, lr_scheduler_type="linear", warmup_steps=0, logging_steps=run["logging_steps"], max_length=512,
        weight_decay=0.0, max_grad_norm=1.0, seed=0, bf16=False, gradient_checkpointing=False)
    fixed = dict(output_dir=WORK + "/out", save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, dataloader_num_workers=0)
    held_out = None
    if "eval_rows" in run:
        held_out = load(task, "test", run, run["eval_rows"])
        settings |= dict(eval_strategy="steps", eval_steps=run["steps"], per_device_eval_batch_size=8)
    record = Record()
    common = dict(model=policy, train_dataset=source, eval_dataset=held_out, processing_class=tokenizer, callbacks=[record])
    if task == "dpo":
        settings |= dict(beta=0.1, loss_type=["sigmoid"])
        reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        trainer = Dpo(ref_model=reference, args=DPOConfig(**fixed, **settings), **common)
    else:
        settings |= dict(assistant_only_loss=run["form"] == "assistant_only_loss")
        trainer = Sft(args=SFTConfig(**fixed, **settings), **common)
    if name in (f"{task}-{model}", f"sft-{LARGE}-assistant", f"sft-{LARGE}-completion"):
        write_tokens(name, run, trainer, source, tokenizer, model, 512)
    trainer.train()
    made = {"settings": settings | dict(run=run, optimizer=str(trainer.args.optim), adam=[trainer.args.adam_beta1, trainer.args.adam_beta2, trainer.args.adam_epsilon],
        attention=policy.config._attn_implementation, rows=len(source), rows_kept=len(trainer.train_dataset),
        made_by=f"trl_runs.py, torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}, datasets {datasets.__version__}, CPU, float32, 2 threads")}
    if held_out is not None: made["settings"]["eval_batch_losses"] = trainer.eval_batches
    (HERE / "trl" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [made, *record.lines]))
    print(name, *({k: round(v, 4) for k, v in line.items() if k in ("step", "loss", "grad_norm")} for line in record.lines[:2]), record.lines[-1])


(HERE / "trl").mkdir(exist_ok=True)
transformers.logging.disable_progress_bar()
datasets.disable_progress_bars()
for name in sys.argv[2:] or RUNS:
    run_one(name)
