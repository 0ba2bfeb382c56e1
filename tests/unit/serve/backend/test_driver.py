"""What is said about a GPU that is asked for, on a stand-in for the driver's library."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from photoreal.errors import ServeError
from photoreal.serve.backend.driver import check_gpu

MODELS = ["wct2", "segmenter", "wct2_encoder_1"]
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


class Driver:
    """The functions of libcuda that are asked, with their way of answering."""

    def __init__(self, version: int = 13020, devices: int = 1, starts: int = 0) -> None:
        self._version, self._devices, self._starts = version, devices, starts

    def cuDriverGetVersion(self, answer: Any) -> int:  # noqa: N802 (the library's names)
        answer._obj.value = self._version
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._starts

    def cuDeviceGetCount(self, answer: Any) -> int:  # noqa: N802
        answer._obj.value = self._devices
        return 0


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Driver | None], None]:
    """Makes a driver that of this machine; None takes it away."""
    monkeypatch.setenv("CUDA_VERSION", "13.2.1.010")

    def replace(driver: Driver | None) -> None:
        def load(name: str) -> Driver:
            assert name == "libcuda.so.1"
            if driver is None:
                raise OSError("cannot open shared object file")
            return driver

        monkeypatch.setattr(ctypes, "CDLL", load)

    return replace


def test_models_for_the_cpu_need_no_driver(install: Callable[[Driver | None], None]) -> None:
    install(None)
    check_gpu([])


@pytest.mark.parametrize("version", [13000, 13020, 14010])
def test_a_gpu_is_good_with_the_same_major_version_of_cuda_or_a_later_one(
    version: int, install: Callable[[Driver | None], None]
) -> None:
    install(Driver(version))
    check_gpu(MODELS)


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (None, r"GPU \(wct2 and 2 more\), but there is no NVIDIA driver here; .*--device cpu"),
        (Driver(devices=0), "no GPU can be used here; .*--device cpu"),
        (Driver(starts=NO_DEVICE), "no GPU can be used here"),
        (
            Driver(12080),
            r"driver is too old: it supports CUDA 12\.8, but this image .* CUDA 13; .*newer",
        ),
    ],
    ids=["no driver", "no device", "does not start", "too old"],
)
def test_what_is_wrong_is_a_sentence(
    driver: Driver | None, words: str, install: Callable[[Driver | None], None]
) -> None:
    install(driver)
    with pytest.raises(ServeError, match=words) as no:
        check_gpu(MODELS)
    assert str(no.value).endswith(".")


def test_outside_of_an_image_any_driver_will_do(
    install: Callable[[Driver | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(Driver(12080))
    monkeypatch.delenv("CUDA_VERSION")
    check_gpu(["segmenter"])
