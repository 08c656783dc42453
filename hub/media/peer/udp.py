"""The socket through the C library: many datagrams in per call, one segmented send out (UDP GSO). Linux only.

cffi in ABI mode: nothing is compiled. Structures are those of glibc on 64 bit.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

import cffi

SLOT: Final = 2_048
BATCH: Final = 32
SOL_UDP: Final = 17
UDP_SEGMENT: Final = 103
MSG_DONTWAIT: Final = 0x40
MSG_TRUNC: Final = 0x20

ffi = cffi.FFI()
ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr { void *msg_name; uint32_t msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
                    void *msg_control; size_t msg_controllen; int msg_flags; };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
    int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
    int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
    ssize_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length);
    """
)
libc: Any = ffi.dlopen(None)


def open_socket(host: str, kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket of the host's family; "::" is for both, and for IPv4 alone where the system has no IPv6."""
    if ":" not in host:
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    try:
        sock = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        if host == "::" and error.errno == errno.EAFNOSUPPORT:
            return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        raise
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
    return sock


def bind_to(sock: socket.socket, host: str, port: int) -> None:
    """Bind what ``open_socket`` made. Raises OSError."""
    sock.bind(("0.0.0.0" if host == "::" and sock.family == socket.AF_INET else host, port))  # noqa: S104 - as asked


def bind(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket with large buffers; "::" is for IPv4 as well. Raises OSError."""
    sock = open_socket(host, socket.SOCK_DGRAM)
    try:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        bind_to(sock, host, port)
    except OSError:
        sock.close()
        raise
    return sock


def address_of(path: bytes) -> tuple[str, int]:
    """Address and port of raw ``sockaddr`` bytes; IPv4 inside IPv6 comes out as IPv4."""
    family = struct.unpack_from("=H", path)[0]
    port = struct.unpack_from("!H", path, 2)[0]
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(path[4:8])), port
    ip = ipaddress.IPv6Address(path[8:24])
    return str(ip.ipv4_mapped or ip), port


def path_of(address: str, port: int, family: int) -> bytes:
    """Raw ``sockaddr`` bytes as the kernel names a sender on a socket of this family. Raises ValueError."""
    ip = ipaddress.ip_address(address)
    if family == socket.AF_INET:
        if ip.version != 4:
            raise ValueError("an IPv4 socket does not reach IPv6")
        return struct.pack("=H", family) + struct.pack("!H", port) + ip.packed + bytes(8)
    packed = ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed
    return struct.pack("=H", family) + struct.pack("!HI", port, 0) + packed + bytes(4)


class Inlet:
    """Receives up to BATCH datagrams a call into buffers that live as long as this."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = ffi.new("char[]", SLOT * (BATCH + 1))  # one more for ``put``
        self._names = ffi.new("char[]", 32 * BATCH)
        self._iov = ffi.new("struct iovec[]", BATCH)
        self._messages = ffi.new("struct mmsghdr[]", BATCH)
        self._name_buffer = ffi.buffer(self._names)
        self.buffer: Any = ffi.buffer(self._data)
        self.slots: Final[list[Any]] = [self._data + i * SLOT for i in range(BATCH + 1)]
        self._headers = [self._messages[i].msg_hdr for i in range(BATCH)]
        for i, header in enumerate(self._headers):
            self._iov[i].iov_base = self._data + i * SLOT
            self._iov[i].iov_len = SLOT
            header.msg_name = self._names + i * 32
            header.msg_namelen = 32
            header.msg_iov = self._iov + i
            header.msg_iovlen = 1

    def receive(self) -> Iterator[tuple[int, int, bytes]]:
        """Slot, size and sender of each datagram that waits; size is 0 for one that did not fit its slot."""
        count = libc.recvmmsg(self._fd, self._messages, BATCH, MSG_DONTWAIT, ffi.NULL)
        for i in range(count):
            header = self._headers[i]
            length = header.msg_namelen
            size = 0 if header.msg_flags & MSG_TRUNC else self._messages[i].msg_len
            header.msg_namelen = 32
            yield i, size, self._name_buffer[i * 32 : i * 32 + length]

    def put(self, data: bytes) -> int:
        """Lay a packet that came another way into a slot; which one."""
        ffi.memmove(self.slots[BATCH], data, len(data))
        return BATCH


def send(fd: int, data: bytes, path: bytes) -> int:
    """Send one datagram; 0, or the errno."""
    if libc.sendto(fd, data, len(data), MSG_DONTWAIT, path, len(path)) < 0:
        return int(ffi.errno)
    return 0


def segment_control(size: int) -> Any:
    """A control message that cuts a send into datagrams of ``size`` bytes (Linux UDP_SEGMENT)."""
    control = ffi.new("char[]", 24)
    ffi.buffer(control)[0:18] = struct.pack("@NiiH", 18, SOL_UDP, UDP_SEGMENT, size)
    return control


NO_GSO: Final = frozenset({errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})
