# Every target is a line you could type. CARGO_TARGET_DIR is honoured if set.

OUT ?= out
SECONDS_EACH ?= 60
CARGO ?= cargo
DATA ?= $(or $(JEPA3D_TEST_DATA),../shared/data)
TARGET = $(or $(CARGO_TARGET_DIR),target)
JEPA3D = $(TARGET)/release/jepa3d
PYTHON ?= python3

.PHONY: demo shapenet modelnet scanobjectnn nuscenes build test lint doc test-kill fuzz fuzz-corpus \
	bench-columns bench-geometry bench-loader bench-tokenizer bench-prepare bench-render test-render bench-memory \
	bench-probe bench-train bench-variants bench-formats bench-nuscenes-tables cuda-check test-cuda

# What demo and the datasets' targets are made of; each of these steps goes on where it was stopped.
# CONFIG, DATASET, FLAGS: prepare, verify, show what is in it.
define prepare
	$(JEPA3D) prepare configs/prepare/$(1).toml --out $(2) $(3)
	$(JEPA3D) verify $(2)
	$(JEPA3D) stats $(2) --plots $(2)-plots
	$(JEPA3D) inspect $(2) --limit 16 --contact-sheet $(2).png --save $(2).rrd
endef
# CONFIG, DATASET, RUN, FLAGS
define pretrain
	$(JEPA3D) pretrain configs/pretrain/$(1).toml --data $(2) --out $(3) --resume $(4)
endef
# RUN, DATASET: curves, masks, a recording of both.
define look
	$(JEPA3D) inspect $(1) --data $(2) --curves $(1)-curves.png --contact-sheet $(1)-masks.png --save $(1).rrd
endef

# Prepare the built-in set with views; embed the views; pretrain all three variants on it, probe them beside random weights.
OFTEN = --set monitor.print_every=140 --set monitor.probe_every=10
demo: build
	$(call prepare,synthetic-views,$(OUT)/synthetic)
	$(JEPA3D) teacher $(OUT)/synthetic --teacher hog
	$(call pretrain,point-jepa-region-small,$(OUT)/synthetic,$(OUT)/run,--set run.epochs=100 $(OFTEN))
	$(call pretrain,3d-jepa-small,$(OUT)/synthetic,$(OUT)/run-3d,--set run.epochs=60 $(OFTEN))
	$(call pretrain,cross-jepa-small,$(OUT)/synthetic,$(OUT)/run-cross,--set run.epochs=60 --set optim.warmup_epochs=5 $(OFTEN))
	$(JEPA3D) probe $(OUT)/run --data $(OUT)/synthetic --test-split test --labels 1,5,10
	$(JEPA3D) probe $(OUT)/run $(OUT)/run-3d $(OUT)/run-cross --data $(OUT)/synthetic --test-split test --light --labels 20
	$(call look,$(OUT)/run,$(OUT)/synthetic)

# The same on a dataset of yours, into $(OUT)/<target>; run it again to go on after a crash. Views are made and embedded if a
# variant needs them (cross-jepa*). PROBE holds flags of `jepa3d probe`.
#   make shapenet DATA=folder VARIANTS="point-jepa cross-jepa" SETTINGS="run.epochs=100" PREPARE_SETTINGS="run.limit=1000"
DATASETS = shapenet modelnet scanobjectnn nuscenes
shapenet: VARIANTS ?= point-jepa-small cross-jepa-small
modelnet scanobjectnn: VARIANTS ?= point-jepa-small
nuscenes: VARIANTS ?= 3d-jepa-scenes
SETTINGS ?=
PREPARE_SETTINGS ?=
TEACHER ?= --teacher hog
PROBE ?=
DEVICE ?= cpu
VIEWS = $(if $(filter cross-jepa%,$(VARIANTS)),-views)
HERE = $(OUT)/$@
RUNS = $(addprefix $(HERE)/,$(VARIANTS))
PROBE_RUNS = $(JEPA3D) probe $(RUNS) --data $(HERE)/prepared --device $(DEVICE) $(PROBE)

# RUN, DATASET: pretrain the variant that the run is named after, write its features, draw it.
define variant
	$(call pretrain,$(notdir $(1)),$(2),$(1),--device $(DEVICE) $(addprefix --set ,$(SETTINGS)))
	$(JEPA3D) embed $(1) --data $(2) --out $(1).parquet --device $(DEVICE)
	$(call look,$(1),$(2))

endef
$(DATASETS): build
	$(call prepare,$@$(VIEWS),$(HERE)/prepared,--data "$(DATA)" $(addprefix --set ,$(PREPARE_SETTINGS)))
	$(if $(filter-out cross-jepa-hybrid%,$(filter cross-jepa%,$(VARIANTS))),$(JEPA3D) teacher $(HERE)/prepared $(TEACHER))
	$(foreach run,$(RUNS),$(call variant,$(run),$(HERE)/prepared))
	@echo '$(PROBE_RUNS)'; $(PROBE_RUNS) || { [ $$? -eq 2 ] && \
		echo "$@: no probe, for the reason above. Is a class too small? PROBE='--labels 1,5'. All else is in $(HERE)"; }

define shapenet_FOLDER
  ShapeNetCore v2     <synset>/<model>/models/model_normalized.obj, all.csv
  ShapeNetCore v1     <synset>/<model>/model.obj
  ShapeNet55 clouds   shapenet_pc/<synset>-<model>.npy, ShapeNet-55/{train,test}.txt
endef
define modelnet_FOLDER
  meshes, clouds      <class>/{train,test}/*.off or *.pcd
  normal_resampled    <class>/*.txt, modelnet40_{train,test}.txt, modelnet40_shape_names.txt
  h5                  ply_data_{train,test}*.h5, shape_names.txt
endef
define scanobjectnn_FOLDER
  h5 files            main_split/{training,test}_objectdataset_augmentedrot_scale75.h5
                      (PB_T50_RS; others: PREPARE_SETTINGS=dataset.variant=OBJ_BG)
endef
define nuscenes_FOLDER
  archives unpacked   v1.0-mini/*.json, samples/LIDAR_TOP/*.pcd.bin, samples/CAM_*/*.jpg
                      (others: PREPARE_SETTINGS=dataset.version=v1.0-trainval)
endef
define NO_DATA
make $(1) needs DATA=folder, a folder that holds
$($(1)_FOLDER)
More: datasets/src/$(1)/README.md
endef
ifeq ($(if $(filter file,$(origin DATA)),,$(DATA)),)
$(foreach name,$(filter $(DATASETS),$(MAKECMDGOALS)),$(error $(call NO_DATA,$(name))))
endif

build:
	$(CARGO) build --release --locked

test:
	$(CARGO) test --release --locked --workspace

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

doc:
	$(CARGO) doc --release --locked --workspace --no-deps --open

# Twenty SIGKILLs at random moments, each followed by the same command.
test-kill:
	$(CARGO) test --release --locked --test cli -- --ignored kill --nocapture

# Real libFuzzer runs, SECONDS_EACH a target (needs cargo-fuzz and a nightly toolchain).
fuzz:
	fuzz/run.sh $(SECONDS_EACH)

# The committed corpus and seeded mutations of it through every parser, on stable Rust.
fuzz-corpus:
	JEPA3D_FUZZ_ROUNDS=20000 $(CARGO) test --release --locked -p jepa3d-datasets --test fuzz_corpus

bench-columns:
	$(CARGO) bench --locked -p jepa3d-schemas --bench columns

bench-formats:
	$(CARGO) bench --locked -p jepa3d-datasets --bench formats

bench-nuscenes-tables:
	$(CARGO) bench --locked -p jepa3d-datasets --bench nuscenes_tables

# FPS and kNN against fpsample, pykdtree and scipy, in turns, one thread.
bench-geometry:
	$(CARGO) bench --locked -p jepa3d-grouping --bench geometry --no-run
	JEPA3D_TEST_DATA=$(DATA) $(PYTHON) pipeline/grouping/benches/geometry_peers.py \
		"$$(ls -t $(TARGET)/release/deps/geometry-* | grep -v '\.d$$' | head -n 1)"

# Samples per second into ready batches, against Parquet, MDS, webdataset and memory-mapped arrays, in turns.
bench-loader: build
	$(CARGO) bench --locked -p jepa3d-loader --bench loader --no-run
	$(PYTHON) train/loader/benches/loader_peers.py $(JEPA3D) \
		"$$(ls -t $(TARGET)/release/deps/loader-* | grep -v '\.d$$' | head -n 1)" --data $(DATA)

# The fused tokenizer against candle's operators and PyTorch, in turns, two threads.
bench-tokenizer:
	$(CARGO) bench --locked -p jepa3d-kernels --bench tokenizer --no-run
	$(PYTHON) train/kernels/benches/tokenizer_peers.py \
		"$$(ls -t $(TARGET)/release/deps/tokenizer-* | grep -v '\.d$$' | head -n 1)"

# One training step against PyTorch at the full and the small size, in turns, two threads; both split by part.
bench-train:
	$(CARGO) bench --locked -p jepa3d-train --bench train --no-run
	$(PYTHON) train/benches/train_peers.py "$$(ls -t $(TARGET)/release/deps/train-* | grep -v '\.d$$' | head -n 1)" --data $(DATA)

# Milliseconds a step of every small preset on the built-in views, in turns, and what a teacher at every step would add.
bench-variants: build
	bash train/benches/variants.sh $(JEPA3D)

# Linear SVMs against sklearn's SVC and LinearSVC on the same features, in turns; then the whole probe.
bench-probe:
	$(CARGO) bench --locked -p jepa3d-probe --bench probe --no-run
	$(PYTHON) train/probe/benches/probe_peers.py "$$(ls -t $(TARGET)/release/deps/probe-* | grep -v '\.d$$' | head -n 1)"

# Whole preparations against a Python pipeline, in turns, two cores.
bench-prepare: build
	$(PYTHON) pipeline/benches/prepare_peers.py $(JEPA3D) --data $(DATA)

# Peak memory of 4,000 and 40,000 clouds.
bench-memory: build
	$(PYTHON) pipeline/benches/prepare_memory.py $(JEPA3D) --data $(DATA)

# Views against Open3D's Embree, in turns, two cores; then growth with triangles, pixels and views.
bench-render:
	$(CARGO) bench --locked -p jepa3d-render --bench render --no-run
	BENCH=$$(ls -t $(TARGET)/release/deps/render-* | grep -v '\.d$$' | head -n 1); \
		$(PYTHON) render/benches/render_peers.py $$BENCH --data $(DATA) && $$BENCH growth

# Depth, ids and visible points against brute-force rays, on all meshes at full size.
test-render:
	JEPA3D_TEST_DATA=$(DATA) $(CARGO) test --release --locked -p jepa3d-render --test raycast --test correspondences \
		-- --ignored --nocapture

# Compiles and links the binary and the GPU tests with CUDA, in a target folder of its own. Needs no GPU, but `nvcc` of a
# CUDA toolkit 12 or newer; CUDA_ENV names a shell script to source first where one has to be put on the path.
CUDA_ENV ?=
CUDA_TARGET ?= $(TARGET)/cuda
CUDA = set -e; $(if $(CUDA_ENV),. $(CUDA_ENV);) export CARGO_TARGET_DIR="$(CUDA_TARGET)"

cuda-check: SHELL = bash
cuda-check:
	@$(CUDA); command -v nvcc >/dev/null || { echo "cuda-check: no nvcc on the path: install a CUDA toolkit (12 or newer)," \
		"or name a script that sets one up: make cuda-check CUDA_ENV=path/to/script" >&2; exit 1; }
	$(CUDA); $(CARGO) build --release --locked --features cuda
	$(CUDA); $(CARGO) test --release --locked --features cuda -p jepa3d-train --lib --no-run

# One training step on cuda:0 against the CPU, f32 and bf16; needs a GPU and its driver.
test-cuda: SHELL = bash
test-cuda:
	$(CUDA); $(CARGO) test --release --locked --features cuda -p jepa3d-train --lib -- --ignored cuda
