#!/usr/bin/python3
"""Writes a filter of system calls to standard output, as `bwrap --seccomp` takes it:

    filters.py container PROFILE   the container runtimes' profile, for a container with the usual capabilities
    filters.py unit                systemd's for MemoryDenyWriteExecute=, RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6,
                                   RestrictNamespaces=, LockPersonality= and RestrictRealtime=
"""

import errno
import json
import mmap
import platform
import socket
import sys

from seccomp import ALLOW, EQ, ERRNO, GE, GT, LE, LT, MASKED_EQ, NE, Arch, Arg, SyscallFilter, resolve_syscall

COMPARISONS = {"EQ": EQ, "NE": NE, "LT": LT, "LE": LE, "GT": GT, "GE": GE}
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


USUAL = {
    "CAP_" + name
    for name in "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split()
}


def is_here(rule):
    """Whether a rule is for this machine and these capabilities."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    return (
        USUAL.issuperset(includes.get("caps", []))
        and USUAL.isdisjoint(excludes.get("caps", []))
        and ARCHITECTURE in includes.get("arches", [ARCHITECTURE])
        and ARCHITECTURE not in excludes.get("arches", [])
    )


def container(path):
    """The rules of a profile in the format of the container runtimes."""
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)
    usual = ERRNO(profile["defaultErrnoRet"])
    rules = SyscallFilter(usual)
    for rule in filter(is_here, profile["syscalls"]):
        action = ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else ERRNO(rule["errnoRet"])
        arguments = []
        for argument in rule["args"] or []:
            comparison = COMPARISONS[argument["op"].removeprefix("SCMP_CMP_")]
            arguments.append(Arg(argument["index"], comparison, argument["value"]))
        for name in rule["names"]:
            if resolve_syscall(Arch(), name) >= 0:
                rules.add_rule(action, name, *arguments)
    return rules


# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
NAMESPACES = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
SHM_EXEC = 0o100000
# SCHED_FIFO, SCHED_RR.
REAL_TIME = (1, 2)


def unit():
    """All that is in the way of one of these settings."""
    rules = SyscallFilter(ALLOW)
    both = mmap.PROT_WRITE | mmap.PROT_EXEC
    rules.add_rule(ERRNO(errno.EPERM), "mmap", Arg(2, MASKED_EQ, both, both))
    for name in ("mprotect", "pkey_mprotect"):
        rules.add_rule(ERRNO(errno.EPERM), name, Arg(2, MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC))
    rules.add_rule(ERRNO(errno.EPERM), "shmat", Arg(2, MASKED_EQ, SHM_EXEC, SHM_EXEC))
    families = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}
    for family in range(64):
        if family not in families:
            rules.add_rule(ERRNO(errno.EAFNOSUPPORT), "socket", Arg(0, EQ, family))
    for flag in NAMESPACES:
        for name in ("unshare", "clone"):
            rules.add_rule(ERRNO(errno.EPERM), name, Arg(0, MASKED_EQ, flag, flag))
    # Its flags are in memory, where no filter sees them: the C library is to take the older call.
    rules.add_rule(ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(ERRNO(errno.EPERM), "setns")
    rules.add_rule(ERRNO(errno.EPERM), "personality", Arg(0, NE, 0))
    for policy in REAL_TIME:
        rules.add_rule(ERRNO(errno.EPERM), "sched_setscheduler", Arg(1, EQ, policy))
    return rules


def main():
    kind, *arguments = sys.argv[1:]
    rules = {"container": container, "unit": unit}[kind](*arguments)
    rules.export_bpf(sys.stdout)


main()
