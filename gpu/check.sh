#!/bin/sh
# Everything that is to be known of jepa3d on a GPU, in under ten minutes: kernels against the CPU, the speed of a step beside
# PyTorch, two minutes of pretraining with its probe. Writes result.json and result.md here.
#
# Usage: ./check.sh [FOLDER]      FOLDER: where data and runs are put (default: ./work)
# Needs what is in this folder, a driver, and a Python (PYTHON, default python3) with a torch for the same CUDA major version as the
# bundle was built with (13 by scripts/cuda_toolkit.sh): its wheels bring cuBLAS and NVRTC.
# Without a device it does the same on the CPU as far as it goes, at small sizes, and says so in the result.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
work=${1:-$here/work}
mkdir -p "$work"
"$python" - "$here" "$work" <<'PY'
import lzma, os, shutil, sys
here, work = sys.argv[1:]
for name in ("jepa3d", "kernels-tests", "train-tests", "nccl-tests"):
    if not os.path.exists(f"{here}/{name}.xz"):
        continue
    with lzma.open(f"{here}/{name}.xz") as packed, open(f"{work}/{name}", "wb") as out:
        shutil.copyfileobj(packed, out)
    os.chmod(f"{work}/{name}", 0o755)
PY
# torch's wheels carry the libraries that the binaries were linked against; some lack cuRAND, which is only asked to be there.
libraries=$("$python" -c 'import glob, os, site, sys
folders = site.getsitepackages() + [site.getusersitepackages()]
found = [d for f in folders for d in glob.glob(os.path.join(f, "nvidia", "*", "lib"))]
print(":".join(found))')
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${libraries:+$libraries:}$here/without-curand"
exec "$python" "$here/check.py" --work "$work" --out "$here"
