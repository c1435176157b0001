#!/usr/bin/env bash
# Unpacks what `npm run gpu:pack` made and runs its parts on this machine's NVIDIA GPU. Needs bash, tar and xz (or
# python3) and the driver; for the peers python3 with torch, transformers and trl. docs/gpu.md tells what the parts show.
#   run.sh [--bundle=FILE] [PART[=SECONDS] ...]
# What a part prints, and its rows as JSON lines, go to $OUT (default ./gpu-results) as they come. A part that fails or
# reaches its limit does not end the rest.
set -uo pipefail

declare -A limits=([info]=20 [conformance]=150 [golden]=90 [kernels]=150 [peers]=120 [steps]=180 [steps_peer]=120
  [trl]=120 [serve]=100 [sanitize]=90 [racecheck]=90)
parts=()
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bundle=$here/../../build/gpu/westwind-gpu.tar.xz
for arg in "$@"; do
  name=${arg%%=*}
  if [ "$name" = --bundle ]; then
    bundle=${arg#*=}
  elif [ -n "${limits[$name]:-}" ]; then
    parts+=("$name")
    [ "$name" = "$arg" ] || limits[$name]=${arg#*=}
  else
    echo "run.sh: $arg: expected --bundle=FILE or one of ${!limits[*]}" >&2
    exit 2
  fi
done
[ ${#parts[@]} -gt 0 ] || parts=(info conformance golden steps kernels peers trl serve steps_peer)
if [ ! -f "$bundle" ]; then
  echo "run.sh: $bundle: no such file; npm run gpu:pack makes it" >&2
  exit 2
fi

mkdir -p "${OUT:=gpu-results}"
OUT=$(cd "$OUT" && pwd)
export OUT
folder=$(mktemp -d "${TMPDIR:-/tmp}/westwind-gpu.XXXXXX")
trap 'rm -rf "$folder"' EXIT
unpack='import sys, tarfile; tarfile.open(sys.argv[1], ignore_zeros=True).extractall(sys.argv[2])'
if command -v xz > /dev/null; then
  tar -xJf "$bundle" --ignore-zeros --no-same-owner -C "$folder"
else
  python3 -W ignore -c "$unpack" "$bundle" "$folder"
fi || { echo "run.sh: $bundle did not unpack" >&2; exit 1; }
cd "$folder/westwind" || exit 1

query=name,driver_version,memory.total,clocks.max.sm,power.limit
gpu=$(nvidia-smi --query-gpu=$query --format=csv,noheader 2>&1 || echo "nvidia-smi failed")
echo "westwind $(cat commit.txt) on ${gpu//$'\n'/; }" | tee "$OUT/machine.txt"

failed=0
summary=()
for part in "${parts[@]}"; do
  echo "== $part (at most ${limits[$part]} s)"
  SECONDS=0
  timeout --kill-after=5 "${limits[$part]}" bash scripts/gpu/part.sh "$part" 2>&1 | tee "$OUT/$part.log"
  status=${PIPESTATUS[0]}
  case $status in
    0) outcome=passed ;;
    124 | 137) outcome="stopped at its limit" ;;
    *) outcome="failed with $status" ;;
  esac
  [ "$status" -eq 0 ] || failed=1
  summary+=("$part $outcome after $SECONDS s: $(tail -n 1 "$OUT/$part.log" | cut -c 1-160)")
done
echo "== summary"
printf '%s\n' "${summary[@]}" | tee "$OUT/summary.txt"
exit $failed
