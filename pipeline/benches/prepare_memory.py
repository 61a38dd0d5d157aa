"""Peak memory of a preparation: does it depend on the size of the dataset?

usage: prepare_memory.py JEPA3D [--data TEST_DATA] [--threads 2] [--work DIR]

Prepares about 4,000 and ten times as many clouds: ModelNet10 below TEST_DATA, once and in ten
copies made of links; without the data, the procedural set of 4,000 and 40,000 objects. Prints one
JSON object a line: peak resident MiB of the large run (ours) and the small one (peer), ratio =
peer / ours, so that 1 means independent of size. Notes go to standard error.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import sys
import time

SETS = ["cloud.points=1024", "groups.points=1024", "groups.centers=64", "groups.neighbors=32", "groups.groupings=1"]


def peak_mib(command):
    """Peak resident size of a command, as the kernel accounts it when the process is collected."""
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, notes = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command}: status {status}\n{notes.decode()}")
    report = json.loads(printed)
    print(f"{report['written']} samples in {time.time() - start:.1f} s, peak {usage.ru_maxrss / 1024:.0f} MiB",
          file=sys.stderr)
    return usage.ru_maxrss / 1024, report["written"]


def copies(source, target, count):
    """A folder of links: every class `count` times under names of its own."""
    for name in sorted(os.listdir(source)):
        for i in range(count):
            for path, _, files in os.walk(os.path.join(source, name)):
                folder = os.path.join(target, f"{name}{i}", os.path.relpath(path, os.path.join(source, name)))
                os.makedirs(folder)
                for file in files:
                    os.symlink(os.path.join(path, file), os.path.join(folder, file))


def run(arguments, work, count, threads):
    out = os.path.join(work, f"out-{count}")
    sets = [word for s in SETS for word in ("--set", s)]
    result = peak_mib([*arguments, "--out", out, "--threads", str(threads), "--json", *sets])
    shutil.rmtree(out)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("jepa3d")
    parser.add_argument("--data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help="where to write (some GB for a while); default: the temporary folder")
    args = parser.parse_args()
    clouds = os.path.abspath(os.path.join(args.data or "", "modelnet10"))
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        peaks = []
        for count in (1, 10):
            if os.path.isdir(clouds):
                data = os.path.join(work, f"data-{count}")
                copies(clouds, data, count)
                arguments = ["--set", "dataset.kind=folder", "--data", data]
            else:
                arguments = ["--set", f"dataset.count={4000 * count}"]
            peaks.append(run([args.jepa3d, "prepare", *arguments], work, count, args.threads))
        (small, few), (large, many) = peaks
        print(json.dumps({"case": f"peak memory, {many} against {few} objects", "ours": round(large, 1),
                          "peer": round(small, 1), "unit": "MiB", "ratio": round(small / large, 3)}))


if __name__ == "__main__":
    main()
