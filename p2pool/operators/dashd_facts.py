"""Gathers the facts about a Dash Core that `dashd_checks` judges. Nothing that it calls changes anything."""

from __future__ import annotations

from typing import Any, Final

from p2pool.app.config import Config
from p2pool.app.dashd import DaemonAddress
from p2pool.base.environment import Environment
from p2pool.dashd.facts import WrongDaemon, check_daemon
from p2pool.dashd.payout_addresses import PayoutMode
from p2pool.dashd.payout_service import CACHED_FILE
from p2pool.dashd.rpc import RpcClient, RpcError, RpcUnavailable
from p2pool.dashd.wallet import wallet_problem
from p2pool.operators.dashd_checks import DaemonReport
from p2pool.operators.machine_facts import connection_problem, zmq_problem

_FAILURES: Final = (RpcError, RpcUnavailable, WrongDaemon)
_MOST_PUBLISHED: Final = 5


def needs_wallet(config: Config) -> bool:
    """Return whether dashd's wallet has to provide a payout address."""
    if config.payout_mode is PayoutMode.WALLET:
        return not (config.datadir / CACHED_FILE.name).exists()
    return config.payout_mode is PayoutMode.DYNAMIC


async def daemon_report(environment: Environment, config: Config, address: DaemonAddress) -> DaemonReport:
    """Return what can be learnt of a daemon."""
    rpc = RpcClient(environment, address.url, address.credentials)
    found: dict[str, Any] = {"url": address.url, "p2p_port": address.p2p_port, "zmq": address.zmq}
    try:
        found["facts"] = await check_daemon(rpc, config.network)
        await _ask(rpc, found, clock=environment.clock, wallet_needed=needs_wallet(config))
    except _FAILURES as error:
        found["error"] = error
        return DaemonReport(**found)
    finally:
        await rpc.close()
    found["p2p_problem"] = await environment.run_in_thread(
        lambda: connection_problem(environment, address.host, address.p2p_port)
    )
    if address.zmq is not None:
        zmq = address.zmq
        found["zmq_problem"] = await environment.run_in_thread(lambda: zmq_problem(environment, zmq))
    return DaemonReport(**found)


async def _ask(rpc: RpcClient, found: dict[str, Any], *, clock: Any, wallet_needed: bool) -> None:
    """Add to `found` what the daemon answers, and the errors of what it does not."""
    try:
        template = await rpc.call("getblocktemplate")
        found["local_time"] = clock()
        time = template.get("curtime") if isinstance(template, dict) else None
        found["template_time"] = time if isinstance(time, int) else None
    except _FAILURES as error:
        found["template_error"] = error
    found["wallet_needed"] = wallet_needed
    if wallet_needed:
        try:
            await rpc.call("getwalletinfo")
        except RpcError as error:
            found["wallet_error"] = wallet_problem(error)
        except RpcUnavailable as error:
            found["wallet_error"] = error
    try:
        found["published"] = _published(await rpc.call("getzmqnotifications"))
    except _FAILURES:
        found["published"] = ()


def _published(answer: Any) -> tuple[str, ...]:
    """Return the addresses at which new blocks are published."""
    listed = answer[:100] if isinstance(answer, list) else []
    found = [
        str(each.get("address"))
        for each in listed
        if isinstance(each, dict) and each.get("type") == "pubhashblock"
    ]
    return tuple(found[:_MOST_PUBLISHED])
