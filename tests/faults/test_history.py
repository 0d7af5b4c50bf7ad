"""The checker catches every kind of wrong: one made-up good history, spoilt in one place each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.history import Account, End, Fault, History, Look, Wish

BASE = "http://here/files/"


def ended_well(number: int, at: float) -> Account:
    """A request that waited, was drawn, and whose webhook came."""
    body = {"steps": number, "image": {"url": f"{BASE}file-{number}"}}
    end = End(at + 5, 200, body)
    return Account(
        Wish(number, "well", steps=number, hook=True),
        asked=at,
        accepted=at + 0.1,
        ids={f"id-{number}"},
        looks=[
            Look(at + 1, at + 1.1, "IN_QUEUE", number),
            Look(at + 2, at + 2.1, "IN_QUEUE", 0),
            Look(at + 3, at + 3.1, "IN_PROGRESS"),
            Look(at + 5, at + 5.1, "COMPLETED"),
        ],
        results=[end, End(at + 6, 200, dict(body))],
        delivered=[end],
    )


def good() -> History:
    """Two that ended well, one without a face, one that was cancelled while it waited."""
    no_face = Account(
        Wish(2, "no face", steps=2, hook=False),
        20.0,
        20.1,
        {"id-2"},
        results=[End(22, 422, {"detail": [{"url": "https://docs.fal.ai/errors"}]})],
    )
    cancelled = Account(
        Wish(3, "well", steps=3, hook=False), 30.0, 30.1, {"id-3"},
        results=[End(32, 499, {})], cancels=[(31, 200)], cancel_sent=True,
    )  # fmt: skip
    pictures: dict[str, bytes | None] = {
        f"{BASE}file-{number}": b"picture of %d by 77" % number for number in (0, 1)
    }
    kept = {url.removeprefix(BASE): content or b"" for url, content in pictures.items()}
    accounts = [ended_well(0, 0.0), ended_well(1, 0.05), no_face, cancelled]
    faults = [Fault("kill a worker", 50, 51, frozenset({13}))]
    return History(2, 5.0, accounts, faults, pictures=pictures, kept=kept)


def test_a_good_history_has_no_wrongs() -> None:
    assert good().wrongs() == []


def odd_answer(run: History) -> None:
    run.odd.append("the status of id-0 was answered 404")


def no_outcome(run: History) -> None:
    run.accounts[2].results.clear()


def two_outcomes(run: History) -> None:
    run.accounts[2].results.append(End(60, 499, {}))


def two_requests_of_one_key(run: History) -> None:
    run.accounts[0].ids.add("id-other")


def one_id_for_two(run: History) -> None:
    run.accounts[0].ids = {"id-1"}


def another_ending(run: History) -> None:
    run.accounts[2].results = [End(22, 503, {})]


def cancelled_by_nobody(run: History) -> None:
    run.accounts[3].cancels.clear()
    run.accounts[3].cancel_sent = False


def drawn_though_cancelled(run: History) -> None:
    run.accounts[2].cancels.append((21, 200))


def drawn_to_its_end_though_cancelled(run: History) -> None:
    run.accounts[2].cancels.append((21, 202))


def steps_of_another(run: History) -> None:
    run.accounts[1].wish = Wish(1, "well", steps=9, hook=True)


def given_up_too_soon(run: History) -> None:
    run.accounts[2].results = [End(22, 503, {})]
    run.faults = [Fault("kill a worker", at, at + 0.1) for at in (20.5, 21.0)]


def failed_without_excuse(run: History) -> None:
    run.accounts[2].results = [End(22, 500, {})]
    run.faults.append(Fault("fill the disk", 40, 41, excuses=frozenset({500})))


def lost_webhook(run: History) -> None:
    run.accounts[0].spurned = run.accounts[0].delivered
    run.accounts[0].delivered = []


def webhook_of_another_outcome(run: History) -> None:
    run.accounts[0].delivered.append(End(7, 499, {}))


def uncalled_webhook(run: History) -> None:
    run.accounts[2].delivered.append(End(23, 422, {}))


def lost_picture(run: History) -> None:
    run.pictures[f"{BASE}file-0"] = None


def picture_of_another(run: History) -> None:
    run.pictures[f"{BASE}file-0"] = b"picture of 1 by 77"


def picture_cut_short(run: History) -> None:
    run.pictures[f"{BASE}file-0"] = b"picture of 0"


def same_picture_twice(run: History) -> None:
    for end in run.accounts[1].results:
        end.body["image"] = {"url": f"{BASE}file-0"}


def no_picture(run: History) -> None:
    for end in run.accounts[1].results:
        del end.body["image"]


def picture_of_a_failure(run: History) -> None:
    run.accounts[2].results[0].body["image"] = {"url": f"{BASE}file-2"}
    run.pictures[f"{BASE}file-2"] = b"picture of 2 by 77"


def file_left_by_the_living(run: History) -> None:
    run.kept["file-9"] = b"picture of 3 by 77"


def back_from_the_end(run: History) -> None:
    run.accounts[0].looks.append(Look(60, 60.1, "IN_PROGRESS"))


def below_zero(run: History) -> None:
    run.accounts[0].looks[0] = Look(1, 1.1, "IN_QUEUE", -1)


def no_position(run: History) -> None:
    run.accounts[0].looks[0] = Look(1, 1.1, "IN_QUEUE", None)


def grown_without_reason(run: History) -> None:
    run.accounts[1].looks[1] = Look(2, 2.1, "IN_QUEUE", 2)


def sent_back_without_reason(run: History) -> None:
    run.accounts[1].looks[3] = Look(4, 4.1, "IN_QUEUE", 0)


def not_zero_when_next(run: History) -> None:
    run.accounts[3].looks.append(Look(30.5, 30.6, "IN_QUEUE", 1))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (odd_answer, "answered 404"),
        (no_outcome, "has no outcome"),
        (two_outcomes, "two outcomes"),
        (two_requests_of_one_key, "several requests"),
        (one_id_for_two, "id-1 belongs to"),
        (another_ending, "after 0 faults"),
        (given_up_too_soon, "after 2 faults"),
        (failed_without_excuse, "500 instead of 422"),
        (cancelled_by_nobody, "by nobody"),
        (drawn_though_cancelled, "though its cancel"),
        (drawn_to_its_end_though_cancelled, "though its cancel"),
        (steps_of_another, "steps of another"),
        (lost_webhook, "never delivered"),
        (webhook_of_another_outcome, "the webhook brought"),
        (uncalled_webhook, "nobody asked for"),
        (lost_picture, "is not there"),
        (picture_of_another, "holds"),
        (picture_cut_short, "holds"),
        (same_picture_twice, "file-0 belongs to"),
        (no_picture, "without a picture"),
        (picture_of_a_failure, "did not end well"),
        (file_left_by_the_living, "left behind"),
        (back_from_the_end, "after its end"),
        (below_zero, "position -1"),
        (no_position, "position None"),
        (grown_without_reason, "position grew"),
        (sent_back_without_reason, "without a fault"),
        (not_zero_when_next, "0 in front at most"),
    ],
)
def test_each_wrong_is_caught(spoil: Callable[[History], None], said: str) -> None:
    run = good()
    spoil(run)
    assert any(said in wrong for wrong in run.wrongs()), run.wrongs()


def test_what_a_fault_explains_is_no_wrong() -> None:
    run = good()
    sent_back_without_reason(run)
    run.kept["file-9"] = b"picture of 3 by 13"
    run.faults.append(Fault("kill a worker", 3.5, 3.6))
    # What no disk took, and what was lost with three workers.
    run.faults.append(Fault("fill the disk", 21, 21.5, excuses=frozenset({500})))
    run.accounts[2].results = [End(22, 500, {})]
    run.accounts.append(
        Account(Wish(4, "well", steps=1, hook=False), 60.0, 60.1, {"id-4"},
                results=[End(70, 503, {})])
    )  # fmt: skip
    run.faults += [Fault("kill a worker", at, at + 0.1) for at in (61, 64, 67)]
    # And what was left by one whose last word was lost with the database.
    run.kept["file-8"] = b"picture of 4 by 78"
    run.faults.append(Fault("kill the database", 68, 69, strands=True))
    assert run.wrongs() == []
