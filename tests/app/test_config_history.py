"""The flags that say where history is kept."""

from __future__ import annotations

import pytest

from tests.app.test_config import DATA, MAIN, load, refusal


def test_history_is_kept_in_the_data_directory_or_where_the_operator_says():
    assert str(load("-a", MAIN).stats_db) == str(DATA / "dash" / "history.sqlite")
    assert str(load("--net", "simnet", "--stats-db", "/usr/h.db").stats_db) == "/usr/h.db"
    assert load("-a", MAIN, "--stats-db", "none").stats_db is None
    config = load("-a", MAIN, "--stats-db", "postgresql://u:secret@db.example/pool", "--stats-retention", "400")
    assert config.stats_db.kind == "postgresql"
    assert (config.stats_retention, config.stats_node) == (400, None)
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        "u:hunter2@h/d",
        "u:hunter2@h",
        "u:hun/ter2@h/d",
        "/u:hunter2@h/d",
        "./u:hunter2@h/d",
        "u:hunter2@h://d",
        "mysql://u:hunter2@h/d",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2@h:x/d",
        "postgresql://u@h?password=hunter2",
        "u:hunter2@h/" + 300 * "x",
        "/u:hunter2@h/" + 300 * "x",
        "/u:hunter2@h/\0",
    ],
)
def test_no_error_repeats_a_password(text):
    message = refusal("-a", MAIN, "--stats-db", text)
    assert message.startswith("--stats-db")
    assert "hun" not in message
    assert "ter2" not in message


def test_a_url_without_a_scheme_is_no_file():
    expected = "--stats-db ...@h/d: a PostgreSQL database is given as postgresql://USER:PASSWORD@HOST/DATABASE; "
    assert refusal("-a", MAIN, "--stats-db", "u:pw@h/d").startswith(expected)
    assert load("-a", MAIN, "--stats-db", "./u:pw@h").stats_db.kind == "sqlite"


def test_a_location_is_shown_without_any_password():
    location = load("-a", MAIN, "--stats-db", "postgresql://u:hunter2@h/d?password=hunter2&x=y").stats_db
    assert str(location).endswith("//u:***@h/d?x=y")


def test_a_missing_directory_is_named_and_not_made(tmp_path):
    message = refusal("-a", MAIN, "--stats-db", str(tmp_path / "typo" / "history.sqlite"))
    assert f"there is no directory {tmp_path / 'typo'}: create it" in message
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--stats-db", "mysql://h/d"), "--stats-db mysql://...: give a file, or postgresql://"),
        (("--stats-db", "u:pw://h"), "--stats-db: give a file, or postgresql://"),
        (("--stats-db", "postgresql://h"), "name the database after the host"),
        (("--stats-retention", "0.5"), "--stats-retention 0.5: must be between 1 and"),
        (("--stats-node", "a b"), "--stats-node a b: give up to 64 letters"),
        (("--stats-node", "x" * 65), "--stats-node"),
    ],
)
def test_what_makes_no_sense(arguments, text):
    assert text in refusal("-a", MAIN, *arguments)
