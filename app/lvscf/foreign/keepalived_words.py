"""keepalived's words that need no keyword of lvs.cf or have none, and what is to be said about each.

Owns these words; the others are ``keepalived``'s, ``keepalived_checks``' and ``keepalived_vrrp``'s.
"""

from __future__ import annotations

from app.lvscf.foreign.keepalived_grammar import Statement
from app.lvscf.foreign.report import Ledger, Verdict

Words = dict[str, tuple[Verdict, str]]

_NO_MAIL = (Verdict.LOST, "no mail is sent; the events tell what a mail would")
_NO_PROGRAM = (Verdict.LOST, "no program is run for this; the events tell it")
_AGENT = (Verdict.NEEDLESS, "that is the agent's own business here")
_ARP = (Verdict.NEEDLESS, "a new address is announced five times, and again every minute")
_ROUTES = (Verdict.LOST, "lvs.cf moves virtual addresses, no routes and no rules")
_KEY = (Verdict.LOST, "heartbeats are signed with a key of their own: `lvsctl pair`")

GLOBAL_DEFS: Words = {
    **dict.fromkeys(("notification_email", "notification_email_from", "smtp_server", "smtp_helo_name", "smtp_connect_timeout"), _NO_MAIL),
    **dict.fromkeys(("smtp_alert", "smtp_alert_vrrp", "smtp_alert_checker", "no_email_faults", "no_checker_emails"), _NO_MAIL),
    **dict.fromkeys(("startup_script", "shutdown_script", "notify_fifo", "notify_fifo_script", "vrrp_notify_fifo"), _NO_PROGRAM),
    **dict.fromkeys(("vrrp_notify_fifo_script", "lvs_notify_fifo", "lvs_notify_fifo_script"), _NO_PROGRAM),
    **dict.fromkeys(("router_id", "vrrp_version", "process_names", "use_pid_dir", "instance", "enable_script_security"), _AGENT),
    **dict.fromkeys(("checker_log_all_failures", "vrrp_strict", "vrrp_skip_check_adv_addr", "vrrp_mcast_group4", "umask"), _AGENT),
    **dict.fromkeys(("vrrp_mcast_group6", "dynamic_interfaces", "max_auto_priority", "default_interface", "vrrp_iptables"), _AGENT),
    **dict.fromkeys(("vrrp_garp_master_delay", "vrrp_garp_master_repeat", "vrrp_garp_master_refresh", "vrrp_min_garp"), _ARP),
    **dict.fromkeys(("vrrp_garp_master_refresh_repeat", "vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat"), _ARP),
    **dict.fromkeys(("vrrp_garp_interval", "vrrp_gna_interval", "vrrp_garp_extra_if"), _ARP),
    "script_user": (Verdict.NEEDLESS, "programs run as agent.toml's check_user"),
    "lvs_flush": (Verdict.NEEDLESS, "what lvs.cf does not name is shown as foreign and left alone"),
    "lvs_flush_on_stop": (Verdict.NEEDLESS, "a planned stop removes what is ours"),
    "vrrp_startup_delay": (Verdict.NEEDLESS, "a director that starts listens before it takes a role"),
}

VRRP: Words = {
    **dict.fromkeys(("smtp_alert", "no_email_faults"), _NO_MAIL),
    **dict.fromkeys(("notify", "notify_fault", "notify_stop", "notify_deleted", "notify_master_rx_lower_pri"), _NO_PROGRAM),
    **dict.fromkeys(("virtual_routes", "virtual_rules"), _ROUTES),
    **dict.fromkeys(("authentication", "auth_type", "auth_pass"), _KEY),
    **dict.fromkeys(("garp_master_delay", "garp_master_repeat", "garp_master_refresh", "garp_master_refresh_repeat"), _ARP),
    **dict.fromkeys(("garp_lower_prio_delay", "garp_lower_prio_repeat", "garp_extra_if"), _ARP),
    **dict.fromkeys(("debug", "version", "native_ipv6", "accept", "skip_check_adv_addr", "strict_mode"), _AGENT),
    **dict.fromkeys(("promote_secondaries", "vmac_xmit_base", "unicast_ttl", "lower_prio_no_advert", "higher_prio_send_advert"), _AGENT),
    "virtual_router_id": (Verdict.NEEDLESS, "directors know each other by address and key"),
    "no_accept": (Verdict.LOST, "a director answers on its virtual addresses"),
    "track_script": (Verdict.LOST, "no program decides on the role"),
    "track_process": (Verdict.LOST, "no other process decides on the role"),
    "track_file": (Verdict.LOST, "no file decides on the role"),
    "track_bfd": (Verdict.LOST, "heartbeats alone decide on the role"),
    "lvs_sync_daemon_interface": (Verdict.LOST, "an old word for lvs_sync_daemon; set syncdaemon and syncd_iface"),
}

SYNC_GROUP: Words = {
    "group": (Verdict.NEEDLESS, "all virtual addresses move together"),
    **dict.fromkeys(("smtp_alert", "global_tracking"), _NO_MAIL),
    **dict.fromkeys(("notify", "notify_fault", "notify_stop", "notify_master", "notify_backup"), _NO_PROGRAM),
    **dict.fromkeys(("track_script", "track_interface", "track_file", "track_bfd"), (Verdict.LOST, "set it for the instance instead")),
}

SERVICE: Words = {
    **dict.fromkeys(("quorum_up", "quorum_down", "notify_up", "notify_down"), _NO_PROGRAM),
    "smtp_alert": _NO_MAIL,
    "ha_suspend": (Verdict.NEEDLESS, "agent.toml's standby_checks says whether a standby checks"),
    "alpha": (Verdict.NEEDLESS, "a server takes part after its first good check"),
    "omega": _NO_PROGRAM,
    "warmup": (Verdict.NEEDLESS, "checks are spread over their interval"),
    "sorry_server_inhibit": (Verdict.LOST, "a sorry server is in while no real server is"),
    "log_all_failures": (Verdict.NEEDLESS, "every check's last result is in `lvsctl checks`"),
}

TOP: Words = {
    "static_ipaddress": (Verdict.LOST, "addresses that stay on one host are the host's own business"),
    "static_routes": _ROUTES,
    "static_rules": _ROUTES,
    "linkbeat_use_polling": _AGENT,
    "linkbeat_interfaces": _AGENT,
    "garp_group": _ARP,
    "vrrp_script": (Verdict.LOST, "no program decides on the role"),
    "vrrp_track_process": (Verdict.LOST, "no other process decides on the role"),
    "vrrp_track_file": (Verdict.LOST, "no file decides on the role"),
    "track_file": (Verdict.LOST, "no file decides on the role"),
    "bfd_instance": (Verdict.LOST, "heartbeats alone decide on the role"),
    "net_namespace": (Verdict.LOST, "the agent runs where it is started"),
    "SSL": (Verdict.LOST, "a check shows no certificate of its own"),
    **{name: words for name, words in GLOBAL_DEFS.items() if name in {"use_pid_dir", "instance", "process_names"}},
}


def say_all(ledger: Ledger, statement: Statement, verdict: Verdict, words: str) -> None:
    """The same of a statement and of everything in it."""
    for each in statement.all():
        ledger.say(each.line, verdict, words)


def look_up(ledger: Ledger, statement: Statement, known: Words, where: str) -> None:
    """Say what is known of a statement that became nothing."""
    if statement.word in known:
        say_all(ledger, statement, *known[statement.word])
    else:
        say_all(ledger, statement, Verdict.ERROR, f"{statement.word[:60]} is no word {where} that is known here")
