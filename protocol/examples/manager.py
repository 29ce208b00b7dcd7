#!/usr/bin/env python3
"""A manager of containers in one file: it takes a container through its whole life, by PROTOCOL.md alone.

    manager.py --conward PATH --runtime PATH [--runtime-arg ARG]... [--control-dir DIR] BUNDLE ID

It may be killed at any moment. Called again in the same way, it goes on where the one before has ended,
with what it had written to BUNDLE/manager.jsonl, and ends with the same answer: a line of JSON with

    exit     how the container has ended (an object, as PROTOCOL.md has it under "Types")
    last     how many events there were
    known    how many of them this or an earlier call has heard
    output   what the container has written to its stdout, as far as it is still held

Python 3.9 or later, and nothing but its standard library.
"""

import argparse
import collections
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time


class Refused(Exception):
    """The supervisor has answered with an error: programs look at `code`, people at the text."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


class Gone(Exception):
    """Nobody serves the control socket (any more): what is left is in the files."""


class Connection:
    """A connection to a supervisor. Each event that comes is handed to `on_event` at once."""

    def __init__(self, directory, on_event):
        self.on_event = on_event
        self.buffer = b""
        # Descriptors belong to the answers that name them, in the order of arrival.
        self.descriptors = collections.deque()
        self.tag = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The path of a socket has 107 bytes at most; that of a descriptor is always shorter.
            parent = os.open(directory, os.O_PATH | os.O_CLOEXEC)
            try:
                self.socket.connect(f"/proc/self/fd/{parent}/control.sock")
            finally:
                os.close(parent)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Gone() from error
        self.greeting = self.line()
        if "error" in self.greeting:
            raise Refused(self.greeting["error"])
        if self.greeting["protocol"] != 1:
            sys.exit(f"the supervisor speaks version {self.greeting['protocol']} of the protocol")

    def line(self):
        """The next line, as an object."""
        while b"\n" not in self.buffer:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 65536, 5, socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                data, fds = b"", []
            self.descriptors.extend(fds)
            if not data:
                raise Gone()
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def call(self, op, **fields):
        """Asks, and waits for the answer. Gives what is under `ok`."""
        self.tag += 1
        request = json.dumps({"op": op, "tag": self.tag, **fields})
        try:
            self.socket.sendall(request.encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone() from error
        while True:
            line = self.line()
            if "event" in line:
                self.on_event(line)
            elif "error" in line and line.get("tag") in (self.tag, None):
                raise Refused(line["error"])
            elif "ok" in line and line.get("tag") == self.tag:
                names = line["ok"].get("descriptors", [])
                line["ok"]["fds"] = {name: self.descriptors.popleft() for name in names}
                return line["ok"]

    def await_event(self, *names):
        """Waits until one of these events comes; without a name, for the end of the connection."""
        while True:
            line = self.line()
            if "event" in line:
                self.on_event(line)
                if line["event"] in names:
                    return line

    def close(self):
        self.socket.close()


class Journal:
    """What must survive us: the events that we have heard, and what came of the container. A line each.

    One manager at a time has it; the next waits until this one is gone.
    """

    def __init__(self, path):
        self.known = set()
        self.result = None
        self.file = open(path, "a+b", buffering=0)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.seek(0)
        for line in self.file.read().split(b"\n")[:-1]:
            self.take(json.loads(line))

    def add(self, entry):
        self.file.write(json.dumps(entry).encode() + b"\n")
        self.take(entry)

    def take(self, entry):
        if "seq" in entry:
            self.known.add(entry["seq"])
        else:
            self.result = entry

    def last(self):
        return max(self.known, default=0)


class Container:
    def __init__(self, args):
        self.id = args.ID
        self.bundle = os.path.abspath(args.BUNDLE)
        self.args = args
        self.directory = os.path.join(args.control_dir, args.ID)
        self.streams = {}
        self.journal = Journal(os.path.join(self.bundle, "manager.jsonl"))

    def create(self):
        """Spawns a supervisor, unless an earlier call has done it, and waits for what comes of it.

        The supervisor inherits a descriptor of the lock, and keeps it until the container has ended. So
        a lock that is free means that there is no supervisor of ours, not even one that is just starting.
        """
        lock = os.open(os.path.join(self.bundle, "manager.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if os.path.exists(os.path.join(self.directory, "control.sock")):
                    return
                time.sleep(0.01)
        if os.path.exists(self.directory):
            return
        report, theirs = os.pipe()
        command = [self.args.conward, "--api-version", "--full-attach", "--keep-state"]
        command += ["--control-dir", self.args.control_dir]
        command += ["--cid", self.id, "--cuuid", self.id, "--bundle", self.bundle]
        command += ["--runtime", self.args.runtime]
        command += [word for arg in self.args.runtime_arg for word in ("--runtime-arg", arg)]
        command += ["--log-path", "k8s-file:" + os.path.join(self.bundle, "ctr.log")]
        command += ["--container-pidfile", os.path.join(self.bundle, "pidfile")]
        environment = {**os.environ, "_OCI_SYNCPIPE": str(theirs)}
        # It puts itself into the background.
        subprocess.run(command, env=environment, pass_fds=[lock, theirs], cwd=self.bundle, check=True)
        os.close(theirs)
        os.close(lock)
        with open(report, "rb") as report:
            answer = json.loads(report.readline() or '{"data":-1}')
        if answer["data"] < 0:
            sys.exit(answer.get("message", "the supervisor has ended without a word"))

    def connect(self):
        """Connects, and hears all events that happened since the last one we know of."""
        connection = Connection(self.directory, self.journal.add)
        # Of those the supervisor holds the last 256 still; how many there were before it says in `missed`.
        answer = connection.call("subscribe", since=self.journal.last())
        for _ in range(answer["last"] - self.journal.last() - answer["missed"]):
            self.journal.add(connection.line())
        return connection

    def look_after(self):
        """From wherever it is to its end."""
        connection = self.connect()
        state = connection.call("state")["state"]
        if state == "creating":
            event = connection.await_event("created", "create-failed")
            if event["event"] == "create-failed":
                sys.exit(event["message"])
        if state == "deleted":
            connection.await_event()
        self.streams = connection.call("attach", streams=["stdout"], replay=32768)["fds"]
        if connection.call("state")["state"] == "created":
            connection.call("start")
        # A connection may be lost at any time: the container, its supervisor and our descriptors stay.
        connection.close()
        connection = self.connect()
        connection.call("wait", stage="recorded")
        self.finish()
        connection.call("delete")
        # The directory is gone before the connection is closed.
        connection.await_event()

    def finish(self):
        """Writes down what came of it, from the file: that needs no supervisor."""
        output = b""
        for name in ("replay-stdout", "stdout"):
            if name in self.streams:
                with open(self.streams.pop(name), "rb") as stream:
                    output += stream.read()
        try:
            with open(os.path.join(self.directory, "exit.json")) as file:
                exit = json.load(file)["exit"]
        except FileNotFoundError:
            # The supervisor was killed. What nobody knows is not 0.
            exit = {"unknown": True}
        if self.journal.result is None:
            self.journal.add({"exit": exit, "output": output.decode(errors="replace")})

    def clean_up(self):
        """Does what `delete` would, for a supervisor that has ended."""
        try:
            with open(os.path.join(self.directory, "state.json")) as file:
                state = json.load(file)
        except FileNotFoundError:
            if self.journal.result is None:
                sys.exit("the container was never created")
            # Whoever was killed while removing it has known all that was in it.
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        self.finish()
        # Events that nobody has heard are known by their number.
        self.journal.add({**self.journal.result, "last": state["seq"]})
        command = [state["runtime"], *state.get("runtime_args", []), "delete", "--force", self.id]
        subprocess.run(command, check=True)
        shutil.rmtree(self.directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = "/run/conward" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "") + "/conward"
    parser.add_argument("--conward", required=True)
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--runtime-arg", action="append", default=[])
    parser.add_argument("--control-dir", default=default)
    parser.add_argument("BUNDLE")
    parser.add_argument("ID")
    container = Container(parser.parse_args())
    journal = container.journal
    if journal.result is None:
        container.create()
    try:
        container.look_after()
    except Gone:
        container.clean_up()
    last = journal.result.get("last", journal.last())
    answer = {**journal.result, "last": last, "known": len(journal.known)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
