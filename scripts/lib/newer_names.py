"""Calls the functions that glibc 2.31 lacks and the library exports, as a program does that looks for them by `dlsym`."""

import ctypes
import errno
import os

found = ctypes.CDLL(None, use_errno=True)


class Event(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


def check(name, result, wanted):
    assert result == wanted, f"{name}: {result} (errno {ctypes.get_errno()}) and not {wanted}"


buffer = ctypes.create_string_buffer(4096)
inode = os.stat("/etc/passwd").st_ino
with open("/etc/passwd", "rb") as file:
    by_path, by_fd = (b"/etc/passwd", buffer), (file.fileno(), buffer)
    for name, arguments in {
        "stat": by_path,
        "stat64": by_path,
        "lstat": by_path,
        "lstat64": by_path,
        "fstat": by_fd,
        "fstat64": by_fd,
        "fstatat": (-100, *by_path, 0),
        "fstatat64": (-100, *by_path, 0),
    }.items():
        ctypes.memset(buffer, 0, 4096)
        check(name, found[name](*arguments), 0)
        check(name, int.from_bytes(buffer[8:16], "little"), inode)
check("stat", found.stat(b"/no/such", buffer), -1)
check("stat", ctypes.get_errno(), errno.ENOENT)

number = os.open("/", os.O_RDONLY)
check("close_range", found.close_range(number, number, 0), 0)
check("execveat", found.execveat(-1, b"no/such", None, None, 0), -1)
check("execveat", ctypes.get_errno(), errno.EBADF)

# What is not asked for before its time has come: it would be all of the process's.
instance, (readable, writable) = found.epoll_create1(0), os.pipe()
event = Event(1, 7)
check("epoll_ctl", found.epoll_ctl(instance, 1, readable, ctypes.byref(event)), 0)
soon = (ctypes.c_long * 2)(0, 1_000_000)
check("epoll_pwait2", found.epoll_pwait2(instance, ctypes.byref(event), 1, soon, None), 0)
os.write(writable, b"x")
check("epoll_pwait2", found.epoll_pwait2(instance, ctypes.byref(event), 1, None, None), 1)
check("epoll_pwait2", event.data, 7)

found.closefrom(3)
check("closefrom", os.listdir("/proc/self/fd") and found.close(writable), -1)
print("all functions that glibc lacks do what a newer one does")
