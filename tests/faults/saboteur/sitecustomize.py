"""On PYTHONPATH, makes steps of the workflow fail where a plan says so, and takes down what they do.

FAULTS_PLAN names a JSON file, a list of faults: `step`, the words of a command up to its first option; `attempt`, the
first one by default; one of `event` (before the change to a file of this number), `cpu_seconds` (of the process) and
`bytes` (inside the writing of a file that is longer); and `action`: kill (the step), kill-all (its whole process group,
Snakemake included) or interrupt-all (what Ctrl-C does). `limit` instead of an action lets no file grow beyond so many
bytes. FAULTS_RECORD names a folder that is told what each attempt of a step has done. FAULTS_CLOCK makes `time.time`
jump back by so many seconds again and again, in Snakemake, too.
"""

import json
import os
import resource
import signal
import sys
import threading
import time

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class _Step:
    """A step of the workflow: counts what it does to files under the working folder, and comes to grief."""

    def __init__(self, words, record, plan):
        self.name = " ".join(words)
        self.record = record
        self.inside = os.getcwd() + os.sep
        self.events, self.first, self.last = 0, 0.0, 0.0
        self.struck = {}
        self.attempt = self._number() if record else 1
        self.fault = next((f for f in plan if f["step"] == self.name and f.get("attempt", 1) == self.attempt), {})

    def _number(self):
        for number in range(1, 100):
            try:
                os.close(os.open(self._file(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                return number
            except FileExistsError:
                continue
        raise SystemExit("too many attempts")

    def _file(self, number):
        return os.path.join(self.record, f"{self.name.replace(' ', '.')}.{number}")

    def note(self, **what):
        if self.record:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            with open(self._file(self.attempt), "w", encoding="utf-8") as stream:
                json.dump({"step": self.name, "attempt": self.attempt, "events": self.events, **what}, stream)

    def strike(self):
        """End it, without a chance to clean up; Ctrl-C alone leaves one."""
        self.struck = {"action": self.fault.pop("action")}
        action = self.struck["action"]
        self.note(**self.struck)
        number = signal.SIGINT if action == "interrupt-all" else signal.SIGKILL
        (os.kill if action == "kill" else os.killpg)(os.getpid() if action == "kill" else os.getpgrp(), number)

    def watch(self):
        """Begin to count; arrange for what the plan says."""
        if "cpu_seconds" in self.fault:
            threading.Thread(target=self._wait, daemon=True).start()
        limit = self.fault.get("limit", self.fault.get("bytes"))
        if limit is not None:
            if "bytes" in self.fault:
                self.note(action=self.fault["action"])
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        fsync = os.fsync

        def counted(descriptor):
            self.happened()
            return fsync(descriptor)

        os.fsync = counted
        sys.addaudithook(self.audit)

    def audit(self, event, arguments):
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and (flags or 0) & _WRITING:
                self.touched(path)
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"):
            self.touched(arguments[0])

    def touched(self, path):
        path = os.path.join(self.inside, os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if path.startswith(self.inside) and "__pycache__" not in path:
            self.happened()

    def happened(self):
        self.last = time.process_time()
        self.first = self.first or self.last
        if self.fault.get("event") == self.events and "action" in self.fault:
            self.strike()
        self.events += 1

    def _wait(self):
        while time.process_time() < self.fault["cpu_seconds"]:
            time.sleep(0.002)
        if "action" in self.fault:
            self.strike()

    def over(self):
        self.note(first=self.first, last=self.last, **self.struck)


def _words():
    found = next((i for i, word in enumerate(sys.orig_argv) if os.path.basename(word) == "denoiser-priors"), None)
    if found is None:
        return []
    words = []
    for word in sys.orig_argv[found + 1 :]:
        if word.startswith("-"):
            break
        words.append(word)
    return words


def _set_back(seconds):
    """A clock that goes back by `seconds` at every hundredth look, and then on from there."""
    real, looks = time.time, [0]

    def wrong():
        looks[0] += 1
        return real() - seconds * (1 + looks[0] // 100)

    time.time = wrong
    time.time_ns = lambda: int(wrong() * 1e9)


if os.environ.get("FAULTS_CLOCK"):
    _set_back(float(os.environ["FAULTS_CLOCK"]))
if os.environ.get("FAULTS_RECORD") and _words():
    import atexit

    _plan = []
    if os.environ.get("FAULTS_PLAN"):
        with open(os.environ["FAULTS_PLAN"], encoding="utf-8") as _stream:
            _plan = json.load(_stream)
    _step = _Step(_words(), os.environ["FAULTS_RECORD"], _plan)
    atexit.register(_step.over)
    _step.watch()
