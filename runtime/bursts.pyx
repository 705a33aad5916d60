# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""HOT PATH, compiled: datagrams of many peers, many in one call of the system.

    receive   socket ► [(datagram, address)]
    send      [(datagram, address)] ► socket

`udp` does the same one by one, where this was not compiled and for IPv6. An address is
made once for all that comes from it, and read once for all that goes to it.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.exc cimport PyErr_SetFromErrno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

import socket

cdef extern from *:
    """
    #include <netinet/in.h>
    #include <sys/socket.h>

    #ifndef __linux__
    /* Elsewhere one call is as many as there are datagrams. */
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };

    static int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count,
                        int flags, void *timeout)
    {
        unsigned int i;
        for (i = 0; i < count; i++) {
            ssize_t size = recvmsg(fd, &messages[i].msg_hdr, flags);
            if (size < 0)
                return i ? (int)i : -1;
            messages[i].msg_len = (unsigned int)size;
        }
        return (int)count;
    }

    static int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count,
                        int flags)
    {
        unsigned int i;
        for (i = 0; i < count; i++)
            if (sendmsg(fd, &messages[i].msg_hdr, flags) < 0)
                return i ? (int)i : -1;
        return (int)count;
    }
    #endif
    """
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct in_addr:
        uint32_t s_addr
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    int recvmmsg(int, mmsghdr *, unsigned int, int, void *)
    int sendmmsg(int, mmsghdr *, unsigned int, int)
    int MSG_DONTWAIT
    int AF_INET
    uint16_t htons(uint16_t)

cdef enum:
    BURST = 64
    ROOM_BYTES = 2048
    PITCH_BYTES = 2112
    KNOWN_BITS = 12
    KNOWN = 4096

MAX_DATAGRAMS = BURST
"""Read in one call."""

# Rows begin in different sets of the processor's cache, as they would not at 2,048.
cdef uint8_t room[BURST][PITCH_BYTES]
cdef sockaddr_in names[BURST]
cdef iovec parts[BURST]
cdef mmsghdr messages[BURST]

# Addresses by a hash, one in a place: the latest. A process has some hundred callers.
cdef uint64_t numbers[KNOWN]
cdef list from_numbers = [None] * KNOWN
cdef list tuples = [None] * KNOWN
cdef sockaddr_in from_tuples[KNOWN]

for _i in range(BURST):
    messages[_i].msg_hdr.msg_name = &names[_i]
    messages[_i].msg_hdr.msg_iov = &parts[_i]
    messages[_i].msg_hdr.msg_iovlen = 1


cdef inline int place(uint64_t number) noexcept:
    return <int>(number * <uint64_t>0x9E3779B97F4A7C15 >> (64 - KNOWN_BITS))


cdef object address_of(sockaddr_in *name):
    """Return a host and a port."""
    cdef uint64_t number = <uint64_t>name.sin_addr.s_addr << 16 | name.sin_port
    cdef int at = place(number)
    if numbers[at] != number or from_numbers[at] is None:
        host = socket.inet_ntoa((<char *>&name.sin_addr)[:4])
        from_numbers[at] = host, socket.ntohs(name.sin_port)
        numbers[at] = number
    return from_numbers[at]


cdef sockaddr_in *name_of(tuple address) except NULL:
    """Return what the system calls a host and a port.

    Raises:
        OSError: The host is no IPv4 address.
    """
    cdef int at = place(<uintptr_t><void *>address)
    if tuples[at] is not address:
        host, port = address
        number = socket.inet_aton(host)
        memcpy(&from_tuples[at].sin_addr, PyBytes_AS_STRING(number), 4)
        from_tuples[at].sin_family = AF_INET
        from_tuples[at].sin_port = htons(port)
        tuples[at] = address
    return &from_tuples[at]


def receive(int fd, list burst not None):
    """Read what has come to an IPv4 socket, `MAX_DATAGRAMS` at most.

    Returns:
        How many datagrams were added to the burst, each with its address.

    Raises:
        OSError: Nothing was read.
    """
    cdef int i, count
    for i in range(BURST):
        parts[i].iov_base = &room[i][0]
        parts[i].iov_len = ROOM_BYTES
        messages[i].msg_hdr.msg_namelen = sizeof(sockaddr_in)
    count = recvmmsg(fd, messages, BURST, MSG_DONTWAIT, NULL)
    if count < 0:
        PyErr_SetFromErrno(OSError)
    for i in range(count):
        datagram = PyBytes_FromStringAndSize(<char *>room[i], messages[i].msg_len)
        burst.append((datagram, address_of(&names[i])))
    return count


def send(int fd, outbox):
    """Send datagrams, each to its IPv4 address, now or never.

    Returns:
        How many were refused: the buffer was full, the datagram too large, or an earlier
        one had left an error of ICMP.
    """
    cdef int count = 0, refused = 0
    cdef list held = []
    cdef bytes datagram
    for data, address in outbox:
        if count == BURST:
            refused += send_all(fd, count)
            count = 0
        if type(data) is not bytes:
            data = bytes(data)
            held.append(data)
        datagram = data
        try:
            names[count] = name_of(address)[0]
        except OSError:
            refused += 1
            continue
        parts[count].iov_base = PyBytes_AS_STRING(datagram)
        parts[count].iov_len = PyBytes_GET_SIZE(datagram)
        messages[count].msg_hdr.msg_namelen = sizeof(sockaddr_in)
        count += 1
    return refused + send_all(fd, count)


cdef int send_all(int fd, int count) noexcept:
    """Send what was made ready; return how many datagrams were refused."""
    cdef int done = 0, refused = 0, sent
    while done < count:
        sent = sendmmsg(fd, &messages[done], count - done, MSG_DONTWAIT)
        if sent < 0:  # the first of them is at fault
            refused += 1
            sent = 1
        done += sent
    return refused
