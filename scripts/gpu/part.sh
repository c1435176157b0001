#!/usr/bin/env bash
# One part of run.sh, in the folder that the bundle was unpacked to.
set -uo pipefail

export PATH=$PWD/bin:$PATH:/usr/local/cuda/bin PYTHONUNBUFFERED=1 CUDA_MODULE_LOADING=LAZY
export WESTWIND_ADDON=$PWD/build/cuda/westwind.node WESTWIND_TEST_BACKENDS=cuda WESTWIND_TEST_DEVICE=cuda
WESTWIND_COMMIT=$(cat commit.txt)
export WESTWIND_COMMIT
export XDG_CACHE_HOME=$OUT/cache  # which product is fastest is found once, and not while tests share the GPU
typescript=(node --import ./bench/register.mjs)
vitest=(node node_modules/vitest/vitest.mjs run)
rows=$OUT/$1.jsonl
rm -f "$rows"

info() { # ends with why there is no GPU, if there is none
  "${typescript[@]}" lib/cli/main.ts info | tee "$OUT/info.txt"
  grep -q '^cuda:0 ' "$OUT/info.txt" || { grep '^cuda ' "$OUT/info.txt"; return 1; }
}

tests() {
  # What a test says is written when it ends: a limit or a crash loses no other's.
  XDG_CACHE_HOME=$OUT/cache-tests WESTWIND_TEST_ROWS=$rows "${vitest[@]}" --reporter=./scripts/gpu/reporter.mjs "$@" > "$OUT/vitest.log" 2>&1 &
  trap 'kill $!; node scripts/gpu/failures.mjs "$rows"; exit 124' TERM
  wait $!
  node scripts/gpu/failures.mjs "$rows" "$OUT/vitest.log"
}

sanitized() {
  local kernels=(linear flash_attention token_log_probs rms_norm embedding paged_attention sample_tokens)  # with shared memory, or indices from data
  compute-sanitizer --tool "$1" --target-processes all --print-limit 10 --error-exitcode 9 \
    "${vitest[@]}" --reporter=dot --no-file-parallelism "${kernels[@]/#/test/kernels/}" 2>&1 |
    grep -E '=========|Tests |FAIL|not found' | head -n 60
  return "${PIPESTATUS[0]}"
}

# Most telling first. What ends the process is named in the last row: the rest goes on behind it.
kernels() {
  local after= status lost=0
  for _ in 1 2 3 4 5 6 7 8; do
    "${typescript[@]}" bench/kernels/main.ts linear flash token adamw rms swiglu rope embedding "" \
      --device=cuda --out="$rows" ${after:+--after="$after"}
    status=$?
    after=$(tail -n 1 "$rows" 2> /dev/null | sed -n 's/.*"lost":"\([a-z_]*\)".*/\1/p')
    [ -n "$after" ] || return $((status | lost))
    lost=1
  done
  return 1
}

# Most telling first; the largest model also with longer pairs, and with the least that is kept of a parameter. A process
# and a limit each, so that one that hangs takes nothing with it.
steps() {
  local status=0 options
  for options in "mistral-7b --tasks=dpo" "mistral-7b --tasks=dpo --pair-tokens=760" 15m 125m 1.1b "mistral-7b --tasks=sft" \
    "mistral-7b --tasks=dpo --moments=u8 --master=false"; do
    # shellcheck disable=SC2086 # several words
    timeout --foreground --kill-after=2 70 "${typescript[@]}" bench/gpu/steps.ts --device=cuda --out="$rows" --model=$options || status=1
  done
  return $status
}

# Answers of a model that the host's launches hold up, and of one that memory does.
serve() {
  local status=0 model
  for model in 110m 1.1b; do
    "${typescript[@]}" bench/serve/main.ts --device=cuda --model=$model --turns=3 --out="$rows" || status=1
  done
  return $status
}

case $1 in
  conformance | golden | sanitize | racecheck)
    if ! found=$(info); then
      tail -n 1 <<< "$found"
      exit 1
    fi
    ;;
esac
case $1 in
  info) info ;;
  conformance) tests test/kernels test/tensor ;;
  golden) tests test/run/trl test/train/gradients test/model/llama test/checkpoint/load_model test/generate ;;
  sanitize) sanitized memcheck ;;
  racecheck) sanitized racecheck ;;
  kernels) kernels ;;
  peers) python3 bench/gpu/peers.py --out="$rows" && "${typescript[@]}" bench/gpu/compare.ts "$OUT" ;;
  steps) steps ;;
  trl) "${typescript[@]}" bench/peers/main.ts --device=cuda --out="$rows" ;;
  serve) serve ;;
  steps_peer) python3 bench/gpu/steps_peer.py --out="$rows" ;;
esac
