"""The command line: its help as a whole and by group, and what is no flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pool.app.config import load_config
from p2pool.app.flags import build_parser, help_text, parse_command_line
from p2pool.app.settings import GATEWAY_GROUPS, GROUPS, all_settings, flag_names

DATA = Path("/somewhere/else")


def said(capsys, *argv: str, status: int = 0) -> str:
    with pytest.raises(SystemExit) as end:
        load_config(argv, DATA, {})
    assert end.value.code == status
    output = capsys.readouterr()
    return output.err if status else output.out


def test_help_begins_with_one_line_of_usage_and_is_in_groups(capsys):
    text = said(capsys, "--help")
    first, second, *_ = text.splitlines()
    assert first == "usage: p2pool-dash [OPTIONS] [[RPCUSER] RPCPASS]"
    assert second == ""
    for group in GROUPS:
        assert f"\n{group.name} - {group.title}:\n" in text


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_help_of_one_group(capsys, group):
    text = said(capsys, "--help", group.name)
    words = set(text.replace(",", " ").split())
    own = {each.flag for each in group.settings}
    assert own <= words
    others = {each.flag for each in all_settings().values()} - own
    assert not any(line.strip().startswith(flag + " ") for line in text.splitlines() for flag in others)
    assert text.count("\n\n") == 1
    assert said(capsys, f"--help={group.name}") == text


def test_help_of_a_gateway_has_what_a_gateway_can_do(capsys):
    with pytest.raises(SystemExit):
        load_config(["--help"], DATA, {}, gateway=True)
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "usage: p2pool-dash gateway [OPTIONS]"
    assert "p2pool-dash gateway --broker-file FILE" in text
    shown = [group.name for group in GROUPS if f"\n{group.name} - " in text]
    assert shown == list(GATEWAY_GROUPS)


def test_help_and_errors_of_a_gateway_name_its_usage(capsys):
    for words in (["--help", "web"], ["--nonsense"]):
        with pytest.raises(SystemExit):
            load_config(words, DATA, {}, gateway=True)
        output = capsys.readouterr()
        assert (output.out or output.err).startswith("usage: p2pool-dash gateway [OPTIONS]\n")


def test_a_gateway_takes_the_settings_of_its_node():
    config = load_config(["--broker", "redis://h", "-f", "1", "--web-port", "1"], DATA, {}, gateway=True)
    assert config.fee == 1


@pytest.mark.parametrize("flag", ["--debug", "--ssl-self-signed", "--version"])
def test_a_value_of_a_flag_without_one_is_not_repeated(capsys, flag):
    text = said(capsys, f"{flag}=hunter2", status=2)
    assert f"{flag} takes no value; write {flag} alone" in text
    assert "hunter2" not in text


def test_a_password_in_an_unknown_flag_is_not_repeated(capsys):
    text = said(capsys, "--dashd:http://me:hunter2@h", status=2)
    assert "unknown flag ...@h; " in text
    assert "hunter2" not in text


def test_an_unknown_group_names_the_groups(capsys):
    text = said(capsys, "--help", "mining", status=2)
    assert "--help mining: unknown group of settings; give one of general, payouts, " in text
    assert all(group.name in text for group in GROUPS)


def test_help_counts_before_other_mistakes(capsys):
    assert said(capsys, "--fees", "1", "-h") == said(capsys, "-h")


def test_what_is_no_flag(capsys):
    assert "unknown flag --fees; --help lists all flags" in said(capsys, "--fees", "1", status=2)
    text = said(capsys, "--web-pasword=me:hunter2", status=2)
    assert "unknown flag --web-pasword;" in text
    assert "hunter2" not in text
    text = said(capsys, "user", "--debug", "hunter2", status=2)
    assert "give RPCUSER and RPCPASS next to each other" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("value", ["--", "-", "", "-1", "@x", "a=b"])
def test_values_that_look_like_something_else(value):
    given, words = parse_command_line(
        [f"--worker-port={value}", f"--ban-allow={value}", f"-n{value or 'n'}"], DATA
    )
    assert [each.text for each in given["worker_port"]] == [value]
    assert [each.text for each in given["ban_allow"]] == [value]
    assert words == ()


def test_no_two_settings_have_a_name_in_common():
    settings = [each for group in GROUPS for each in group.settings]
    assert len(settings) == len(all_settings())
    names = [name for each in settings for name in (each.short, each.flag, each.file_flag) if name]
    assert len(names) == len(set(names)) == len(flag_names()) - len({"-h", "--help", "--version"})
    assert len({group.name for group in GROUPS}) == len(GROUPS)


def test_help_says_what_the_default_is_and_where_a_secret_can_be():
    settings = all_settings()
    for key, words in (
        ("share_rate", "(default: 10)"),
        ("max_connections", "(default: 10000)"),
        ("api_key", "; can be repeated; also in the environment as P2POOL_API_KEYS"),
        ("stats_db", "(default: DATADIR/NET/history.sqlite)"),
    ):
        assert words in help_text(settings[key], settings[key].described_default())


def test_the_parser_gives_back_only_what_was_given():
    assert vars(build_parser(DATA).parse_args([])) in ({}, {"rpc_arguments": []})
