// A load for nats-server of the shape of `brigantine load`: clients that ask and workers of one queue
// group that answer with what they were asked, each on a connection of its own, in one epoll loop.
//
// It favours the server where there is a choice: a client's replies all come to one subject without a
// wildcard (which request is answered stands in the body), and writes of one turn go out together.
// A queue group picks members by chance: a worker may hold several requests while others have none.
//
// Every reply is matched to its request: the right client, a request that is out, the body unchanged.

#include "nats_load.h"

#include <csignal>
#include <map>

#include <sys/epoll.h>
#include <sys/prctl.h>

namespace {

struct Stamp {  // how a body begins
    uint32_t client, slot;
    uint64_t number;
};

struct Slot {
    uint64_t number = 0;  // of the request that is out, or of the last one
    int64_t intended = 0;
    bool out = false;
};

struct Client {
    std::vector<Slot> slots;
    std::vector<uint32_t> free;
    uint64_t issued = 0;  // requests that were meant to be sent, up to now
};

class Run {
public:
    explicit Run(const Options &options) : o(options) {}
    void connect_all();
    void run();
    void print() const;
    bool good() const { return !lost && !duplicates && !wrong && !errors; }

private:
    void turn(int64_t until);
    void take(NatsConnection &c, const Message &m);
    void answered(uint32_t client, const Message &m);
    void pump(uint32_t client, int64_t now);
    int64_t intended(const Client &c, uint32_t index) const {
        return start + static_cast<int64_t>((c.issued * o.clients + index) * spacing);
    }

    const Options &o;
    int epoll = -1;
    std::vector<NatsConnection> connections;  // the workers, then the clients
    std::vector<Client> clients;
    std::vector<uint64_t> served;
    std::string fill, body;
    Histogram latencies;
    bool sending = false;
    uint64_t sent = 0, replies = 0, lost = 0, duplicates = 0, wrong = 0, errors = 0, out = 0, ready = 0;
    uint64_t due = 0;  // open loop: requests whose time has come
    double spacing = 0;
    int64_t start = 0, end = 0, last_reply = 0, worst_lag = 0;
    double own_cpu = 0, server_cpu = 0;
};

void Run::connect_all() {
    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections.resize(o.workers + o.clients);
    served.resize(o.workers);
    clients.resize(o.clients);
    fill.resize(o.size);
    for (size_t i = 0; i < fill.size(); i++) fill[i] = static_cast<char>(0x21 + i % 94);
    body = fill;
    for (uint32_t i = 0; i < connections.size(); i++) {
        NatsConnection &c = connections[i];
        c.index = i;
        c.open(o.port);
        c.out = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c++\",\"version\":\"1\"}\r\n";
        if (i < o.workers)
            c.out += "SUB echo workers 1\r\n";
        else
            c.out += "SUB _I." + std::to_string(i - o.workers) + " 1\r\n";
        c.out += "PING\r\n";  // its PONG says that the subscription is there
        watch(epoll, c.fd, i);
        c.flush(epoll);
    }
    int64_t give_up = now_ns() + PATIENCE_NS;
    while (ready < connections.size()) {
        if (now_ns() > give_up) {
            fprintf(stderr, "%lu of %zu connections are ready after 10 s\n", ready, connections.size());
            exit(1);
        }
        turn(now_ns() + 100 * MS);
    }
    for (Client &c : clients) {
        c.slots.resize(o.window);
        for (uint32_t s = 0; s < o.window; s++) c.free.push_back(o.window - 1 - s);
    }
}

// Wait until then at the longest, and handle what there is.
void Run::turn(int64_t until) {
    epoll_event events[EVENTS];
    int count = wait_for(epoll, events, until);
    for (int e = 0; e < count; e++) {
        NatsConnection &c = connections[events[e].data.u32];
        if (events[e].events & ~static_cast<uint32_t>(EPOLLOUT)) {
            if (!c.read_some()) fail("a connection was closed by the server");
            Message m;
            while (c.next(m)) take(c, m);
            c.compact();
        }
        c.flush(epoll);
    }
}

void Run::take(NatsConnection &c, const Message &m) {
    switch (m.kind) {
    case Message::PING: c.out += "PONG\r\n"; break;
    case Message::PONG: ready++; break;
    case Message::ERROR: errors++; fprintf(stderr, "server: %.*s\n", int(m.size), m.body); break;
    case Message::OTHER: break;
    case Message::MSG:
        if (c.index < o.workers) {
            served[c.index]++;
            c.publish(m.reply, m.reply_size, nullptr, 0, m.body, m.size);
        } else {
            answered(c.index - o.workers, m);
        }
    }
}

void Run::answered(uint32_t index, const Message &m) {
    Client &client = clients[index];
    Stamp stamp;
    if (m.size == o.size) memcpy(&stamp, m.body, sizeof stamp);
    if (m.size != o.size || stamp.client != index || stamp.slot >= o.window ||
        memcmp(m.body + sizeof stamp, fill.data() + sizeof stamp, o.size - sizeof stamp) != 0) {
        wrong++;
        return;
    }
    Slot &slot = client.slots[stamp.slot];
    if (!slot.out || slot.number != stamp.number) {
        // Numbers only grow: what is not above the last one was answered before.
        (stamp.number && stamp.number <= slot.number ? duplicates : wrong)++;
        return;
    }
    slot.out = false;
    client.free.push_back(stamp.slot);
    out--;
    replies++;
    last_reply = now_ns();
    latencies.add(last_reply - slot.intended);
    pump(index, last_reply);
}

// Send what a client is to send, as far as its window allows.
void Run::pump(uint32_t index, int64_t now) {
    Client &client = clients[index];
    NatsConnection &c = connections[o.workers + index];
    while (sending && !client.free.empty() && (!o.requests || sent < o.requests)) {
        int64_t when = now;
        if (o.rate > 0) {
            when = intended(client, index);
            if (when > now || when >= end) return;
            client.issued++;
        }
        uint32_t place = client.free.back();
        client.free.pop_back();
        client.slots[place] = Slot{++sent, when, true};
        out++;
        worst_lag = std::max(worst_lag, now - when);
        Stamp stamp{index, place, sent};
        memcpy(&body[0], &stamp, sizeof stamp);
        std::string reply = "_I." + std::to_string(index);
        c.publish("echo", 4, reply.data(), reply.size(), body.data(), body.size());
    }
}

void Run::run() {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    double own = cpu_of_process(0), server = o.broker_pid ? cpu_of_process(o.broker_pid) : 0;
    start = now_ns();
    end = o.duration > 0 ? start + static_cast<int64_t>(o.duration * SECOND) : INT64_MAX;
    spacing = o.rate > 0 ? SECOND / o.rate : 0;
    sending = true;
    if (o.rate <= 0)
        for (uint32_t i = 0; i < o.clients; i++) {
            pump(i, start);
            connections[o.workers + i].flush(epoll);
        }
    while (true) {
        int64_t now = now_ns();
        if (o.rate > 0)
            for (; due * spacing <= std::min(now, end - 1) - start && (!o.requests || due < o.requests);
                 due++) {
                uint32_t index = due % o.clients;
                pump(index, now);
                connections[o.workers + index].flush(epoll);
            }
        if (now >= end || (o.requests && sent >= o.requests)) break;
        int64_t next = o.rate > 0 ? start + static_cast<int64_t>(due * spacing) : now + 100 * MS;
        turn(std::min(next, end));
    }
    sending = false;
    int64_t give_up = now_ns() + static_cast<int64_t>(o.timeout * SECOND);
    while (out && now_ns() < give_up) turn(now_ns() + 10 * MS);
    lost = out;
    own_cpu = cpu_of_process(0) - own;
    if (o.broker_pid) server_cpu = cpu_of_process(o.broker_pid) - server;
}

void Run::print() const {
    double seconds = double(std::max(last_reply, end == INT64_MAX ? last_reply : end) - start) / SECOND;
    printf("{\n  \"ok\": %s,\n  \"seconds\": %.6f,\n", good() ? "true" : "false", seconds);
    printf("  \"requests_per_second\": %.3f,\n", replies / seconds);
    printf("  \"sent\": %lu, \"replies\": %lu, \"lost\": %lu, \"duplicates\": %lu, \"wrong\": %lu, "
           "\"errors\": %lu,\n", sent, replies, lost, duplicates, wrong, errors);
    printf("  \"unsent\": %lu,\n", o.rate > 0 && due > sent ? due - sent : 0);
    printf("  \"latency_ms\": {");
    const std::map<std::string, double> shares{{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}};
    for (const auto &[name, share] : shares)
        printf("\"%s\": %.6f, ", name.c_str(), latencies.quantile(share) / 1e6);
    printf("\"max\": %.6f},\n  \"worst_send_lag_ms\": %.6f,\n", latencies.max / 1e6, worst_lag / 1e6);
    if (o.workers) {
        auto sorted = served;
        std::sort(sorted.begin(), sorted.end());
        printf("  \"worker_share\": {\"min\": %lu, \"median\": %lu, \"max\": %lu},\n", sorted.front(),
               sorted[sorted.size() / 2], sorted.back());
    }
    if (o.broker_pid && replies)
        // The server's threads take turns at everything: there is no telling them apart.
        printf("  \"broker_cpu\": {\"loop\": %.6f, \"io\": 0.0, \"loop_us_per_request\": %.4f, "
               "\"io_us_per_request\": 0.0},\n", server_cpu, server_cpu / replies * 1e6);
    printf("  \"generator_cpu\": {\"share\": %.4f}\n}\n", own_cpu / seconds);
}

}  // namespace

int main(int argc, char **argv) {
    Options options = Options::parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    allow_files();
    Run run(options);
    run.connect_all();
    run.run();
    run.print();
    return run.good() ? 0 : 1;
}
