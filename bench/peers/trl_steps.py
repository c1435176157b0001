"""TRL's DPOTrainer or SFTTrainer, one optimiser step for every line on standard input.

    python trl_steps.py dpo|sft MODEL ROWS.jsonl [--batch 8] [--max_length 512] [--steps 6] [--threads 2] [--device cpu|cuda]
        [--bf16] [--precompute]

Prints a JSON line when ready, then one a step: its seconds, from the first forward pass to the end of the optimiser's
update, its loss and its tokens; a last one at the end of the input, with the largest resident memory. Rows are taken in
file order. float32, or with --bf16 under autocast. DPO's reference model runs in every step, as TRL has it, or with
--precompute before the first. SFT cuts rows of --max_length tokens from all of them end to end. Memory settings come from the environment, for instance
MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296, which glibc reads before Python starts.
"""
import argparse, json, os, sys, tempfile, time
WORK = tempfile.mkdtemp()
os.environ |= {"HF_HOME": WORK, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
import datasets, torch, transformers
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

p = argparse.ArgumentParser()
p.add_argument("task", choices=["dpo", "sft"]); p.add_argument("model"); p.add_argument("rows")
p.add_argument("--batch", type=int, default=8); p.add_argument("--max_length", type=int, default=512)
p.add_argument("--steps", type=int, default=6); p.add_argument("--threads", type=int, default=2)
p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
p.add_argument("--bf16", action="store_true"); p.add_argument("--precompute", action="store_true")
a = p.parse_args()
ZEPHYR = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"

answers = sys.stdout
sys.stdout = sys.stderr  # whatever the libraries print
def say(**what): print(json.dumps(what), file=answers, flush=True)

def end():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    say(peak_bytes=int(peak) * 1024, torch=torch.__version__)
    answers.flush()
    os._exit(0)

transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar(); datasets.disable_progress_bars()
torch.set_num_threads(a.threads)
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(a.model)
tokenizer.chat_template = ZEPHYR
if tokenizer.pad_token is None: tokenizer.pad_token = tokenizer.eos_token
rows = [json.loads(line) for line in open(a.rows)]


def now():  # when what was asked of the device is done
    if a.device == "cuda": torch.cuda.synchronize()
    return time.perf_counter()

class Clock(TrainerCallback):
    def on_step_begin(self, *x, **k):
        if not sys.stdin.readline(): end()
        self.started = now()
    def on_step_end(self, *x, **k): self.seconds = now() - self.started
    def on_log(self, args, state, control, logs=None, **k):
        if "loss" in logs: say(seconds=self.seconds, loss=logs["loss"], tokens=tokens.pop())


tokens = []
class InOrder:
    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(dataset if dataset is not None else self.train_dataset)
    def compute_loss(self, model, inputs, *rest, **more):
        tokens.append(int(inputs["attention_mask"].sum()) if "attention_mask" in inputs else inputs["input_ids"].numel())
        return super().compute_loss(model, inputs, *rest, **more)
class Dpo(InOrder, DPOTrainer): pass
class Sft(InOrder, SFTTrainer): pass

load = lambda: AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
common = dict(output_dir=WORK + "/out", per_device_train_batch_size=a.batch, max_steps=a.steps, learning_rate=1e-5,
    lr_scheduler_type="linear", warmup_steps=0, max_length=a.max_length, logging_steps=1, save_strategy="no", report_to=[],
    bf16=a.bf16, use_cpu=a.device == "cpu", disable_tqdm=True, gradient_checkpointing=False)
if a.task == "dpo":
    data = Dataset.from_list([{"prompt": r["chosen"][:-1], "chosen": r["chosen"][-1:], "rejected": r["rejected"][-1:]} for r in rows])
    config = DPOConfig(**common, beta=0.1, precompute_ref_log_probs=a.precompute)
    trainer = Dpo(model=load(), ref_model=None if a.precompute else load(), train_dataset=data, processing_class=tokenizer, callbacks=[Clock()], args=config)
else:
    data = Dataset.from_list([{"messages": r["messages"]} for r in rows])
    trainer = Sft(model=load(), train_dataset=data, processing_class=tokenizer, callbacks=[Clock()], args=SFTConfig(**common, packing=True, packing_strategy="wrapped"))
trainer.remove_callback(transformers.PrinterCallback)
if a.precompute: trainer.get_train_dataloader()
say(ready=True)
trainer.train()
end()
