"""What is said about a GPU that is asked for, on a stand-in for the driver's library."""

import ctypes

import pytest

from photoreal.errors import ServeError
from photoreal.serve.backend.driver import check_gpu

MODELS = ["wct2", "segmenter", "wct2_encoder_1"]
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


class Driver:
    """The functions of libcuda that are asked, with their way of answering."""

    def __init__(self, version=13020, devices=1, starts=0):
        self._version, self._devices, self._starts = version, devices, starts

    def cuDriverGetVersion(self, answer):  # noqa: N802 (the library's names)
        answer._obj.value = self._version
        return 0

    def cuInit(self, flags):  # noqa: N802
        return self._starts

    def cuDeviceGetCount(self, answer):  # noqa: N802
        answer._obj.value = self._devices
        return 0


@pytest.fixture
def install(monkeypatch):
    """Makes a driver that of this machine; None takes it away."""
    monkeypatch.setenv("CUDA_VERSION", "13.2.1.010")

    def replace(driver):
        def load(name):
            assert name == "libcuda.so.1"
            if driver is None:
                raise OSError("cannot open shared object file")
            return driver

        monkeypatch.setattr(ctypes, "CDLL", load)

    return replace


@pytest.mark.parametrize(
    ("driver", "models", "image"),
    [
        (None, [], True),  # models for the CPU need no driver
        *((Driver(version), MODELS, True) for version in (13000, 13020, 14010)),
        (Driver(12080), MODELS, False),  # outside an image any driver will do
    ],
)
def test_what_is_good(driver, models, image, install, monkeypatch):
    install(driver)
    if not image:
        monkeypatch.delenv("CUDA_VERSION")
    check_gpu(models)


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (None, r"GPU \(wct2 and 2 more\).*no NVIDIA driver.*--device cpu"),
        (Driver(devices=0), "can be used.*--device cpu"),
        (Driver(starts=NO_DEVICE), "can be used"),
        (Driver(12080), r"too old.*CUDA 12\.8.*CUDA 13;"),
    ],
    ids=["no driver", "no device", "does not start", "too old"],
)
def test_what_is_wrong(driver, words, install):
    install(driver)
    with pytest.raises(ServeError, match=words):
        check_gpu(MODELS)
