#!/usr/bin/python3
"""A client on Python's h2, which asks for documents on one connection, many at once, and writes their bodies to files.

    http2_client.py tls|clear PORT DIR AT_ONCE WINDOW PATH...
"""

import os
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings


def connect(line, port):
    """A connection; what it speaks TLS with trusts anybody, since the server is this machine's."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if line == "clear":
        return connection
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(connection, server_hostname="localhost")


def main(line, port, directory, at_once, window, *paths):
    """Asks for all of them."""
    transport = connect(line, int(port))
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.local_settings = h2.settings.Settings(initial_values={
        h2.settings.SettingCodes.ENABLE_PUSH: 0,
        h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: int(window),
    })
    client.initiate_connection()
    scheme = "http" if line == "clear" else "https"
    left = list(paths)
    open_streams = {}
    while left or open_streams:
        while left and len(open_streams) < int(at_once):
            path = left.pop()
            stream = client.get_next_available_stream_id()
            client.send_headers(stream, [
                (":method", "GET"), (":scheme", scheme), (":authority", "localhost"), (":path", path),
                ("accept", "*/*"),
            ], end_stream=True)
            open_streams[stream] = open(os.path.join(directory, os.path.basename(path)), "wb")
        transport.sendall(client.data_to_send())
        received = transport.recv(65536)
        if not received:
            sys.exit("the server ended the connection")
        for event in client.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                if dict(event.headers)[":status"] != "200":
                    sys.exit(f"{event}")
            elif isinstance(event, h2.events.DataReceived):
                open_streams[event.stream_id].write(event.data)
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                open_streams.pop(event.stream_id).close()
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                sys.exit(f"{event}")
    client.close_connection()
    transport.sendall(client.data_to_send())


main(*sys.argv[1:])
