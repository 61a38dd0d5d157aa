"""Four processes on gloo train a small model on one order of samples, one of them is killed, and all go on."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

import jepa3d

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch without distributed", allow_module_level=True)
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException  # noqa: E402

WORLD = 4
#: The process that is killed.
VICTIM = 2


def train(rank: int, port: int, prepared: str, out: str, stop: int | None) -> None:
    """Trains two epochs, from the last checkpoint if there is one; after ``stop`` steps the victim waits to be killed."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=WORLD)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16))
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loader = jepa3d.Loader(prepared, batch=8, patches=(32, 32), seed=3, threads=1)
    checkpoint, ids = f"{out}/checkpoint.pt", []
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(saved["model"])
        loader.load_state_dict(saved["loader"])
        ids = saved["ids"]
    steps = 0
    while loader.state_dict()["epoch"] < 2:
        for batch in loader:
            if rank == VICTIM and steps == stop:
                Path(out, "waits").touch()
                time.sleep(600)
            loss = torch.nn.functional.cross_entropy(model(batch["centers"]), batch["labels"] % 16)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gathered = [None] * WORLD
            torch.distributed.all_gather_object(gathered, batch["sample_ids"])
            ids = [*ids, [name for part in gathered for name in part]]
            steps += 1
            if rank == 0:
                torch.save({"model": model.state_dict(), "loader": loader.state_dict(), "ids": ids}, f"{checkpoint}.new")
                os.replace(f"{checkpoint}.new", checkpoint)
            torch.distributed.barrier()
    if rank == 0:
        torch.save({"model": model.state_dict(), "ids": ids, "loss": loss.item()}, f"{out}/done.pt")
    torch.distributed.destroy_process_group()


def launch(prepared: str, out: str, stop: int | None):
    """Starts the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return torch.multiprocessing.spawn(train, (port, prepared, out, stop), nprocs=WORLD, join=False)


def finish(processes) -> None:
    while not processes.join():
        pass


def kill_one(processes, out: Path) -> None:
    """SIGKILL in the middle of a step, when the others wait for what the victim would have sent; they end by an error."""
    deadline = time.monotonic() + 120
    while not (out / "waits").exists():
        assert time.monotonic() < deadline and all(p.is_alive() for p in processes.processes)
        time.sleep(0.01)
    os.kill(processes.pids()[VICTIM], signal.SIGKILL)
    with pytest.raises((ProcessExitedException, ProcessRaisedException)):
        finish(processes)
    assert processes.processes[VICTIM].exitcode == -signal.SIGKILL and not (out / "done.pt").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_four_processes_train_and_go_on_where_one_was_killed(prepared, tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    finish(launch(prepared, os.fspath(once), None))
    kill_one(launch(prepared, os.fspath(twice), 3), twice)
    assert len(torch.load(twice / "checkpoint.pt", weights_only=False)["ids"]) == 3
    finish(launch(prepared, os.fspath(twice), None))
    whole, resumed = (torch.load(folder / "done.pt", weights_only=False) for folder in (once, twice))
    alone = jepa3d.Loader(prepared, batch=8, patches=(32, 32), seed=3)
    order = [batch["sample_ids"] for _ in range(2) for batch in alone]
    assert whole["ids"] == order and resumed["ids"] == order
    for name, value in whole["model"].items():
        # DDP orders its buckets anew after the first step of a process, and with them what it sums first.
        assert torch.allclose(value, resumed["model"][name], atol=1e-6), name
    assert torch.isfinite(torch.tensor(whole["loss"]))
