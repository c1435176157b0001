"""Scores and continues texts through lm-evaluation-harness's local-completions: lm_eval_completions.py TOKENIZER [BASE_URL].

TOKENIZER is the served model's folder. What the harness makes of the answers is compared with the answers themselves.
"""

import sys
from importlib.metadata import version

import requests
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

tokenizer = sys.argv[1]
base_url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000/v1"
model = requests.get(f"{base_url}/models", timeout=10).json()["data"][0]["id"]
lm = LocalCompletionsAPI(
    base_url=f"{base_url}/completions", model=model, tokenizer=tokenizer, tokenizer_backend="huggingface",
    batch_size=2, max_length=256, max_retries=1,
)


def ask(kind, arguments):
    return [Instance(request_type=kind, doc={}, arguments=each, idx=i) for i, each in enumerate(arguments)]


pairs = [("The old goat", " went home"), ("A blue lamb", " played on the bridge"), ("Good", " day"), ("Once", " upon a time")]
scores = lm.loglikelihood(ask("loglikelihood", pairs))
for (context, continuation), (total, is_greedy) in zip(pairs, scores):
    before, after = lm._encode_pair(context, continuation)  # by themselves where a token would reach across
    ids, begin = before + after, len(before)
    body = {"model": model, "prompt": ids, "echo": True, "logprobs": 1, "max_tokens": 0}
    answer = requests.post(f"{base_url}/completions", json=body, timeout=60).json()["choices"][0]["logprobs"]
    direct = answer["token_logprobs"][begin:]
    likeliest = all(own == max(top.values()) for own, top in zip(direct, answer["top_logprobs"][begin:]))
    assert abs(sum(direct) - total) < 1e-4 and likeliest == is_greedy, (context, total, direct)

(rolling,) = lm.loglikelihood_rolling(ask("loglikelihood_rolling", [("The old goat went home and slept well.",)]))
assert rolling < 0, rolling

until = {"until": ["\n", "."], "max_gen_toks": 16, "temperature": 0}
texts = lm.generate_until(ask("generate_until", [("The old goat", until), ("Once upon a time", until)]))
assert len(texts) == 2 and not any("\n" in text or "." in text for text in texts), texts

print(f"lm_eval {version('lm_eval')}: scores and continuations are as expected")
