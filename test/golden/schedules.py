"""Learning-rate factors of transformers' schedules, for test/optim/schedule.test.ts. Usage: python schedules.py > schedules.json"""
import json, torch, transformers
from transformers import get_scheduler

CASES = [
    ("linear", 0, 7, {}), ("linear", 3, 10, {}), ("cosine", 2, 9, {}), ("cosine", 0, 5, {"num_cycles": 1.5}),
    ("cosine_with_min_lr", 2, 12, {"min_lr_rate": 0.1}), ("constant", 0, 4, {}), ("constant_with_warmup", 3, 6, {}),
    ("inverse_sqrt", 4, 12, {}), ("inverse_sqrt", 0, 5, {}), ("inverse_sqrt", 2, 6, {"timescale": 50}),
]
rows = []
for kind, warmup, total, kwargs in CASES:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get_scheduler(kind, optimizer, warmup, total, scheduler_specific_kwargs=dict(kwargs))
    factors = []
    for _ in range(total + 2):
        factors.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    rows.append({"kind": kind, "warmup": warmup, "total": total, "kwargs": kwargs, "factors": factors})
print(json.dumps({"made_by": f"schedules.py, transformers {transformers.__version__}", "rows": rows}, indent=1))
