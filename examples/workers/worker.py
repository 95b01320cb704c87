#!/usr/bin/env python3
"""A worker in plain Python: takes prompts from a server, answers them, and stops when told to.

usage: BELLWETHER_TOKEN=… worker.py URL [CAPABILITY…]
"""
import json, os, signal, sys, threading, urllib.error, urllib.parse, urllib.request

URL, CAPABILITIES = sys.argv[1].rstrip("/"), sys.argv[2:]
TOKEN = os.environ.get("BELLWETHER_TOKEN")
NAME = f"python-{os.getpid()}"
leaving = threading.Event()


def ask(path, body):
    """One operation; tried again, after longer and longer pauses, while the server is away."""
    headers = {"content-type": "application/json"}
    if TOKEN:
        headers["authorization"] = f"Bearer {TOKEN}"
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    pause = 0.1
    while True:
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            problem = json.load(refused)
            if refused.code not in (429, 503):
                raise RuntimeError(f"{problem['code']}: {problem['detail']}") from None
        except OSError:
            pass
        if leaving.wait(pause):
            raise RuntimeError("the server is away")
        pause = min(pause * 2, 10)


def do(lease):
    """The work itself. Puts what a prompt says into capitals, unless it says to fail."""
    if "fail" in lease["prompt"]:
        raise ValueError("told to fail")
    return {"said": lease["prompt"].upper()}


def beat(token, done, cancelled):
    """Keeps the lease while the work goes on, and hears when nobody wants it any more."""
    while not done.wait(10):
        told = ask("/v1/leases/heartbeat", {"leases": [{"token": token}]})["leases"][0]
        if told["wish"] == "cancel":
            return cancelled.set()


def attempt(lease):
    task, token = urllib.parse.quote(lease["task"], safe=""), lease["token"]
    done, cancelled = threading.Event(), threading.Event()
    threading.Thread(target=beat, args=(token, done, cancelled), daemon=True).start()
    try:
        ask(f"/v1/tasks/{task}/output", {"token": token, "output": f"{NAME} works\n"})
        end = {"complete": {"token": token, "result": do(lease)}}
    except Exception as error:
        end = {"fail": {"token": token, "error": str(error) or repr(error)}}
    done.set()
    if not cancelled.is_set():
        ask("/v1/leases/settle", {"ends": [end]})


for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: leaving.set())
want = {"worker": NAME, "capabilities": CAPABILITIES, "works": ["prompt"], "ttl": "30s", "wait": "5s"}
while not leaving.is_set():
    for lease in ask("/v1/leases", want)["leases"]:
        attempt(lease)
