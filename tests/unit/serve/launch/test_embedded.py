"""An embedded server, on a stand-in for tritonserver."""

import psutil
import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch.embedded import embedded_server


class Mistake(Exception):
    """Something that goes wrong while the server runs."""


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("mistake", [False, True])
def test_an_embedded_server_leaves_nothing_behind(repository, temporary, mistake):
    def use():
        with embedded_server(repository) as server:
            assert psutil.pid_exists(server.pid)
            assert len(set(server.settings.ports().values())) == 3
            assert len(list(temporary.glob("*.log"))) == 1
            if mistake:
                raise Mistake
        return True

    if mistake:
        with pytest.raises(Mistake):
            use()
    else:
        assert use()
    assert not list(temporary.iterdir())


def test_the_log_of_an_embedded_server_that_cannot_start_is_kept(
    ready, repository, script, temporary
):
    ready(False)
    script("echo the reason; exit 1")
    with pytest.raises(ServeError, match=r"exit code 1.*\.log") as no:
        embedded_server(repository).__enter__()
    (log,) = temporary.iterdir()
    assert str(log) in str(no.value)
    assert log.read_text() == "the reason\n"
