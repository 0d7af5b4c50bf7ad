"""What the desk's page of this server tells beside the ledger. Knows settings and processes."""

from __future__ import annotations

from collections.abc import Sequence

from limner.cli.house import workshop
from limner.endpoints.base import Endpoint
from limner.settings import Settings
from limner.worker.engines import choose
from limner.worker.supervisor import Supervisor

#: Why an engine may be another than the one told: reasons are parted by semicolons.
ALONE = "no worker runs beside this server, and each chooses for its own machine"


def about(
    settings: Settings, endpoints: Sequence[Endpoint], supervisor: Supervisor
) -> dict[str, object]:
    """What ``/limner/v1/system`` tells of this server beside the ledger."""
    given = workshop(settings)
    choices = {each.id: choose(each, settings.engine, given) for each in endpoints}
    return {
        "engines": {
            name: {
                "engine": one.name,
                "why": one.why if supervisor.wanted else f"{ALONE}; {one.why}",
            }
            for name, one in choices.items()
        },
        "workers": {
            "alive": supervisor.alive(),
            "wanted": supervisor.wanted,
            "slots": settings.slots,
            "threads": settings.threads,
        },
        "kept": {"results": settings.retention, "uploads": settings.upload_retention},
        "home": str(settings.home),
    }
