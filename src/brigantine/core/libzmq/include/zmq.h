/* The stable C ABI of libzmq, reached through a table instead of the linker.

   The pyzmq wheel carries a libzmq whose file name has a hash in it and whose symbols are not
   global, and no zmq.h.  Linking with -lzmq would load a second libzmq, whose contexts and sockets
   are not those of pyzmq.  So this header, first on the include path, stands in for libzmq's own:
   it declares what brigantine uses (types, constants and functions as in libzmq 4.3, unchanged
   since 4.0) and maps each function to a slot of a table.  zmqapi.pyx fills one table at import
   from the libzmq that pyzmq has loaded; every module points its own `brigantine_zmq` at it. */

#ifndef BRIGANTINE_ZMQ_H
#define BRIGANTINE_ZMQ_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/* The oldest libzmq that zmqapi.pyx lets run. */
#define ZMQ_VERSION_MAJOR 4
#define ZMQ_VERSION_MINOR 3
#define ZMQ_VERSION_PATCH 3
#define ZMQ_MAKE_VERSION(major, minor, patch) ((major) * 10000 + (minor) * 100 + (patch))
#define ZMQ_VERSION ZMQ_MAKE_VERSION(ZMQ_VERSION_MAJOR, ZMQ_VERSION_MINOR, ZMQ_VERSION_PATCH)

/* Where the system has no such error number, libzmq uses one of its own. */
#ifndef EHOSTUNREACH
#define EHOSTUNREACH (156384712 + 11)
#endif
#define ETERM (156384712 + 53)

#define ZMQ_RCVMORE 13
#define ZMQ_FD 14
#define ZMQ_EVENTS 15
#define ZMQ_XPUB_NODROP 69
#define ZMQ_POLLIN 1
#define ZMQ_POLLOUT 2
#define ZMQ_DONTWAIT 1
#define ZMQ_SNDMORE 2
#define ZMQ_SRCFD 2
#define ZMQ_EVENT_ACCEPTED 0x0020
#define ZMQ_EVENT_DISCONNECTED 0x0200

#if defined _WIN32
#if defined _WIN64
typedef unsigned __int64 zmq_fd_t;
#else
typedef unsigned int zmq_fd_t;
#endif
#else
typedef int zmq_fd_t;
#endif

typedef struct zmq_msg_t {
#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64))
    __declspec(align(8)) unsigned char _[64];
#elif defined(_MSC_VER)
    __declspec(align(4)) unsigned char _[64];
#elif defined(__GNUC__) || defined(__clang__)
    unsigned char _[64] __attribute__((aligned(sizeof(void *))));
#else
    unsigned char _[64];
#endif
} zmq_msg_t;

typedef void(zmq_free_fn)(void *data, void *hint);

typedef struct zmq_pollitem_t {
    void *socket;
    zmq_fd_t fd;
    short events;
    short revents;
} zmq_pollitem_t;

/* One slot a function, in the order in which zmqapi.pyx names them. */
typedef struct brigantine_zmq_table {
    void (*version)(int *major, int *minor, int *patch);
    int (*error)(void);
    int (*msg_init)(zmq_msg_t *msg);
    int (*msg_init_size)(zmq_msg_t *msg, size_t size);
    int (*msg_init_data)(zmq_msg_t *msg, void *data, size_t size, zmq_free_fn *done, void *hint);
    int (*msg_send)(zmq_msg_t *msg, void *socket, int flags);
    int (*msg_recv)(zmq_msg_t *msg, void *socket, int flags);
    int (*msg_close)(zmq_msg_t *msg);
    int (*msg_move)(zmq_msg_t *to, zmq_msg_t *from);
    int (*msg_copy)(zmq_msg_t *to, zmq_msg_t *from);
    void *(*msg_data)(zmq_msg_t *msg);
    size_t (*msg_size)(const zmq_msg_t *msg);
    int (*msg_more)(const zmq_msg_t *msg);
    int (*msg_get)(const zmq_msg_t *msg, int property);
    const char *(*msg_gets)(const zmq_msg_t *msg, const char *property);
    int (*getsockopt)(void *socket, int option, void *value, size_t *size);
    int (*setsockopt)(void *socket, int option, const void *value, size_t size);
    int (*poll)(zmq_pollitem_t *items, int count, long timeout);
} brigantine_zmq_table;

/* Set by every module at its import, before anything else (see zmqapi.pxd). */
static const brigantine_zmq_table *brigantine_zmq;

#define zmq_version brigantine_zmq->version
#define zmq_errno brigantine_zmq->error
#define zmq_msg_init brigantine_zmq->msg_init
#define zmq_msg_init_size brigantine_zmq->msg_init_size
#define zmq_msg_init_data brigantine_zmq->msg_init_data
#define zmq_msg_send brigantine_zmq->msg_send
#define zmq_msg_recv brigantine_zmq->msg_recv
#define zmq_msg_close brigantine_zmq->msg_close
#define zmq_msg_move brigantine_zmq->msg_move
#define zmq_msg_copy brigantine_zmq->msg_copy
#define zmq_msg_data brigantine_zmq->msg_data
#define zmq_msg_size brigantine_zmq->msg_size
#define zmq_msg_more brigantine_zmq->msg_more
#define zmq_msg_get brigantine_zmq->msg_get
#define zmq_msg_gets brigantine_zmq->msg_gets
#define zmq_getsockopt brigantine_zmq->getsockopt
#define zmq_setsockopt brigantine_zmq->setsockopt
#define zmq_poll brigantine_zmq->poll

#endif
