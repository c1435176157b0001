"""What the peers' programs share: which device, how its work is timed, where rows go."""
import argparse, datetime, json, os, platform, statistics, time

import torch


def arguments(**options):
    """--device and --out beside the options given by name, each with its default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out")
    for name, default in options.items():
        parser.add_argument(f"--{name}", default=default, type=type(default))
    values = parser.parse_args()
    if values.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU")
    return values


class Rows:
    def __init__(self, values):
        name = torch.cuda.get_device_name() if values.device == "cuda" else platform.processor() or "cpu"
        date = datetime.datetime.now(datetime.timezone.utc).isoformat()
        self.run = {"device": name, "torch": torch.__version__, "commit": os.environ.get("WESTWIND_COMMIT", "unknown"), "date": date}
        self.out = values.out

    def write(self, **row):
        print(json.dumps(row), flush=True)
        if self.out:
            with open(self.out, "a") as file:
                file.write(json.dumps(row | self.run) + "\n")


def median_ms(run, device, seconds=0.3, least=5, most=200):
    """Median milliseconds of a call by the GPU's own clock, after a warm-up; of the CPU by the host's."""
    if device != "cuda":
        run()
        times = []
        for _ in range(least):
            started = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - started))
        return statistics.median(times)
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    torch.cuda.synchronize()
    count = min(most, max(least, int(seconds / (time.perf_counter() - started))))
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        run()
        event.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in zip(events, events[1:]))
