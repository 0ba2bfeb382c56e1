"""What runs in a worker's process: photo after photo through one `photoreal.Pipeline`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photoreal.client.batch.files import is_file, read, write
from photoreal.client.batch.ledger import Outcome, Record
from photoreal.client.batch.plan import Photo
from photoreal.client.folder.run import DiskFailed
from photoreal.client.result import format_option, output_format
from photoreal.errors import InvalidRequest, PhotorealError
from photoreal.options import offered

if TYPE_CHECKING:
    from photoreal.local.pipeline import Device

_STYLE_OPTIONS = tuple(option.name for option in offered("regions"))


@dataclass(frozen=True)
class Work:
    """What every worker is given.

    Attributes:
        styles: the bytes of the style photos, which are mixed if there are several.
        options: arguments of ``stylize`` except the photos.
        precision: precision of the networks, as `photoreal.Pipeline` takes it.
        overwrite: whether pictures that exist are made again.
    """

    styles: Sequence[bytes]
    options: Mapping[str, Any]
    precision: Any = None
    overwrite: bool = False


class Stylist:
    """Loads the models and measures the styles once, then makes pictures.

    An error raised here would end the run with a traceback, so the errors of the start are
    returned for each photo.

    Args:
        work: what to do.
        device: "cpu" or "cuda".
        threads: number of PyTorch's threads.
        record: what was done before by workers that ended.
    """

    def __init__(self, work: Work, device: Device, threads: int, record: Record) -> None:
        self._work, self._record = work, record
        self._problem: PhotorealError | None = None
        if not record.start():
            self._problem = PhotorealError(
                "The workers end while they load the models; they may need more memory. Expected"
                " fewer workers: --cores-per-worker, --workers."
            )
            return
        try:
            from photoreal.local.pipeline import Pipeline

            options = work.options
            measured = {name: options[name] for name in _STYLE_OPTIONS if name in options}
            self._pipeline = Pipeline(device=device, precision=work.precision, threads=threads)
            self._styles = [self._pipeline.style(style, **measured) for style in work.styles]
        except PhotorealError as error:
            self._problem = error
        record.ready()

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Make one picture; `row` has the fields of `Photo`, the result those of `Outcome`."""
        return asdict(self.make(Photo(**row)))

    def make(self, photo: Photo) -> Outcome:
        """Make one picture, unless an earlier worker did."""
        if self._problem is not None:
            refused = isinstance(self._problem, InvalidRequest)
            return Outcome(photo.name, "refused" if refused else "stopped", str(self._problem))
        outcome = self._record.begin(photo.name)
        if outcome is None:
            outcome = self._tried(photo)
            self._record.finish(outcome)
        return outcome

    def _tried(self, photo: Photo) -> Outcome:
        begin = time.monotonic()
        try:
            if self._work.overwrite or not is_file(photo.output):
                self._stylize(photo)
        except DiskFailed as error:
            return Outcome(photo.name, "stopped", str(error))
        except PhotorealError as error:
            return Outcome(photo.name, "failed", str(error))
        except Exception as error:  # noqa: BLE001 (one photo must not end the run)
            return Outcome(photo.name, "failed", f"{type(error).__name__}: {error}")
        return Outcome(photo.name, "done", seconds=time.monotonic() - begin)

    def _stylize(self, photo: Photo) -> None:
        target = Path(photo.name)
        content = read(photo.content, "content")
        options = {**self._work.options, **format_option(target)}
        result = self._pipeline.stylize(content, self._styles, **options)
        write(photo.output, result.encoded(output_format(target)))
