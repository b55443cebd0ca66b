"""Chromium without a window, driven by its DevTools protocol over two pipes: pages at any width, in both schemes."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120  # of a loaded machine


class Browser:
    """A running browser. Messages are JSON texts that end in a zero byte."""

    def __init__(self, process: "subprocess.Popen[bytes]", to: int, back: int) -> None:
        self.process, self._to, self._back = process, to, back
        self._number, self._unread = 0, b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a command. What happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._back], [], [], max(0, until - time.monotonic()))
            data = os.read(self._back, 1 << 20) if ready else b""
            assert data, "the browser says nothing more"
            self._unread += data
        text, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def open(self, address: str, width: int = 1280, scheme: str = "light", height: int = 900) -> "Page":
        """A page at a width, loaded: its load event has come."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        page.send("Emulation.setDeviceMetricsOverride", **size)
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.send("Page.navigate", url=address)
        page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page


class Page:
    """An open page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **parameters)

    def ask(self, expression: str) -> Any:
        """What an expression is on the page, as JSON; a promise is awaited."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        until = time.monotonic() + SECONDS
        while not self.ask(expression):
            assert time.monotonic() < until, expression
            time.sleep(0.02)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, **text)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """kind: mouseMoved, mousePressed, mouseReleased."""
        buttons = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **buttons)

    def picture(self, file: Path, whole: bool = True) -> None:
        found = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    @property
    def wrong(self) -> list[str]:
        """Errors of the console and of scripts, and every address that the page asked for beside its own."""
        found = []
        for event in self.browser.events:
            said, of = event.get("params", {}), event.get("method")
            if event.get("sessionId") != self.session:
                continue
            if of == "Runtime.exceptionThrown":
                found.append(str(said["exceptionDetails"].get("exception", said["exceptionDetails"])))
            elif of == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                found.append(str(said["args"]))
            elif of == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                found.append(said["entry"]["text"])
        return found + [f"asked for {address}" for address in self.asked]

    @property
    def asked(self) -> list[str]:
        """The addresses that the page asked for beside its own."""
        requests = [
            event["params"]
            for event in self.browser.events
            if event.get("sessionId") == self.session and event.get("method") == "Network.requestWillBeSent"
        ]
        addresses = [said["request"]["url"] for said in requests if said["type"] != "Document"]
        return [address for address in addresses if not address.startswith("data:")]


@contextmanager
def chromium(scratch: Path) -> Iterator[Browser]:
    """A browser with a profile of its own below `scratch`; skips where none is installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    (theirs, to), (back, back_in) = os.pipe(), os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (theirs, back_in)]

    def numbered() -> None:  # the browser reads commands from 3 and answers on 4
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={scratch / 'profile'}",
             "--remote-debugging-pipe"]  # fmt: skip
    process = subprocess.Popen([program, *flags], pass_fds=(3, 4), preexec_fn=numbered, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    for end in (theirs, back_in, *high):
        os.close(end)
    browser = Browser(process, to, back)
    try:
        yield browser
    finally:
        browser.send("Browser.close")
        os.close(to)
        process.wait(SECONDS)
        os.close(back)
