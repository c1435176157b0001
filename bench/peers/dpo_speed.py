"""Times TRL's DPOTrainer on CPU, in float32 or with --bf16 under autocast: one JSON line a step, then a summary line.

    python dpo_speed.py MODEL ROWS.jsonl [--steps 6] [--batch 8] [--max_length 512] [--threads 2] [--bf16] [--precompute]

Rows are taken in file order; the reference is a second copy of the model, run in every step as TRL does by default
(--precompute: once before, outside the timed steps but inside "train_seconds"). A step's time runs from its first forward
pass to the end of the optimiser's update. Memory settings come from the environment, for instance
MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296, which glibc reads before Python starts.
"""
import argparse, json, os, statistics, tempfile, time
WORK = tempfile.mkdtemp()
os.environ |= {"HF_HOME": WORK, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
import datasets, torch, transformers, trl
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

p = argparse.ArgumentParser()
p.add_argument("model"); p.add_argument("rows")
p.add_argument("--steps", type=int, default=6); p.add_argument("--batch", type=int, default=8)
p.add_argument("--max_length", type=int, default=512); p.add_argument("--threads", type=int, default=2)
p.add_argument("--lr", type=float, default=1e-5); p.add_argument("--precompute", action="store_true")
p.add_argument("--bf16", action="store_true")
a = p.parse_args()
ZEPHYR = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"

transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar(); datasets.disable_progress_bars()
torch.set_num_threads(a.threads)
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(a.model)
tokenizer.chat_template = ZEPHYR
if tokenizer.pad_token is None: tokenizer.pad_token = tokenizer.eos_token
rows = [json.loads(line) for line in open(a.rows)]
data = Dataset.from_list([{"prompt": r["chosen"][:-1], "chosen": r["chosen"][-1:], "rejected": r["rejected"][-1:]} for r in rows])


class Sequential(DPOTrainer):
    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(dataset if dataset is not None else self.train_dataset)

    def compute_loss(self, model, inputs, *rest, **more):
        shapes.append((int(inputs["attention_mask"].sum()), inputs["attention_mask"].numel()))
        return super().compute_loss(model, inputs, *rest, **more)


shapes, times, losses = [], [], []
class Clock(TrainerCallback):
    def on_step_begin(self, *x, **k): self.started = time.perf_counter()
    def on_step_end(self, *x, **k): times.append(time.perf_counter() - self.started)
    def on_log(self, args, state, control, logs=None, **k):
        if "loss" in logs: losses.append(logs["loss"])


load = lambda: AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
trainer = Sequential(model=load(), ref_model=load(), train_dataset=data, processing_class=tokenizer, callbacks=[Clock()],
    args=DPOConfig(output_dir=WORK + "/out", per_device_train_batch_size=a.batch, max_steps=a.steps, learning_rate=a.lr, beta=0.1,
        max_length=a.max_length, logging_steps=1, save_strategy="no", report_to=[], bf16=a.bf16, use_cpu=True, disable_tqdm=True,
        gradient_checkpointing=False, precompute_ref_log_probs=a.precompute, warmup_steps=0, lr_scheduler_type="linear"))
trainer.remove_callback(transformers.PrinterCallback)
started = time.perf_counter()
trainer.train()
total = time.perf_counter() - started
for i, (seconds, loss, (tokens, padded)) in enumerate(zip(times, losses, shapes)):
    print(json.dumps({"step": i + 1, "seconds": seconds, "pairs_per_second": a.batch / seconds, "loss": loss, "tokens": tokens, "tokens_with_padding": padded}))
later = times[1:] or times
print(json.dumps({"summary": True, "median_step_seconds": statistics.median(later), "pairs_per_second": a.batch / statistics.median(later),
    "pairs_per_second_mean": a.batch * len(later) / sum(later), "train_seconds": total, "rows": len(rows), "rows_kept": len(trainer.train_dataset),
    "torch": torch.__version__, "trl": trl.__version__, "threads": a.threads, "malloc": os.environ.get("MALLOC_MMAP_THRESHOLD_", "default")}))
