"""Writes lines.jsonl.zst: JSON lines as the reference implementation of Zstandard packs them, in two frames.

    python test/golden/lines.py        (pyarrow 25.0.1)
"""

import json
import pathlib

import pyarrow as pa

if __name__ == "__main__":
    rows = [{"a": i, "text": "日本🙂" * (i % 40) + str(i * i)} for i in range(3000)]
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    middle = len(data) // 2 + 1
    frames = [pa.compress(part, "zstd", asbytes=True) for part in [data[:middle], data[middle:]]]
    pathlib.Path(__file__).with_suffix(".jsonl.zst").write_bytes(b"".join(frames))
