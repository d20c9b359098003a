"""The counters add up."""

from __future__ import annotations

from watchllm._stats import Stats


def test_a_snapshot_holds_every_counter() -> None:
    """Counters start at zero and are returned by name, losses and findings by their kind."""
    stats = Stats()
    stats.count("sampled_out")
    stats.count("sent")
    stats.reject("disabled")
    stats.drop("closed", 2)
    stats.drop("closed", 0)
    stats.drop("nothing", 0)
    stats.redact({"email": 2})
    stats.redact({"email": 1, "credit_card": 1})

    assert stats.snapshot(accepted=7, queued=4) == {
        "logged": 9,
        "accepted": 7,
        "sampled_out": 1,
        "sent": 1,
        "retried": 0,
        "refused": 0,
        "adopted": 0,
        "dropped": {"closed": 2, "disabled": 1},
        "redacted": {"email": 3, "credit_card": 1},
        "queued": 4,
    }


def test_losses_are_reported_once() -> None:
    """What the server was told of is no longer unreported; what was lost meanwhile still is."""
    stats = Stats()
    stats.drop("spool_full", 3)
    told = stats.losses()
    stats.drop("spool_full")
    stats.drop("closed")
    stats.lose("damaged", 2)
    stats.lose("damaged", 0)
    stats.reported(told)

    assert told == {"spool_full": 3}
    assert stats.losses() == {"spool_full": 1, "closed": 1, "damaged": 2}
    assert "damaged" not in stats.snapshot(0, 0)["dropped"]
    stats.reported(stats.losses())
    assert stats.losses() == {}


def test_a_child_counts_from_zero() -> None:
    """After a fork the counters hold what the child did."""
    stats = Stats()
    stats.reject("closed")
    stats.after_fork()

    assert stats.snapshot(0, 0)["logged"] == 0
    assert stats.losses() == {}
