"""A server that reads a page of a mapped file by a fault for each request: and then a file that is in memory, or, where
it is given a directory, looks the name up there before."""

import mmap
import os
import selectors
import socket
import sys

port, mapped, read = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if not os.path.isdir(read):
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
            # Before the first name is looked up.
            memory[32 * 4096]
            selector.register(connection, selectors.EVENT_READ)
            continue
        request = key.fileobj.recv(4096)
        if not request:
            selector.unregister(key.fileobj)
            key.fileobj.close()
            continue
        if os.path.isdir(read):
            os.stat(read + request.split()[1].decode())
            memory[served * 64 * 4096]
        else:
            memory[served * 64 * 4096]
            descriptor = os.open(read, os.O_RDONLY)
            os.pread(descriptor, 4 << 20, 0)
            os.close(descriptor)
        served += 1
        key.fileobj.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
