"""``PointEncoder`` against `jepa3d embed` for every preset, its gradient, and what it is exported to."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

import jepa3d

torch = pytest.importorskip("torch")
from jepa3d.torch import PointEncoder  # noqa: E402

SCENES = ["3d-jepa-scenes", "cross-jepa-hybrid-scenes"]
PRESETS = ["point-jepa", "point-jepa-region", "3d-jepa", "3d-jepa-l2", "cross-jepa", "cross-jepa-hybrid"]
TOLERANCE = 1e-4

#: Two steps on 36 clouds; a full preset keeps its shapes, but for depth and the sizes of the set.
TWO_STEPS = ["run.max_steps=2", "optim.batch=8", "data.groups=32", "data.group_size=32", "monitor.subset=8", "monitor.probe_every=0"]
FULL = ["model.depth=2", "predictor.depth=1"]


@pytest.fixture(scope="module")
def pretrain(tmp_path_factory):
    """Trains a preset for two steps and gives its run folder."""
    folder = tmp_path_factory.mktemp("runs")

    def train(name: str, data: str, *sets: str) -> str:
        out = folder / f"{name}-{len(list(folder.iterdir()))}"
        arguments = ["pretrain", name, "--data", data, "--out", os.fspath(out)]
        jepa3d.run([*arguments, *(part for value in [*TWO_STEPS, *sets] for part in ("--set", value))])
        return os.fspath(out)

    return train


def embedded(run: str, data: str, out, *options: str) -> np.ndarray:
    """What `jepa3d embed` writes, in stored order."""
    parquet = pytest.importorskip("pyarrow.parquet")
    file = os.fspath(out / "features.parquet")
    jepa3d.run(["embed", run, "--data", data, "--out", file, "--split", "train", *options])
    table = parquet.read_table(file)
    column = [name for name in table.column_names if "list" in str(table.schema.field(name).type)]
    return np.array(table[column[0]].to_pylist(), dtype=np.float32)


def stored_clouds(data: str) -> torch.Tensor:
    rows = jepa3d.Dataset(data, columns=["points"])
    return torch.from_numpy(np.stack([row["points"] for row in rows]))


def stored_patches(data: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The canonical patches of every sample, and their centers."""
    rows = list(jepa3d.Dataset(data, columns=["points", "center_indices", "patch_indices"]))
    first = lambda row, name: row["points"][row[name][0].astype(np.int64)]  # noqa: E731
    centers = torch.from_numpy(np.stack([first(row, "center_indices") for row in rows]))
    patches = torch.from_numpy(np.stack([first(row, "patch_indices") for row in rows]))
    return patches - centers[:, :, None], centers


JOINED = {"harmonics": 3, "few-harmonics": 1.5, "extremes": 3}


@pytest.mark.parametrize("over_turns", JOINED)
def test_features_over_turns_without_outliers_are_those_of_embed(over_turns, pretrain, prepared, tmp_path):
    turns = ["features.turns=8", f"features.over_turns={over_turns}"]
    run = pretrain("3d-jepa-small", prepared, "features.pooling=mean-std", *turns, "features.outliers=1.3", "data.up_axis=z")
    encoder, clouds = PointEncoder.from_run(run), stored_clouds(prepared)
    stays = jepa3d.neighborly(clouds, 1.3)
    assert stays.dtype == torch.bool and 0 < (~stays).sum() < stays.numel() / 4
    with torch.no_grad():
        own = encoder(clouds, up_axis="y").pooled
        plain = encoder(clouds, up_axis="y", turns=1, pooling="max-mean").pooled
    expected = embedded(run, prepared, tmp_path, "--regroup")
    assert own.shape == expected.shape == (len(clouds), JOINED[over_turns] * 2 * encoder.width)
    assert np.abs(own.numpy() - expected).max() < TOLERANCE, np.abs(own.numpy() - expected).max()
    expected = embedded(run, prepared, tmp_path, "--regroup", "--turns", "1", "--pool", "max-mean")
    assert np.abs(plain.numpy() - expected).max() < TOLERANCE
    # An object that faces another way by one of the turns has the same features, up to what grouping makes of it.
    quarter = torch.stack([clouds[..., 2], clouds[..., 1], -clouds[..., 0]], dim=-1)
    with torch.no_grad():
        turned = encoder(quarter, up_axis="y").pooled
    assert (turned - own).abs().max() < 1e-3 < (encoder(quarter, up_axis="y", turns=1, pooling="max-mean").pooled - plain).abs().max()
    check_gradient(encoder)
    with pytest.raises(ValueError, match="ratio: expected a number above 1, found 1"):
        jepa3d.neighborly(clouds, 1)


def test_answers_of_the_whole_head_are_those_of_embed(pretrain, prepared, tmp_path):
    epochs = ["run.max_steps=0", "run.epochs=1", "whole.epochs=1"]
    run = pretrain("3d-jepa-sensor-small", prepared, *epochs, "whole.hidden=24", "features.pooling=whole", "data.up_axis=y")
    encoder, clouds = PointEncoder.from_run(run), stored_clouds(prepared)
    with torch.no_grad():
        own, asked = encoder(clouds).pooled, encoder(clouds, pooling="mean-std").pooled
    assert [list(p.shape) for p in encoder.whole_head.parameters()] == [[24, 256], [24], [256, 24], [256]]
    for pooled, options in ((own, ()), (asked, ("--pool", "mean-std"))):
        expected = embedded(run, prepared, tmp_path, "--regroup", *options)
        assert np.abs(pooled.numpy() - expected).max() < TOLERANCE, options
    assert (own - asked).abs().max() > 0.1
    encoder.save_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(PointEncoder.from_pretrained(tmp_path / "saved")(clouds).pooled, own)
    check_gradient(encoder)
    headless = PointEncoder.from_run(pretrain("3d-jepa-small", prepared))
    with pytest.raises(ValueError, match="of an encoder without a whole head, found 'whole'"):
        headless(clouds, pooling="whole")


@pytest.mark.parametrize("over_turns", JOINED)
def test_answers_for_what_is_made_of_turns_are_those_of_embed(over_turns, pretrain, prepared, tmp_path):
    epochs = ["run.max_steps=0", "run.epochs=1", "whole.epochs=1", "whole.hidden=24", "whole.answers=turns"]
    features = ["features.pooling=whole", "features.turns=4", f"features.over_turns={over_turns}", "data.up_axis=y"]
    run = pretrain("3d-jepa-sensor-small", prepared, *epochs, *features)
    encoder, clouds = PointEncoder.from_run(run), stored_clouds(prepared)
    made = int(JOINED[over_turns] * 256)
    with torch.no_grad():
        own, asked = encoder(clouds).pooled, encoder(clouds, pooling="mean-std").pooled
    assert [list(p.shape) for p in encoder.whole_head.parameters()] == [[24, 256 + made], [24], [made, 24], [made]]
    for pooled, options in ((own, ()), (asked, ("--pool", "mean-std"))):
        expected = embedded(run, prepared, tmp_path, "--regroup", *options)
        assert np.abs(pooled.numpy() - expected).max() < TOLERANCE, options
    assert (own - asked).abs().max() > 0.1
    check_gradient(encoder)
    with pytest.raises(ValueError, match="turns: expected 4, as the whole head learned .*, found 8"):
        encoder(clouds, turns=8)


def check_equal(run: str, data: str, out, **names) -> PointEncoder:
    encoder = PointEncoder.from_run(run)
    with torch.no_grad():
        own = encoder(stored_clouds(data), **names).pooled.numpy()
    expected = embedded(run, data, out)
    assert own.shape == expected.shape
    assert np.abs(own - expected).max() < TOLERANCE, np.abs(own - expected).max()
    return encoder


@pytest.mark.parametrize("size", ["-small", ""])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_gives_the_features_of_embed(preset, size, pretrain, prepared, tmp_path):
    sets = [] if size else list(FULL)
    sets += ["data.points=256"] if preset == "point-jepa" and not size else []
    sets += ["teacher.name=hog"] if preset.startswith("cross-jepa") and "hybrid" not in preset else []
    if preset == "cross-jepa" and not size:
        sets += [f"teacher.width={hog_width(prepared)}"]
    run = pretrain(preset + size, prepared, *sets)
    # Some presets stand clouds on another floor than that of the built-in set.
    encoder = check_equal(run, prepared, tmp_path, up_axis="y")
    check_gradient(encoder)


def hog_width(data: str) -> int:
    return json.load(open(os.path.join(data, "teachers/hog/teacher.json")))["facts"]["width"]


def check_gradient(encoder: PointEncoder, *inputs: torch.Tensor) -> None:
    encoder.train()
    out = encoder(*inputs or [torch.randn(3, 300, 3)])
    (out.pooled.square().sum() + out.tokens.sum()).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("preset", SCENES)
def test_encoders_of_scenes_give_the_features_of_embed_on_stored_patches(preset, pretrain, prepared, tmp_path):
    run = pretrain(preset, prepared, *FULL, "data.points=256")
    encoder, given = PointEncoder.from_run(run), stored_patches(prepared)
    with pytest.raises(ValueError, match="learned from crops of clouds: expected patches"):
        encoder(stored_clouds(prepared))
    with torch.no_grad():
        own = encoder(*given).pooled.numpy()
    expected = embedded(run, prepared, tmp_path)
    assert own.shape == expected.shape and np.abs(own - expected).max() < TOLERANCE, np.abs(own - expected).max()
    check_gradient(encoder, given[0][:3], given[1][:3])


@pytest.mark.parametrize("kind", ["auto", "fixed"])
def test_voxel_blocks_give_the_features_of_embed(kind, pretrain, voxel_sets, tmp_path):
    run = pretrain("3d-jepa-l2-small", voxel_sets[kind], "masking.target_ratio=[0.1, 0.1]")
    encoder = check_equal(run, voxel_sets[kind], tmp_path)
    assert encoder.config["grouping"]["kind"] == "voxels"
    check_gradient(encoder)


def test_clouds_are_stood_on_the_floor_that_the_encoder_knows(pretrain, prepared, tmp_path):
    run = pretrain("3d-jepa-small", prepared, "data.up_axis=z")
    encoder = check_equal(run, prepared, tmp_path, up_axis="y")
    assert encoder.config["up_axis"] == "z"


def test_stored_patches_serve_as_well_as_clouds(pretrain, prepared):
    run = pretrain("3d-jepa-small", prepared, "model.positions=sinusoid", "model.width=120", "predictor.width=96")
    encoder = PointEncoder.from_run(run)
    patches, centers = (part[:4] for part in stored_patches(prepared))
    with torch.no_grad():
        whole = encoder(stored_clouds(prepared)[:4], depths=(0, 3), pooling="mean")
        given = encoder(patches, centers)
    assert torch.allclose(whole.tokens, given.tokens, atol=1e-6)
    assert len(whole.depths) == 2 and whole.pooled.shape == (4, 120)
    assert torch.allclose(encoder.encoder.norm(whole.depths[1]), whole.tokens)


def test_a_folder_is_read_back_and_a_wrong_one_refused(pretrain, prepared, tmp_path):
    run = pretrain("3d-jepa-small", prepared)
    folder = tmp_path / "encoder"
    jepa3d.run(["export", run, "--to", os.fspath(folder)])
    assert sorted(os.listdir(folder)) == ["README.md", "config.json", "model.safetensors"]
    card = (folder / "README.md").read_text()
    assert jepa3d.Dataset(prepared).fingerprint in card and "jepa3d pretrain" in card and "| `loss` | 2 |" in card
    encoder = PointEncoder.from_pretrained(folder)
    with torch.no_grad():
        encoder.encoder.norm.bias.add_(1)
    encoder.save_pretrained(tmp_path / "again")
    again = PointEncoder.from_pretrained(tmp_path / "again")
    assert again.card == card and all(
        torch.equal(a, b) for a, b in zip(encoder.state_dict().values(), again.state_dict().values())
    )
    safetensors = pytest.importorskip("safetensors.torch")
    assert safetensors.load_file(folder / "model.safetensors").keys() == safetensors.load_file(tmp_path / "again/model.safetensors").keys()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "width": 96}))
    with pytest.raises(ValueError, match="does not fit config.json: .*expected"):
        PointEncoder.from_pretrained(folder)
    with pytest.raises(FileNotFoundError, match="expected the folder of an encoder"):
        PointEncoder.from_pretrained(tmp_path)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="model.safetensors: expected a safetensors file"):
        (folder / "config.json").write_text(json.dumps(config))
        PointEncoder.from_pretrained(folder)


@pytest.mark.parametrize("positions", ["mlp", "sinusoid"])
def test_it_runs_in_onnxruntime(positions, pretrain, prepared, tmp_path):
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    runtime = pytest.importorskip("onnxruntime")
    run = pretrain("3d-jepa-small", prepared, f"model.positions={positions}", "model.width=120", "predictor.width=96")
    encoder = PointEncoder.from_run(run)
    patches, centers, _ = encoder.group(stored_clouds(prepared)[:4])
    file = os.fspath(tmp_path / "encoder.onnx")
    batch = torch.export.Dim("batch", min=1, max=1024)
    torch.onnx.export(
        encoder,
        (patches, centers),
        file,
        input_names=["patches", "centers"],
        output_names=["tokens", "pooled"],
        dynamic_shapes={"xyz": {0: batch}, "centers": {0: batch}},
        dynamo=True,
        verbose=False,
    )
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    inputs = {"patches": patches[:3].numpy(), "centers": centers[:3].numpy()}
    tokens, pooled = session.run(["tokens", "pooled"], inputs)
    with torch.no_grad():
        expected = encoder(patches[:3], centers[:3])
    assert np.abs(tokens - expected.tokens.numpy()).max() < TOLERANCE
    assert np.abs(pooled - expected.pooled.numpy()).max() < TOLERANCE and not math.isnan(pooled.sum())
