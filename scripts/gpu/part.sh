#!/usr/bin/env bash
# One part of run.sh, in the folder that the bundle was unpacked to.
set -uo pipefail

export PATH=$PWD/bin:$PATH PYTHONUNBUFFERED=1 CUDA_MODULE_LOADING=LAZY
export WESTWIND_ADDON=$PWD/build/cuda/westwind.node WESTWIND_TEST_BACKENDS=cuda WESTWIND_TEST_DEVICE=cuda
WESTWIND_COMMIT=$(cat commit.txt)
export WESTWIND_COMMIT
typescript=(node --import ./bench/register.mjs)
vitest=(node node_modules/vitest/vitest.mjs run)
rows=$OUT/$1.jsonl
rm -f "$rows"

tests() {
  # What a test says is written when it ends: a limit or a crash loses no other's.
  WESTWIND_TEST_ROWS=$rows "${vitest[@]}" --reporter=./scripts/gpu/reporter.mjs "$@" > "$OUT/vitest.log" 2>&1 &
  trap 'kill $!; node scripts/gpu/failures.mjs "$rows"; exit 124' TERM
  wait $!
  node scripts/gpu/failures.mjs "$rows" "$OUT/vitest.log"
}

sanitized() {
  local kernels=(linear flash_attention token_log_probs rms_norm embedding)  # with shared memory, or indices from data
  compute-sanitizer --tool "$1" --target-processes all --print-limit 10 --error-exitcode 9 \
    "${vitest[@]}" --reporter=dot --no-file-parallelism "${kernels[@]/#/test/kernels/}" 2>&1 |
    grep -E '=========|Tests |FAIL|not found' | head -n 60
  return "${PIPESTATUS[0]}"
}

case $1 in
  info) "${typescript[@]}" lib/cli/main.ts info ;;
  conformance) tests test/kernels ;;
  golden) tests test/run/trl test/train/gradients test/model/llama ;;
  sanitize) sanitized memcheck ;;
  racecheck) sanitized racecheck ;;
  kernels) "${typescript[@]}" bench/kernels/main.ts --device=cuda --out="$rows" ;;
  peers) python3 bench/gpu/peers.py --out="$rows" && "${typescript[@]}" bench/gpu/compare.ts "$OUT" ;;
  steps) "${typescript[@]}" bench/gpu/steps.ts --device=cuda --out="$rows" ;;
  steps_peer) python3 bench/gpu/steps_peer.py --out="$rows" ;;
esac
