"""A headless Chromium, driven by the DevTools protocol over a pipe: enough to load a page and ask it things."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-default-apps", "--mute-audio", "--hide-scrollbars"),
    # Whatever a page may ask for by name is not found, so that everything here happens offline.
    *("--host-resolver-rules=MAP * ~NOTFOUND", "about:blank"),
)


def program() -> str:
    """The browser's path; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("needs Chromium, such as Debian's package chromium; looked for " + ", ".join(PROGRAMS))
    return found


class Browser:
    """One browser with one page. `problems` are the page's console errors and warnings, exceptions and log entries
    since the last `load`; `requests` the addresses that it asked for."""

    def __init__(self, folder: Path, patience: float = 240) -> None:
        """Start the browser with its profile in `folder`; every answer is waited for up to `patience` seconds."""
        self.patience = patience
        self._number, self._received, self._session = 0, b"", None
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        inner = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 20) for handle in (commands, answers)]
        quiet = os.open(os.devnull, os.O_RDWR)
        path = program()
        actions = [(os.POSIX_SPAWN_DUP2, quiet, number) for number in (0, 1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, handle, number) for handle, number in zip(inner, (3, 4), strict=True)]
        environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self._process = os.posix_spawn(
            path,
            [path, *SWITCHES, f"--user-data-dir={folder / 'profile'}"],
            environment,
            file_actions=actions,
            setpgroup=0,
        )
        for handle in (commands, answers, quiet, *inner):
            os.close(handle)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters):
        """Send a command of the protocol and return its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def load(self, path: Path, width: int, height: int) -> None:
        """Open a file in a window of this size, CSS pixels, and wait until it is loaded."""
        self.problems, self.requests, self._loaded = [], [], False
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def value(self, script: str):
        """The value of a JavaScript expression in the page; promises are waited for."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def picture(self, path: Path, top: int = 0, height: int | None = None) -> None:
        """Write a PNG of the page from `top` on, as high as the window or `height`."""
        width, window = self.value("[innerWidth, innerHeight]")
        clip = {"x": 0, "y": top, "width": width, "height": height or window, "scale": 1}
        found = self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """End the browser and everything that it started."""
        for handle in (self._to, self._from):
            os.close(handle)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def _next(self) -> dict:
        """The next message; events are kept where they are of interest."""
        end = time.monotonic() + self.patience
        while b"\0" not in self._received:
            if not select.select([self._from], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"the browser said nothing for {self.patience:g} s")
            chunk = os.read(self._from, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._received += chunk
        text, _, self._received = self._received.partition(b"\0")
        message = json.loads(text)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"][:200])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(parameters["entry"]["text"])
        return message
