#!/usr/bin/env python3
"""Compares Envoy and Tollgate in headers mode, in interleaved rounds.

    bench/headers.py --envoy PATH --tollgate PATH [--rounds 3] [--seconds 5] [--connections 32]

Both gateways run one thread on core 0 and read the same file, bootstrap.yaml. The upstream and the processor
(upstream.py and `tollgate processor instructions`) and the load generator (wrk) share core 1.
"""

import argparse
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
DEADLINE = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise


def cpu(process):
    """User and system time of a process, in microseconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def on_core(core, *command):
    return subprocess.Popen(
        ["taskset", "-c", str(core), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wrk(port, seconds, connections, path):
    """Requests answered, and requests per second; any answer but 200 is an error."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(report)
    count = int(re.search(r"(\d+) requests in", report)[1])
    return count, float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--envoy", required=True)
    parser.add_argument("--tollgate", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()

    listener, upstream, processor = free_port(), free_port(), free_port()
    text = (Path(__file__).parent / "bootstrap.yaml").read_text()
    for name, port in [("LISTENER", listener), ("UPSTREAM", upstream), ("PROCESSOR", processor)]:
        text = text.replace(f"@{name}@", str(port))
    scratch = tempfile.TemporaryDirectory()
    config = Path(scratch.name) / "bootstrap.yaml"
    config.write_text(text)
    gateways = {
        "envoy": [options.envoy, "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"],
        "tollgate": [options.tollgate, "run", "--workers", "1", "--admin-address", "127.0.0.1:0", config],
    }
    servers = [
        on_core(1, "python3", Path(__file__).parent / "upstream.py", upstream),
        on_core(1, options.tollgate, "processor", "instructions", "--listen", f"127.0.0.1:{processor}"),
    ]
    results = {name: [] for name in gateways}
    try:
        wait_for(upstream)
        wait_for(processor)
        print(f"load average at the start: {os.getloadavg()[0]:.1f}")
        for number in range(options.rounds):
            for name in sorted(gateways, reverse=number % 2 == 1):
                gateway = on_core(0, *gateways[name])
                try:
                    wait_for(listener)
                    wrk(listener, 1, options.connections, "/")
                    before = cpu(gateway)
                    count, rate = wrk(listener, options.seconds, options.connections, "/")
                    spent = (cpu(gateway) - before) / count
                finally:
                    gateway.kill()
                    gateway.wait()
                results[name].append((rate, spent))
                print(f"round {number + 1} {name:9} {rate:9.0f} requests/s {spent:7.1f} us of CPU/request", flush=True)
    finally:
        for server in servers:
            server.kill()
            server.wait()
    rate, spent = ({name: median(r[i] for r in rounds) for name, rounds in results.items()} for i in (0, 1))
    for name in gateways:
        print(f"median  {name:9} {rate[name]:9.0f} requests/s {spent[name]:7.1f} us of CPU/request")
    print(f"ratio tollgate/envoy: requests/s {rate['tollgate'] / rate['envoy']:.2f}, "
          f"CPU/request {spent['tollgate'] / spent['envoy']:.2f}")


if __name__ == "__main__":
    main()
