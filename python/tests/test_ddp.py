"""Four processes on gloo train a small model on one order of samples, are killed, and go on."""

from __future__ import annotations

import os
import socket

import pytest

import jepa3d

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch without distributed", allow_module_level=True)

WORLD = 4


def train(rank: int, port: int, prepared: str, out: str, stop: int | None) -> None:
    """Trains two epochs; with ``stop`` leaves after that many steps, as a killed process does, from its last checkpoint."""
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
            loss = torch.nn.functional.cross_entropy(model(batch["centers"]), batch["labels"] % 16)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gathered = [None] * WORLD
            torch.distributed.all_gather_object(gathered, batch["sample_ids"])
            ids = [*ids, [name for part in gathered for name in part]]
            steps += 1
            if rank == 0:
                torch.save({"model": model.state_dict(), "loader": loader.state_dict(), "ids": ids}, checkpoint)
            torch.distributed.barrier()
            if steps == stop:
                os._exit(0)
    if rank == 0:
        torch.save({"model": model.state_dict(), "ids": ids, "loss": loss.item()}, f"{out}/done.pt")
    torch.distributed.destroy_process_group()


def launch(prepared: str, out: str, stop: int | None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(train, (port, prepared, out, stop), nprocs=WORLD)


def test_four_processes_train_and_go_on_where_they_were_killed(prepared, tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    launch(prepared, os.fspath(once), None)
    launch(prepared, os.fspath(twice), 3)
    launch(prepared, os.fspath(twice), None)
    whole, resumed = (torch.load(folder / "done.pt", weights_only=False) for folder in (once, twice))
    alone = jepa3d.Loader(prepared, batch=8, patches=(32, 32), seed=3)
    order = [batch["sample_ids"] for _ in range(2) for batch in alone]
    assert whole["ids"] == order and resumed["ids"] == order
    for name, value in whole["model"].items():
        # DDP orders its buckets anew after the first step of a process, and with them what it sums first.
        assert torch.allclose(value, resumed["model"][name], atol=1e-6), name
    assert torch.isfinite(torch.tensor(whole["loss"]))
