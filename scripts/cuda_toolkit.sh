# A CUDA toolkit without root and without a GPU, from NVIDIA's Python wheels: enough to compile and link, not to run.
#
#   make cuda-check CUDA_ENV=scripts/cuda_toolkit.sh
#
# Sourced, not run. Makes a virtual environment once in JEPA3D_CUDA_TOOLKIT (default: cuda-toolkit in the cargo target folder;
# 1.6 GB, of which NCCL is 0.25) and puts it on the paths. Needs python3 with venv, pip's index, and a C compiler. The wheels
# have no libcuda.so, which comes with the driver: a stub with the names that cuda.h declares is made, so that the linker finds
# them. A binary linked so takes the driver's own library where it runs. CUDA_COMPUTE_CAP: the card the binary is for (80 A100,
# 90 H100 and H200).

cuda_toolkit_setup() {
    local here folder root nccl name library
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    folder=${JEPA3D_CUDA_TOOLKIT:-${CARGO_TARGET_DIR:-$here/target}/cuda-toolkit}
    if [ ! -e "$folder/complete" ]; then
        python3 -m venv "$folder" || return 1
        # CUDA 13.0: the newest that all of candle's bindings know, and the first whose wheels hold nvcc itself.
        "$folder/bin/python" -m pip install --quiet "nvidia-cuda-nvcc==13.0.*" "nvidia-cuda-runtime==13.0.*" \
            "nvidia-cuda-crt==13.0.*" "nvidia-nvvm==13.0.*" "nvidia-cuda-cccl==13.0.*" "nvidia-cuda-nvrtc==13.0.*" \
            "nvidia-cublas==13.0.*" "nvidia-curand==10.4.0.*" || return 1
    fi
    root=$(cd "$folder"/lib/python3*/site-packages/nvidia/cu13 && pwd) || return 1
    if [ ! -e "$folder/complete" ]; then
        # Linkers ask for libX.so, the wheels hold libX.so.N; some tools look into lib64.
        for library in "$root"/lib/lib*.so.*; do
            name=$(basename "$library")
            ln -sf "$name" "$root/lib/${name%%.so.*}.so"
        done
        ln -sfn lib "$root/lib64"
        cuda_driver_stub "$root" || return 1
        : >"$folder/complete"
    fi
    cuda_nccl "$folder" || return 1
    cuda_quick_compiler "$root" || return 1
    export CUDA_HOME=$root CUDA_PATH=$root NVCC=$root/bin/nvcc-quick PATH=$root/bin:$PATH
    export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
    nccl=$(cd "$root/../nccl/lib" && pwd) || return 1
    export LIBRARY_PATH=$root/lib:$root/lib/stubs:$nccl${LIBRARY_PATH:+:$LIBRARY_PATH}
    # Where the linked binaries find cuBLAS, NVRTC and NCCL; behind everything else.
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$root/lib:$nccl
}

# NCCL for the feature nccl, also in an environment that was made without: the release whose functions candle's bindings declare.
cuda_nccl() {
    [ ! -e "$1/complete-nccl" ] || return 0
    "$1/bin/python" -m pip install --quiet "nvidia-nccl-cu13==2.30.*" || return 1
    ln -sf libnccl.so.2 "$(echo "$1"/lib/python3*/site-packages/nvidia/nccl/lib)/libnccl.so" || return 1
    : >"$1/complete-nccl"
}

# nvcc for candle-kernels' build: its products of quantised matrices and of mixtures of experts, which nothing here calls, take most of
# an hour if they are optimised.
cuda_quick_compiler() {
    cat >"$1/bin/nvcc-quick" <<'END'
#!/bin/sh
case "$*" in *mmq_*|*mmvq_*|*/moe*) set -- -Ofc max "$@" ;; esac
exec "$(dirname "$0")/nvcc" "$@"
END
    chmod +x "$1/bin/nvcc-quick"
}

# libcuda.so with every function that cuda.h declares, under its own name and those it is renamed to.
cuda_driver_stub() {
    mkdir -p "$1/lib/stubs" || return 1
    { grep -oE '\bcu[A-Z][A-Za-z0-9]*(_v[0-9]+|_ptsz|_ptds)*\b *\(' "$1/include/cuda.h" | tr -d ' ('
      grep -E '^ *#define +cu[A-Z]' "$1/include/cuda.h" | grep -oE '\bcu[A-Z][A-Za-z0-9_]*\b'; } | sort -u |
        sed 's/.*/int &(void) { return 100; }/' >"$1/lib/stubs/cuda.c"
    "${CC:-cc}" -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$1/lib/stubs/libcuda.so" "$1/lib/stubs/cuda.c"
    ln -sf libcuda.so "$1/lib/stubs/libcuda.so.1"
}

cuda_toolkit_setup || { echo "cuda_toolkit.sh: the toolkit could not be set up" >&2; return 1; }
