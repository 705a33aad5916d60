"""What compiled modules need of RTP: the numbers in its header, in network order."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HEADER_BYTES = 12


cdef inline uint16_t read_u16(const uint8_t *at) noexcept:
    return <uint16_t>(at[0] << 8 | at[1])


cdef inline uint32_t read_u32(const uint8_t *at) noexcept:
    return <uint32_t>at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]


cdef inline void write_u16(uint8_t *at, uint16_t value) noexcept:
    at[0] = value >> 8
    at[1] = value & 0xFF


cdef inline void write_u32(uint8_t *at, uint32_t value) noexcept:
    at[0] = value >> 24
    at[1] = value >> 16 & 0xFF
    at[2] = value >> 8 & 0xFF
    at[3] = value & 0xFF
