"""What cannot be compared is refused, with the reason and nothing written."""

from tests.unit.commands.shadow_desk import STRICTER, Desk, complaints, database, desk, refused

__all__ = ["database", "desk"]  # fixtures


def test_what_cannot_be_compared_is_refused(desk: Desk) -> None:
    desk.register(words=STRICTER)
    assert "nothing is captured in" in refused(desk.shadow(2))
    desk.answer(complaints(250))
    assert "has no version 9; registered: 2, 1" in refused(desk.shadow(9))
    early = desk.shadow(2, "--window", "1h")
    assert "version 1, the champion, answered no request in the window" in refused(early)
    assert "--env dev: captured requests of an account are read by jobs of the role `monitor`" in (
        refused(desk.shadow(2, "--env", "dev"))
    )
    assert not desk.file(2).exists()


def test_a_candidate_of_another_contract_is_refused(desk: Desk) -> None:
    desk.answer(complaints(250))
    other = desk.register(labels=("late", "early"))
    message = refused(desk.shadow(other))
    assert "version 2 decides between `late` and `early`, version 1" in message
    assert "between `no` and `yes`" in message
    wider = desk.register(words=STRICTER, columns=["region"])
    assert "version 3 reads column `region`, which the requests to version 1 need not have" in (
        refused(desk.shadow(wider))
    )


def test_a_candidate_whose_artifact_is_damaged_is_refused(desk: Desk) -> None:
    desk.answer(complaints(250))
    desk.register(words=STRICTER)
    stored = max(
        desk.home.rglob("model.tar.gz"), key=lambda path: path.stat().st_mtime_ns
    )  # the last one that was registered
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = refused(desk.shadow(2))
    assert "version 2: model.tar.gz is not the file that was registered" in message
    assert not desk.file(2).exists()
