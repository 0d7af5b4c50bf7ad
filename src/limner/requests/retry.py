"""An ended request as a new one: the same endpoint, input and settings, under an id of its own.

Knows requests and whether files are kept; submits nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from limner.errors import Refused
from limner.requests.lifecycle import CANCELLED, NOT_STARTED
from limner.requests.request import Request, Submission

#: Ends that a request can meet before any worker took it up, and need not meet again.
BY_CHANCE = (CANCELLED.error_type, NOT_STARTED.error_type)


def again(request: Request, has_file: Callable[[str], bool]) -> Submission:
    """What to submit so that ``request`` is drawn again; it goes to the end of the queue.

    ``has_file``: is a file of this name still kept? Raises Refused 409 when the request has not
    ended or was refused for what it asks, 410 ``input_gone`` when its input is not kept any more.
    """
    outcome = request.outcome
    if outcome is None:
        raise Refused(409, "The request has not ended; wait for it or cancel it first")
    if request.attempt == 0 and outcome.error_type not in BY_CHANCE:
        # At the door, where what endpoints do not know was dropped: what is kept is not the call.
        raise Refused(
            409, "The request was refused for what it asks, and would be again; submit it corrected"
        )
    given = request.submission
    if not request.has_input:
        raise Refused(
            410,
            "The input of this request was not kept, as its caller wished; submit it anew",
            error_type="input_gone",
        )
    if not all(has_file(name) for name in given.files_given):
        raise Refused(
            410,
            "A file of this request's input is not kept any more; upload it and submit it anew",
            error_type="input_gone",
        )
    # A time to start by is long past, and an idempotency key would find the old request.
    return dataclasses.replace(given, start_by=None, idempotency_key=None)
