"""A server beside whose loop another thread is busy: it reads files that nobody asks for (`files DIRECTORY`), or it has the
interpreter's lock for most of the time (`lock -`), and the loop reads a large file that is in memory for each request."""

import os
import selectors
import socket
import sys
import threading

port, root, how, directory = int(sys.argv[1]), *sys.argv[2:]


def read_files():
    """One after the other, all of them cold."""
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb", buffering=0) as file:
            file.read()


def spin():
    """Python hands the lock on where another thread has waited for it for so long."""
    while True:
        pass


sys.setswitchinterval(0.002)
large = os.path.join(root, "file")
if how == "lock":
    # Once, so that it is in memory.
    with open(large, "rb") as file:
        file.read()
listener = socket.create_server(("127.0.0.1", port))
selector = selectors.EpollSelector()
selector.register(listener, selectors.EVENT_READ)
threading.Thread(target={"files": read_files, "lock": spin}[how], daemon=True).start()
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            connection, _ = listener.accept()
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
            continue
        request = key.fileobj.recv(4096)
        if not request:
            selector.unregister(key.fileobj)
            key.fileobj.close()
            continue
        path = large if how == "lock" else root + request.split()[1].decode()
        descriptor = os.open(path, os.O_RDONLY)
        os.pread(descriptor, 4 << 20, 0)
        os.close(descriptor)
        key.fileobj.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
