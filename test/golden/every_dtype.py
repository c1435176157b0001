"""Writes every_dtype.safetensors: one tensor of each dtype, written by the reference implementation.

    python test/golden/every_dtype.py        (safetensors 0.8.0, torch 2.13.0)
"""

import pathlib

import torch
from safetensors.torch import save_file

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.int16,
    torch.uint16, torch.float16, torch.bfloat16, torch.int32, torch.uint32, torch.float32, torch.complex64,
    torch.float64, torch.int64, torch.uint64,
]

if __name__ == "__main__":
    tensors = {str(dtype).split(".")[1]: torch.ones(1).to(dtype) for dtype in DTYPES}
    tensors["empty"] = torch.zeros(2, 0)
    tensors["scalar"] = torch.tensor(3.0)
    # UTF-8 and UTF-16 order these two differently.
    tensors["a\U0001f600"] = torch.ones(2)
    tensors['a\uff5e"'] = torch.ones(3)
    tensors["7"] = torch.ones(2, 3)
    save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"), {"format": "pt"})
