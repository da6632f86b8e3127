// What the loads in C++ are made of: options, a connection, a histogram, CPU times.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <cerrno>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

constexpr int64_t SECOND = 1000000000, MS = 1000000;
constexpr int64_t PATIENCE_NS = 10 * SECOND;  // for connecting
constexpr int EVENTS = 256;
constexpr size_t READ_SIZE = 64 * 1024;

[[noreturn]] inline void fail(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

inline int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

inline void allow_files() {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// Seconds of CPU of all threads of a process that live now; 0 is this process.  Of libzmq's alone, where
// that is asked for.
inline double cpu_of_process(int pid, bool libzmq_only = false) {
    std::string folder = "/proc/" + (pid ? std::to_string(pid) : std::string("self")) + "/task/";
    DIR *tasks = opendir(folder.c_str());
    if (!tasks) fail(folder.c_str());
    double total = 0;
    while (dirent *task = readdir(tasks)) {
        double spent = 0;
        std::string name;
        if (task->d_name[0] == '.') continue;
        if (libzmq_only) {
            std::getline(std::ifstream(folder + task->d_name + "/comm"), name);
            if (name.rfind("ZMQbg", 0) != 0) continue;
        }
        if (std::ifstream(folder + task->d_name + "/schedstat") >> spent) total += spent / SECOND;
    }
    closedir(tasks);
    return total;
}

struct Options {
    int port = 4222, backend = 0, pin = -1, broker_pid = 0;
    std::string kind;  // of the senders
    uint32_t clients = 64, window = 1, workers = 64, size = 64;
    uint64_t requests = 0;  // 0: as many as the duration allows
    uint32_t sessions = 0;  // of a server: requests come by as many addresses, in turn
    double duration = 0, rate = 0;
    double timeout = 10;  // seconds to wait for what is out at the end

    static Options parse(int argc, char **argv) {
        Options o;
        for (int i = 1; i < argc; i += 2) {
            std::string name = argv[i];
            if (i + 1 == argc) usage(name);
            const char *value = argv[i + 1];
            if (name == "--port") o.port = atoi(value);
            else if (name == "--backend") o.backend = atoi(value);
            else if (name == "--kind") o.kind = value;
            else if (name == "--pin") o.pin = atoi(value);
            else if (name == "--broker-pid") o.broker_pid = atoi(value);
            else if (name == "--clients") o.clients = atoi(value);
            else if (name == "--window") o.window = atoi(value);
            else if (name == "--workers") o.workers = atoi(value);
            else if (name == "--size") o.size = atoi(value);
            else if (name == "--sessions") o.sessions = atoi(value);
            else if (name == "--requests") o.requests = atoll(value);
            else if (name == "--duration") o.duration = atof(value);
            else if (name == "--rate") o.rate = atof(value);
            else if (name == "--timeout") o.timeout = atof(value);
            else usage(name);
        }
        if (!o.clients || !o.window || o.size < 16 || (!o.requests && o.duration <= 0)) usage("values");
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        if (o.pin >= 0) {
            CPU_SET(o.pin, &cpus);
            if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) fail("--pin");
        }
        return o;
    }

    [[noreturn]] static void usage(const std::string &what) {
        fprintf(stderr, "%s: %s: --port P --clients N --window W --workers N --size BYTES (16 or more) "
                "--requests N | --duration S [--rate R] [--timeout S] [--pin CPU] [--broker-pid PID] "
                "[--backend P] [--kind dealer|push|pub] [--sessions N]\n", program_invocation_short_name, what.c_str());
        exit(2);
    }
};

// Buckets at most 1/128 as wide as the times in them, as brigantine's own; in nanoseconds.
struct Histogram {
    std::vector<uint64_t> buckets = std::vector<uint64_t>(64 * 128);
    uint64_t count = 0;
    int64_t max = 0;

    static size_t index(uint64_t value) {
        if (value < 128) return value;
        int shift = 56 - __builtin_clzll(value);  // brings it to 128..255
        return (shift + 1) * 128 + (value >> shift) - 128;
    }
    static uint64_t top(size_t index) {
        if (index < 128) return index;
        size_t shift = index / 128 - 1;
        return ((index % 128 + 129) << shift) - 1;
    }
    void add(int64_t value) {
        buckets[index(std::max<int64_t>(value, 0))]++;
        count++;
        max = std::max(max, value);
    }
    double quantile(double share) const {
        uint64_t rank = std::max<uint64_t>(1, static_cast<uint64_t>(share * count + 0.999999)), seen = 0;
        for (size_t i = 0; i < buckets.size(); i++)
            if ((seen += buckets[i]) >= rank && count) return std::min<double>(top(i), max);
        return 0;
    }
};

// One connection: what was read and not yet handled, and what is still to be written.
struct Connection {
    int fd = -1;
    uint32_t index = 0;
    std::string in, out;
    size_t at = 0;  // handled up to here
    size_t written = 0;
    bool waiting = false;  // for room to write

    void open(int port) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to) != 0) fail("connect");
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    bool read_some() {
        size_t before = in.size();
        in.resize(before + READ_SIZE);
        ssize_t got = recv(fd, &in[before], READ_SIZE, MSG_DONTWAIT);
        in.resize(before + std::max<ssize_t>(got, 0));
        return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    }

    void compact() {
        in.erase(0, at);
        at = 0;
    }

    void flush(int epoll) {
        while (written < out.size()) {
            ssize_t sent = send(fd, out.data() + written, out.size() - written, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0 && errno != EAGAIN) fail("send");
            if (sent < 0) break;
            written += sent;
        }
        bool rest = written < out.size();
        if (!rest) {
            out.clear();
            written = 0;
        }
        if (rest != waiting) {
            waiting = rest;
            epoll_event event{};
            event.events = EPOLLIN | (rest ? EPOLLOUT : 0u);
            event.data.u32 = index;
            if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) fail("epoll_ctl");
        }
    }
};

// Wait until then at the longest; how many connections have something.
inline int wait_for(int epoll, epoll_event (&events)[EVENTS], int64_t until) {
    int64_t left = until - now_ns();
    if (left > 0) {
        pollfd descriptor{epoll, POLLIN, 0};
        timespec wait{left / SECOND, left % SECOND};
        ppoll(&descriptor, 1, &wait, nullptr);
    }
    return epoll_wait(epoll, events, EVENTS, 0);
}

inline void watch(int epoll, int fd, uint32_t index) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = index;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}
