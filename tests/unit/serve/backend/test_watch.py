"""Deadlines and canceled requests: what tells a model to stop."""

import json
import os
import threading
import time

import pytest

from photoreal.cancel_key import is_key, new_key
from photoreal.contract import CANCEL_PARAMETER, TIMED_OUT
from photoreal.errors import Canceled, DeadlineExceeded, InvalidOption, ServeError
from photoreal.serve.backend.canceled import CANCELED_VARIABLE, CanceledKeys
from photoreal.serve.backend.watch import POLL_S, Watch
from tests.shared import check_sentence, refused, wait_until

KEY = "0123456789abcdef" * 2
WITH_KEY = {CANCEL_PARAMETER: KEY}


class Request:
    """A request of Triton's."""

    def __init__(self, timeout=0, parameters=None):
        self._timeout, self._parameters = timeout, parameters
        self.canceled = False
        self.asked = threading.Event()

    def is_cancelled(self):
        self.asked.set()
        return self.canceled

    def timeout(self):
        return self._timeout

    def parameters(self):
        return "" if self._parameters is None else json.dumps(self._parameters)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def keys(tmp_path):
    return CanceledKeys(tmp_path / "keys")


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    ("timeout", "seconds", "words"),
    [
        (0, 30, "this server"),
        (90_000_000, 30, "this server"),
        (1_500_000, 1.5, "1.5 s, the timeout"),
    ],
)
def test_the_shorter_time_holds(timeout, seconds, words, keys, clock):
    with Watch(Request(timeout), keys, 30, clock) as watch:
        clock.now += seconds - 0.01
        watch.check()
        assert watch.microseconds_left() == pytest.approx(10_000, abs=2)
        clock.now += 0.02
        with pytest.raises(DeadlineExceeded, match=words) as caught:
            watch.check()
    assert str(caught.value).startswith(TIMED_OUT)
    check_sentence(caught.value)
    assert watch.microseconds_left() == 1  # 0 would mean no limit


def test_a_caller_that_is_gone_stops_the_work(keys, clock):
    request = Request()
    with Watch(request, keys, 30, clock) as watch:
        request.canceled = True
        with pytest.raises(Canceled):
            watch.check()


def test_a_canceled_key_stops_the_work_in_another_process(keys, clock):
    with Watch(Request(parameters=WITH_KEY), keys, 30, clock) as watch:
        watch.check()
        keys.add(KEY)
        with pytest.raises(Canceled):
            watch.check()
    assert KEY not in keys  # it is forgotten with its request


def test_a_request_canceled_while_it_waited_is_not_begun(keys):
    keys.add(KEY)
    with pytest.raises(Canceled), Watch(Request(parameters=WITH_KEY), keys, 30):
        raise AssertionError("the work was begun")
    assert KEY not in keys


@pytest.mark.parametrize("given", [None, 7, "", KEY.upper(), KEY + "0", "../" + KEY[3:], [KEY]])
def test_invalid_keys_are_replaced(given, keys):
    watch = Watch(Request(parameters={CANCEL_PARAMETER: given}), keys, 30)
    assert is_key(watch.key)
    assert watch.key not in (given, Watch(Request(), keys, 30).key)


@pytest.mark.parametrize("goes", [True, False])
def test_a_caller_that_goes_while_another_model_works_is_passed_on(goes, keys):
    request, threads = Request(), threading.active_count()
    with Watch(request, keys, 30) as watch, watch.passed_on():
        assert request.asked.wait(10)
        assert watch.key not in keys  # while the caller waits
        request.canceled = goes
        if goes:
            wait_until(lambda: watch.key in keys, 10)
        assert (watch.key in keys) is goes
    assert watch.key not in keys
    assert threading.active_count() == threads


def test_keys_are_shared_and_removed_with_the_folder(tmp_path):
    one, other = CanceledKeys(tmp_path / "keys"), CanceledKeys(tmp_path / "keys")
    key = new_key()
    one.add(key)
    assert key in other
    other.close()
    assert key not in one
    assert not (tmp_path / "keys").exists()
    other.close()  # once more does no harm
    one.add(key)
    assert key in other


@pytest.mark.parametrize("named", [True, False])
def test_the_folder_is_the_one_that_the_launcher_names(named, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    name = "ours" if named else f"photoreal-{os.getuid()}-{os.getppid()}"
    if named:
        monkeypatch.setenv(CANCELED_VARIABLE, str(tmp_path / name))
    CanceledKeys().add(KEY)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / KEY).exists()


@pytest.mark.parametrize("key", ["", "x", "../../etc", KEY[:-1], KEY.upper()])
def test_only_keys_become_files(key, keys):
    with refused(InvalidOption, r"32 .*hexadecimal digits"):
        keys.add(key)


def test_a_folder_of_another_user_is_not_used(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("open", "link"):
        with pytest.raises(ServeError, match="folder"):
            CanceledKeys(tmp_path / name).add(KEY)
        assert not list((tmp_path / name).iterdir())


def test_old_keys_are_forgotten_and_many_do_not_pile_up(tmp_path, keys, monkeypatch):
    keys.add(KEY)
    old = time.time() - 7200
    os.utime(tmp_path / "keys" / KEY, (old, old))
    keys.add(new_key())
    assert KEY not in keys
    monkeypatch.setattr("photoreal.serve.backend.canceled._MOST_KEYS", 3)
    many, given = CanceledKeys(tmp_path / "many"), [new_key() for _ in range(7)]
    for age, key in enumerate(given):
        many.add(key)
        os.utime(tmp_path / "many" / key, (time.time() - 100 + age,) * 2)
    assert [key in many for key in given] == [False] * 3 + [True] * 4


def test_each_poll_checks_the_deadline_and_a_few_check_the_caller(keys, clock):
    request = Request()
    watch, short = Watch(request, keys, 30, clock), Watch(Request(), keys, POLL_S / 4, clock)
    for one in (watch, short):
        one.poll()
    request.canceled = True
    watch.poll()
    clock.now += POLL_S / 2
    with pytest.raises(DeadlineExceeded):
        short.poll()
    clock.now += POLL_S / 2
    with pytest.raises(Canceled):
        watch.poll()
