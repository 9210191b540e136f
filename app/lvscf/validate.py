"""What a configuration means: values that are each legal and together doubtful, or that cannot work.

Owns the rules between fields, blocks and the outside.  Syntax and single values are the reader's; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.lvscf.check_rules import check_findings
from app.lvscf.diagnostics import Diagnostic, Problem, diagnostic, shown
from app.lvscf.document import Document
from app.lvscf.escapes import decode_escapes, unknown_escapes
from app.lvscf.keywords import BY_LEVEL, LEVEL_OF_BLOCK, Level
from app.lvscf.literals import ip_of
from app.lvscf.model import (
    NO_ADDRESS,
    Block,
    CheckKind,
    Config,
    Forwarding,
    GlobalSettings,
    HostDevice,
    Protocol,
    RealServer,
    ServiceKind,
    VirtualServer,
)
from app.lvscf.posix_regex import BadPatternError, translate
from app.lvscf.reader import counts, placed
from app.lvscf.traffic_rules import mark_overlaps, server_findings, virtual_findings
from app.lvscf.values import TEXT_LIMIT_BYTES

SMALLEST_TCP_TIMEOUT_S = 300
"""Below five minutes idle sessions (ssh, database pools, push connections) are dropped in the middle of ordinary work."""

KEEPALIVES_IN_DEADTIME = 3
HTTPS_PORT = 443
VALUE = 2


def validate(config: Config, document: Document | None = None) -> tuple[Diagnostic, ...]:
    """What is doubtful or wrong about the meaning, in the order of the lines.

    With the document that ``config`` was read from, each finding names the directive's line; without it, the block's line or 0.
    """
    return _Validation(config, document).run()


class _Validation:
    def __init__(self, config: Config, document: Document | None) -> None:
        self.config = config
        self.document = document
        self.found: list[Diagnostic] = []

    def run(self) -> tuple[Diagnostic, ...]:
        config = self.config
        self._globals(config.globals)
        self._redundancy(config.globals)
        self._nothing_active()
        self._addresses()
        self._duplicates()
        for server in config.virtual:
            self._block(server)
            self._virtual(server)
        for service in config.failover:
            self._block(service)
        self._repeated_names("virtual server", config.virtual)
        self._repeated_names("failover service", config.failover)
        return tuple(sorted(self.found, key=lambda found: found.line))

    # --- where -------------------------------------------------------------------------------------------------------------------

    def _line(self, key: int | None, keyword: str) -> int | None:
        """The index of the line that sets ``keyword`` in the block with this key (None: the globals)."""
        document = self.document
        if document is None:
            return None
        block = document.root if key is None else document.block(key)
        if block is None:
            return None
        about = BY_LEVEL[LEVEL_OF_BLOCK[block.kind]][keyword]
        return next((index for index in reversed(document.lines_of(block, keyword)) if counts(document.lexed[index], about)), None)

    def _say(self, key: int | None, keywords: Iterable[str], code: str, message: str) -> None:
        """Report at the first of these keywords that the block names, else at its head."""
        for keyword in keywords:
            index = self._line(key, keyword)
            if index is not None and self.document is not None:
                self.found.append(placed(self.document, index, Problem(code, message, VALUE)))
                return
        if key is not None and self.document is not None:
            self.found.append(placed(self.document, key - 1, Problem(code, message, 1)))
            return
        self.found.append(diagnostic(Problem(code, message), key or 0))

    # --- global settings ---------------------------------------------------------------------------------------------------------

    def _globals(self, settings: GlobalSettings) -> None:
        if 0 < settings.tcp_timeout < SMALLEST_TCP_TIMEOUT_S:
            text = f"a TCP session that is idle for {settings.tcp_timeout} s is forgotten and breaks; the kernel's own value is 900 s"
            self._say(None, ["tcp_timeout"], "tcp-timeout-small", text)
        if not settings.hard_shutdown or self._line(None, "hard_shutdown") is not None:
            text = "hard_shutdown is kept and never obeyed: a checker that dies is restarted, and nothing else stops"
            self._say(None, ["hard_shutdown"], "hard-shutdown-kept", text)
        if settings.rsh_command.split(" ")[0].rpartition("/")[2] == "rsh" and self._line(None, "rsh_command") is not None:
            self._say(None, ["rsh_command"], "rsh-refused", "rsh sends everything in clear text and is not used; write ssh")
        self._not_in_use_yet(None, Level.GLOBAL, settings)
        router = settings.nat_router
        if router is not None and _lacks_alias(router):
            self._say(None, ["nat_router"], "device-without-alias", _alias_text("nat_router", router))
        if router is not None and router.host in _directors(settings):
            text = (
                f"nat_router has a director's own address {shown(router.host)}; it needs one of its own, which moves between the directors"
            )
            self._say(None, ["nat_router"], "vip-is-director", text)

    def _not_in_use_yet(self, key: int | None, level: Level, item: GlobalSettings | Block) -> None:
        for keyword in _PLANNED[level]:
            if getattr(item, keyword.name) != keyword.default:
                text = f"{keyword.name} is kept, and this version does not obey it yet"
                self._say(key, [keyword.name], "not-in-use-yet", text)

    def _redundancy(self, settings: GlobalSettings) -> None:
        has_backup = settings.backup != NO_ADDRESS
        if settings.backup_active and not has_backup:
            self._say(
                None,
                ["backup_active"],
                "backup-active-without-backup",
                "redundancy is on, and no backup is named; write `backup = ADDRESS`",
            )
        if settings.network is Forwarding.NAT and settings.nat_router is None and (has_backup or settings.backup_active):
            text = "NAT with a backup needs nat_router, the real servers' gateway that moves with the role"
            self._say(None, ["network", "backup", "backup_active"], "nat-without-router", text)
        written = any(self._line(None, name) is not None for name in ("keepalive", "deadtime"))
        defaults = GlobalSettings()
        changed = (settings.keepalive, settings.deadtime) != (defaults.keepalive, defaults.deadtime)
        if (written or changed or settings.backup_active) and settings.deadtime < KEEPALIVES_IN_DEADTIME * settings.keepalive:
            text = (
                f"deadtime {settings.deadtime:g} s is less than three times keepalive {settings.keepalive:g} s: "
                "one or two lost heartbeats move the service"
            )
            self._say(None, ["deadtime", "keepalive"], "deadtime-too-short", text)

    def _nothing_active(self) -> None:
        config = self.config
        if config.globals.service is ServiceKind.FOS:
            if not any(service.active for service in config.failover):
                self._say(None, ["service"], "nothing-active", "service = fos, and no failover service is active: nothing is served")
        elif not any(server.active for server in config.virtual):
            self.found.append(diagnostic(Problem("nothing-active", "no virtual server is active: nothing is served"), 0))

    # --- between blocks ----------------------------------------------------------------------------------------------------------

    def _addresses(self) -> None:
        """A virtual address that some host has as its own."""
        directors = _directors(self.config.globals)
        blocks: tuple[Block, ...] = (*self.config.virtual, *self.config.failover)
        vips = {block.address.host for block in blocks if block.address is not None} - {NO_ADDRESS}
        holders: dict[str, str] = {}
        for virtual in self.config.virtual:
            for server in virtual.servers:
                if server.address in vips:
                    holders.setdefault(server.address, f"{shown(server.name)} of {shown(virtual.name)}")
        for block in blocks:
            host = block.address.host if block.address is not None else NO_ADDRESS
            if host in directors:
                text = f"{shown(host)} is a director's own address; a virtual address is one that no host has"
                self._say(block.key, ["address"], "vip-is-director", text)
            if host in holders:
                text = f"{shown(host)} is also the address of real server {holders[host]}; a virtual address is one that no host has"
                self._say(block.key, ["address"], "vip-is-real-server", text)

    def _duplicates(self) -> None:
        seen: dict[object, VirtualServer] = {}
        for server in self.config.virtual:
            host = server.address.host if server.address is not None else NO_ADDRESS
            service: object
            if server.fwmark:
                service, words, keywords = (server.fwmark, ":" in host), f"firewall mark {server.fwmark}", ["fwmark"]
            elif host != NO_ADDRESS:
                service, keywords = (host, server.port, server.protocol), ["address", "port"]
                words = f"{shown(host)} port {server.port} {server.protocol}"
            else:
                continue
            first = seen.setdefault(service, server)
            if first is not server:
                place = f" (line {first.key})" if first.key is not None else ""
                text = f"{words} is virtual server {shown(first.name)}{place} already; only one of the two can be in service"
                self._say(server.key, keywords, "duplicate-service", text)

        for server, text in mark_overlaps(self.config.virtual):
            self._say(server.key, ["mark_ports"], "mark-ports-overlap", text)

    def _repeated_names(self, kind: str, blocks: Iterable[Block | RealServer]) -> None:
        seen: dict[str, int | None] = {}
        for block in blocks:
            if block.name in seen:
                first = seen[block.name]
                place = f" in line {first}" if first is not None else ""
                self._say(block.key, [], "repeated-name", f"another {kind} is named {shown(block.name)}{place}; both are kept")
            else:
                seen[block.name] = block.key

    # --- one block ---------------------------------------------------------------------------------------------------------------

    def _block(self, block: Block) -> None:
        """What virtual servers and failover services have in common."""
        address = block.address
        if address is None:
            if block.active and not block.fwmark:
                text = f"{shown(block.name)} is active and has no address" + (" and no fwmark" if isinstance(block, VirtualServer) else "")
                self._say(block.key, ["active"], "active-without-address", text)
        elif address.host == NO_ADDRESS:
            if not block.fwmark:
                self._say(block.key, ["address"], "no-vip", "0.0.0.0 is no address to serve; name the virtual address")
        elif _lacks_alias(address):
            self._say(block.key, ["address"], "device-without-alias", _alias_text("the virtual address", address))
        self._not_in_use_yet(block.key, Level.BLOCK, block)
        self._check(block)
        self._texts(block)

    def _check(self, block: Block) -> None:
        for code, keyword, message in check_findings(block):
            self._say(block.key, [keyword], code, message)
        automatic = block.check is CheckKind.AUTO
        if block.protocol is Protocol.UDP and automatic and block.expect is None and block.send_program is None:
            text = "UDP does not say whether anyone listens: without expect or send_program these servers cannot be checked"
            self._say(block.key, ["protocol"], "udp-without-expect", text)
        if block.send_program is not None and block.expect is None:
            text = "without expect only the program's exit status counts; Piranha compared its output"
            self._say(block.key, ["send_program"], "program-without-expect", text)
        plain = (
            automatic
            and block.send_program is None
            and block.protocol is Protocol.TCP
            and not (block.send is None and block.expect is None)
        )
        if plain and block.port == HTTPS_PORT:
            text = "port 443 speaks TLS, and this check sends and expects clear text; most servers answer it with an error or not at all"
            self._say(block.key, ["send", "expect"], "plain-check-on-tls-port", text)
        if block.reentry < block.timeout:
            text = f"reentry {block.reentry} s is shorter than timeout {block.timeout} s: one good check brings a failed server back"
            self._say(block.key, ["reentry", "timeout"], "reentry-below-timeout", text)

    def _texts(self, block: Block) -> None:
        for keyword, value in (("send", block.send), ("expect", block.expect)):
            if value is None or "\\" not in value or (keyword == "expect" and block.use_regex):
                continue
            unknown = unknown_escapes(value)
            if unknown:
                text = f"{keyword} knows \\r \\n \\t \\\\ \\' \\\" only; {shown(' '.join(unknown))} is taken as it stands"
                self._say(block.key, [keyword], "unknown-escape", text)
        if block.use_regex and block.expect is not None and len(block.expect) <= TEXT_LIMIT_BYTES:
            try:
                translate(decode_escapes(block.expect))
            except BadPatternError as bad:
                self._say(block.key, ["expect"], "bad-regex", f"expect is no valid regular expression: {shown(str(bad), 200)}")

    def _virtual(self, server: VirtualServer) -> None:
        if server.active and not any(real.active for real in server.servers):
            text = (
                f"{shown(server.name)} is active and none of its real servers is"
                if server.servers
                else f"{shown(server.name)} is active and has no real server"
            )
            self._say(server.key, [], "no-active-server", text)
        if server.fwmark and not server.persistent:
            text = "without persistent, the connections of one client (FTP's two, HTTP and HTTPS) may go to different real servers"
            self._say(server.key, ["fwmark"], "fwmark-without-persistence", text)
        if server.port == 0 and not server.persistent and not server.fwmark:
            self._say(
                server.key,
                ["port"],
                "port-zero",
                "port 0 means every port, which needs persistent; without it the kernel balances nothing useful",
            )
        for code, keyword, message in virtual_findings(server, self.config.globals.network):
            self._say(server.key, [keyword], code, message)
        if server.servers:
            self._real_servers(server)

    def _real_servers(self, virtual: VirtualServer) -> None:
        network = self.config.globals.network
        vip = ip_of(virtual.address.host) if virtual.address is not None else None
        vip_is_v6 = vip is not None and ":" in vip
        seen: dict[tuple[str, int], RealServer] = {}
        for server in virtual.servers:
            port = virtual.port if server.port is None and server.key is None else server.effective_port
            first = seen.setdefault((server.address, port), server)
            if first is not server and server.address != NO_ADDRESS:
                text = (
                    f"{shown(server.address)} port {port} is real server {shown(first.name)} already; only one of the two can be in service"
                )
                self._say(server.key, ["address"], "duplicate-server", text)
            method = server.forward or network
            if method is not Forwarding.NAT and port != virtual.port and not virtual.fwmark:
                text = f"{_METHOD[method]} cannot change ports: the packets come to port {virtual.port}, and this server's is {port}"
                self._say(server.key, ["port"], "server-port-differs", text)
            for code, keyword, message in server_findings(server):
                self._say(server.key, [keyword], code, message)
            if (
                vip is not None
                and vip_is_v6 != (":" in server.address)
                and method is not Forwarding.TUNNEL
                and ip_of(server.address) not in (None, NO_ADDRESS)
            ):
                text = f"{shown(server.address)} and the virtual address {vip} are of different families, which only tunnelling can join"
                self._say(server.key, ["address"], "mixed-families", text)
        if len({server.name for server in virtual.servers}) < len(virtual.servers):
            self._repeated_names("real server of this virtual server", virtual.servers)


_PLANNED = {level: [keyword for keyword in known.values() if not keyword.in_use] for level, known in BY_LEVEL.items()}
_METHOD = {Forwarding.DIRECT: "direct routing", Forwarding.TUNNEL: "tunnelling", Forwarding.NAT: "NAT"}


def _directors(settings: GlobalSettings) -> set[str]:
    """Every address that a director has as its own."""
    named = {settings.primary, settings.backup, settings.primary_private or NO_ADDRESS, settings.backup_private or NO_ADDRESS}
    return named - {NO_ADDRESS}


def _lacks_alias(address: HostDevice) -> bool:
    return ":" not in address.device and ":" not in address.host


def _alias_text(what: str, address: HostDevice) -> str:
    device = shown(address.device)
    return f"{what} is on {device} itself; Piranha took the whole interface down with it. Use an alias, such as {device}:1"
