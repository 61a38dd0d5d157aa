# Every recipe is lines you could type. Settings: OUT, DATA, CARGO, PYTHON, and what stands above a target.

OUT ?= out
CARGO ?= cargo
PYTHON ?= python3
TARGET = $(or $(CARGO_TARGET_DIR),target)
JEPA3D = $(TARGET)/release/jepa3d

.PHONY: build demo demo-all weights procedural ablate-jepa3d-s results-modelnet results-encoder results-finetune results-few-labels \
	results-fewshot results-retrieve results-robustness results-ablations results-segment results-meshes \
	shapenet modelnet scanobjectnn nuscenes test lint doc package test-kill test-hostile \
	test-ray test-slurm test-recipes test-object-store test-mpi test-render fuzz fuzz-corpus bench-columns bench-formats bench-nuscenes-tables \
	bench-geometry bench-render bench-prepare \
	wheel test-python bench-python-loader bench-python-geometry bench-memory bench-loader bench-tokenizer bench-train \
	bench-finetune bench-variants bench-rerun bench-probe figures cuda-check cuda-kernels test-cuda gpu-bundle

# All that follows builds the whole workspace's selection of features: nothing heavy is built twice.
build:
	$(CARGO) build --release --locked --workspace

# Four minutes after the build: prepare the built-in set, look at it, pretrain one variant, probe it beside random weights.
DEMO_EPOCHS ?= 60
demo: build
	$(JEPA3D) prepare synthetic-views --out $(OUT)/synthetic
	$(JEPA3D) verify $(OUT)/synthetic
	$(JEPA3D) stats $(OUT)/synthetic --plots $(OUT)/synthetic-plots
	$(JEPA3D) inspect $(OUT)/synthetic --limit 16 --contact-sheet $(OUT)/synthetic.png --save $(OUT)/synthetic.rrd
	$(JEPA3D) pretrain 3d-jepa-small --data $(OUT)/synthetic --out $(OUT)/run-3d --resume \
		--set run.epochs=$(DEMO_EPOCHS) --set monitor.print_every=140 --set monitor.probe_every=10
	$(JEPA3D) probe $(OUT)/run-3d --data $(OUT)/synthetic --test-split test --labels 1,5,10
	$(JEPA3D) probe --model jepa3d-s --data $(OUT)/synthetic --test-split test --labels 1,5,10 --no-random
	$(JEPA3D) inspect $(OUT)/run-3d --data $(OUT)/synthetic --curves $(OUT)/run-3d-curves.png \
		--contact-sheet $(OUT)/run-3d-masks.png --save $(OUT)/run-3d.rrd
	$(JEPA3D) finetune modelnet40-small --from $(OUT)/run-3d --data $(OUT)/synthetic --out $(OUT)/run-3d-tuned --resume \
		--test-split test --labels 5 --set length.min_steps=100 --set votes.looks=0
	@echo "the report of the last line: $(OUT)/run-3d-tuned/report.html"

# The other two variants, one of them after its teacher has embedded the views; then all three side by side.
demo-all: demo
	$(JEPA3D) pretrain point-jepa-region-small --data $(OUT)/synthetic --out $(OUT)/run-point --resume \
		--set run.epochs=100 --set monitor.print_every=140 --set monitor.probe_every=10
	$(JEPA3D) teacher $(OUT)/synthetic --teacher hog
	$(JEPA3D) pretrain cross-jepa-small --data $(OUT)/synthetic --out $(OUT)/run-cross --resume \
		--set run.epochs=60 --set optim.warmup_epochs=5 --set monitor.print_every=140 --set monitor.probe_every=10
	$(JEPA3D) probe $(OUT)/run-point $(OUT)/run-3d $(OUT)/run-cross --data $(OUT)/synthetic --test-split test \
		--light --labels 20

# The encoder that the build carries, again (half an hour to an hour of two cores), and whether it is the same.
# SEED: 2 is the one that is carried. docs/jepa3d-s.md has what it is worth and where it was made.
WEIGHTS = $(OUT)/weights
SEED ?= 2
CARRIED = train/weights/jepa3d-s.safetensors
BF16 ?= $(if $(shell grep -m 1 -o amx_bf16 /proc/cpuinfo 2>/dev/null),--bf16,--emulate-bf16)
STORED = --set cloud.points=2048 --set groups.groupings=1 --set views.size=112 --set views.depth=false
PROCEDURAL = --data $(WEIGHTS)/programs --data $(WEIGHTS)/synthetic:0.75
procedural: build
	$(JEPA3D) prepare programs --out $(WEIGHTS)/programs --set dataset.count=12000 $(STORED)
	$(JEPA3D) prepare synthetic-views --out $(WEIGHTS)/synthetic --set dataset.count=8000 $(STORED)
	$(JEPA3D) teacher $(WEIGHTS)/programs --teacher hog
	$(JEPA3D) teacher $(WEIGHTS)/synthetic --teacher hog
weights: procedural
	$(JEPA3D) pretrain jepa3d-s $(PROCEDURAL) --out $(WEIGHTS)/seed-$(SEED) \
		--resume --set run.seed=$(SEED) --set monitor.print_every=100 $(BF16)
	$(JEPA3D) export $(WEIGHTS)/seed-$(SEED) --half --to $(WEIGHTS)/jepa3d-s-$(SEED).safetensors
	@cmp $(CARRIED) $(WEIGHTS)/jepa3d-s-$(SEED).safetensors && echo "the same bytes as $(CARRIED)"

# What that encoder owes to what: configs/ablate/jepa3d-s-recipe.toml, three quarters of an hour of a core with each line on corrupted clouds.
# DATA: a folder of ModelNet10 as `prepare modelnet` reads it, on which all are judged.
ablate-jepa3d-s: procedural
	@test -n "$(DATA)" || { echo "make ablate-jepa3d-s: needs DATA=ModelNet10" >&2; exit 2; }
	$(JEPA3D) prepare modelnet --data "$(DATA)" --out $(WEIGHTS)/modelnet
	$(JEPA3D) ablate jepa3d-s-recipe $(PROCEDURAL) --probe-data $(WEIGHTS)/modelnet --out $(WEIGHTS)/ablation $(BF16:--bf16=--set run.precision=bf16)
	$(JEPA3D) robustness $(WEIGHTS)/ablation/*/seed-1/last.safetensors --data $(WEIGHTS)/modelnet --regroup \
		--corruptions subsample,repeat,drop-local,density,add-global,occlude --severities 3 --out $(WEIGHTS)/ablation-robustness

# A dataset of yours, from raw data to a probe, into $(OUT)/<target>; the same command goes on after a crash.
#   make shapenet DATA=folder VARIANTS="point-jepa cross-jepa" SETTINGS="run.epochs=100" PREPARE_SETTINGS="run.limit=1000"
# VARIANTS: presets of `jepa3d pretrain`. VIEWS: -views renders views first, as cross-jepa* needs.
shapenet: VARIANTS ?= point-jepa-small cross-jepa-small
modelnet scanobjectnn: VARIANTS ?= point-jepa-small
nuscenes: VARIANTS ?= 3d-jepa-scenes
VIEWS = $(if $(findstring cross-jepa,$(VARIANTS)),-views)
SETTINGS ?=
PREPARE_SETTINGS ?=
TEACHER ?= --teacher hog
PROBE ?=
DEVICE ?= cpu
HERE = $(OUT)/$@
shapenet modelnet scanobjectnn nuscenes:
	@test -n "$(DATA)" || { echo "make $@ needs DATA=folder; what must be in it:" >&2; \
		sed '/^## Splits/,$$d' datasets/src/$@/README.md >&2; exit 2; }
	$(CARGO) build --release --locked --workspace
	$(JEPA3D) prepare $@$(VIEWS) --data "$(DATA)" --out $(HERE)/prepared $(addprefix --set ,$(PREPARE_SETTINGS))
	$(JEPA3D) verify $(HERE)/prepared
	$(JEPA3D) stats $(HERE)/prepared --plots $(HERE)/prepared-plots
	$(JEPA3D) inspect $(HERE)/prepared --limit 16 --contact-sheet $(HERE)/prepared.png --save $(HERE)/prepared.rrd
	@set -ex; for variant in $(VARIANTS); do run=$(HERE)/$$variant; \
		case $$variant in cross-jepa-hybrid*) ;; cross-jepa*) $(JEPA3D) teacher $(HERE)/prepared $(TEACHER);; esac; \
		$(JEPA3D) pretrain $$variant --data $(HERE)/prepared --out $$run --resume --device $(DEVICE) \
			$(addprefix --set ,$(SETTINGS)); \
		$(JEPA3D) embed $$run --data $(HERE)/prepared --out $$run.parquet --device $(DEVICE); \
		$(JEPA3D) inspect $$run --data $(HERE)/prepared --curves $$run-curves.png --contact-sheet $$run-masks.png \
			--save $$run.rrd; \
	done
	$(JEPA3D) probe $(addprefix $(HERE)/,$(VARIANTS)) --data $(HERE)/prepared --device $(DEVICE) $(PROBE) || \
		{ test $$? -eq 2 && echo "$@: no probe, for the reason above. Is a class too small? PROBE='--labels 1,5'."; }

# The tables of docs/results.md on what follows pretraining, three seeds each; the same command goes on after a crash.
# DATA: a folder of ModelNet10 as `prepare modelnet` reads it.
RESULTS = $(OUT)/results
SMALL = $(RESULTS)/3d-jepa-small
results-modelnet: build
	@test -n "$(DATA)" || { echo "make results-*: needs DATA=ModelNet10" >&2; exit 2; }
	$(JEPA3D) prepare modelnet --data "$(DATA)" --out $(RESULTS)/modelnet
results-encoder: results-modelnet
	$(JEPA3D) pretrain 3d-jepa-small --data $(RESULTS)/modelnet --out $(SMALL) --resume

# Fine-tuning at 1, 5, 10 and 100 percent of the labels: pretrained, from scratch, and a head on random frozen weights.
TUNE = $(JEPA3D) finetune modelnet40-small --data $(RESULTS)/modelnet --seeds 1,2,3 --resume --set votes.looks=0
SCRATCH = --from scratch --preset 3d-jepa-small
results-finetune: results-encoder
	@set -ex; for labels in 1% 5% 10%; do few="--labels $$labels --set length.min_steps=150"; \
		$(TUNE) $$few --from $(SMALL) --out $(RESULTS)/tuned-$$labels; \
		$(TUNE) $$few $(SCRATCH) --set tuning.frozen_epochs=0 --out $(RESULTS)/scratch-$$labels; \
		$(TUNE) $$few $(SCRATCH) --set tuning.frozen=encoder --set tuning.frozen_epochs=100000 --out $(RESULTS)/random-$$labels; \
	done
	$(TUNE) --set run.epochs=6 --from $(SMALL) --out $(RESULTS)/tuned-all
	$(TUNE) --set run.epochs=6 $(SCRATCH) --set tuning.frozen_epochs=0 --out $(RESULTS)/scratch-all
	$(TUNE) --set run.epochs=6 $(SCRATCH) --set tuning.frozen=encoder --set tuning.frozen_epochs=100000 --out $(RESULTS)/random-all

# Few-shot episodes on frozen features and by training; neighbours; corrupted clouds.
results-fewshot: results-encoder
	$(JEPA3D) fewshot $(SMALL) --data $(RESULTS)/modelnet --ways 5 --shots 10 --finetune few-shot-small --out $(RESULTS)/few-shot
results-retrieve: results-encoder
	$(JEPA3D) retrieve $(SMALL) --data $(RESULTS)/modelnet --out $(RESULTS)/neighbours
# CrossJEPA learns from views of 800 built-in objects, the masked ones from the clouds themselves.
results-robustness: results-encoder
	$(JEPA3D) pretrain point-jepa-small --data $(RESULTS)/modelnet --out $(RESULTS)/point-jepa-small --resume
	$(JEPA3D) prepare synthetic-views --out $(RESULTS)/views --set dataset.count=800
	$(JEPA3D) teacher $(RESULTS)/views --teacher hog
	$(JEPA3D) pretrain cross-jepa-small --data $(RESULTS)/views --out $(RESULTS)/cross-jepa-small --resume
	@set -ex; for preset in 3d-jepa-small point-jepa-small cross-jepa-small; do \
		$(JEPA3D) robustness $(RESULTS)/$$preset --data $(RESULTS)/modelnet --regroup --out $(RESULTS)/robustness-$$preset; \
	done

# The three ablations of configs/ablate that ask what the recipe owes to what: 42 runs of 992 steps, an hour beside other work. Status 1 of
# `ablate`: an alarm stands over a run, which its table names (coordinates as targets collapse).
results-ablations: results-modelnet
	@set -ex; for plan in masking predictor-width target; do \
		$(JEPA3D) ablate $$plan --data $(RESULTS)/modelnet --out $(RESULTS)/ablate-$$plan || test $$? -eq 1; \
	done

# The encoder in the program beside training from scratch, by few labels and by all; and by 5 folds and left-out neighbours on a
# folder of meshes, MESHES, one folder a class (scikit-learn and pyarrow in PYTHON).
CARRIED_TUNE = $(TUNE) --set length.min_steps=150
results-few-labels: results-modelnet
	@set -ex; for labels in 1% 5% 10%; do \
		$(CARRIED_TUNE) --labels $$labels --from jepa3d-s --out $(RESULTS)/carried-$$labels; \
		$(CARRIED_TUNE) --labels $$labels --from scratch --preset jepa3d-s --set tuning.frozen_epochs=0 \
			--out $(RESULTS)/carried-scratch-$$labels; \
	done
	$(TUNE) --set run.epochs=6 --from jepa3d-s --out $(RESULTS)/carried-all
	$(TUNE) --set run.epochs=6 --from scratch --preset jepa3d-s --set tuning.frozen_epochs=0 --out $(RESULTS)/carried-scratch-all
results-meshes: build
	@test -n "$(MESHES)" || { echo "make results-meshes: needs MESHES=folder" >&2; exit 2; }
	$(JEPA3D) prepare folder --data "$(MESHES)" --out $(RESULTS)/meshes
	$(JEPA3D) embed --model jepa3d-s --data $(RESULTS)/meshes --out $(RESULTS)/meshes-whole.parquet
	$(JEPA3D) embed --model jepa3d-s --data $(RESULTS)/meshes --pool mean-std --out $(RESULTS)/meshes-mean-std.parquet
	$(JEPA3D) embed --model jepa3d-s --data $(RESULTS)/meshes --random --out $(RESULTS)/meshes-random.parquet
	$(PYTHON) scripts/cross_validate.py $(RESULTS)/meshes-*.parquet

# Parts of 4,000 built-in objects at 5 percent of the labels: the encoder in the program, and one that learned from these objects.
PARTS = $(JEPA3D) segment parts-small --data $(RESULTS)/synthetic --labels 5% --seeds 1,2,3 --resume
results-segment: build
	$(JEPA3D) prepare synthetic --out $(RESULTS)/synthetic --set dataset.count=4000
	$(PARTS) --from jepa3d-s --out $(RESULTS)/parts-carried
	$(PARTS) --from scratch --preset jepa3d-s --out $(RESULTS)/parts-carried-scratch
	$(JEPA3D) pretrain 3d-jepa-small --data $(RESULTS)/synthetic --out $(RESULTS)/parts-encoder --resume
	$(PARTS) --from $(RESULTS)/parts-encoder --out $(RESULTS)/parts-tuned
	$(PARTS) $(SCRATCH) --out $(RESULTS)/parts-scratch

test:
	$(CARGO) test --release --locked --workspace
	@scripts/test-python $(PYTHON) $(TARGET)

# The Python package with the command line tool inside, into $(OUT)/wheels, from a clean clone. Needs Python 3.10 or newer and,
# the first time, a package index. The wheel's tag says the oldest C library that the tool runs with, as its symbols tell.
BUILD_PYTHON = $(TARGET)/python-build
GLIBC = $$(strings $(JEPA3D) | sed -n 's/^GLIBC_2\.\([0-9]*\)$$/\1/p' | sort -n | tail -1)
# WHEEL_FEATURES="--features object-store" builds both for object stores.
WHEEL_FEATURES ?=
wheel:
	$(CARGO) build --release --locked --workspace $(WHEEL_FEATURES)
	test -x $(BUILD_PYTHON)/bin/maturin || { $(PYTHON) -m venv $(BUILD_PYTHON) && $(BUILD_PYTHON)/bin/pip install -q "maturin>=1.9,<2"; }
	mkdir -p python/jepa3d/bin
	strip -o python/jepa3d/bin/jepa3d $(JEPA3D)
	JEPA3D_WHEEL_FEATURES="$(WHEEL_FEATURES)" CARGO=$(CURDIR)/scripts/cargo-workspace $(BUILD_PYTHON)/bin/maturin build --release --locked --manifest-path python/Cargo.toml --out $(OUT)/wheels \
		--compatibility manylinux_2_$(GLIBC)

# The Python package alone: the last part of `make test`.
test-python: build
	$(CARGO) build --release --locked --workspace --examples
	scripts/test-python $(PYTHON) $(TARGET)

# Preparing on a real Ray and on a real Slurm of this machine, and the recipes for Kubernetes and AWS Batch (docs/scale). Each
# says what is missing where it cannot run: packages ray; slurm-wlm and munge of Debian, and root; kubernetes-validate, pyyaml
# and botocore in PYTHON.
test-ray: build
	JEPA3D_TEST_DATA=$(abspath $(TEST_DATA)) scripts/test-wheel $(PYTHON) $(TARGET) ray ray
test-slurm: build
	@if test -d $(TEST_DATA)/shapedb; then set -- folder-views --data $(abspath $(TEST_DATA))/shapedb --set shards.rows=16 \
		--set shards.row_group=8 --set run.max_failures=20; else set -- synthetic-views --set shards.rows=16; fi; \
		scripts/test-slurm $(JEPA3D) "$$@"
test-recipes: build
	$(PYTHON) scripts/check-recipes $(JEPA3D)

# Training in 1, 2 and 4 processes with the feature mpi: equal bits, a run continued by fewer, one killed, one that hangs. Needs
# libopenmpi-dev, openmpi-bin and libclang-dev (Debian's names).
test-mpi:
	@missing=$$(scripts/has-mpi) || { echo "test-mpi: skipped: $$missing"; exit 0; }; \
	set -ex; $(CARGO) build --release --locked --workspace --features mpi; \
	$(PYTHON) scripts/test_mpi.py $(JEPA3D) $(OUT)/test-mpi

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

doc:
	$(CARGO) doc --release --locked --workspace --no-deps --open

# The archives that a registry would get; without --no-verify each is also built from its archive.
package:
	$(CARGO) package --locked --workspace --no-verify

# SIGKILLs at random moments and at chosen system calls over every command that writes, each followed by the same command.
test-kill:
	$(CARGO) test --release --locked --workspace --test cli --test hostile -- --ignored kill --nocapture

# Damage, hostile files, errors of the machine and races, tried on the binary from outside; mutated shards in process.
test-hostile:
	$(CARGO) test --release --locked --workspace --test hostile -- --ignored --skip kill --nocapture

# Depth, ids and visible points against brute-force rays, on all meshes at full size.
test-render:
	JEPA3D_TEST_DATA=$(TEST_DATA) $(CARGO) test --release --locked --workspace --test raycast --test correspondences \
		-- --ignored --nocapture

# Object stores (feature `object-store`): over a store in memory that fails, then the binary against a real S3 server and Azurite with
# faults, kills and a full cache; then the Python package, in an environment that gets moto, ray and pyarrow. Needs `pip install
# "moto[server]"` in $(PYTHON) and `npm install azurite` (AZURITE names its `azurite-blob`); what is not installed is named and left out.
test-object-store:
	$(CARGO) build --release --locked --workspace --features object-store
	$(CARGO) test --release --locked --workspace --features object-store --test object_stores
	$(PYTHON) store/testing/real_servers.py $(JEPA3D)
	$(CARGO) clippy --release --locked --workspace --all-targets --features object-store -- -D warnings
	WHEEL_FEATURES="--features object-store" scripts/test-wheel $(PYTHON) $(TARGET) object_store "moto[server]" pyarrow ray

# Real libFuzzer runs, SECONDS_EACH a target (needs cargo-fuzz and a nightly toolchain).
SECONDS_EACH ?= 60
fuzz:
	fuzz/run.sh $(SECONDS_EACH)

# The committed corpus and seeded mutations of it through every parser, on stable Rust.
fuzz-corpus:
	JEPA3D_FUZZ_ROUNDS=20000 $(CARGO) test --release --locked --workspace --test fuzz_corpus

# Benches: one JSON object a line on standard output; `make -s bench-X | scripts/figures.py record X` puts them into
# docs/figures, from which `make figures` writes the tables of docs/benchmarks.md. DATA: the raw sets some of them read.
TEST_DATA = $(or $(DATA),$(JEPA3D_TEST_DATA),../shared/data)

bench-columns:
	$(CARGO) bench --locked --workspace --bench columns

bench-formats:
	$(CARGO) bench --locked --workspace --bench formats

bench-nuscenes-tables:
	$(CARGO) bench --locked --workspace --bench nuscenes_tables

# FPS and kNN against fpsample, pykdtree and scipy, in turns, one thread.
bench-geometry:
	JEPA3D_TEST_DATA=$(TEST_DATA) $(PYTHON) pipeline/grouping/benches/geometry_peers.py $$(scripts/bench-binary geometry)

# Views against Open3D's Embree, in turns, two cores; then growth with triangles, pixels and views.
bench-render:
	$(PYTHON) render/benches/render_peers.py $$(scripts/bench-binary render) --data $(TEST_DATA)
	$$(scripts/bench-binary render) growth

# Whole preparations against a Python pipeline, in turns, two cores.
bench-prepare: build
	$(PYTHON) pipeline/benches/prepare_peers.py $(JEPA3D) --data $(TEST_DATA)

# Peak memory of 4,000 and 40,000 clouds.
bench-memory: build
	$(PYTHON) pipeline/benches/prepare_memory.py $(JEPA3D) --data $(TEST_DATA)

# Samples per second into ready batches, against Parquet, MDS, webdataset and memory-mapped arrays, in turns.
bench-loader: build
	$(PYTHON) train/loader/benches/loader_peers.py $(JEPA3D) $$(scripts/bench-binary loader) --data $(TEST_DATA)

# The fused tokenizer against candle's operators and PyTorch, in turns, two threads.
bench-tokenizer:
	$(PYTHON) train/kernels/benches/tokenizer_peers.py $$(scripts/bench-binary tokenizer)

# One fine-tuning step of the official classifier against PyTorch, in turns, two threads.
bench-finetune:
	$(PYTHON) train/benches/train_peers.py $$(scripts/bench-binary train) --task finetune

# Loader and geometry of the Python package against those of others, in turns; both need torch and the installed wheel, and
# leave out peers that are not installed (mosaicml-streaming litdata datasets webdataset; fpsample pykdtree).
# PREPARED: a prepared dataset.
bench-python-loader:
	@test -n "$(PREPARED)" || { echo "make bench-python-loader: needs PREPARED=folder of a prepared dataset" >&2; exit 2; }
	$(CARGO) build --release --locked --workspace --examples
	$(PYTHON) python/benches/loaders.py $(PREPARED) --rust $(TARGET)/release/examples/batch_rate
bench-python-geometry:
	$(PYTHON) python/benches/geometry.py

# One training step against PyTorch at the full and the small size, in turns, two threads; both split by part.
bench-train:
	$(PYTHON) train/benches/train_peers.py $$(scripts/bench-binary train)

# Milliseconds a step of every small preset on the built-in views, in turns, and what a teacher at every step would add.
bench-variants: build
	$(PYTHON) train/benches/variants.py $(JEPA3D)

# What a recording for the rerun viewer adds to a step, with and without in turns.
bench-rerun: build
	$(PYTHON) train/benches/rerun.py $(JEPA3D)

# Linear SVMs against sklearn's SVC and LinearSVC on the same features, in turns; then the whole probe.
bench-probe:
	$(PYTHON) train/probe/benches/probe_peers.py $$(scripts/bench-binary probe)

# The tables of docs/benchmarks.md from docs/figures; a test compares them.
figures:
	$(PYTHON) scripts/figures.py tables

# Compiles and links the binary and the GPU tests with CUDA, in a target folder of its own, and the binary with NCCL where the linker
# finds it (2.30 or newer) and MPI is installed. Needs no GPU, but `nvcc` of a CUDA toolkit 12 or newer; CUDA_ENV names a shell
# script to source first where one has to be put on the path.
CUDA_ENV ?=
CUDA_TARGET ?= $(TARGET)/cuda
cuda-check test-cuda: SHELL = bash
cuda-check test-cuda: export CARGO_TARGET_DIR = $(CUDA_TARGET)
cuda-check:
	@$(if $(CUDA_ENV),. $(CUDA_ENV);) command -v nvcc >/dev/null || { echo "cuda-check: no nvcc on the path: install a CUDA" \
		"toolkit (12 or newer), or name a script that sets one up: make cuda-check CUDA_ENV=path/to/script" >&2; exit 1; }
	$(if $(CUDA_ENV),. $(CUDA_ENV);) $(CARGO) build --release --locked --workspace --features cuda
	$(if $(CUDA_ENV),. $(CUDA_ENV);) $(CARGO) test --release --locked --features cuda --workspace --lib --no-run
	@$(if $(CUDA_ENV),. $(CUDA_ENV);) missing=$$(scripts/has-mpi && scripts/has-nccl) || \
		{ echo "cuda-check: without nccl: $$missing"; exit 0; }; \
	set -x; $(CARGO) build --release --locked --workspace --features nccl

# Every kernel compiled by nvcc for cards since the A100; prints what each needs. The same sources pass through the host's compiler
# in `make test`, which runs them.
cuda-kernels: SHELL = bash
cuda-kernels:
	@set -e; $(if $(CUDA_ENV),. $(CUDA_ENV);) mkdir -p $(TARGET)/cuda-kernels; \
	for file in train/kernels/cuda/*.cu; do for card in 80 90; do \
		nvcc -std=c++17 -arch=sm_$$card -cubin -Xptxas -v -Werror all-warnings -o $(TARGET)/cuda-kernels/kernels.cubin $$file 2>&1 | \
			awk -v name="$$(basename $$file) sm_$$card" '/error|warning/ {print; bad = 1} /spill/ {spills += $$5 + $$9} \
				/Used/ {n++; if ($$5 > most) most = $$5} END {print name ": " n " kernels, at most " most " registers, " spills + 0 \
				" bytes spilled"; exit bad}'; \
	done; done

# One training step on cuda:0 against the CPU, f32 and bf16; needs a GPU and its driver.
test-cuda:
	$(if $(CUDA_ENV),. $(CUDA_ENV);) $(CARGO) test --release --locked --features cuda --workspace --lib \
		-- --ignored cuda

# A folder for a machine with a GPU and nothing but a driver and a Python with torch: `check.sh` in it tests, times and pretrains in
# ten minutes. BUNDLE_FEATURES= (empty) packs it for the CPU alone, to try the script.
GPU_BUNDLE ?= $(OUT)/gpu-bundle
BUNDLE_FEATURES ?= --features cuda
gpu-bundle: SHELL = bash
gpu-bundle: export CARGO_TARGET_DIR = $(CUDA_TARGET)
gpu-bundle:
	$(if $(CUDA_ENV),. $(CUDA_ENV);) scripts/gpu-bundle $(GPU_BUNDLE) --no-default-features $(BUNDLE_FEATURES)
