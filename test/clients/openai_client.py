"""Talks to a server with OpenAI's Python client: openai_client.py [BASE_URL]; the key is read from WESTWIND_API_KEY."""

import os
import sys

import openai

base_url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/v1"
client = openai.OpenAI(base_url=base_url, api_key=os.environ.get("WESTWIND_API_KEY", "none"), max_retries=0)
model = client.models.list().data[0].id
chat = {"model": model, "messages": [{"role": "user", "content": "Good morning!"}], "max_tokens": 12, "temperature": 0}

whole = client.chat.completions.create(**chat, logprobs=True, top_logprobs=3)
choice = whole.choices[0]
assert choice.finish_reason in ("stop", "length"), choice
assert whole.usage.completion_tokens <= 12 and whole.usage.prompt_tokens > 0, whole.usage
assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in choice.logprobs.content)

chunks = list(client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
assert text == choice.message.content, (text, choice.message.content)
assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
assert chunks[-1].usage.total_tokens == whole.usage.total_tokens, chunks[-1]  # more of it is in the cache now

several = client.chat.completions.create(**{**chat, "temperature": 1}, n=3, seed=1, stop=["\n"])
assert [c.index for c in several.choices] == [0, 1, 2]

prompts = ["Good morning", "Once upon a time"]
completion = client.completions.create(model=model, prompt=prompts, echo=True, logprobs=1, max_tokens=2, seed=1)
for prompt, answer in zip(prompts, completion.choices):
    assert answer.text.startswith(prompt), answer.text
    assert answer.logprobs.token_logprobs[0] is None and answer.logprobs.text_offset[0] == 0
    assert len(answer.logprobs.tokens) == len(answer.logprobs.token_logprobs) == len(answer.logprobs.top_logprobs)
streamed = "".join(c.choices[0].text for c in client.completions.create(model=model, prompt="A", seed=1, stream=True))
assert streamed == client.completions.create(model=model, prompt="A", seed=1).choices[0].text

for wrong, expected in (
    ({"temperature": 3}, openai.BadRequestError),
    ({"model": "another"}, openai.NotFoundError),
    ({"max_tokens": 10**9}, openai.BadRequestError),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, openai.BadRequestError),
):
    try:
        client.chat.completions.create(**{**chat, **wrong})
        raise AssertionError(f"{wrong} was accepted")
    except expected as error:
        assert error.body["message"], error

print(f"openai {openai.__version__}: chats, completions, streams, log-probabilities and errors are as expected")
