// Chat templates that can be named in a recipe. Each is Jinja as transformers renders it (trim_blocks, lstrip_blocks).

// The alignment-handbook's, character for character: models of the Zephyr family were trained on what it renders. A turn
// ends with EOS and a newline. <|user|> and the others are plain text to most tokenizers.
const zephyr = `{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}`;

const chatml = `{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' -}}
{% endif %}`;

// BOS and EOS around every exchange; a system message stands inside the first user turn.
const llama2 = `{% set ns = namespace(system='', expected='user') %}
{% for message in messages %}
{% if message['role'] == 'system' and loop.first %}
{% set ns.system = '<<SYS>>\\n' + message['content'] | trim + '\\n<</SYS>>\\n\\n' %}
{% elif message['role'] != ns.expected %}
{{ raise_exception('roles must alternate user, assistant, user, ... after an optional system message; found ' + message['role'] + ', expected ' + ns.expected) }}
{% elif message['role'] == 'user' %}
{{- bos_token + '[INST] ' + ns.system + message['content'] | trim + ' [/INST]' -}}
{% set ns.system = '' %}
{% set ns.expected = 'assistant' %}
{% else %}
{{- ' ' + message['content'] | trim + ' ' + eos_token -}}
{% set ns.expected = 'user' %}
{% endif %}
{% endfor %}`;

const llama3 = `{{- bos_token -}}
{% for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' -}}
{% endfor %}
{% if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{% endif %}`;

// BOS once, EOS after every answer; a system message stands before the first user turn's text.
const mistral = `{{- bos_token -}}
{% set ns = namespace(system='', expected='user') %}
{% for message in messages %}
{% if message['role'] == 'system' and loop.first %}
{% set ns.system = message['content'] | trim + '\\n\\n' %}
{% elif message['role'] != ns.expected %}
{{ raise_exception('roles must alternate user, assistant, user, ... after an optional system message; found ' + message['role'] + ', expected ' + ns.expected) }}
{% elif message['role'] == 'user' %}
{{- '[INST] ' + ns.system + message['content'] | trim + ' [/INST]' -}}
{% set ns.system = '' %}
{% set ns.expected = 'assistant' %}
{% else %}
{{- ' ' + message['content'] | trim + eos_token -}}
{% set ns.expected = 'user' %}
{% endif %}
{% endfor %}`;

export const BUILTIN_TEMPLATES = { zephyr, chatml, llama2, llama3, mistral } as const;

export type BuiltinTemplateName = keyof typeof BUILTIN_TEMPLATES;

export const isBuiltinTemplateName = (name: string): name is BuiltinTemplateName =>
  Object.hasOwn(BUILTIN_TEMPLATES, name);
