"""``lvsctl pair`` and ``unpair``: by a one-time code, by files, or the heartbeat key alone.  They need root and no agent.

Owns what is asked and printed.  What happens is in ``lvsagent.adapters``: ``handshake``, ``pairing_side``, ``peer_keys`` and
``heartbeat_key``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import msgspec

from lvsagent import ctl_text
from lvsagent.adapters.heartbeat_key import make_key_file, take_key_file
from lvsagent.adapters.pairing_side import OwnSide, export_file, import_file, lvs_cf_addresses, own_name, pairing_info
from lvsagent.adapters.peer_keys import PeerKeys
from lvsagent.core.introduction import address as ip_address
from lvsagent.core.introduction import merged, read_code
from lvsagent.ports import AdapterError
from lvsagent.settings import AgentSettings, SettingsError, load_settings
from lvsagent.wire.pairing import PairingInfo

OK, FAILED, USAGE = 0, 1, 2
COMPARE = "On the other director, lvsctl pair --status must show the same four fingerprints, mirrored."


class _Usage(Exception):
    """Arguments that do not go together."""


def pair(arguments: argparse.Namespace) -> int:
    """Whatever way was chosen.  Returns the exit status."""
    try:
        return _pair(arguments)
    except _Usage as error:
        sys.stderr.write(f"lvsctl: {error}\n")
        return USAGE
    except (AdapterError, SettingsError) as error:
        sys.stderr.write(f"lvsctl: {ctl_text.safe(error)}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("lvsctl: nothing has been paired; the code is worth nothing any more\n")
        return FAILED


def unpair(arguments: argparse.Namespace) -> int:
    """Forget the other director."""
    try:
        keys, _ = _keys(arguments)
        found = keys.forget()
    except (AdapterError, SettingsError) as error:
        sys.stderr.write(f"lvsctl: {ctl_text.safe(error)}\n")
        return FAILED
    if not found:
        sys.stderr.write("lvsctl: this director was not paired\n")
        return FAILED
    _say("the other director's key opens nothing here any more, and this director's own is gone; do the same there")
    _say("the heartbeat key stays, so that no role moves")
    return OK


def _pair(arguments: argparse.Namespace) -> int:
    if arguments.make:
        _refuse_extras(arguments)
        make_key_file(arguments.make)
        _say(f"{arguments.make} holds a fresh key; on both directors: lvsctl pair --take {arguments.make}, then remove it")
        return OK
    _check_way(arguments)
    keys, settings = _keys(arguments)
    if arguments.take:
        _say(take_key_file(arguments.take, settings.heartbeat_key_file))
    elif arguments.status:
        return _status(keys, as_json=arguments.json)
    elif arguments.export:
        _export(arguments, keys, settings)
    elif arguments.import_:
        introduction, doubts = import_file(keys, arguments.import_, time.time())
        _tell_paired(keys, doubts)
        _say(f"Remove {arguments.import_}: it holds the heartbeat key. Has {introduction.name} imported this director's file? (--export)")
    elif arguments.wait:
        asyncio.run(_wait(arguments, keys, settings))
    else:
        asyncio.run(_join(arguments, keys, settings))
    return OK


def _check_way(arguments: argparse.Namespace) -> None:
    by_option = arguments.wait or arguments.status or arguments.take or arguments.export or arguments.import_
    if bool(by_option) == bool(arguments.address):
        raise _Usage(
            "say one way: --wait here and ADDRESS on the other director, or --export and --import, or --make and --take; or --status"
        )
    if not (arguments.wait or arguments.address or arguments.export):
        _refuse_extras(arguments)


def _refuse_extras(arguments: argparse.Namespace) -> None:
    if arguments.rotate or arguments.own_address or arguments.port or arguments.address:
        raise _Usage("--rotate, --own-address and --port go with --wait, ADDRESS and --export only")


def _keys(arguments: argparse.Namespace) -> tuple[PeerKeys, AgentSettings]:
    settings = load_settings(arguments.config)
    return PeerKeys(settings), settings


def _own_addresses(arguments: argparse.Namespace, settings: AgentSettings) -> tuple[str, ...]:
    try:
        given = tuple(ip_address(one) for one in arguments.own_address)
    except ValueError:
        raise _Usage(f"--own-address: an IP address is expected, not {ctl_text.safe(' '.join(arguments.own_address))}") from None
    return merged(given, lvs_cf_addresses(settings))


def _side(arguments: argparse.Namespace, keys: PeerKeys, settings: AgentSettings) -> OwnSide:
    addresses = _own_addresses(arguments, settings)
    return OwnSide(keys, own_name(settings), addresses, time.time(), rotate=arguments.rotate, waiting=arguments.wait)


# --- the ways ------------------------------------------------------------------------------------------------------------------


async def _wait(arguments: argparse.Namespace, keys: PeerKeys, settings: AgentSettings) -> None:
    from lvsagent.adapters.handshake import WAIT_S, PairingFailed, Waiting, new_code  # noqa: PLC0415 -- only here

    side = _side(arguments, keys, settings)
    if not side.addresses:
        raise PairingFailed("no address of lvs.cf is this host's (see node in agent.toml): say with --own-address where to listen")
    keys.own_host_key()
    port = arguments.port or settings.pair_port
    waiting = Waiting(new_code(), side)
    await waiting.start(side.addresses, port)
    extra = f" --port {port}" if arguments.port else ""
    _say(f"On the other director, within {WAIT_S / 60:.0f} minutes:")
    _say(f"    lvsctl pair {side.addresses[0]} {waiting.code}{extra}")
    sys.stdout.flush()
    await waiting.result()
    _tell_paired(keys, side.doubts)


async def _join(arguments: argparse.Namespace, keys: PeerKeys, settings: AgentSettings) -> None:
    from lvsagent.adapters.handshake import join  # noqa: PLC0415 -- only here

    try:
        code = read_code(arguments.code or _asked("code: "))
    except ValueError as error:
        raise _Usage(str(error)) from None
    side = _side(arguments, keys, settings)
    await join(arguments.address, arguments.port or settings.pair_port, code, side)
    _tell_paired(keys, side.doubts)


def _asked(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline()


def _export(arguments: argparse.Namespace, keys: PeerKeys, settings: AgentSettings) -> None:
    introduction = export_file(keys, own_name(settings), _own_addresses(arguments, settings), arguments.export, rotate=arguments.rotate)
    _say(
        f"{arguments.export} introduces {introduction.name} ({', '.join(introduction.addresses)}). Carry it over in a way you trust; there:"
    )
    _say(f"    lvsctl pair --import {arguments.export.name}")
    _say("The same the other way round. Each file holds the heartbeat key: remove it when it has been imported.")


# --- what is told --------------------------------------------------------------------------------------------------------------


def _status(keys: PeerKeys, *, as_json: bool) -> int:
    info = pairing_info(keys)
    _say(json.dumps(msgspec.to_builtins(info)) if as_json else status_text(info))
    return OK if info.paired else FAILED


def _tell_paired(keys: PeerKeys, doubts: str) -> None:
    _say(status_text(pairing_info(keys)))
    _say(COMPARE)
    if doubts:
        sys.stderr.write(f"lvsctl: {ctl_text.safe(doubts)}\n")


def status_text(info: PairingInfo) -> str:
    """Both directors and their keys."""
    if not info.paired:
        return "this director is not paired"
    where = f"{', '.join(info.addresses)}, ssh port {info.port}"
    head = f"paired with {info.name} ({where}) since {ctl_text.moment(info.since)}"
    rows = [("this director", info.host_key, info.user_key), (info.name, info.peer_host_key, info.peer_user_key)]
    return f"{ctl_text.safe(head)}\n{ctl_text.table(('', 'HOST KEY', 'KEY IT COMES WITH'), rows)}".rstrip()


def _say(words: str) -> None:
    sys.stdout.write("".join(f"{ctl_text.safe(line)}\n" for line in words.splitlines()))


HANDLERS = {"pair": pair, "unpair": unpair}
