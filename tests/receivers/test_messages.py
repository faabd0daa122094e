"""Messages to receivers."""

from tests.receivers.messages import make_message
from tvarr_backup.receivers.messages import MOST_OF_SUBJECT, MOST_OF_TEXT


def test_control_characters_are_escaped() -> None:
    message = make_message(subject="a\r\nBcc: b\x1b[31m", text="one\ntwo\x1b[2J\u202e\x00", installation="a\nb")
    assert message.subject == r"a\r\nBcc: b\x1b[31m"
    assert message.text == "one\ntwo\\x1b[2J\\u202e\\x00"
    assert message.installation == r"a\nb"


def test_long_texts_are_cut() -> None:
    message = make_message(subject="a" * 100_000, text="\x1b" * 100_000, data={"reason": "a" * 100_000})
    assert len(message.subject) == MOST_OF_SUBJECT
    assert len(message.text) == MOST_OF_TEXT
    assert message.text.endswith("…")
    assert message.data == {"is_cut": True}
