"""Ray on this machine, started once for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from photoreal.client.batch.cluster import ray_cluster


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """Two cores of this machine as a cluster, and its address; this process is connected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_worker_niceness", "0")  # or a busy machine lets the workers starve
        with ray_cluster(None, cores=2):
            import ray

            yield ray.get_runtime_context().gcs_address
