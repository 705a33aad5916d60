"""The types that the fields of `fields.py` have in C."""

from libc.stdint cimport int64_t, uint64_t


cdef class AudioFields:
    cdef public OrderFields _order
    cdef public HistoryFields _history
    cdef public object sink
    cdef public double sent_at
    cdef public int64_t _head_samples
    cdef public int _grain_bytes, _max_bytes
    cdef public bint _is_speaking, is_open


cdef class HistoryFields:
    cdef public list _frames
    cdef public uint64_t seq


cdef class LivenessFields:
    cdef public double heard_at


cdef class OpenerFields:
    cdef public uint64_t newest, opened
    cdef public int _epoch


cdef class OrderFields:
    cdef public dict _gaps
    cdef public uint64_t _newest, next_seq


cdef class SealerFields:
    cdef public uint64_t counter
    cdef public int64_t _left
    cdef public int _epoch


cdef class SessionFields:
    cdef public AudioFields audio
