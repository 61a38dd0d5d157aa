# Every target is a line you could type. CARGO_TARGET_DIR is honoured if set.

OUT ?= out
SECONDS_EACH ?= 60
CARGO ?= cargo
DATA ?= $(or $(JEPA3D_TEST_DATA),../shared/data)
TARGET = $(or $(CARGO_TARGET_DIR),target)
JEPA3D = $(TARGET)/release/jepa3d
PYTHON ?= python3

.PHONY: demo build test lint doc test-kill fuzz fuzz-corpus \
	bench-columns bench-geometry bench-loader bench-tokenizer bench-prepare bench-render test-render bench-memory \
	bench-probe bench-train bench-formats bench-nuscenes-tables cuda-check test-cuda

# Prepare the built-in set with views, verify it, show what is in it; embed the views; pretrain all three variants on it,
# probe them beside random weights.
demo: build
	$(JEPA3D) prepare configs/prepare/synthetic-views.toml --out $(OUT)/synthetic
	$(JEPA3D) verify $(OUT)/synthetic
	$(JEPA3D) stats $(OUT)/synthetic --plots $(OUT)/synthetic-plots
	$(JEPA3D) inspect $(OUT)/synthetic --limit 16 --contact-sheet $(OUT)/synthetic.png --save $(OUT)/synthetic.rrd
	$(JEPA3D) teacher $(OUT)/synthetic --teacher hog
	$(JEPA3D) pretrain configs/pretrain/point-jepa-region-small.toml --data $(OUT)/synthetic --out $(OUT)/run --resume \
		--set run.epochs=100 --set monitor.print_every=140 --set monitor.probe_every=10
	$(JEPA3D) pretrain configs/pretrain/3d-jepa-small.toml --data $(OUT)/synthetic --out $(OUT)/run-3d --resume \
		--set run.epochs=60 --set monitor.print_every=140 --set monitor.probe_every=10
	$(JEPA3D) pretrain configs/pretrain/cross-jepa-small.toml --data $(OUT)/synthetic --out $(OUT)/run-cross --resume \
		--set run.epochs=60 --set optim.warmup_epochs=5 --set monitor.print_every=140 --set monitor.probe_every=10
	$(JEPA3D) probe $(OUT)/run --data $(OUT)/synthetic --test-split test --labels 1,5,10
	$(JEPA3D) probe $(OUT)/run $(OUT)/run-3d $(OUT)/run-cross --data $(OUT)/synthetic --test-split test --light --labels 20
	$(JEPA3D) inspect $(OUT)/run --data $(OUT)/synthetic --curves $(OUT)/run-curves.png \
		--contact-sheet $(OUT)/run-masks.png --save $(OUT)/run.rrd

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
	$(CARGO) bench --locked -p jepa3d-train --bench loader --no-run
	$(PYTHON) train/benches/loader_peers.py $(JEPA3D) \
		"$$(ls -t $(TARGET)/release/deps/loader-* | grep -v '\.d$$' | head -n 1)" --data $(DATA)

# The fused tokenizer against candle's operators and PyTorch, in turns, two threads.
bench-tokenizer:
	$(CARGO) bench --locked -p jepa3d-train --bench tokenizer --no-run
	$(PYTHON) train/benches/tokenizer_peers.py \
		"$$(ls -t $(TARGET)/release/deps/tokenizer-* | grep -v '\.d$$' | head -n 1)"

# One training step against PyTorch at the full and the small size, in turns, two threads; both split by part.
bench-train:
	$(CARGO) bench --locked -p jepa3d-train --bench train --no-run
	$(PYTHON) train/benches/train_peers.py "$$(ls -t $(TARGET)/release/deps/train-* | grep -v '\.d$$' | head -n 1)" --data $(DATA)

# Linear SVMs against sklearn's SVC and LinearSVC on the same features, in turns; then the whole probe.
bench-probe:
	$(CARGO) bench --locked -p jepa3d-train --bench probe --no-run
	$(PYTHON) train/benches/probe_peers.py "$$(ls -t $(TARGET)/release/deps/probe-* | grep -v '\.d$$' | head -n 1)"

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
