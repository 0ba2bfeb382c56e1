"""Folder run: several requests in flight, finished pictures kept, failures listed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from photoreal.client._images import encode_image
from photoreal.client.client import StyleTransferClient
from photoreal.client.errors import InvalidInput, ServerUnavailable
from photoreal.client.folder.manifest import Manifest, fingerprint
from photoreal.client.folder.plan import Job
from photoreal.client.patience import Patience
from photoreal.client.result import format_option
from photoreal.errors import PhotorealError

IN_FLIGHT = 2
"""The server computes one request at a time; meanwhile a second one is sent or decoded."""

Recipe = dict[str, Any]


class DiskFailed(PhotorealError):
    """A picture cannot be written, so that later ones would fail too."""


@dataclass
class PhotoOutcome:
    """Outcome of a folder run: errors of single photos by name, and the error that stopped it."""

    done: int = 0
    failed: dict[str, PhotorealError] = field(default_factory=dict)
    stopped: PhotorealError | None = None


def recipe(job: Job, options: Mapping[str, Any]) -> Recipe:
    """Everything that determines a picture: fingerprints of the files, and the options.

    Raises:
        InvalidInput: a file is missing, or the photo has no style.
    """
    if job.style is None:
        raise InvalidInput(f"There is no style named {job.content.stem!r}.")
    try:
        files = {"content": fingerprint(job.content), "style": fingerprint(job.style)}
    except OSError as error:
        raise InvalidInput(f"{error.filename!r} cannot be read: {error.strerror}.") from None
    return {**files, "options": {k: v for k, v in options.items() if v is not None}}


class FolderRun:
    """Processes jobs in worker threads, in the given order.

    Args:
        client: the client, shared by the threads.
        options: arguments of ``stylize`` except the photos.
        manifest: records the finished pictures.
        tell: called with the name of each photo when its work begins.
        advance: called when a photo is finished or has failed.
        patience: seconds that a photo waits for a server that is restarting or busy.
        say: called with the reason of each wait.
    """

    def __init__(
        self,
        client: StyleTransferClient,
        options: Mapping[str, Any],
        manifest: Manifest,
        tell: Callable[[str], None],
        advance: Callable[[], None],
        patience: float = 0.0,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._client = Patience(client, patience, say)
        self._options = options
        self._manifest = manifest
        self._tell = tell
        self._advance = advance
        self._lock = threading.Lock()  # guards the manifest and the outcome
        self._stop = threading.Event()
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._ended: list[threading.Event] = []
        self.outcome = PhotoOutcome()

    def start(self, jobs: list[Job], in_flight: int = IN_FLIGHT) -> None:
        """Start the worker threads."""
        for job in jobs:
            self._waiting.put(job)
        self._ended = [threading.Event() for _ in range(min(in_flight, len(jobs)))]
        for ended in self._ended:
            # Daemons: a second Ctrl-C exits without waiting for a response.
            threading.Thread(target=self._work, args=(ended,), daemon=True).start()

    def wait(self) -> PhotoOutcome:
        """Wait for the last photo; KeyboardInterrupt may end the wait."""
        # A thread whose join() is interrupted counts as ended before Python 3.13.
        for ended in self._ended:
            while not ended.wait(0.2):
                pass
        return self.outcome

    def finish_early(self) -> PhotoOutcome:
        """Start no more photos, and wait for those in flight, which are kept."""
        self._stop.set()
        self._client.give_up()
        return self.wait()

    def _work(self, ended: threading.Event) -> None:
        try:
            self._work_off()
        finally:
            ended.set()

    def _work_off(self) -> None:
        while not self._stop.is_set():
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._tell(job.content.name)
            try:
                self._stylize(job)
            except (ServerUnavailable, DiskFailed) as error:
                self._stop.set()
                self._client.give_up()
                with self._lock:
                    self.outcome.stopped = self.outcome.stopped or error
                return
            except PhotorealError as error:
                with self._lock:
                    self.outcome.failed[job.content.name] = error
            else:
                with self._lock:
                    self.outcome.done += 1
            self._advance()

    def _stylize(self, job: Job) -> None:
        made_by = recipe(job, self._options)  # before the files are read, since they may change
        assert job.style is not None  # noqa: S101 (for the type checker; recipe() checks it)
        content = encode_image(job.content, "content")
        options = {**self._options, **format_option(job.output)}
        result = self._client.stylize(content, job.style, **options)
        try:
            result.save(job.output)
            with self._lock:
                self._manifest.add(job.output, made_by)
        except OSError as error:
            raise DiskFailed(
                f"{str(job.output)!r} cannot be written: {error.strerror or error}."
            ) from None
