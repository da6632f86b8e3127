"""Doubly linked lists of small integers, the links in an array beside the things they order.

An index is in at most one of the chains that share an array of links.  All operations are O(1) and
allocate nothing.
"""

cdef enum:
    NIL = -1  # no index: the end of a chain
    OFF = -2  # Link.prev of an index that is in no chain

cdef struct Link:
    int prev  # NIL at the head, OFF outside of any chain
    int next  # NIL at the tail

cdef struct Chain:
    int head    # NIL when empty
    int tail    # NIL when empty
    int length


cdef inline void chain_init(Chain *chain) noexcept nogil:
    chain.head = NIL
    chain.tail = NIL
    chain.length = 0


cdef inline Link chain_off() noexcept nogil:
    """The links of an index that is in no chain."""
    cdef Link link
    link.prev = OFF
    link.next = NIL
    return link


cdef inline bint chain_has(const Link *links, int index) noexcept nogil:
    """Whether `index` is in a chain of `links`."""
    return links[index].prev != OFF


cdef inline void chain_append(Chain *chain, Link *links, int index) noexcept nogil:
    """Put an index that is in no chain at the tail."""
    links[index].prev = chain.tail
    links[index].next = NIL
    if chain.tail == NIL:
        chain.head = index
    else:
        links[chain.tail].next = index
    chain.tail = index
    chain.length += 1


cdef inline void chain_prepend(Chain *chain, Link *links, int index) noexcept nogil:
    """Put an index that is in no chain at the head."""
    links[index].prev = NIL
    links[index].next = chain.head
    if chain.head == NIL:
        chain.tail = index
    else:
        links[chain.head].prev = index
    chain.head = index
    chain.length += 1


cdef inline void chain_insert(Chain *chain, Link *links, int index, int before) noexcept nogil:
    """Put an index that is in no chain right after one that is in this chain."""
    cdef int after = links[before].next
    links[index].prev = before
    links[index].next = after
    links[before].next = index
    if after == NIL:
        chain.tail = index
    else:
        links[after].prev = index
    chain.length += 1


cdef inline void chain_remove(Chain *chain, Link *links, int index) noexcept nogil:
    """Take out an index that is in this chain."""
    cdef Link *link = &links[index]
    if link.prev == NIL:
        chain.head = link.next
    else:
        links[link.prev].next = link.next
    if link.next == NIL:
        chain.tail = link.prev
    else:
        links[link.next].prev = link.prev
    link.prev = OFF
    chain.length -= 1


cdef inline int chain_pop(Chain *chain, Link *links) noexcept nogil:
    """Take out and return the head; NIL when the chain is empty."""
    cdef int index = chain.head
    if index != NIL:
        chain_remove(chain, links, index)
    return index
