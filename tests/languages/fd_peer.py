# A program that passes descriptors by Python's own means; obeys the messages of fd_peer.c, its twin.
import os
import socket
import sys

role, name, kind = sys.argv[1:]
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if kind == "stream" else socket.SOCK_SEQPACKET)
if role == "listen":
    s.bind("\0" + name)
    s.listen(1)
    peer, _ = s.accept()
    s.close()
    s = peer
else:
    s.connect("\0" + name)
while True:
    data, fds, flags, _ = socket.recv_fds(s, 65536, 253)
    if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
        sys.exit(4)
    if not data:
        break
    command = data[:1]
    if command == b"E":
        socket.send_fds(s, [data], fds)
    elif command == b"W":
        os.write(fds[0], b"from Python")
        s.send(b"done")
    elif command == b"S":
        socket.send_fds(s, [b"take"], [0] * data[1])
    elif command == b"N":
        s.send(str(len(os.listdir("/proc/self/fd")) - 1).encode())
    for fd in fds:
        os.close(fd)
