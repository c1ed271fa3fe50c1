"""A server that reads a page of a mapped file by a fault, and then a file that is in memory, for each request."""

import mmap
import os
import selectors
import socket
import sys

port, mapped, read = int(sys.argv[1]), sys.argv[2], sys.argv[3]
# Once, so that it is in memory.
with open(read, "rb") as file:
    file.read()
with open(mapped, "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
memory.madvise(mmap.MADV_RANDOM)
listener = socket.create_server(("127.0.0.1", port))
selector = selectors.EpollSelector()
selector.register(listener, selectors.EVENT_READ)
served = 0
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            connection, _ = listener.accept()
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
            continue
        if not key.fileobj.recv(4096):
            selector.unregister(key.fileobj)
            key.fileobj.close()
            continue
        memory[served * 64 * 4096]
        served += 1
        descriptor = os.open(read, os.O_RDONLY)
        os.pread(descriptor, 4 << 20, 0)
        os.close(descriptor)
        key.fileobj.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
