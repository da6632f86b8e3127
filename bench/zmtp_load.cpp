// A load of ZMTP 3.0 peers (ZeroMQ RFC 23), each on a connection of its own, in one epoll loop:
//   dealer: DEALER clients of a ROUTER server that answers with what it was asked; with `sessions` as queue
//           devices would, each request by the next of so many addresses, all of which were there before,
//   push:   PUSH senders in front of a device, PULL receivers behind it,
//   pub:    PUB senders in front of a device, SUB receivers behind it, who get everything.
// A sender keeps `window` messages out: the next one leaves when one has arrived at all who are to get it,
// so nothing is dropped for want of room, and the rate is the highest at which nothing is lost.
//
// Every message that arrives is matched: a sender, a number that is out, the body unchanged.

#include "load.h"

#include <csignal>
#include <map>

#include <sys/prctl.h>

namespace {

constexpr uint8_t MORE = 1, LONG = 2, COMMAND = 4;
constexpr size_t GREETING = 64;
constexpr uint32_t PROBE = UINT32_MAX;  // as a slot: tells that a subscription is there
constexpr int64_t PROBE_EVERY = 10 * MS;

struct Stamp {  // how a body begins
    uint32_t sender, slot;
    uint64_t number;
};

struct Slot {
    uint64_t number = 0;
    int64_t sent = 0;
    uint32_t left = 0;  // receivers that have not got it yet
};

struct Frame {
    uint8_t flags;
    const char *body;  // into the connection's buffer, until compact()
    size_t size;
};

struct Peer : Connection {
    bool greeted = false, ready = false, probed = false;
    bool skip = false;  // a later frame of a message

    void append(uint8_t flags, const char *body, size_t size) {
        if (size > 255) {
            out += static_cast<char>(flags | LONG);
            for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
        } else {
            out += static_cast<char>(flags);
            out += static_cast<char>(size);
        }
        out.append(body, size);
    }
    void greet(const char *type) {
        std::string greeting("\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL", 16);
        greeting.resize(GREETING);
        std::string body("\5READY\x0bSocket-Type\0\0\0", 21);
        body += static_cast<char>(strlen(type));
        body += type;
        out += greeting;
        append(COMMAND, body.data(), body.size());
    }
    bool next(Frame &f) {
        if (!greeted) {
            if (in.size() < at + GREETING) return false;
            greeted = true;
            at += GREETING;
        }
        size_t left = in.size() - at, head = 2;
        if (left < head) return false;
        const auto *p = reinterpret_cast<const unsigned char *>(in.data()) + at;
        uint64_t size = p[1];
        if (p[0] & LONG) {
            head = 9;
            if (left < head) return false;
            size = 0;
            for (int i = 1; i < 9; i++) size = size << 8 | p[i];
        }
        if (left - head < size) return false;
        f = Frame{static_cast<uint8_t>(p[0] & ~LONG), in.data() + at + head, size};
        at += head + size;
        return true;
    }
};

class Run {
public:
    explicit Run(const Options &options) : o(options), asks(o.kind == "dealer"), publishes(o.kind == "pub") {}
    void connect_all();
    void run();
    void print() const;
    bool good() const { return !lost && !wrong; }

private:
    void add(uint32_t index, int port, const char *type);
    void turn(int64_t until);
    void take(Peer &p, const Frame &f);
    void arrived(Peer &p, const Frame &f);
    void warm_up();
    void send(uint32_t sender, uint32_t slot);
    void probe();

    const Options &o;
    bool asks, publishes;
    int epoll = -1;
    std::vector<Peer> peers;  // the senders, then the receivers
    std::vector<std::vector<Slot>> slots;
    std::string fill, body;
    Histogram latencies;
    bool sending = false;
    uint32_t ready = 0, probed = 0;
    std::vector<uint32_t> session;  // by sender
    uint64_t sent = 0, done = 0, lost = 0, wrong = 0, out = 0;
    int64_t start = 0, end = 0;
    double own_cpu = 0, loop_cpu = 0, io_cpu = 0;
};

void Run::add(uint32_t index, int port, const char *type) {
    Peer &p = peers[index];
    p.index = index;
    p.open(port);
    p.greet(type);
    watch(epoll, p.fd, index);
    p.flush(epoll);
}

void Run::connect_all() {
    epoll = epoll_create1(EPOLL_CLOEXEC);
    uint32_t receivers = asks ? 0 : o.workers;
    peers.resize(o.clients + receivers);
    slots.assign(o.clients, std::vector<Slot>(o.window));
    session.assign(o.clients, 0);
    fill.resize(o.size);
    for (size_t i = 0; i < fill.size(); i++) fill[i] = static_cast<char>(0x21 + i % 94);
    body = fill;
    for (uint32_t i = 0; i < receivers; i++) add(o.clients + i, o.backend, publishes ? "SUB" : "PULL");
    for (uint32_t i = 0; i < o.clients; i++)
        add(i, o.port, asks ? "DEALER" : publishes ? "PUB" : "PUSH");
    int64_t give_up = now_ns() + PATIENCE_NS;
    while (ready < peers.size() || (publishes && probed < receivers)) {
        if (now_ns() > give_up) {
            fprintf(stderr, "%u of %zu connections are ready after 10 s\n", ready, peers.size());
            exit(1);
        }
        if (publishes && ready == peers.size()) probe();
        turn(now_ns() + PROBE_EVERY);
    }
}

// A subscription takes its time: what is sent until each receiver has got something is no part of it.
void Run::probe() {
    Stamp stamp{0, PROBE, 0};
    memcpy(&body[0], &stamp, sizeof stamp);
    peers[0].append(0, body.data(), body.size());
    peers[0].flush(epoll);
}

void Run::turn(int64_t until) {
    epoll_event events[EVENTS];
    int count = wait_for(epoll, events, until);
    for (int e = 0; e < count; e++) {
        Peer &p = peers[events[e].data.u32];
        if (events[e].events & ~static_cast<uint32_t>(EPOLLOUT)) {
            if (!p.read_some()) fail("a connection was closed by the other side");
            Frame f;
            while (p.next(f)) take(p, f);
            p.compact();
        }
        p.flush(epoll);
    }
    // What a turn has freed leaves together.
    if (!asks)
        for (uint32_t i = 0; i < o.clients; i++)
            if (!peers[i].out.empty() && !peers[i].waiting) peers[i].flush(epoll);
}

void Run::take(Peer &p, const Frame &f) {
    if (!(f.flags & COMMAND)) {
        // A PUB is sent subscriptions as messages (ZMTP 3.0).
        bool receives = asks || p.index >= o.clients, first = !p.skip;
        p.skip = f.flags & MORE;
        if (receives && !p.skip && first == !o.sessions) arrived(p, f);
        else if (receives && !o.sessions) wrong++;
        return;
    }
    if (f.size >= 6 && memcmp(f.body, "\5READY", 6) == 0) {
        p.ready = true;
        ready++;
        if (publishes && p.index >= o.clients) p.append(0, "\1", 1);  // to all topics
    } else if (f.size >= 7 && memcmp(f.body, "\4PING", 5) == 0) {
        std::string pong = "\4PONG" + std::string(f.body + 7, f.size - 7);
        p.append(COMMAND, pong.data(), pong.size());
    } else if (f.size >= 6 && memcmp(f.body, "\5ERROR", 6) == 0) {
        fprintf(stderr, "the other side does not want this peer\n");
        exit(1);
    }
}

void Run::arrived(Peer &p, const Frame &f) {
    Stamp stamp;
    if (f.size == o.size) memcpy(&stamp, f.body, sizeof stamp);
    if (f.size == o.size && stamp.slot == PROBE && !stamp.sender) {
        probed += !p.probed;
        p.probed = true;
        return;
    }
    if (f.size != o.size || stamp.sender >= o.clients || stamp.slot >= o.window ||
        (asks && stamp.sender != p.index) ||
        memcmp(f.body + sizeof stamp, fill.data() + sizeof stamp, o.size - sizeof stamp) != 0) {
        wrong++;
        return;
    }
    Slot &slot = slots[stamp.sender][stamp.slot];
    if (!slot.left || slot.number != stamp.number) {
        wrong++;
        return;
    }
    if (--slot.left) return;
    out--;
    done++;
    latencies.add(now_ns() - slot.sent);
    if (sending) send(stamp.sender, stamp.slot);
}

void Run::send(uint32_t sender, uint32_t place) {
    slots[sender][place] = Slot{++sent, now_ns(), publishes ? o.workers : 1};
    out++;
    Stamp stamp{sender, place, sent};
    memcpy(&body[0], &stamp, sizeof stamp);
    if (o.sessions) {
        uint32_t name = session[sender]++ % (o.sessions / o.clients);
        peers[sender].append(MORE, reinterpret_cast<const char *>(&name), sizeof name);
        peers[sender].append(MORE, "", 0);
    }
    peers[sender].append(0, body.data(), body.size());
}

// All sessions are there when the measurement begins.
void Run::warm_up() {
    sending = true;
    for (uint32_t i = 0; i < o.clients; i++) {
        for (uint32_t slot = 0; slot < o.window; slot++) send(i, slot);
        peers[i].flush(epoll);
    }
    int64_t give_up = now_ns() + 6 * PATIENCE_NS;
    while (done < 2 * uint64_t(o.sessions) && now_ns() < give_up) turn(now_ns() + 10 * MS);
    latencies = Histogram();
    done = 0;
}

void Run::run() {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    warm_up();
    double own = cpu_of_process(0), all = cpu_of_process(o.broker_pid), io = cpu_of_process(o.broker_pid, true);
    start = now_ns();
    end = start + static_cast<int64_t>(o.duration * SECOND);
    while (now_ns() < end) turn(std::min(end, now_ns() + 100 * MS));
    sending = false;
    own_cpu = cpu_of_process(0) - own;
    io_cpu = cpu_of_process(o.broker_pid, true) - io;
    loop_cpu = cpu_of_process(o.broker_pid) - all - io_cpu;
    int64_t give_up = now_ns() + static_cast<int64_t>(o.timeout * SECOND);
    uint64_t measured = done;
    while (out && now_ns() < give_up) turn(now_ns() + 10 * MS);
    lost = out;
    done = measured;
}

void Run::print() const {
    printf("{\n  \"ok\": %s,\n  \"seconds\": %.6f,\n", good() ? "true" : "false", o.duration);
    printf("  \"requests_per_second\": %.3f,\n", done / o.duration);
    printf("  \"sent\": %lu, \"replies\": %lu, \"lost\": %lu, \"duplicates\": 0, \"wrong\": %lu, "
           "\"errors\": 0, \"unsent\": 0,\n  \"latency_ms\": {", sent, done, lost, wrong);
    const std::map<std::string, double> shares{{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}};
    for (const auto &[name, share] : shares)
        printf("\"%s\": %.6f, ", name.c_str(), latencies.quantile(share) / 1e6);
    printf("\"max\": %.6f},\n", latencies.max / 1e6);
    double count = std::max<uint64_t>(done, 1);
    printf("  \"broker_cpu\": {\"loop\": %.6f, \"io\": %.6f, \"loop_us_per_request\": %.4f, "
           "\"io_us_per_request\": %.4f},\n", loop_cpu, io_cpu, loop_cpu / count * 1e6, io_cpu / count * 1e6);
    printf("  \"generator_cpu\": {\"share\": %.4f}\n}\n", own_cpu / o.duration);
}

}  // namespace

int main(int argc, char **argv) {
    Options options = Options::parse(argc, argv);
    if (options.kind != "dealer" && options.kind != "push" && options.kind != "pub") Options::usage("--kind");
    if (!options.broker_pid || options.duration <= 0 || options.rate > 0) Options::usage("values");
    signal(SIGPIPE, SIG_IGN);
    allow_files();
    Run run(options);
    run.connect_all();
    run.run();
    run.print();
    return run.good() ? 0 : 1;
}
