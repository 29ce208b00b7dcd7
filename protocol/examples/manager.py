#!/usr/bin/env python3
"""A manager of one container, from PROTOCOL.md and the standard library alone.

It creates a container whose program copies its input to its output (`cat`), starts it, attaches to
it, goes away as if it had crashed, comes back, finds that it has missed nothing, waits for the end,
and deletes it. Each step prints a line; a step that fails ends the program with status 1.

    manager.py --conward PATH --runtime PATH --bundle DIR --control-dir DIR --id ID [-- OPTION ...]

Options after `--` go to conward as they are.
"""

import argparse
import json
import os
import socket
import subprocess
import sys

LINE_MAX = 65536
DESCRIPTORS_MAX = 5
SECONDS = 20  # No step of this example takes longer.


class Refused(Exception):
    """The supervisor has answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]


class Supervisor:
    """A connection to a supervisor."""

    def __init__(self, directory):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(SECONDS)
        # A path may be longer than the 107 bytes that a socket address holds.
        at = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            self.socket.connect(f"/proc/self/fd/{at}/control.sock")
        finally:
            os.close(at)
        self.buffer = b""
        self.descriptors = []  # In the order of arrival; the next answer that names some takes them.
        self.answers = {}
        self.events = []
        self.tag = 0
        self.greeting = self._line()
        if self.greeting.get("protocol") != 1:
            raise Refused(self.greeting.get("error", {"code": "internal", "message": "another protocol"}))

    def close(self):
        """Goes away. What was asked for goes on."""
        self.socket.close()

    def send(self, op, **fields):
        """Asks, and returns the tag to wait for."""
        self.tag += 1
        request = {"op": op, "tag": self.tag, **fields}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return self.tag

    def answer(self, tag):
        """Waits for the answer to this request, and keeps what else comes."""
        while tag not in self.answers:
            self._receive()
        answer = self.answers.pop(tag)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["ok"]

    def call(self, op, **fields):
        """Asks, and waits for the answer."""
        return self.answer(self.send(op, **fields))

    def event(self):
        """Waits for the next event."""
        while not self.events:
            self._receive()
        return self.events.pop(0)

    def _receive(self):
        message = self._line()
        if "event" in message:
            self.events.append(message)
        elif "ok" in message:
            names = message["ok"].get("descriptors", [])
            taken, self.descriptors = self.descriptors[: len(names)], self.descriptors[len(names) :]
            message["ok"]["descriptors"] = dict(zip(names, taken, strict=True))
            self.answers[message["tag"]] = message
        elif "error" in message:
            if message.get("tag") is None:  # About the connection: we tag all that we ask.
                raise Refused(message["error"])
            self.answers[message["tag"]] = message
        # Other kinds of lines are from a later version.

    def _line(self):
        while b"\n" not in self.buffer:
            if len(self.buffer) > LINE_MAX:
                raise ValueError("a line that is too long")
            data, descriptors, _, _ = socket.recv_fds(self.socket, 16384, DESCRIPTORS_MAX)
            if not data:
                raise ConnectionError("the supervisor has closed the connection")
            self.buffer += data
            self.descriptors += descriptors
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


def create(options):
    """Spawns a supervisor, which has the runtime create the container; returns the container's pid."""
    ours, theirs = os.pipe()
    command = [
        options.conward,
        *("--cid", options.id, "--cuuid", options.id, "--bundle", options.bundle),
        *("--runtime", options.runtime, "--container-pidfile", os.path.join(options.bundle, "pid")),
        *("--log-path", f"k8s-file:{os.path.join(options.bundle, 'log')}"),
        *("--control-dir", options.control_dir, "--keep-state", "--stdin"),
        *options.rest,
    ]
    environment = {**os.environ, "_OCI_SYNCPIPE": str(theirs)}
    with subprocess.Popen(command, env=environment, pass_fds=[theirs], stdin=subprocess.DEVNULL) as launcher:
        os.close(theirs)
        with os.fdopen(ours) as report:
            told = json.loads(report.readline() or '{"pid": -1, "message": "nothing was said"}')
    if launcher.returncode != 0 or told["pid"] <= 0:
        raise RuntimeError(f"create: {told.get('message')}")
    return told["pid"]


def read_exactly(descriptor, count):
    """Reads so many bytes."""
    data = b""
    while len(data) < count:
        more = os.read(descriptor, count - len(data))
        if not more:
            raise EOFError(f"the stream has ended after {data!r}")
        data += more
    return data


def write_all(descriptor, data):
    """Writes all of it."""
    while data:
        data = data[os.write(descriptor, data) :]


def check(fact, meaning):
    """What the protocol promises, and this example relies on."""
    if not fact:
        raise AssertionError(meaning)


def before_the_crash(directory):
    """Starts the container and talks to it. Returns the number of the last event heard."""
    supervisor = Supervisor(directory)
    check(supervisor.greeting["state"] == "created", "the container is created")
    subscribed = supervisor.call("subscribe", since=0)
    check(subscribed["missed"] == 0, "the ring holds all events of a young container")
    # Attached before the start: no byte can be missed. `shared`, since we shall not end the input.
    attached = supervisor.call("attach", stdin="shared", streams=["stdout"])
    pid = supervisor.call("start")["pid"]
    print(f"started: pid {pid}")
    write_all(attached["descriptors"]["stdin"], b"hello\n")
    said = read_exactly(attached["descriptors"]["stdout"], 6)
    print(f"attached: {said!r}")
    check(said == b"hello\n", "the container says what it is told")
    seen = 0
    while True:
        event = supervisor.event()
        check(event["seq"] == seen + 1, "events come without gaps")
        seen = event["seq"]
        if event["event"] == "started":
            break
    for descriptor in attached["descriptors"].values():
        os.close(descriptor)
    supervisor.close()
    return seen


def after_the_crash(directory, seen):
    """Finds everything again. Returns the exit."""
    supervisor = Supervisor(directory)
    check(supervisor.greeting["state"] == "running", "the container runs on without us")
    print(f"reconnected: {supervisor.greeting['seq'] - seen} events since")
    check(supervisor.call("subscribe", since=seen)["missed"] == 0, "the ring holds what we missed")
    attached = supervisor.call("attach", stdin="once", streams=["stdout"], replay=4096)
    streams = attached["descriptors"]
    with os.fdopen(streams.pop("replay-stdout"), "rb") as replay:
        check(replay.read() == b"hello\n", "the replay is the output before")
    check(attached["streams"][0]["live_from"] == 6, "the live stream begins behind it")
    ended = supervisor.send("wait", stage="recorded")  # Answered later; it holds up nothing.
    write_all(streams["stdin"], b"good bye\n")
    print(f"attached: {read_exactly(streams['stdout'], 9)!r}")
    os.close(streams["stdin"])  # `once`: that is the end of the container's input.
    check(os.read(streams["stdout"], 1) == b"", "the output ends with the container")
    os.close(streams["stdout"])
    ending = supervisor.answer(ended)
    print(f"waited: {ending['exit']}")
    with open(os.path.join(directory, "exit.json"), encoding="utf-8") as file:
        record = json.load(file)
    check(record["exit"] == ending["exit"], "the record on disk says the same")
    check(record["log_complete"], "every byte is in the log")
    while (event := supervisor.event())["event"] != "recorded":
        check(event["seq"] == seen + 1, "events come without gaps, over a crash too")
        seen = event["seq"]
    try:
        supervisor.call("kill", signal="TERM")
        check(False, "what has ended cannot be killed")
    except Refused as refused:
        check(refused.code == "not-running", "and the error says why")
    teardown = supervisor.call("delete")["teardown"]
    print(f"deleted: {teardown['exit']}")
    while supervisor.event()["event"] != "deleted":
        pass
    try:
        while True:
            supervisor.event()
    except ConnectionError:  # The supervisor has ended.
        pass
    check(not os.path.exists(directory), "delete leaves nothing behind")
    return ending["exit"]


def main():
    """Does what stands at the top."""
    parser = argparse.ArgumentParser(description="A manager of one container.")
    for name in ("conward", "runtime", "bundle", "control-dir", "id"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("rest", nargs="*", help="options for conward, after --")
    options = parser.parse_args()
    directory = os.path.join(options.control_dir, options.id)
    print(f"created: pid {create(options)}")
    ending = after_the_crash(directory, before_the_crash(directory))
    return 0 if ending == {"code": 0} else 1


if __name__ == "__main__":
    sys.exit(main())
