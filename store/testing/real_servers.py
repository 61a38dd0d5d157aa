"""The command line tool against real servers of object stores: moto for S3, Azurite for Azure; and as Google's, whose API is that of S3 but
for headers, moto behind a proxy that renames them.

`real_servers.py JEPA3D` with the binary of a build with the feature `object-store`. What is not installed is named and left out:
`pip install "moto[server]"`; `npm install azurite`, with AZURITE naming `node_modules/.bin/azurite-blob` if it is not on the path.
"""

import contextlib
import fcntl
import hashlib
import http.server
import importlib.util
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import failing_proxy  # noqa: E402
import google_proxy  # noqa: E402

SECRET = "s3cr3t-hunter2-key"
SET = ["--set", "dataset.count=120", "--set", "shards.rows=16", "--set", "shards.row_group=4"]
# The well-known account of the emulator.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit(f"no server came up on port {port}")


class Tool:
    """The binary in an environment, with a cache of its own."""

    def __init__(self, binary, folder, environment):
        self.binary, self.folder, self.outputs = binary, folder, []
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        self.environment = {**kept, "HOME": str(folder), "JEPA3D_CACHE": str(folder / "cache"), "JEPA3D_STORE_SECONDS": "8",
                            **environment}

    def run(self, *arguments, code=0, **changed):
        environment = {key: value for key, value in {**self.environment, **changed}.items() if value is not None}
        done = subprocess.run([self.binary, *map(str, arguments)], env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.outputs += [done.stdout, done.stderr]
        if code is not None and done.returncode != code:
            sys.exit(f"{' '.join(map(str, arguments))}: exit code {done.returncode}, expected {code}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def start(self, *arguments):
        return subprocess.Popen([self.binary, *map(str, arguments)], env=self.environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def fails(self, text, *arguments, **changed):
        said = self.run(*arguments, code=None, **changed)
        for part in text if isinstance(text, list) else [text]:
            assert part in said, f"{' '.join(map(str, arguments))}: expected {part!r} in:\n{said}"
        return said


def hashes(folder):
    """Shards and small files of a set that are equal whoever prepared it; catalog and records hold times."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("catalog.parquet", "manifest.json")}


def fetch_all(read, names, folder):
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read(name))


def say(text):
    print(text, flush=True)


class S3:
    """moto, and a bucket in it."""

    def __init__(self):
        self.port = free_port()
        self.server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port)
        self.request("PUT", "bucket")

    def request(self, method, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method,
                                         headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"})
        return urllib.request.urlopen(request).read()

    def names(self, prefix):
        text = self.request("GET", f"bucket?list-type=2&prefix={prefix}/&max-keys=1000").decode()
        return [part.split("</Key>")[0][len(prefix) + 1:] for part in text.split("<Key>")[1:]]

    def environment(self, port=None):
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}", "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}

    def compare(self, prefix, local, folder):
        """The set below a prefix against a local one."""
        copy = folder / f"copy-{prefix.replace('/', '-')}"
        fetch_all(lambda name: self.request("GET", f"bucket/{prefix}/{name}"), self.names(prefix), copy)
        assert hashes(copy) == hashes(local), f"{prefix}: {hashes(copy)} {hashes(local)}"
        of_store, of_disk = (json.loads((place / "manifest.json").read_text().split("\n# ")[0]) for place in (copy, local))
        of_store.pop("self_hash", None), of_disk.pop("self_hash", None)
        assert of_store == of_disk, f"{prefix}: manifests differ"
        shutil.rmtree(copy)


@contextlib.contextmanager
def proxy(target, **settings):
    server = failing_proxy.serve(0, f"127.0.0.1:{target}", settings)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def read_and_write(tool, root, folder):
    """A set prepared into a store is the one prepared on a disk, and every command reads it alike."""
    local = folder / "local"
    tool.run("prepare", "synthetic", *SET, "--out", local)
    tool.run("prepare", "synthetic", *SET, "--out", f"{root}/whole")
    assert "all good" in tool.run("verify", f"{root}/whole")
    on_disk, in_store = (json.loads(tool.run("stats", place, "--json").split("\n")[0]) for place in (local, f"{root}/whole"))
    for stats in (on_disk, in_store):
        stats["times"] = None
        stats["dataset"].pop("folder", None)
    assert on_disk["columns"] == in_store["columns"] and on_disk["classes"] == in_store["classes"]
    for place, out in ((local, "a"), (f"{root}/whole", "b")):
        tool.run("pretrain", "3d-jepa-small", "--data", place, "--out", folder / f"run-{out}", "--set", "run.max_steps=4", "--set",
                 "optim.batch=16", "--set", "monitor.probe_every=0")
    losses = [json.loads(metrics)["loss"] for out in "ab"
               for metrics in (folder / f"run-{out}" / "metrics.jsonl").read_text().splitlines() if '"loss"' in metrics]
    assert losses[: len(losses) // 2] == losses[len(losses) // 2:], f"training differs: {losses}"
    for place, out in ((local, "a"), (f"{root}/whole", "b")):
        tool.run("embed", folder / "run-a", "--data", place, "--out", folder / f"features-{out}.parquet")
    assert (folder / "features-a.parquet").read_bytes() == (folder / "features-b.parquet").read_bytes()
    tool.run("inspect", f"{root}/whole", "--limit", 4, "--contact-sheet", folder / "sheet.png")
    tool.run("prepare", "synthetic", *SET, "--out", f"{root}/whole")
    return local


def prepare_by_tasks(tool, root, count):
    """Tasks in any order, two at once, one twice; then the manifest."""
    command = ["prepare", "synthetic", *SET, "--out", f"{root}/tasks"]
    order = list(range(count)) + [0]
    random.Random(1).shuffle(order)
    for pair in zip(order[::2], order[1::2] + [order[0]]):
        both = [tool.start(*command, "--task", task) for task in pair]
        assert [one.wait() for one in both] == [0, 0]
    tool.run(*command, "--finalize")
    assert "all good" in tool.run("verify", f"{root}/tasks")


def kill_writers(tool, root):
    """`kill -9` at random moments of what an undisturbed preparation takes, then the same command."""
    begun = time.monotonic()
    tool.run("prepare", "synthetic", *SET, "--out", f"{root}/undisturbed", "--threads", 1)
    whole, draws, kills = time.monotonic() - begun, random.Random(2), 0
    for _ in range(8):
        process = tool.start("prepare", "synthetic", *SET, "--out", f"{root}/killed", "--threads", 1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draws.uniform(0.05, 0.4) * whole)
        kills += process.poll() is None
        process.kill()
        process.wait()
    tool.run("prepare", "synthetic", *SET, "--out", f"{root}/killed")
    assert "all good" in tool.run("verify", f"{root}/killed")
    assert kills, f"nothing was killed: a preparation takes {whole:.2f} s"
    return kills


def kill_readers(tool, root, port, environment):
    with proxy(port, mbps=2) as slow:
        for wait in (0.3, 0.6, 0.9):
            cold = Tool(tool.binary, tool.folder, {**environment(slow), "JEPA3D_CACHE": str(tool.folder / "killed")})
            process = cold.start("verify", f"{root}/whole")
            time.sleep(wait)
            process.kill()
            process.wait()
    assert "all good" in tool.run("verify", f"{root}/whole", JEPA3D_CACHE=str(tool.folder / "killed"))
    assert not list((tool.folder / "killed").glob("*.part")), "parts of killed processes are left"


def faults(tool, root, port, environment):
    cold = iter(range(100))
    for settings in ({"fail": 0.2}, {"cut": 0.3}, {"flip": 0.3}, {"stall": 0.1}, {"fail": 0.1, "cut": 0.2, "flip": 0.1}):
        with proxy(port, **settings) as bad:
            said = tool.run("verify", f"{root}/whole", **environment(bad), JEPA3D_CACHE=str(tool.folder / f"cold-{next(cold)}"))
            assert "all good" in said, said
    with proxy(port, flip=1) as bad:
        tool.fails(["content hash: expected", "points/train-00000", "after 4 tries"], "verify", f"{root}/whole",
                   **environment(bad), JEPA3D_CACHE=str(tool.folder / "flipped"))
    with proxy(port, fail=1) as bad:
        tool.fails(["manifest.json", "the store fails"], "verify", f"{root}/whole", **environment(bad))
    with proxy(port, fail=0.15) as bad:
        tool.run("prepare", "synthetic", *SET, "--out", f"{root}/through-faults", **environment(bad))


def bound(tool, root):
    """A cache smaller than the set is never fuller than it may be, whatever reads."""
    cache, limit, most, ends = tool.folder / "small", 3_000_000, [0], threading.Event()

    def watch():
        while not ends.is_set():
            with contextlib.suppress(OSError), open(cache / "lock") as lock:
                # No shard gets its name meanwhile.
                fcntl.flock(lock, fcntl.LOCK_SH)
                most[0] = max(most[0], sum(f.stat().st_size for f in cache.glob("*.pa*")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    both = [subprocess.Popen([tool.binary, "verify", f"{root}/whole", "--cache", cache, "--cache-bytes", str(limit)],
                             env=tool.environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    codes = [one.wait() for one in both]
    ends.set()
    watcher.join()
    assert codes == [0, 0] and 0 < most[0] <= limit, (codes, most[0], limit)
    tool.fails(["--cache-bytes", "may hold 1000 bytes"], "verify", f"{root}/whole", "--cache", tool.folder / "tiny",
               "--cache-bytes", 1000)
    return most[0]


def read_by_http(tool, folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    said = tool.run("verify", f"{url}/local", JEPA3D_CACHE=str(folder / "http"))
    assert "all good" in said and "files that no manifest names were not looked for" in said
    tool.fails("plain HTTP", "prepare", "synthetic", *SET, "--out", f"{url}/other")
    server.shutdown()


def check_no_secret(tool, secret, s3=None):
    for text in tool.outputs:
        assert secret not in text, f"the secret was printed: {text}"
    for path in tool.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), f"the secret is in {path}"
    for prefix in ("whole", "tasks", "killed") if s3 else ():
        for name in s3.names(prefix):
            assert secret.encode() not in s3.request("GET", f"bucket/{prefix}/{name}"), name


def test_s3(binary, folder):
    s3 = S3()
    try:
        tool = Tool(binary, folder, s3.environment())
        local = read_and_write(tool, "s3://bucket", folder)
        s3.compare("whole", local, folder)
        say("s3: prepare, verify, stats, pretrain, embed, inspect: as on a disk")
        prepare_by_tasks(tool, "s3://bucket", len(list((local / "points").iterdir())))
        s3.compare("tasks", local, folder)
        say("s3: tasks two at once and a manifest: the same bytes")
        kills = kill_writers(tool, "s3://bucket")
        s3.compare("killed", local, folder)
        kill_readers(tool, "s3://bucket", s3.port, s3.environment)
        say(f"s3: {kills} writers and 3 readers killed: the same bytes, nothing left")
        faults(tool, "s3://bucket", s3.port, s3.environment)
        s3.compare("through-faults", local, folder)
        say("s3: answers of 500 or none, bodies cut and changed: fetched again, or named")
        say(f"s3: two processes, a cache of 3000000 bytes: at most {bound(tool, 's3://bucket')}")
        tool.fails("plan", "prepare", "synthetic", *SET, "--set", "dataset.seed=5", "--out", "s3://bucket/whole")
        tool.fails("s3://bucket/none: ", "verify", "s3://bucket/none")
        tool.fails("NoSuchBucket", "prepare", "synthetic", *SET, "--out", "s3://no-such-bucket/x")
        tool.fails("NoSuchBucket", "verify", "s3://no-such-bucket/x")
        none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
        tool.fails("AWS_ACCESS_KEY_ID", "verify", "s3://bucket/whole", **none)
        (folder / ".aws").mkdir()
        (folder / ".aws" / "credentials").write_text(f"[lab]\naws_access_key_id = AKIDTEST\naws_secret_access_key = {SECRET}\n")
        assert "all good" in tool.run("verify", "s3://bucket/whole", **none, AWS_PROFILE="lab")
        shutil.rmtree(folder / ".aws")
        tool.fails("expected a path of this machine", "pretrain", "point-jepa-small", "--data", local, "--out", "s3://bucket/run")
        check_no_secret(tool, SECRET, s3)
        say("s3: what is missing is named, and no secret is printed or stored")
        read_by_http(tool, folder)
        say("http: the same set by plain HTTP")
    finally:
        s3.server.kill()


def test_google(binary, folder):
    s3 = S3()
    server = google_proxy.serve(f"127.0.0.1:{s3.port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        account = {"gcs_base_url": base, "disable_oauth": True, "client_email": "a@b", "private_key_id": "", "private_key": SECRET}
        tool = Tool(binary, folder, {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)})
        local = read_and_write(tool, "gs://bucket", folder)
        s3.compare("whole", local, folder)
        prepare_by_tasks(tool, "gs://bucket", len(list((local / "points").iterdir())))
        s3.compare("tasks", local, folder)
        kills = kill_writers(tool, "gs://bucket")
        s3.compare("killed", local, folder)
        tool.fails("plan", "prepare", "synthetic", *SET, "--set", "dataset.seed=5", "--out", "gs://bucket/whole")
        tool.fails("gs://bucket/none: ", "verify", "gs://bucket/none")
        tool.fails("NoSuchBucket", "verify", "gs://no-such-bucket/x")
        wrong = json.dumps({**account, "private_key": f"-----{SECRET}", "disable_oauth": False})
        tool.fails("gs://bucket/whole", "verify", "gs://bucket/whole", GOOGLE_SERVICE_ACCOUNT_KEY=wrong)
        check_no_secret(tool, SECRET, s3)
        say(f"google: prepare by one, by tasks and {kills} times killed, verify, pretrain, embed; what is missing is named, no secret is told")
    finally:
        server.shutdown()
        s3.server.kill()


def test_azure(binary, folder, azurite):
    port = free_port()
    server = subprocess.Popen([azurite, "--blobPort", str(port), "--location", str(folder / "azurite"), "--skipApiVersionCheck",
                               "--silent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        time.sleep(1)
        environment = {"AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1", "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
                       "AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}"}
        make_container(port)
        tool = Tool(binary, folder, environment)
        read_and_write(tool, "az://container", folder)
        prepare_by_tasks(tool, "az://container", len(list((folder / "local" / "points").iterdir())))
        wrong = AZURE_KEY.replace("Eby8", "Fby8")
        tool.fails("the store refuses", "verify", "az://container/whole", AZURE_STORAGE_ACCOUNT_KEY=wrong)
        tool.fails("az://no-such/whole", "verify", "az://no-such/whole")
        assert not any(AZURE_KEY in text or wrong in text for text in tool.outputs)
        say("azure: prepare by one and by tasks, verify, pretrain, embed; wrong keys and containers are named")
    finally:
        server.kill()


def make_container(port):
    """Signed by hand, so that nothing of Azure need be installed."""
    import base64
    import email.utils
    import hmac

    date = email.utils.formatdate(usegmt=True)
    text = "PUT\n\n\n\n\n\n\n\n\n\n\n\n" + f"x-ms-date:{date}\nx-ms-version:2021-12-02\n" + \
        "/devstoreaccount1/devstoreaccount1/container\nrestype:container"
    signed = base64.b64encode(hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()).decode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/devstoreaccount1/container?restype=container", method="PUT", data=b"",
                                     headers={"x-ms-date": date, "x-ms-version": "2021-12-02", "Content-Length": "0",
                                              "Content-Type": "", "Authorization": f"SharedKey devstoreaccount1:{signed}"})
    urllib.request.urlopen(request).read()


def main():
    binary = os.path.abspath(sys.argv[1])
    has_moto = all(importlib.util.find_spec(name) for name in ("moto", "flask"))
    azurite = os.environ.get("AZURITE") or shutil.which("azurite-blob")
    for is_there, what in ((has_moto, 'S3: needs `pip install "moto[server]"`'), (azurite, "Azure: needs `npm install -g azurite`")):
        if not is_there:
            say(f"left out: {what}")
    if has_moto:
        with tempfile.TemporaryDirectory() as folder:
            test_s3(binary, pathlib.Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            test_google(binary, pathlib.Path(folder))
    if azurite:
        with tempfile.TemporaryDirectory() as folder:
            test_azure(binary, pathlib.Path(folder), azurite)


if __name__ == "__main__":
    main()
