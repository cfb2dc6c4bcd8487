"""PyTorch: nn.Sequential with SGD, and the frozen TorchScript module for inference. One JSON line in, one out."""
import json
import sys
import time

import torch
from torch import nn

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)


def network(net):
    if net == "mlp":
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))


def prepare(work):
    if not work.startswith(("train", "infer")):
        return None
    kind, net, batch = work.split("-")
    x = torch.rand(int(batch), 784) if net == "mlp" else torch.rand(int(batch), 1, 28, 28)
    model = network(net)
    if kind == "infer":
        frozen = torch.jit.freeze(torch.jit.trace(model.eval(), x))
        return lambda: frozen(x)
    y = torch.arange(int(batch)) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    loss = nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(model(x), y).backward()
        optimizer.step()

    return step


def timed(call, milliseconds, warm):
    now = time.perf_counter
    if not warm:
        start = now()
        for i in range(1000000):
            call()
            if i >= 3 and now() - start > 0.2:
                break
    start = now()
    call()
    batch = max(1, int(0.0005 / max(now() - start, 1e-7)))
    times, end = [], now() + milliseconds / 1000
    while True:
        start = now()
        for _ in range(batch):
            call()
        times.append((now() - start) * 1e6 / batch)
        if now() >= end:
            return times


prepared = {}
for line in sys.stdin:
    request = json.loads(line)
    work = request["work"]
    try:
        warm = work in prepared
        if not warm:
            prepared[work] = prepare(work)
        call = prepared[work]
        if call is None:
            answer = {"times": None}
        elif work.startswith("infer"):
            with torch.inference_mode():
                answer = {"times": timed(call, request["ms"], warm)}
        else:
            answer = {"times": timed(call, request["ms"], warm)}
    except RuntimeError as error:
        answer = {"error": str(error).split("\n")[0]}
    print(json.dumps(answer), flush=True)
