"""The little of msgpack that the broker's own answers need: maps and lists of names and counts."""

from libc.stdint cimport uint64_t

cdef enum:
    FIXMAP = 0x80
    FIXARRAY = 0x90
    FIXSTR = 0xA0
    NIL = 0xC0
    BIN8 = 0xC4
    UINT8 = 0xCC
    STR8 = 0xD9
    ARRAY16 = 0xDC
    MAP16 = 0xDE


cdef void pack_number(string *out, uint64_t value, int size) noexcept nogil:
    """Big end first."""
    cdef int shift
    for shift in range(8 * (size - 1), -1, -8):
        out.push_back(<char>((value >> shift) & 0xFF))


cdef void pack_count(string *out, size_t entries, int fixed, int first) noexcept nogil:
    """The head of a list or map: one byte, or one that says that 2 or 4 bytes of count follow."""
    if entries < 16:
        out.push_back(<char>(fixed | entries))
    elif entries < 1 << 16:
        out.push_back(<char>first)
        pack_number(out, entries, 2)
    else:
        out.push_back(<char>(first + 1))
        pack_number(out, entries, 4)


cdef void pack_map(string *out, size_t entries) noexcept nogil:
    pack_count(out, entries, FIXMAP, MAP16)


cdef void pack_array(string *out, size_t entries) noexcept nogil:
    pack_count(out, entries, FIXARRAY, ARRAY16)


cdef void pack_nil(string *out) noexcept nogil:
    out.push_back(<char>NIL)


cdef void pack_uint(string *out, int64_t value) noexcept nogil:
    cdef int index
    if value < 128:
        out.push_back(<char>value)
        return
    for index in range(4):
        if index == 3 or value < <int64_t>1 << (8 << index):
            out.push_back(<char>(UINT8 + index))
            pack_number(out, <uint64_t>value, 1 << index)
            return


cdef void pack_sized(string *out, const char *data, size_t size, int first) noexcept nogil:
    """A head of 1, 2 or 4 bytes of length, whichever is enough; then the data."""
    if size < 1 << 8:
        out.push_back(<char>first)
        pack_number(out, size, 1)
    elif size < 1 << 16:
        out.push_back(<char>(first + 1))
        pack_number(out, size, 2)
    else:
        out.push_back(<char>(first + 2))
        pack_number(out, size, 4)
    out.append(data, size)


cdef void pack_text(string *out, const char *data, size_t size) noexcept nogil:
    if size < 32:
        out.push_back(<char>(FIXSTR | size))
        out.append(data, size)
    else:
        pack_sized(out, data, size, STR8)


cdef void pack_bytes(string *out, const char *data, size_t size) noexcept nogil:
    pack_sized(out, data, size, BIN8)
